"""A file of conversations in LLaVA's form, alone or in a zip archive with their pictures: the examples in it.

Read as `jnana train` reads them (training/data/conversations.py), the first question and answer of each. Nothing is unpacked
to disk, and a name in the file only ever names a member of the archive.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.errors import MediaRefused, WrongExample
from bot.media import clean_name
from bot.picture import MAX_PICTURE_BYTES
from bot.store.lessons import MAX_WORDS
from bot.teaching import MAX_PICTURES
from bot.texts import Text, text

MAX_RECORDS_BYTES = 10 * 2**20
"""Of the .json or .jsonl file: 10,000 records of a kilobyte; Python needs up to 20 times that to read it."""

MAX_RECORDS = 10_000
"""Looked at: each that is bad is named, and a list of so many lines can still be read."""

MAX_MEMBERS = 5_000
"""Files of an archive: the pictures of what is taken at once, with room for others."""

MAX_UNPACKED_BYTES = 200 * 2**20
"""Of all members together. Photos hardly shrink in an archive; what is eight times its size is meant to be."""

LIST, LINES = (".json",), (".jsonl", ".ndjson")
"""Suffixes, as training has them."""

ZIP, ENTRY = b"PK\x03\x04", b"PK\x01\x02"
"""What an archive begins with, and what each entry of its list of members does (APPNOTE.TXT 4.3.7, 4.3.12)."""

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What every program writes. LZMA would take as much memory as the archive says."""

MARK = re.compile(r"<image>\s?")
SPEAKERS = {"system", "human", "gpt"}


@dataclass(frozen=True, slots=True)
class Lesson:
    """A record that can be learnt from. `pictures`: members of the archive."""

    question: str
    answer: str
    pictures: tuple[str, ...] = ()


def _no_pictures(path: str) -> bytes:
    raise KeyError(path)  # records without an archive name none


@dataclass(frozen=True, slots=True)
class Opened:
    """Records by number, from 1 (of lines: the line's), each a lesson or the reason why it is none. `picture`: the bytes of a
    member; blocks, and raises MediaRefused."""

    records: list[tuple[int, Lesson | Text]]
    picture: Callable[[str], bytes] = _no_pictures


class Unfit(Exception):  # noqa: N818  # no error of the program: it becomes the reason beside a record
    def __init__(self, key: str, /, **more: str | float) -> None:
        super().__init__(key)
        self.why = text(key, **more)


def read(name: str, data: bytes) -> Opened:
    """Blocking. Raises WrongExample: this is no such file, or too much."""
    name = clean_name(name)
    suffix = posixpath.splitext(name)[1].lower()
    if data.startswith(ZIP) or suffix == ".zip":
        return _read_archive(name, data)
    if suffix not in (*LIST, *LINES):
        raise WrongExample(text("import-unknown", name=name))
    return Opened(_records(name, data, {}, ""))


# --- The archive ---


def _read_archive(name: str, data: bytes) -> Opened:
    # Counted before the library makes objects of them: a list of half a million members fits into the file.
    if data.count(ENTRY) > MAX_MEMBERS:
        raise _too_much(name)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise WrongExample(text("import-archive-damaged", name=name)) from None
    infos = archive.infolist()
    if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
        raise _too_much(name)
    files = [info for info in infos if not info.is_dir()]
    members = {path: info for info in files if (path := _inside("", info.filename)) is not None and not _is_aside(path)}
    found = [path for path in members if path.lower().endswith((*LIST, *LINES))]
    if len(found) != 1:
        raise WrongExample(text("import-archive-files", name=name, count=len(found)))
    info = members[found[0]]
    if info.file_size > MAX_RECORDS_BYTES:
        raise _too_long(clean_name(found[0]), info.file_size)
    records = _records(found[0], _bytes(archive, info), members, posixpath.dirname(found[0]))
    return Opened(records, partial(_picture, archive, members))


