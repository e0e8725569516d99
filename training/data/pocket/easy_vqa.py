"""easy-VQA: coloured shapes with questions and one-word answers (MIT), in the splits that it ships with.

https://github.com/vzhou842/easy-VQA: questions.json is a list of [question, answer, number of the picture].
"""

from __future__ import annotations

import json
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from training.data.packages import DataPackage
from training.data.pocket.records import Conversation, conversation
from training.errors import TrainingError

PACKAGE = DataPackage(
    registry="pypi",
    name="easy-vqa",
    version="1.0",
    file="easy_vqa-1.0-py3-none-any.whl",
    sha256="fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f",
    bytes=3_215_672,
    licence="MIT",
    homepage="https://github.com/vzhou842/easy-VQA",
)


TURNS = 2
"""Questions of a conversation: after many, most answers follow from the earlier ones, and nobody has to look."""

Questions = dict[int, list[tuple[str, str]]]
"""With their answers, by picture."""
Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


def convert(package: Path, split: Split, folder: Path, prefix: str) -> list[Conversation]:
    """Copy the pictures of a split into `folder` as they are; train: conversations of TURNS questions, test: of one.

    `prefix`: of the pictures' names in the records. Raises TrainingError.
    """
    source = package / "easy_vqa/data" / split
    try:
        questions = json.loads((source / "questions.json").read_text("utf-8"))
        by_picture: Questions = defaultdict(list)
        for question, answer, number in questions:
            by_picture[int(number)].append((str(question), str(answer)))
        for number in sorted(by_picture):
            shutil.copyfile(source / "images" / f"{number}.png", folder / f"{number}.png")
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{source} does not hold easy-VQA ({error}): remove it and try again.") from error
    return list(_rounds(by_picture, prefix) if split == "train" else _one_by_one(by_picture, prefix))


def _one_by_one(by_picture: Questions, prefix: str) -> Iterator[Conversation]:
    for number, turns in sorted(by_picture.items()):
        for at, turn in enumerate(turns):
            yield conversation(f"easyvqa-{number}-{at}", f"{prefix}/{number}.png", [turn])


def _rounds(by_picture: Questions, prefix: str) -> Iterator[Conversation]:
    """TURNS questions of every picture, then the next ones, so that the first so many records know all pictures."""
    shuffled = {}
    for number, turns in sorted(by_picture.items()):
        shuffled[number] = random.Random(number).sample(turns, len(turns))  # noqa: S311 - the same order each time
    for start in range(0, max(map(len, shuffled.values())), TURNS):
        for number, turns in shuffled.items():
            if asked := turns[start : start + TURNS]:
                yield conversation(f"easyvqa-{number}-{start}", f"{prefix}/{number}.png", asked)
