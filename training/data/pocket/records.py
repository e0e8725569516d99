"""Records as the formats of training/config.py want them, and which of them are held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Captioned = dict[str, Any]
"""{"image", "captions", "source"}: a line of a captions file."""
Conversation = dict[str, Any]
"""{"id", "image", "conversations": [{"from", "value"}]}: LLaVA's form, with the picture's place in the first question."""

HELD_OUT_OF = 10
"""One caption in so many is never trained on."""

QUESTIONS = (
    "What is in this photo?",
    "What is this?",
    "What do you see?",
    "Describe this picture.",
    "What does the picture show?",
    "What can you see in this image?",
    "Tell me what this is.",
    "Describe the image in one short sentence.",
)


def digest(text: str) -> int:
    """A number that depends on nothing but the text."""
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest())


def held_out(captions: Sequence[str]) -> bool:
    """By the first caption in lower case, so that the same words never stand on both sides."""
    return digest(captions[0].lower()) % HELD_OUT_OF == 0


def captioned(image: str, captions: Sequence[str], source: str) -> Captioned:
    return {"image": image, "captions": list(captions), "source": source}


def conversation(identity: str, image: str, turns: Iterable[tuple[str, str]]) -> Conversation:
    """`turns`: questions with their answers."""
    said: list[dict[str, str]] = []
    for question, answer in turns:
        place = "" if said else "<image>\n"
        said += [{"from": "human", "value": f"{place}{question}"}, {"from": "gpt", "value": answer}]
    return {"id": identity, "image": image, "conversations": said}


def question_for(image: str) -> str:
    """One of a few ways to ask what a picture shows; the same one each time."""
    return QUESTIONS[digest(image) % len(QUESTIONS)]


def lower_article(sentence: str) -> str:
    """'A tabby cat.' -> 'a tabby cat.', for the middle of a sentence; names keep their capital."""
    first = sentence.split(" ", 1)[0]
    plain = first in ("A", "An", "The") or first.rstrip(".").isalpha()
    return f"{sentence[0].lower()}{sentence[1:]}" if plain else sentence


def asked(record: Captioned) -> Conversation:
    """A caption as the answer to a question."""
    image = str(record["image"])
    return conversation(image.rsplit(".", 1)[0], image, [(question_for(image), str(record["captions"][0]))])


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines, in one step."""
    _replace(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def write_list(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """A JSON list with a record a line, in one step."""
    _replace(path, "[\n" + ",\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n]\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
