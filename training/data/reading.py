"""What the formats share: values out of files, texts and names of pictures checked, bad ones told with their reason.

A reason reads "what is wrong: where and how exactly". The part before the colon is one of few, and reports count by it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from training.config import Files
from training.data.records import BadRecord, Origin
from training.errors import TrainingError

LINES = (".jsonl", ".ndjson")
"""Suffixes of files with a JSON value a line (https://jsonlines.org)."""

SHOWN = 80
"""Characters of a value that a reason repeats."""

T = TypeVar("T")


class Unfit(Exception):  # noqa: N818 - not an error of the program: it becomes a BadRecord
    """A record that cannot be trained on; `kind` is one of few, `detail` says where and how."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.reason = f"{kind}: {detail}"


Numbered = tuple[int, Any]
"""A value (or the Unfit that came of reading it) and its number, counted from 1."""


def parsed(file: Path, values: Iterable[Numbered], parse: Callable[[Origin, Any], T]) -> Iterator[T | BadRecord]:
    """Records out of values; `parse` may raise Unfit."""
    for number, value in values:
        origin = Origin(file, number)
        if isinstance(value, Unfit):
            yield BadRecord(origin, value.reason)
            continue
        try:
            record = parse(origin, value)
        except Unfit as unfit:
            yield BadRecord(origin, unfit.reason)
        else:
            yield record


def json_whole(file: Path) -> Any:
    """The value of a .json file, all of it in memory.

    With the records made of it, three to four times the file at the peak: 600 MB for 193 MB in the shape of
    LLaVA-Instruct-150K, 406 MB for 102 MB in the shape of captions_train2017.json. JSONL streams.

    Raises TrainingError: it cannot be read, or is not JSON (with line and column).
    """
    with readable(file):
        try:
            return json.loads(file.read_text("utf-8-sig"))
        except json.JSONDecodeError as error:
            hint = f" If every line is a record of its own, call it {LINES[0]}." if error.msg == "Extra data" else ""
            raise TrainingError(
                f"{file} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}.{hint}"
            ) from error
        except UnicodeDecodeError as error:
            raise TrainingError(f"{file} is not UTF-8 text: byte {error.start + 1:,} does not belong there.") from error
        except RecursionError:
            raise TrainingError(f"{file} is not data to train on: its lists or objects are nested too deeply.") from None
        except ValueError as error:
            raise TrainingError(f"{file} is not data to train on: {error}.") from error


def json_list(file: Path) -> Iterator[Numbered]:
    """The values of a .json file that is a list. Raises TrainingError, see `json_whole`."""
    values = json_whole(file)
    if not isinstance(values, list):
        raise TrainingError(f"{file} should be a list of records, and it is {kind_of(values)}.")
    return enumerate(values, 1)


def json_lines(file: Path) -> Iterator[Numbered]:
    """The values of a .jsonl file, line by line; empty lines count and give nothing. A line that is not JSON is Unfit."""
    with readable(file), file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _json_line(line)


def _json_line(line: bytes) -> Any:
    try:
        return json.loads(line.rstrip(b"\r\n").decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        return Unfit("the line is not valid JSON", f"column {error.colno}: {error.msg}")
    except UnicodeDecodeError as error:
        return Unfit("the line is not UTF-8 text", f"byte {error.start + 1} does not belong there")
    except RecursionError:
        return Unfit("the line is not valid JSON", "its lists or objects are nested too deeply")
    except ValueError as error:  # whole numbers of thousands of digits
        return Unfit("the line is not valid JSON", str(error))


@contextlib.contextmanager
def readable(file: Path) -> Iterator[None]:
    """Say which file cannot be read."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"{file} cannot be read: {error.strerror or error}.") from error


def text_of(value: object, what: str) -> str:
    """A text, stripped; `what` names it in the reason. It may be empty."""
    if not isinstance(value, str):
        raise Unfit("something is missing or of the wrong type", f"{what} should be a text, and it is {kind_of(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair in JSON, or bytes of another encoding in a table
        raise Unfit("a text is not valid Unicode", f"{what} is {shown(value)}") from None
    return value.strip()


def object_of(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit("something is missing or of the wrong type", f"{what} should be an object, and it is {kind_of(value)}")
    return value


def list_of(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unfit("something is missing or of the wrong type", f"{what} should be a list, and it is {kind_of(value)}")
    return value


def pictures_folder(files: Files) -> Path:
    """What the names of pictures are relative to."""
    return files.file.parent if files.images is None else files.images


def picture_of(folder: Path, value: object, what: str) -> Path:
    """The file that a record names, which must be inside `folder`.

    Names are judged as they are written: `..` must not lead out, and links inside the folder may lead where its owner wants.
    Whether there is such a file is not asked.
    """
    name = text_of(value, what)
    if not name or "\0" in name:
        raise Unfit("a picture has no name", f"{what} is {shown(name)}")
    root = os.path.abspath(folder)
    inside = os.path.relpath(os.path.abspath(os.path.join(root, name)), root)
    if inside == os.curdir or inside.split(os.sep, 1)[0] == os.pardir:
        raise Unfit("a picture is outside the images folder", f"{what} is {shown(name)}, and the folder is {folder}")
    return folder / inside


def shown(value: object) -> str:
    """A value for a reason: short, and with nothing in it that a terminal obeys."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}…{text[-SHOWN // 2 :]}"  # a path ends with its file's name


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "missing or null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