def _too_much(name: str) -> WrongExample:
    return WrongExample(text("import-archive-too-much", name=name, members=MAX_MEMBERS, limit=MAX_UNPACKED_BYTES // 2**20))


def _too_long(name: str, size: int) -> WrongExample:
    return WrongExample(text("text-file-too-large", name=name, size=f"{size / 1024:.0f}", limit=MAX_RECORDS_BYTES // 1024))


def _bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member, never more than it announced: the library stops there. Raises WrongExample."""
    damaged = WrongExample(text("import-archive-damaged", name=clean_name(info.filename)))
    if info.compress_type not in PACKED:
        raise damaged
    try:
        with archive.open(info) as member:
            return member.read(info.file_size)
    except Exception:  # zlib, struct, a password (RuntimeError): damaged archives raise all sorts of errors
        raise damaged from None


def _picture(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: str) -> bytes:
    name, info = clean_name(path), members[path]
    if info.file_size > MAX_PICTURE_BYTES:
        size, limit = f"{info.file_size / 2**20:.0f}", f"{MAX_PICTURE_BYTES // 2**20}"
        raise MediaRefused(text("picture-too-large", name=name, size=size, limit=limit))
    try:
        return _bytes(archive, info)
    except WrongExample:
        raise MediaRefused(text("picture-damaged", name=name)) from None


def _inside(folder: str, name: str) -> str | None:
    """The member that `name` means, seen from `folder`; None if it leads out of the archive."""
    name = name.replace("\\", "/")
    path = posixpath.normpath(posixpath.join(folder, name))
    return None if name.startswith("/") or path.split("/", 1)[0] in ("..", ".") or "\0" in name else path


def _is_aside(path: str) -> bool:
    """What macOS and other systems put beside files."""
    parts = path.split("/")
    return parts[0] == "__MACOSX" or parts[-1].startswith(".")


# --- The records ---


def _records(name: str, data: bytes, members: Mapping[str, zipfile.ZipInfo], folder: str) -> list[tuple[int, Lesson | Text]]:
    if len(data) > MAX_RECORDS_BYTES:
        raise _too_long(clean_name(name), len(data))
    values = _lines(data) if name.lower().endswith(LINES) else enumerate(_list(clean_name(name), data), 1)
    records: list[tuple[int, Lesson | Text]] = []
    for number, value in values:
        if len(records) == MAX_RECORDS:
            raise WrongExample(text("import-too-many", name=clean_name(name), limit=MAX_RECORDS))
        try:
            if isinstance(value, Unfit):
                raise value
            records.append((number, _lesson(value, members, folder)))
        except Unfit as unfit:
            records.append((number, unfit.why))
    if not records:
        raise WrongExample(text("import-nothing", name=clean_name(name)))
    return records


def _list(name: str, data: bytes) -> list[Any]:
    try:
        values = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise WrongExample(text("import-broken", name=name, line=error.lineno, column=error.colno)) from None
    except (ValueError, RecursionError):  # not UTF-8, numbers of thousands of digits, lists in lists in lists
        raise WrongExample(text("import-not-json", name=name)) from None
    if not isinstance(values, list):
        raise WrongExample(text("import-not-json", name=name))
    return values


def _lines(data: bytes) -> Iterator[tuple[int, Any]]:
    """Empty lines count and give nothing; a line that is not JSON gives an Unfit."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line.decode("utf-8-sig"))
        except json.JSONDecodeError as error:
            yield number, Unfit("import-why-json", column=error.colno)
        except (ValueError, RecursionError):
            yield number, Unfit("import-why-json", column=1)


def _lesson(value: Any, members: Mapping[str, zipfile.ZipInfo], folder: str) -> Lesson:
    """Raises Unfit."""
    said = value.get("conversations") if isinstance(value, dict) else None
    if not isinstance(said, list) or not all(isinstance(message, dict) for message in said):
        raise Unfit("import-why-form")
    speakers = [message.get("from") for message in said]
    if not all(isinstance(speaker, str) and speaker in SPEAKERS for speaker in speakers):
        raise Unfit("import-why-form")
    talk = said[1:] if said and said[0]["from"] == "system" else said
    if not talk or talk[0]["from"] != "human":
        raise Unfit("import-why-question")
    names = _names(value.get("image"))
    question, marks = _words(talk[0])
    if not question and not marks:
        raise Unfit("import-why-question")
    if len(talk) < 2 or talk[1]["from"] != "gpt" or not (answer := _words(talk[1])[0]):
        raise Unfit("import-why-answer")
    for words in (question, answer):
        if len(words) > MAX_WORDS:
            raise Unfit("import-why-long", length=len(words), limit=MAX_WORDS)
    everywhere = sum(_words(message)[1] for message in talk)
    if everywhere != len(names):
        raise Unfit("import-why-marks", marks=everywhere, pictures=len(names))
    return Lesson(question, answer, tuple(_member(name, members, folder) for name in _few(names[:marks])))


def _words(message: Mapping[str, Any]) -> tuple[str, int]:
    """What was said, and how many pictures are shown with it."""
    value = message.get("value")
    if not isinstance(value, str):
        raise Unfit("import-why-form")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        raise Unfit("import-why-form") from None
    words, marks = MARK.subn("", value.replace("\0", ""))
    if marks and message["from"] != "human":
        raise Unfit("import-why-form")
    return words.strip(), marks


def _names(value: Any) -> list[str]:
    names = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise Unfit("import-why-form")
    return names


def _few(names: list[str]) -> list[str]:
    if len(names) > MAX_PICTURES:
        raise Unfit("import-why-pictures", count=len(names), limit=MAX_PICTURES)
    return names


def _member(name: str, members: Mapping[str, zipfile.ZipInfo], folder: str) -> str:
    path = _inside(folder, name.strip())
    if path is None:
        raise Unfit("import-why-outside", name=clean_name(name))
    if path not in members:
        raise Unfit("import-why-missing", name=clean_name(name))
    return path
