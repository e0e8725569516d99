"""Pictures with captions, for stage 1: COCO's annotation files, and files with `image` and `caption`."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from training.config import Files
from training.data.loading import load
from training.data.reading import (
    LINES,
    Numbered,
    Unfit,
    json_lines,
    json_whole,
    kind_of,
    list_of,
    object_of,
    parsed,
    picture_of,
    pictures_folder,
    readable,
    shown,
    text_of,
)
from training.data.records import BadRecord, Captioned, Origin
from training.errors import TrainingError

TABLES = (".csv", ".tsv")

Id = int | str


def read_captions(files: Files) -> Iterator[Captioned | BadRecord]:
    """Read a source of captioned pictures; of its records those from `skip` to `end`, bad ones counted.

    coco: a record is one of `images`, with all its captions in the order of `annotations`. A bad annotation is a record of its
        own, numbered by its place among `annotations`, and its reason says so.
    captions: .jsonl, an object a line, with `image` and either `caption` (text) or `captions` (list of texts). .csv (RFC 4180)
        and .tsv (https://www.iana.org/assignments/media-types/text/tab-separated-values, so quotes are letters), with
        `image` and `caption` among the names in the first row; a record is a row, and the first below the names is number 1.

    Raises TrainingError: the file cannot be read as a whole, or is of another format.
    """
    if files.format == "coco":
        yield from _coco(files)
        return
    if files.format != "captions":
        raise TrainingError(f"{files.file} is said to be of the format {files.format}: captions come as `coco` or `captions`.")
    suffix = files.file.suffix.lower()
    if suffix not in (*LINES, *TABLES):
        raise TrainingError(f"{files.file} should be one of {', '.join((LINES[0], *TABLES))} for the format `captions`.")
    values = json_lines(files.file) if suffix in LINES else _table(files.file)
    yield from islice(parsed(files.file, values, partial(_captioned, pictures_folder(files))), files.skip, files.end)


def load_captions(files: Sequence[Files], *, skip_bad: bool, pictured: bool = True) -> list[Captioned]:
    """Every record of `files` as often as its `times` says. Bad ones, and those whose picture is missing, stop it or are
    left out with a line in the log. Whether pictures can be decoded shows when they are looked at. Not
    `pictured`: they need not be there.

    Raises TrainingError: bad records and not `skip_bad`; no good ones; a file that cannot be read.
    """
    return load(files, read_captions, skip_bad=skip_bad, pictured=pictured)


def _captioned(folder: Path, origin: Origin, value: object) -> Captioned:
    record = object_of(value, "the record")
    image = picture_of(folder, record.get("image"), "image")
    if "captions" not in record:
        captions = [record.get("caption")]
        names = ["caption"]
    elif "caption" in record:
        raise Unfit("something is missing or of the wrong type", "there is `caption` and `captions`, and one was expected")
    else:
        captions = list_of(record["captions"], "captions")
        names = [f"caption {number}" for number in range(1, len(captions) + 1)]
    return Captioned(origin, image, _captions(captions, names))


def _captions(values: Sequence[object], names: Sequence[str]) -> tuple[str, ...]:
    if not values:
        raise Unfit("no caption", "the list of captions is empty")
    captions = tuple(text_of(value, name) for value, name in zip(values, names, strict=True))
    if "" in captions:
        raise Unfit("a caption is empty", f"{names[captions.index('')]} has no words")
    return captions


def _table(file: Path) -> Iterator[Numbered]:
    """Rows as {name: text}. Bytes that are not UTF-8 become lone surrogates, which `text_of` refuses."""
    with readable(file), file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        # Strict: a quote that is never closed would otherwise take the rest of the file for one caption.
        tabs = file.suffix.lower() == ".tsv"
        rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(stream, strict=True)
        try:
            names = [name.strip() for name in next(rows, [])]
        except csv.Error as error:
            raise TrainingError(f"{file} is not a table: line {rows.line_num}: {error}.") from error
        if not {"image", "caption"} <= set(names):
            found = ", ".join(shown(name) for name in names) or "nothing"
            raise TrainingError(f"{file} should have `image` and `caption` in its first row, and there is {found}.")
        number = 0
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield number, Unfit("the row is not valid CSV", f"line {rows.line_num}: {error}")
                continue
            if row:
                number += 1
                yield number, _row(names, row, rows.line_num)


def _row(names: list[str], row: list[str], line: int) -> dict[str, str] | Unfit:
    if len(row) != len(names):
        return Unfit("the row has another number of columns", f"line {line} has {len(row)}, the first row {len(names)}")
    return dict(zip(names, row, strict=True))


def _coco(files: Files) -> Iterator[Captioned | BadRecord]:
    """https://cocodataset.org/#format-data, section 5; of it `images[].id, .file_name`, `annotations[].image_id, .caption`."""
    whole = json_whole(files.file)
    images, annotations = (whole.get(key) if isinstance(whole, dict) else None for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise TrainingError(
            f"{files.file} should be an object with the lists `images` and `annotations`, as captions_train2017.json is."
        )
    chosen = list(enumerate(images, 1))[files.skip : files.end]
    read = {_identity(image) for _, image in chosen}
    not_read = {_identity(image) for image in images} - read
    captions: defaultdict[Id, list[str]] = defaultdict(list)
    for number, annotation in enumerate(annotations, 1):
        try:
            image_id = _annotated(annotation, read, not_read)
            if image_id in read:
                captions[image_id].append(_annotation_text(annotation, image_id))
        except Unfit as unfit:
            yield BadRecord(Origin(files.file, number), unfit.reason)
    parse = partial(_image, pictures_folder(files), captions, set())
    yield from parsed(files.file, chosen, parse)


def _identity(image: object) -> Id | None:
    value = image.get("id") if isinstance(image, dict) else None
    return value if isinstance(value, Id) and not isinstance(value, bool) else None


def _annotated(annotation: Any, read: set[Id | None], not_read: set[Id | None]) -> Id:
    """The id of the image that an annotation belongs to."""
    if not isinstance(annotation, dict):
        raise Unfit("an annotation is of the wrong type", f"among annotations, and it is {kind_of(annotation)}")
    image_id = annotation.get("image_id")
    if not isinstance(image_id, Id) or isinstance(image_id, bool) or (image_id not in read and image_id not in not_read):
        raise Unfit("an annotation is of no image", f"among annotations, image_id is {shown(image_id)}")
    return image_id


def _annotation_text(annotation: dict[str, Any], image_id: Id) -> str:
    caption = text_of(annotation.get("caption"), f"caption (among annotations, of image {shown(image_id)})")
    if not caption:
        raise Unfit("a caption is empty", f"among annotations, of image {shown(image_id)}")
    return caption


def _image(folder: Path, captions: dict[Id, list[str]], seen: set[Id], origin: Origin, value: Any) -> Captioned:
    record = object_of(value, "the image")
    identity = _identity(record)
    if identity is None:
        raise Unfit("something is missing or of the wrong type", f"the image's id is {kind_of(record.get('id'))}")
    if identity in seen:
        raise Unfit("an image is there twice", f"id {shown(identity)}")
    seen.add(identity)
    image = picture_of(folder, record.get("file_name"), "file_name")
    if not (found := captions.get(identity)):
        raise Unfit("no caption", f"no usable annotation is of image {shown(identity)}")
    return Captioned(origin, image, tuple(found))
