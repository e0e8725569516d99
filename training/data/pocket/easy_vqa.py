"""easy-VQA: coloured shapes with questions and one-word answers (MIT), in the splits that it ships with.

https://github.com/vzhou842/easy-VQA: questions.json is a list of [question, answer, number of the picture].
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
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


Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


def convert(package: Path, split: Split, folder: Path, prefix: str) -> list[Conversation]:
    """Copy the pictures of a split into `folder` as they are; train: a conversation a picture, test: one a question.

    `prefix`: of the pictures' names in the records. Raises TrainingError.
    """
    source = package / "easy_vqa/data" / split
    try:
        questions = json.loads((source / "questions.json").read_text("utf-8"))
        by_picture: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for question, answer, number in questions:
            by_picture[int(number)].append((str(question), str(answer)))
        for number in sorted(by_picture):
            shutil.copyfile(source / "images" / f"{number}.png", folder / f"{number}.png")
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{source} does not hold easy-VQA ({error}): remove it and try again.") from error
    records = []
    for number, turns in sorted(by_picture.items()):
        image = f"{prefix}/{number}.png"
        if split == "train":
            records.append(conversation(f"easyvqa-{number}", image, turns))
        else:
            records += [conversation(f"easyvqa-{number}-{at}", image, [turn]) for at, turn in enumerate(turns)]
    return records
