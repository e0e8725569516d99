"""Documents of text out of files and folders: JSON lines, Parquet, plain text; compressed or not.

RedPajama's layout (https://huggingface.co/datasets/togethercomputer/RedPajama-Data-1T) is folders of .jsonl, one a source
(arxiv, book, c4, wikipedia, ...), whose lines have `text` and `meta`. Only `text` is read.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, get_args

from training.data.records import BadRecord, Origin
from training.errors import Mistakes, TrainingError

TEXT = "text"
"""Key of a JSON line and column of a table."""
PLAIN = (".txt", ".md", ".rst", ".text")
"""What is plain text in a folder; a file that is named itself is plain text whatever it is called."""
DOCUMENT_BYTES = 256 * 2**20
"""Longest line of JSON and longest plain file: far beyond any book, and what four copies of it take fits in memory."""
ROWS = 1024
"""Rows of a table read at a time."""

Kind = Literal["jsonl", "parquet", "plain"]
Compression: TypeAlias = Literal["", "gz", "zst"]
COMPRESSED: dict[str, Compression] = {".gz": "gz", ".dz": "gz", ".zst": "zst"}
"""By suffix; .dz is dictzip, which gzip reads."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """One file of documents."""

    path: Path
    source: str
    """For the counts: the folder that was named and the one below it, such as redpajama/arxiv; or the file's name."""
    kind: Kind
    compression: Compression
    size: int
    """Bytes on the disk."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text that is learned from as a whole; not blank, and it can be written as UTF-8."""

    origin: Origin
    source: str
    text: str
    position: int
    """Bytes of the file, as it is on the disk, that have been read."""


def find(sources: Sequence[Path]) -> tuple[list[TextFile], int]:
    """The files of `sources`, a folder's in the order of their names, and how many other files its folders hold.

    Raises Mistakes: each source that does not exist or holds nothing to read.
    """
    found: dict[Path, TextFile] = {}
    mistakes: list[str] = []
    others = 0
    for source in sources:
        if source.is_file():
            found.setdefault(source.resolve(), _text_file(source, _stem(source), _kind(source) or "plain"))
        elif source.is_dir():
            paths = sorted(path for path in source.rglob("*") if path.is_file())
            kinds = [(path, kind) for path in paths if (kind := _kind(path))]
            others += len(paths) - len(kinds)
            for path, kind in kinds:
                below = path.relative_to(source)
                name = below.parts[0] if len(below.parts) > 1 else _stem(path)
                found.setdefault(path.resolve(), _text_file(path, f"{source.resolve().name}/{name}", kind))
            if not kinds:
                mistakes.append(f"{source}: there is no .jsonl, .parquet, {', '.join(PLAIN)} (or .gz, .zst of these) in it")
        else:
            mistakes.append(f"{source}: there is no such file or folder")
    if mistakes:
        raise Mistakes("These sources cannot be read:", mistakes)
    return list(found.values()), others


def read(file: TextFile) -> Iterator[Document | BadRecord]:
    """The documents of a file, and what in it is none. Raises TrainingError: the system does not let it be read."""
    number = 0
    try:
        for number, text, position in _READERS[file.kind](file):
            origin = Origin(file.path, number)
            reason = text.reason if isinstance(text, _Bad) else _unfit(text)
            yield BadRecord(origin, reason) if reason else Document(origin, file.source, str(text), position)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # decompressors raise OSError without a number
            raise TrainingError(f"{file.path} cannot be read: {error.strerror}.") from error
        yield BadRecord(Origin(file.path, number + 1), f"from here on the file is damaged or cut off ({_short(error)})")


@dataclass(frozen=True, slots=True)
class _Bad:
    reason: str


_Record = tuple[int, object, int]
"""Number, text (or _Bad, or what stands where the text should be), position."""


def _unfit(text: object) -> str | None:
    """Why this cannot be a document's text."""
    if text is None:
        return f"it has no {TEXT}"
    if not isinstance(text, str):
        return f"its {TEXT} is of type {type(text).__name__}"
    if not text or text.isspace():
        return f"its {TEXT} is empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"its {TEXT} holds half of a surrogate pair"
    return None


def _json_lines(file: TextFile) -> Iterator[_Record]:
    with _opened(file) as (stream, raw):
        number = 0
        while line := stream.readline(DOCUMENT_BYTES + 1):
            number += 1
            if len(line) > DOCUMENT_BYTES:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(DOCUMENT_BYTES)
                yield number, _Bad(f"it is longer than {DOCUMENT_BYTES >> 20} MiB"), raw.tell()
            elif not line.isspace():
                yield number, _text_of(line), raw.tell()


def _text_of(line: bytes) -> object:
    try:
        value = json.loads(line.decode().rstrip("\r\n").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        return _not_utf8(error)
    except json.JSONDecodeError as error:
        return _Bad(f"broken JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return _Bad(f"broken JSON: {_short(error)}")
    if not isinstance(value, dict):
        return _Bad(f"it is no object with a `{TEXT}` key")
    return value[TEXT] if TEXT in value else _Bad(f"it has no `{TEXT}` key")


def _plain(file: TextFile) -> Iterator[_Record]:
    with _opened(file) as (stream, _):
        content = stream.read(DOCUMENT_BYTES + 1)
    if len(content) > DOCUMENT_BYTES:
        yield 1, _Bad(f"it is longer than {DOCUMENT_BYTES >> 20} MiB: split the file"), file.size
        return
    try:
        yield 1, content.decode().removeprefix("\ufeff"), file.size
    except UnicodeDecodeError as error:
        yield 1, _not_utf8(error), file.size


def _parquet(file: TextFile) -> Iterator[_Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(file.path) as table:
            if TEXT not in table.schema_arrow.names:
                yield 1, _Bad(f"the table has no column `{TEXT}`, only {', '.join(table.schema_arrow.names)}"), file.size
                return
            for batch in table.iter_batches(ROWS, columns=[TEXT]):
                for value in batch.column(0):
                    number += 1
                    yield number, _text_in(value), file.size * number // table.metadata.num_rows
    except pa.ArrowException as error:
        yield number + 1, _Bad(f"from here on the table is damaged ({_short(error)})"), file.size


def _text_in(cell: Any) -> object:
    try:
        return cell.as_py()
    except UnicodeDecodeError as error:
        return _not_utf8(error)


_READERS = {"jsonl": _json_lines, "parquet": _parquet, "plain": _plain}


@contextlib.contextmanager
def _opened(file: TextFile) -> Iterator[tuple[io.BufferedIOBase, IO[bytes]]]:
    """The contents, and the file they come out of."""
    with file.path.open("rb") as raw:
        if file.compression == "gz":
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream, raw
        elif file.compression == "zst":
            import pyarrow as pa

            with pa.CompressedInputStream(raw, "zstd") as unpacked:
                yield io.BufferedReader(unpacked), raw
        else:
            yield raw, raw


def _not_utf8(error: UnicodeDecodeError) -> _Bad:
    return _Bad(f"it is not UTF-8 (byte {error.start + 1} is 0x{error.object[error.start]:02x})")


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def _text_file(path: Path, source: str, kind: Kind) -> TextFile:
    compression = COMPRESSED.get(path.suffix, "") if kind != "parquet" else ""
    return TextFile(path, source, kind, compression, path.stat().st_size)


def _stem(path: Path) -> str:
    name = path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED else path.name
    return Path(name).stem


def _kind(path: Path) -> Kind | None:
    suffix = Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
    if suffix in PLAIN:
        return "plain"
    return next((kind for kind in get_args(Kind) if suffix == f".{kind}" and kind != "plain"), None)
