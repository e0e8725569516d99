"""The same conversations as they are served: lines before the question say what recogniser and reader make of the picture.

A mind that never saw such lines in training would not know what to make of them. The recogniser's is often wrong about drawings
and nothing worth about coloured shapes, so that it is learnt when to rely on it; the reader's has words that we put there. Of
photographs it knows more than a small projector, doubts included: there the answer is what it says.
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
from training.data.pocket.records import Conversation, conversation, question_for, write_lines, write_list

NAMES = ("captions", "scenes", "classes", "easyvqa")
"""Whose conversations get a file with hints beside them."""
PHOTOGRAPHS = "wallpapers"
"""Pictures without conversations, which get some with a hint."""
AS_SAID = ("classes", PHOTOGRAPHS)
"""Of which the recogniser is believed."""
WITH_TEXT, WITHOUT = 0.25, 0.05
"""Parts of those that are asked about text: with some, and with none."""
READ_ALONE = 0.5
"""Part of them that are asked about nothing else."""
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
    """<name>-hinted.json beside each file of conversations, and one about photographs. `lines`: by picture."""
    words = _words(to)
    sources: dict[str, list[Conversation]] = {
        name: json.loads((to / conversations_of(name)).read_text("utf-8")) for name in NAMES
    }
    photographs = [(picture, line) for picture, line in lines.items() if picture.startswith(f"{PHOTOGRAPHS}/")]
    sources[PHOTOGRAPHS] = [_photographed(picture, line) for picture, line in photographs]
    for name, records in sources.items():
        change = _behind_hint if name == "easyvqa" else _with_text(words, as_said=name in AS_SAID)
        write_list(to / f"{name}-hinted.json", [change(record, lines[record["image"]]) for record in records])


def pictures_in(to: Path, name: str) -> list[str]:
    """Pictures of a source's conversations, each once."""
    records: list[Conversation] = json.loads((to / conversations_of(name)).read_text("utf-8"))
    return list(dict.fromkeys(str(record["image"]) for record in records))


def _words(to: Path) -> list[str]:
    """Words of captions, to be written on signs."""
    records: list[Conversation] = json.loads((to / conversations_of("captions")).read_text("utf-8"))
    answers = " ".join(str(said["value"]) for record in records for said in record["conversations"] if said["from"] == "gpt")
    return sorted(set(re.findall(r"[a-z]{3,}", answers)))


def _photographed(picture: str, line: str) -> Conversation:
    return conversation(picture.rsplit(".", 1)[0], picture, [(question_for(picture), line)])


def _behind_hint(record: Conversation, *lines: str) -> Conversation:
    first, *rest = record["conversations"]
    place, question = str(first["value"]).split("\n", 1)
    value = "\n".join([place, *lines, question])
    return {**record, "id": f"{record['id']}-hinted", "conversations": [{**first, "value": value}, *rest]}


def _with_text(words: Sequence[str], *, as_said: bool) -> Callable[[Conversation, str], Conversation]:
    """What makes a hinted conversation of another one: of a part of them with text in the picture, and questions about it.

    `as_said`: what the picture shows is answered as the hint says it.
    """

    def changed(record: Conversation, line: str) -> Conversation:
        chance = random.Random(f"{record['id']}-hinted")  # noqa: S311 - the same signs each time
        drawn = chance.random()
        draw = signs.page if line == NAMELESS else signs.sign
        text = draw(words, chance) if drawn < WITH_TEXT else None
        first, answer, *rest = record["conversations"]
        told = signs.told(line if as_said else str(answer["value"]), text, shown=not (as_said and line == NAMELESS))
        if drawn < WITH_TEXT + WITHOUT:
            asked, read = signs.reading(text, chance)
            if chance.random() < READ_ALONE:
                first, told, rest = {**first, "value": f"{_place(first)}\n{asked}"}, read, []
            else:
                rest = [{"from": "human", "value": asked}, {"from": "gpt", "value": read}]
        talk = [first, {**answer, "value": told}, *rest]
        return _behind_hint({**record, "conversations": talk}, *_lines(line, text))

    return changed


def _lines(line: str, text: str | None) -> list[str]:
    """As model/mind.py has them."""
    if text is None:
        return [line]
    return [signs.line_of(text, also=False)] if line == NAMELESS else [line, signs.line_of(text, also=True)]


def _place(said: Mapping[str, str]) -> str:
    """Where the picture stands, before a first question."""
    return str(said["value"]).split("\n", 1)[0]
