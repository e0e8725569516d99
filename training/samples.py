"""Samples over time: what a run answered to the same question again and again, with small copies of the pictures."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

from training.history import History

QUESTIONS = 12
"""On a page."""

ANSWERS = 6
"""Of a run to a question: the first, the last, and some between."""

THUMBNAIL = 224
"""Pixels of the longer side."""

QUALITY = 80
"""JPEG's; a picture is then at most some 20 kB of the page."""

PIXELS = 50_000_000
"""Of a picture that is opened at all: a small file can claim to be huge."""


@dataclass(frozen=True)
class Answer:
    colour: int
    step: int
    text: str
    right: bool
    """Word for word what was expected, whatever the case."""


@dataclass
class Question:
    prompt: str
    expected: str
    has_picture: bool
    picture: str | None
    """data: address of a JPEG; None: there is none, or it could not be read."""
    answers: list[Answer] = field(default_factory=list)


def questions(runs: Sequence[History]) -> list[Question]:
    """The first questions, each with the answers of every run by step."""
    found: dict[tuple[str | None, str, str], Question] = {}
    for colour, run in enumerate(runs):
        answers: dict[tuple[str | None, str, str], list[Answer]] = {}
        for sample in run.samples:
            key = (sample.image, sample.prompt, sample.expected)
            if key not in found:
                if len(found) == QUESTIONS:
                    continue
                picture = thumbnail(run.folder / sample.image) if sample.image else None
                found[key] = Question(sample.prompt, sample.expected, sample.image is not None, picture)
            right = sample.answer.strip().casefold() == sample.expected.strip().casefold()
            answers.setdefault(key, []).append(Answer(colour, sample.step, sample.answer, right))
        for key, given in answers.items():
            found[key].answers += spread(sorted(given, key=lambda answer: answer.step))
    return list(found.values())


def spread(answers: Sequence[Answer]) -> list[Answer]:
    """At most `ANSWERS` of them, the first and the last included."""
    if len(answers) <= ANSWERS:
        return list(answers)
    return [answers[round(at * (len(answers) - 1) / (ANSWERS - 1))] for at in range(ANSWERS)]


def thumbnail(path: Path) -> str | None:
    """A small JPEG as a data: address; None when there is no picture that can be read."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > PIXELS:
                return None
            image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))
            small = ImageOps.exif_transpose(image)
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            flat = Image.new("RGB", small.size, "white")
            flat.paste(small.convert("RGBA"), mask=small.convert("RGBA").getchannel("A"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for damaged files
        return None
    stream = io.BytesIO()
    flat.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
