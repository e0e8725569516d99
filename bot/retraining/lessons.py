"""What people taught, written out as `jnana train retrain` reads it (training/retrain/lessons.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bot.memory import PICTURE_QUESTION
from bot.store.records import StoredExample

LESSONS = "lessons"
"""In the folder of a run."""
EXAMPLES = "examples.jsonl"
LEAST = 20
"""Examples below which the trainer refuses (training/retrain/lessons.py, which is not imported here)."""
PREFIX = "example-"
MARK = "<image>"
"""Where a picture stands in the format; in people's words it would count as one."""


def write(examples: Sequence[StoredExample], folder: Path, attachments: Path) -> None:
    """Blocking. Pictures stay where they are, and are named below `attachments`: so `/forget` has no copy to miss."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_line(example, attachments)) for example in examples]
    (folder / EXAMPLES).write_text("".join(f"{line}\n" for line in lines), "utf-8")


def distinct(examples: Sequence[StoredExample]) -> int:
    """How many are left for the trainer, for whom the same question about the same pictures counts once."""
    return len({(*(picture.path for picture in one.pictures), " ".join(_question(one).lower().split())) for one in examples})


def written(folder: Path) -> set[int]:
    """Numbers of the examples that were written there. One that is cut off was not trained on: all is written before that.
    Blocking."""
    try:
        *whole, _ = (folder / EXAMPLES).read_text("utf-8").split("\n")
    except FileNotFoundError:
        return set()
    return {example_of(json.loads(line)["id"]) for line in whole}


def example_of(name: str) -> int:
    """The number in the id that an example was written with."""
    return int(name.removeprefix(PREFIX))


def _line(example: StoredExample, attachments: Path) -> dict[str, object]:
    marks = f"{MARK}\n" * len(example.pictures)
    pictures = [str(picture.path.relative_to(attachments)) for picture in example.pictures]
    return {
        "id": f"{PREFIX}{example.example_id}",
        "group": f"conversation-{example.conversation_id or 'none'}-person-{example.teacher_id}",
        **({"image": pictures} if pictures else {}),
        "conversations": [
            {"from": "human", "value": marks + _question(example)},
            {"from": "gpt", "value": example.answer.replace(MARK, "image")},
        ],
    }


def _question(example: StoredExample) -> str:
    return example.question.replace(MARK, "image").strip() or PICTURE_QUESTION
