"""Text to try stage 0 with, out of ordinary packages of Debian: internet standards, a language's manual, two dictionaries.

    jnana data texts --to data/training/texts
    jnana data tokenize data/training/texts --tokenizer data/models/pocket/language --to data/training/text --validation 0.02

About twelve million tokens (SmolLM2's): enough for the original's 1.08 M, far from enough for a model that is worth anything.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.files import appearing
from training.data.packages import DEBIAN_MIRRORS, DataPackage, Progress, fetch
from training.errors import TrainingError

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""Of numbers in a dictionary's index (dictfmt(1)), the most significant first."""
ABOUT = "00database"
"""Headwords that begin so describe the dictionary."""

Reader = Callable[[Path], Iterator[str]]
"""The documents of an unpacked package."""


@dataclass(frozen=True)
class Text:
    """A package and how its text is read."""

    package: DataPackage
    read: Reader


@dataclass(frozen=True)
class Row:
    """What one package gave."""

    package: DataPackage
    documents: int
    characters: int


def _files(pattern: str) -> Reader:
    def read(folder: Path) -> Iterator[str]:
        for path in sorted(folder.rglob(pattern)):
            data = path.read_bytes()
            yield (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace").strip()

    return read


def _dictionary(name: str) -> Reader:
    """An entry a document."""

    def read(folder: Path) -> Iterator[str]:
        base = folder / "usr/share/dictd"
        content = gzip.decompress((base / f"{name}.dict.dz").read_bytes())
        places = set()
        for line in (base / f"{name}.index").read_text("utf-8").splitlines():
            headword, start, length = line.split("\t")[:3]
            if not headword.startswith(ABOUT):
                places.add((_number(start), _number(length)))  # several headwords may share an entry
        for first, size in sorted(places):
            yield content[first : first + size].decode("utf-8", "replace").strip()

    return read


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * len(DIGITS) + DIGITS.index(digit)
    return value


TEXTS = (
    Text(
        DataPackage(
            registry="debian",
            name="doc-rfc-std",
            version="20230121-1",
            file="pool/non-free/d/doc-rfc/doc-rfc-std_20230121-1_all.deb",
            sha256="b9bfead1a230da198ab96ce70cc9fbb64dc600d914c1504eeb4c19e29f95734b",
            bytes=13_986_128,
            licence="IETF Trust: unmodified copies",
            homepage="https://www.rfc-editor.org",
        ),
        _files("rfc[0-9]*.txt.gz"),
    ),
    Text(
        DataPackage(
            registry="debian",
            name="python3.11-doc",
            version="3.11.2-6+deb12u8",
            file="pool/main/p/python3.11/python3.11-doc_3.11.2-6+deb12u8_all.deb",
            sha256="50eb63e7f636c4281e9ce1b8f10386f1def42159eddce34fc1f41c46261df71b",
            bytes=12_642_400,
            licence="PSF-2.0",
            homepage="https://docs.python.org/3.11",
        ),
        _files("*.rst.txt"),
    ),
    Text(
        DataPackage(
            registry="debian",
            name="dict-foldoc",
            version="20230119-1",
            file="pool/main/d/dict-foldoc/dict-foldoc_20230119-1_all.deb",
            sha256="745cbedb55c2da609cc88ee0284e9d11a67a11ae3709daf7bad0e895ac3294c3",
            bytes=2_408_824,
            licence="GFDL-1.1-or-later",
            homepage="https://foldoc.org",
        ),
        _dictionary("foldoc"),
    ),
    Text(
        DataPackage(
            registry="debian",
            name="dict-jargon",
            version="4.4.7-3.1",
            file="pool/main/d/dict-jargon/dict-jargon_4.4.7-3.1_all.deb",
            sha256="405f8168d7994ed2cb71407bb95493daec2e9aa66fc0461dafa74a9d6728a8c1",
            bytes=621_608,
            licence="public domain",
            homepage="http://catb.org/jargon",
        ),
        _dictionary("jargon"),
    ),
)


def build(to: Path, progress: Progress, mirrors: Sequence[str] = DEBIAN_MIRRORS) -> list[Row]:
    """Make `to`: a JSONL file a package, {"text"} a line. Blocking, a minute. Raises TrainingError.

    What was fetched stays in `to`-packages, unpacked, and may be deleted.
    """
    if to.exists():
        raise TrainingError(f"{to} is there already: use it, or name another folder.")
    unpacked = [fetch(text.package, to.with_name(f"{to.name}-packages"), progress, mirrors) for text in TEXTS]
    rows = []
    with appearing(to) as folder:
        for text, source in zip(TEXTS, unpacked, strict=True):
            rows.append(_write(text, source, folder / f"{text.package.name}.jsonl"))
    return rows


def _write(text: Text, source: Path, file: Path) -> Row:
    documents = characters = 0
    try:
        with file.open("w", encoding="utf-8") as lines:
            for document in text.read(source):
                if document:
                    lines.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
                    documents, characters = documents + 1, characters + len(document)
    except (OSError, EOFError, ValueError) as error:
        raise TrainingError(f"{source} does not hold {text.package.name} ({error}): remove it and try again.") from error
    if not documents:
        raise TrainingError(f"{source} holds no text of {text.package.name}: remove it and try again.")
    return Row(text.package, documents, characters)
