"""What an adapter must keep: examples that are replayed while it learns, and questions that it is asked afterwards.

`keepsakes.zip` comes along, so that nothing is fetched when a community retrains. It was made of `jnana data pocket`'s folder:

    python -m training.retrain.keepsakes data/training/pocket
"""

from __future__ import annotations

import io
import json
import random
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

PACK = Path(__file__).parent / "keepsakes.zip"
REPLAY, VQA, CAPTIONS = "replay.jsonl", "vqa.jsonl", "captions.jsonl"

REPLAYED = {"easyvqa": 300, "openclipart": 200, "emoji": 100}
"""Examples to replay, by the folder of their pictures: half of them shapes, which badges and logos are made of, too."""
SHAPES_ASKED = 150
"""Questions about shapes. Of drawings all are asked about that nothing was ever trained on: 154, few enough for chance to
matter."""
SIDE, QUALITY = 128, 80
"""Pixels and JPEG quality of drawings: towers see 224, and a small one is enough to see whether something was forgotten."""
LICENCES = """Shapes: easy-VQA 1.0, MIT, https://github.com/vzhou842/easy-VQA
Drawings: Openclipart 0.18, public domain, https://openclipart.org; made smaller
Emoji: Noto Color Emoji 2.042, Apache-2.0 (pictures), Google, https://github.com/googlefonts/noto-emoji; made smaller;
their names: emoji 2.16.0, BSD-3-Clause
"""
FIRST = (2010, 1, 1, 0, 0, 0)
"""Time of all members, so that the same content makes the same file."""


@dataclass(frozen=True)
class Keepsakes:
    """Files in the forms that training and evaluation read."""

    replay: Path
    vqa: Path
    captions: Path


def unpack(to: Path) -> Keepsakes:
    """Into the folder `to`, which is made."""
    with zipfile.ZipFile(PACK) as archive:
        archive.extractall(to)
    return Keepsakes(to / REPLAY, to / VQA, to / CAPTIONS)


def build(data: Path, pack: Path = PACK) -> None:
    """Make the pack of a folder of `jnana data pocket`. Stamps stay out: their licence (GPL-2) is not that of the project."""
    held_out = _records(data / "captions-heldout.jsonl")
    files = {
        REPLAY: [
            *_balanced(_trained_on(data, "easyvqa"), REPLAYED["easyvqa"]),
            *_some(_trained_on(data, "openclipart"), REPLAYED["openclipart"]),
            *_some(_trained_on(data, "emoji"), REPLAYED["emoji"]),
        ],
        VQA: _some(_records(data / "easyvqa-test.json"), SHAPES_ASKED),
        CAPTIONS: [*_of("openclipart", held_out), *_of("emoji", held_out)],
    }
    with zipfile.ZipFile(pack, "w") as archive:
        for name, content in _members(data, files):
            archive.writestr(zipfile.ZipInfo(name, FIRST), content, zipfile.ZIP_DEFLATED)


def _trained_on(data: Path, kind: str) -> list[dict[str, Any]]:
    return _of(kind, _records(data / ("easyvqa-train.json" if kind == "easyvqa" else "captions-conversations.json")))


def _records(file: Path) -> list[dict[str, Any]]:
    content = file.read_text("utf-8")
    return [json.loads(line) for line in content.splitlines()] if file.suffix == ".jsonl" else list(json.loads(content))


def _of(kind: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["image"].startswith(f"{kind}/")]


def _some(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Of different pictures, always the same ones. Any question of a picture: the last ones of easy-VQA's test are all about
    colours, and answered by yes or no."""
    chance = random.Random(0)  # noqa: S311
    by_picture: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_picture.setdefault(record["image"], []).append(record)
    return [chance.choice(by_picture[picture]) for picture in chance.sample(sorted(by_picture), count)]


def _balanced(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Of different pictures, and each answer about as often: with thirteen teal shapes and three brown ones replayed, brown
    ones were called teal afterwards."""
    chance = random.Random(0)  # noqa: S311
    by_answer: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_answer.setdefault(str(record["conversations"][1]["value"]), []).append(record)
    waiting = [chance.sample(one, len(one)) for _, one in sorted(by_answer.items())]
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        for answers in waiting:
            record = next(one for one in iter(answers.pop, None) if one["image"] not in found)
            found[record["image"]] = record
    return list(found.values())[:count]


def _members(data: Path, files: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, bytes]]:
    yield "LICENCES", LICENCES.encode()
    pictures: dict[str, str] = {}
    for records in files.values():
        for record in records:
            if record["image"] not in pictures:
                is_shape = record["image"].startswith("easyvqa/")
                pictures[record["image"]] = f"pictures/{len(pictures):03}.{'png' if is_shape else 'jpg'}"
                content = (data / record["image"]).read_bytes()
                yield pictures[record["image"]], content if is_shape else _small(content)
    for name, records in files.items():
        renamed = [record | {"image": pictures[record["image"]]} for record in records]
        yield name, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in renamed).encode()


def _small(content: bytes) -> bytes:
    written = io.BytesIO()
    with Image.open(io.BytesIO(content)) as picture:
        picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
