"""The same conversations as they are served: lines before the question say what recogniser and reader make of the picture.

A mind that never saw such lines in training would not know what to make of them. The recogniser's is often wrong about drawings
and nothing worth about coloured shapes, so that it is learnt when to rely on it; the reader's has words that we put there.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from model.hints import Recognition, photo_line
from training.data.pocket import signs
from training.data.pocket.looking import Eyes
from training.data.pocket.records import Conversation, write_lines, write_list

NAMES = ("captions", "scenes", "classes", "easyvqa")
"""Whose conversations get a file with hints beside them."""
SIGNS = ("captions", "scenes", "classes")
"""Of which a part is shown with text in the picture."""
WITH_TEXT, WITHOUT = 0.25, 0.05
"""Parts of those that are asked about text: with some, and with none."""
NAMELESS = photo_line(Recognition((), sure=False))
"""What is not said of a picture with text in it (model/mind.py)."""
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
    words = _words(to)
    for name in NAMES:
        records: list[Conversation] = json.loads((to / conversations_of(name)).read_text("utf-8"))
        hinted = [_hinted(record, lines[record["image"]]) for record in records]
        write_list(to / f"{name}-hinted.json", [_read(record, words) for record in hinted] if name in SIGNS else hinted)


def pictures_in(to: Path, name: str) -> list[str]:
    """Pictures of a source's conversations, each once."""
    records: list[Conversation] = json.loads((to / conversations_of(name)).read_text("utf-8"))
    return list(dict.fromkeys(str(record["image"]) for record in records))


def _words(to: Path) -> list[str]:
    """Words of captions, to be written on signs."""
    records: list[Conversation] = json.loads((to / conversations_of("captions")).read_text("utf-8"))
    answers = " ".join(str(said["value"]) for record in records for said in record["conversations"] if said["from"] == "gpt")
    return sorted(set(re.findall(r"[a-z]{3,}", answers)))


def _read(record: Conversation, words: Sequence[str]) -> Conversation:
    """A hinted conversation, or the same about a picture with text in it: a question about that is added or stands alone."""
    chance = random.Random(record["id"])  # noqa: S311 - the same signs each time
    drawn = chance.random()
    if drawn >= WITH_TEXT + WITHOUT:
        return record
    first, *rest = record["conversations"]
    place, line, question = str(first["value"]).split("\n", 2)
    text = signs.sign(words, chance) if drawn < WITH_TEXT else None
    seen = [place] if text is not None and line == NAMELESS else [place, line]
    if text is not None:
        seen.append(signs.line_of(text, also=len(seen) > 1))
    asked, answer = signs.reading(text, chance)
    reading = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    if chance.random() < 0.5:
        talk = [{**first, "value": "\n".join([*seen, asked])}, reading[1]]
    else:
        talk = [{**first, "value": "\n".join([*seen, question])}, *rest[:1], *reading]
    return {**record, "conversations": talk}


def _hinted(record: Conversation, line: str) -> Conversation:
    first, *rest = record["conversations"]
    place, question = str(first["value"]).split("\n", 1)
    value = f"{place}\n{line}\n{question}"
    return {**record, "id": f"{record['id']}-hinted", "conversations": [{**first, "value": value}, *rest]}
