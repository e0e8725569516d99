"""What people taught, as a data set: without doubles, split by who said it where, a part held out before anything else.

A folder of lessons is what the bot writes: `examples.jsonl`, LLaVA's format a line with `id` and `group` beside it, and the
pictures that it names, which are shown with the first question. Examples of a group are trained on together or held out
together: one person's in one conversation.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.files import sha256
from training.config import Files
from training.data.conversations import read_conversations
from training.data.records import BadRecord, Conversation
from training.errors import Mistakes, TrainingError
from training.runs import write_whole

EXAMPLES = "examples.jsonl"
TRAIN, HELD_OUT = "train.jsonl", "held-out.jsonl"

HELD_OUT_PART = 0.1
"""Of the examples, at least."""

LEAST = 20
"""Examples below which nothing is trained: two held out would say nothing about the rest."""


@dataclass(frozen=True)
class Lessons:
    """Files of a data set in the form `llava`; `version`: of its content, so that two of the same are the same."""

    train: Path
    held_out: Path
    images: Path
    """Folder of the pictures."""
    version: str
    trained: int
    held: int
    doubles: int
    unlearnable: int
    """Without a picture, where the adapter leaves such conversations to the base."""


def make(folder: Path, to: Path, *, images: Path | None = None, text_only: str) -> Lessons:
    """Split the lessons in `folder` into a data set in `to`. The same lessons give the same data set.

    `images`: folder of the pictures, None: the same. `text_only`: as an adapter's card has it.

    Raises Mistakes: bad records, each named; TrainingError: too few.
    """
    records = _read(folder, images or folder)
    learnable = [record for record in records if record.talk.images or text_only == "adapter"]
    single = list({record.identity: record for record in learnable}.values())  # the newest of doubles
    if len(single) < LEAST:
        raise TrainingError(_too_few(len(single), len(records) - len(learnable)))
    held = _held_out(single)
    kept = [record for record in single if record not in held]
    to.mkdir(parents=True, exist_ok=True)
    for name, part in ((TRAIN, kept), (HELD_OUT, held)):
        write_lines(to / name, [record.line for record in part])
    version = hashlib.sha256((sha256(to / TRAIN) + sha256(to / HELD_OUT)).encode()).hexdigest()[:16]
    doubles = len(learnable) - len(single)
    return Lessons(
        to / TRAIN, to / HELD_OUT, images or folder, version, len(kept), len(held), doubles, len(records) - len(learnable)
    )


def _too_few(there: int, unlearnable: int) -> str:
    sentence = f"There are {there} examples to learn from, and at least {LEAST} are needed: {LEAST - there} more."
    if unlearnable:
        sentence += f" {unlearnable} without a picture do not count: such conversations are the base model's."
    return sentence


@dataclass(frozen=True, eq=False)
class _Lesson:
    talk: Conversation
    line: dict[str, Any]
    identity: str
    """The same for the same question about the same pictures."""
    group: str
    pictures: str
    """What they show, by content; empty where there are none."""


def _read(folder: Path, images: Path) -> list[_Lesson]:
    file = folder / EXAMPLES
    if not file.is_file():
        raise TrainingError(f"There is no {EXAMPLES} in {folder}: it is no folder of lessons.")
    lines = file.read_text("utf-8").split("\n")
    lessons: list[_Lesson] = []
    bad: list[str] = []
    for talk in read_conversations(Files(format="llava", file=file, images=images)):
        if isinstance(talk, BadRecord):
            bad.append(str(talk))
        elif (reason := _unfit(talk)) is not None:
            bad.append(f"{talk.origin}: {reason}")
        else:
            lessons.append(_lesson(json.loads(lines[talk.origin.number - 1]), talk))
    if bad:
        raise Mistakes(f"{file} has {len(bad)} records that cannot be trained on:", bad)
    return lessons


def _unfit(talk: Conversation) -> str | None:
    """Why nothing can be taught with a conversation that is a good one otherwise: a lesson is judged by its first question and
    put behind what is seen in its pictures (judge.py, served.py)."""
    if missing := [path for path in talk.images if not path.is_file()]:
        return f"there is no picture {missing[0]}"
    if talk.messages[0].role == "system":
        return "a lesson begins with what a person asks, and this one with a system message: take that out"
    for number, message in enumerate(talk.messages[1:], 2):
        if message.pictures:
            return f"a lesson shows its pictures with the first question, and this one shows some in message {number}: split it"
    return None


def _lesson(value: dict[str, Any], talk: Conversation) -> _Lesson:
    pictures = [sha256(path) for path in talk.images]
    question = " ".join(message.text for message in talk.messages if message.role == "user")
    identity = hashlib.sha256("\n".join([*pictures, " ".join(question.lower().split())]).encode()).hexdigest()
    line = {
        "id": str(value.get("id", talk.origin.number)),
        **({"image": value["image"]} if talk.images else {}),
        "conversations": value["conversations"],
    }
    group = str(value.get("group", value.get("id", talk.origin.number)))
    return _Lesson(talk, line, identity, group, " ".join(pictures))


def _held_out(lessons: Sequence[_Lesson]) -> list[_Lesson]:
    """Whole groups, so that nothing that is asked afterwards was seen: who said it where, together with all who showed the same
    picture; where that is nearly everything, what shows the same pictures; and else single examples."""
    wanted = math.ceil(len(lessons) * HELD_OUT_PART)
    by_pictures = {lesson: lesson.pictures or lesson.identity for lesson in lessons}
    for named in (_united(lessons), by_pictures, {lesson: lesson.identity for lesson in lessons}):
        groups: dict[str, list[_Lesson]] = {}
        for lesson in lessons:
            groups.setdefault(named[lesson], []).append(lesson)
        if max(len(group) for group in groups.values()) <= len(lessons) // 2:
            return _drawn(groups, wanted, len(lessons) // 2)
    raise AssertionError("single examples are small groups")


def _drawn(groups: Mapping[str, list[_Lesson]], wanted: int, most: int) -> list[_Lesson]:
    """Those whose name's hash is small, and more if they are too few: so one that was held out is held out the next time, too,
    when there are more lessons."""
    held: list[_Lesson] = []
    for name in sorted(groups, key=_drawn_at):
        small = _drawn_at(name) < HELD_OUT_PART
        if (small or len(held) < wanted) and len(held) + len(groups[name]) <= most:
            held += groups[name]
    return held


def _drawn_at(name: str) -> float:
    """0 to 1, by the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48


def _united(lessons: Sequence[_Lesson]) -> dict[_Lesson, str]:
    """Names of groups, one for all groups that share a picture."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for lesson in lessons:
        ends = sorted((find(f"group {lesson.group}"), find(f"picture {lesson.pictures or lesson.identity}")))
        leader[ends[1]] = ends[0]
    return {lesson: find(f"group {lesson.group}") for lesson in lessons}


def lines_of(file: Path) -> list[str]:
    """Lines of a JSONL file; people's words may hold other characters that count as line ends elsewhere."""
    return [line for line in file.read_text("utf-8").split("\n") if line.strip()]


def write_lines(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    write_whole(file, "".join(json.dumps(record) + "\n" for record in records))
