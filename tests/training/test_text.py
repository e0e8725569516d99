"""Documents come out of every format, and what is none is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.data import text
from training.data.records import BadRecord
from training.data.text import Document, find, read
from training.errors import Mistakes


def lines(*texts: object) -> bytes:
    return b"".join(json.dumps({"text": value, "meta": {"url": "x"}}).encode() + b"\n" for value in texts)


def records(*sources: Path) -> list[Document | BadRecord]:
    return [record for file in find(sources)[0] for record in read(file)]


def texts(*sources: Path) -> list[str]:
    found = records(*sources)
    assert [record for record in found if isinstance(record, BadRecord)] == []
    return [record.text for record in found if isinstance(record, Document)]


def bad(*sources: Path) -> list[str]:
    return [f"{r.origin.file.name} {r.origin.number}: {r.reason}" for r in records(*sources) if isinstance(r, BadRecord)]


def zstd(path: Path, content: bytes) -> None:
    with path.open("wb") as raw, pa.CompressedOutputStream(raw, "zstd") as stream:
        stream.write(content)


def test_every_format_gives_the_same_documents(tmp_path: Path) -> None:
    wanted = ["Ein Jäger\naß", "two"]
    (tmp_path / "a.jsonl").write_bytes(lines(*wanted))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(*wanted)))
    zstd(tmp_path / "c.jsonl.zst", lines(*wanted))
    pq.write_table(pa.table({"id": [1, 2], "text": wanted}), tmp_path / "d.parquet")
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet"):
        assert texts(tmp_path / name) == wanted, name


def test_plain_text_is_one_document_whatever_it_is_packed_in(tmp_path: Path) -> None:
    content = "First line.\n\nÄpfel.\n"
    for name in ("a.txt", "b.md", "c.rst", "words"):
        (tmp_path / name).write_text(content, "utf-8")
    for name in ("d.txt.gz", "dictionary.dict.dz"):
        (tmp_path / name).write_bytes(gzip.compress(content.encode()))
    zstd(tmp_path / "e.txt.zst", content.encode())
    for path in tmp_path.iterdir():
        assert texts(path) == [content], path.name


def test_files_joined_from_several_compressed_ones_are_read_to_their_end(tmp_path: Path) -> None:
    zstd(tmp_path / "a.jsonl.zst", lines("one"))
    zstd(tmp_path / "b", lines("two"))
    with (tmp_path / "a.jsonl.zst").open("ab") as stream:
        stream.write((tmp_path / "b").read_bytes())
    assert texts(tmp_path / "a.jsonl.zst") == ["one", "two"]


def test_redpajamas_folders_are_the_sources(tmp_path: Path) -> None:
    root = tmp_path / "redpajama"
    for folder, name in (("arxiv", "arxiv_0.jsonl"), ("c4", "en/c4-train.00000.jsonl"), ("wikipedia", "en.jsonl")):
        path = root / folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(lines(f"from {folder}"))
    (root / "README").write_text("not read")
    (root / "c4" / "loose.jsonl").write_bytes(lines("loose"))
    files, others = find([root])
    assert others == 1
    found = [(record.source, record.text) for file in files for record in read(file) if isinstance(record, Document)]
    assert found == [
        ("redpajama/arxiv", "from arxiv"),
        ("redpajama/c4", "from c4"),
        ("redpajama/c4", "loose"),
        ("redpajama/wikipedia", "from wikipedia"),
    ]


def test_a_file_is_read_once_however_often_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("once")
    (tmp_path / "link.txt").symlink_to("a.txt")
    assert texts(tmp_path / "a.txt", tmp_path) == ["once"]


def test_bad_lines_are_named_and_the_good_ones_stay(tmp_path: Path) -> None:
    content = [
        b'{"text": "good"}',
        b'{"text": "cut off',
        b"",
        b'{"content": "other key"}',
        b'["a list"]',
        b'{"text": 5}',
        b'{"text": " \\n"}',
        b'{"text": null}',
        b'{"text": "caf\xe9"}',
        b'{"text": "\\ud83d"}',
        b"[" * 100_000,
        b'{"text": "good as well"}',
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(content))
    found = records(tmp_path / "a.jsonl")
    assert [record.text for record in found if isinstance(record, Document)] == ["good", "good as well"]
    named = bad(tmp_path / "a.jsonl")
    assert named[:-1] == [
        "a.jsonl 2: broken JSON: Unterminated string starting at character 10",
        "a.jsonl 4: it has no `text` key",
        "a.jsonl 5: it is no object with a `text` key",
        "a.jsonl 6: its text is of type int",
        "a.jsonl 7: its text is empty",
        "a.jsonl 8: it has no text",
        "a.jsonl 9: it is not UTF-8 (byte 14 is 0xe9)",
        "a.jsonl 10: its text holds half of a surrogate pair",
    ]
    assert named[-1].startswith("a.jsonl 11: broken JSON: ")


def test_lines_beyond_the_limit_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "DOCUMENT_BYTES", 2**20)
    (tmp_path / "a.jsonl").write_bytes(lines("one", "x" * 3 * 2**20, "two"))
    (tmp_path / "b.txt").write_bytes(b"x" * (2**20 + 1))
    assert [record.text for record in records(tmp_path) if isinstance(record, Document)] == ["one", "two"]
    assert bad(tmp_path) == ["a.jsonl 2: it is longer than 1 MiB", "b.txt 1: it is longer than 1 MiB: split the file"]


def test_bad_tables_and_plain_files_are_named(tmp_path: Path) -> None:
    invalid = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"\xff\xfeok")]
    )
    pq.write_table(pa.table({"text": invalid}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["good", None]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"content": ["x"], "url": ["y"]}), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes(b"no table at all")
    (tmp_path / "e.txt").write_bytes(b"\x89PNG")
    (tmp_path / "f.txt").write_bytes(b"")
    named = bad(tmp_path)
    assert named[:3] == [
        "a.parquet 1: it is not UTF-8 (byte 1 is 0xff)",
        "b.parquet 2: it has no text",
        "c.parquet 1: the table has no column `text`, only content, url",
    ]
    assert named[3].startswith("d.parquet 1: from here on the table is damaged (")
    assert named[4:] == ["e.txt 1: it is not UTF-8 (byte 1 is 0x89)", "f.txt 1: its text is empty"]
    assert [record.text for record in records(tmp_path) if isinstance(record, Document)] == ["ok", "good"]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_download_that_was_cut_off_is_named_where_it_ends(tmp_path: Path, name: str) -> None:
    content = lines(*(f"document {number} {number * 7919 % 10007}" for number in range(20_000)))
    path = tmp_path / name
    if name.endswith("zst"):
        zstd(path, content)
    else:
        path.write_bytes(gzip.compress(content))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *good, last = records(path)
    assert good
    assert all(isinstance(record, Document) for record in good)
    assert isinstance(last, BadRecord)
    assert last.origin.number == len(good) + 1
    assert last.reason.startswith("from here on the file is damaged or cut off")


def test_all_sources_that_are_not_there_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.png").write_bytes(b"")
    with pytest.raises(Mistakes) as caught:
        find([tmp_path / "nowhere", tmp_path / "pictures"])
    assert len(caught.value.mistakes) == 2
    assert f"{tmp_path / 'nowhere'}: there is no such file or folder" in caught.value.mistakes
