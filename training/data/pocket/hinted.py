"""The same conversations as they are served: a line before the question says what the recogniser makes of the picture.

A mind that never saw such a line in training would not know what to make of it. The line is often wrong about drawings and
nothing worth about coloured shapes, so that it is learnt when to rely on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from training.data.pocket.looking import Eyes
from training.data.pocket.records import Conversation, write_lines, write_list

NAMES = ("captions", "scenes", "classes", "easyvqa")
"""Whose conversations get a file with hints beside them."""
LINES = "hints.jsonl"
"""{"image", "line"} a line, in the folder of a source."""


def conversations_of(name: str) -> str:
    """File with a source's conversations to train on."""
    return "easyvqa-train.json" if name == "easyvqa" else f"{name}-conversations.json"


def look(folder: Path, to: Path, pictures: Sequence[str], eyes: Eyes, seen: Callable[[int], None]) -> None:
    """Fill `folder` with the line of each picture, named below `to`."""
    lines = eyes.hints([to / name for name in pictures], seen)
    write_lines(folder / LINES, [{"image": name, "line": line} for name, line in zip(pictures, lines, strict=True)])


def write_hinted(to: Path, lines: Mapping[str, str]) -> None:
    """<name>-hinted.json beside each file of conversations. `lines`: by picture."""
    for name in NAMES:
        records: list[Conversation] = json.loads((to / conversations_of(name)).read_text("utf-8"))
        write_list(to / f"{name}-hinted.json", [_hinted(record, lines[record["image"]]) for record in records])


def pictures_in(to: Path, name: str) -> list[str]:
    """Pictures of a source's conversations, each once."""
    records: list[Conversation] = json.loads((to / conversations_of(name)).read_text("utf-8"))
    return list(dict.fromkeys(str(record["image"]) for record in records))


def _hinted(record: Conversation, line: str) -> Conversation:
    first, *rest = record["conversations"]
    place, question = str(first["value"]).split("\n", 1)
    value = f"{place}\n{line}\n{question}"
    return {**record, "id": f"{record['id']}-hinted", "conversations": [{**first, "value": value}, *rest]}
