"""What tells a run that goes on that its data is still the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from model.files import sha256
from training.config import Files
from training.data.captions import read_captions
from training.data.conversations import read_conversations
from training.data.loading import picture_size, pictures_of
from training.data.reading import Unfit, pictures_folder, readable
from training.data.records import BadRecord, Captioned, Conversation


def fingerprint(files: Sequence[Files], unfit: Container[Path] = (), digests: Mapping[Path, str] = MappingProxyType({})) -> str:
    """Hex sha256 over the bytes of the data files, in order, the settings that change what is read of them (`format`, `skip`,
    `first`, `times`), and the pictures that are read: their names, relative to the images folder, and their `digests`, or their
    sizes where there are none. Those that are `unfit` count as missing.

    It does not notice (and that is meant) data that moved to another folder. Reads the records once more: seconds for 150,000.
    Raises TrainingError as reading does.
    """
    digest = hashlib.sha256()
    for source in files:
        with readable(source.file):
            content = sha256(source.file)
        skip = (source.skip,) if source.skip else ()  # runs from before there was such a key go on
        digest.update(_line(source.format, *skip, source.first, source.times, content))
        for name, content_or_size in sorted(_pictures(source, unfit, digests).items()):
            digest.update(_line(name, content_or_size))
    return digest.hexdigest()


def _line(*values: str | int | None) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _pictures(files: Files, unfit: Container[Path], digests: Mapping[Path, str]) -> dict[str, int | str]:
    """Digests, or else sizes, by relative name; -1 for what is not there or cannot be looked at."""
    folder = pictures_folder(files)
    found: dict[str, int | str] = {}
    for record in reader(files)(files):
        if isinstance(record, BadRecord):
            continue
        for path in pictures_of(record):
            name = path.relative_to(folder).as_posix()
            if name not in found:
                try:  # a picture may be gone since it was digested
                    size = picture_size(path)
                    found[name] = -1 if path in unfit else digests.get(path, size)
                except Unfit:
                    found[name] = -1
    return found


def reader(files: Files) -> Callable[[Files], Iterator[Captioned | Conversation | BadRecord]]:
    """The reader of a source's format."""
    return read_conversations if files.format == "llava" else read_captions
