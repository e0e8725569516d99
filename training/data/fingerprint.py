"""What tells a run that goes on that its data is still the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path

from model.files import sha256
from training.config import Files
from training.data.captions import read_captions
from training.data.conversations import read_conversations
from training.data.loading import picture_size, pictures_of
from training.data.reading import Unfit, pictures_folder, readable
from training.data.records import BadRecord, Captioned, Conversation


def fingerprint(files: Sequence[Files], unfit: Container[Path] = ()) -> str:
    """Hex sha256 over the bytes of the data files, in order, the settings that change what is read of them (`format`, `skip`,
    `first`, `times`), and the names, relative to the images folder, and sizes of the pictures that are read. Those that are
    `unfit` count as missing.

    It does not notice a picture replaced by another of as many bytes, nor (and that is meant) data that moved to another
    folder. Reads the records once more: seconds for 150,000. Raises TrainingError as reading does.
    """
    digest = hashlib.sha256()
    for source in files:
        with readable(source.file):
            content = sha256(source.file)
        skip = (source.skip,) if source.skip else ()  # runs from before there was such a key go on
        digest.update(_line(source.format, *skip, source.first, source.times, content))
        for name, size in sorted(_pictures(source, unfit).items()):
            digest.update(_line(name, size))
    return digest.hexdigest()


def _line(*values: str | int | None) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _pictures(files: Files, unfit: Container[Path]) -> dict[str, int]:
    """Sizes by relative name; -1 for what is not there or cannot be looked at."""
    folder = pictures_folder(files)
    sizes: dict[str, int] = {}
    for record in reader(files)(files):
        if isinstance(record, BadRecord):
            continue
        for path in pictures_of(record):
            name = path.relative_to(folder).as_posix()
            if name not in sizes:
                try:
                    sizes[name] = -1 if path in unfit else picture_size(path)
                except Unfit:
                    sizes[name] = -1
    return sizes


def reader(files: Files) -> Callable[[Files], Iterator[Captioned | Conversation | BadRecord]]:
    """The reader of a source's format."""
    return read_conversations if files.format == "llava" else read_captions
