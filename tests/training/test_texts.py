"""`jnana data texts`: what is taken out of packages, and that an entry of a dictionary is a document."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.archives import make_deb, pinned
from training.data import texts
from training.errors import TrainingError


def nothing(what: str, done: int, total: int) -> None:
    """Nobody looks."""


DICTIONARY = "00-about-\nabout\n\nfoo\n  A name.\n\nbar\n  Another.\n"
INDEX = "00database-info\tA\tQ\nbar\tg\tP\nbaz\tg\tP\nfoo\tR\tO\n"
"""`bar` and `baz` share an entry."""
CONTENTS = {
    "doc-rfc-std": {"./usr/share/doc/RFC/rfc1.txt.gz": gzip.compress(b"  Hosts\n"), "./usr/share/doc/RFC/index.txt": b"no"},
    "python3.11-doc": {"./usr/share/doc/a/b.rst.txt": b"Title", "./usr/share/doc/a/b.html": b"no"},
    "dict-foldoc": {"./usr/share/dictd/foldoc.index": INDEX.encode()},
    "dict-jargon": {"./usr/share/dictd/jargon.index": INDEX.encode()},
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small ones where apt would have put them."""
    for name in ("foldoc", "jargon"):
        CONTENTS[f"dict-{name}"][f"./usr/share/dictd/{name}.dict.dz"] = gzip.compress(DICTIONARY.encode())
    small, debs = [], {}
    for text in texts.TEXTS:
        name = text.package.name
        debs[name] = make_deb(tmp_path / f"{name}_1_all.deb", CONTENTS[name], {"./gone": "nowhere"})
        small.append(replace(text, package=replace(pinned(debs[name], f"pool/{name}.deb"), name=name)))
    monkeypatch.setattr(texts, "TEXTS", tuple(small))
    monkeypatch.setattr("training.data.packages._download", lambda package, *_: debs[package.name])
    return tmp_path


def test_documents_are_files_and_entries(packages: Path) -> None:
    rows = texts.build(packages / "texts", nothing)
    documents = {
        path.stem: [json.loads(line)["text"] for line in path.read_text().splitlines()]
        for path in (packages / "texts").glob("*.jsonl")
    }
    assert documents["doc-rfc-std"] == ["Hosts"]
    assert documents["python3.11-doc"] == ["Title"]
    assert documents["dict-foldoc"] == ["foo\n  A name.", "bar\n  Another."]
    assert [(row.package.name, row.documents, row.characters) for row in rows][2] == ("dict-foldoc", 2, 27)
    with pytest.raises(TrainingError, match="is there already"):
        texts.build(packages / "texts", nothing)


def test_a_package_without_its_text_is_named_and_leaves_nothing(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "TEXTS", (replace(texts.TEXTS[0], read=texts.TEXTS[1].read),))
    with pytest.raises(TrainingError, match="holds no text of doc-rfc-std: remove it"):
        texts.build(packages / "texts", nothing)
    assert not (packages / "texts").exists()
