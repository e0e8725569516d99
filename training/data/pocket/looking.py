"""The pocket preset's tower at work on the pictures of a data folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoModel

from model.convert import quiet
from model.hints import photo_line, recognise
from model.presets import get_preset
from model.vision import EfficientNetLiteModel, Preprocessing
from model.weights import WeightsError, prepare
from training.data.packages import Progress
from training.data.pocket.classes import Classifier, Maps
from training.errors import TrainingError

BATCH = 16
"""Pictures at a time."""


class Eyes:
    """Tower, its classifier and the names of its classes. Raises TrainingError when the weights are not there."""

    def __init__(self, home: Path, progress: Progress) -> None:
        try:
            folder = prepare(get_preset("pocket"), home, progress).tower
        except WeightsError as error:
            raise TrainingError(str(error)) from error
        with quiet():
            self._tower: EfficientNetLiteModel = AutoModel.from_pretrained(folder).eval()
        self._square = Preprocessing.for_tower(self._tower.config)
        self.labels: dict[int, str] = {int(number): str(label) for number, label in self._tower.config.id2label.items()}
        head = self._tower.classifier
        self.classifier = Classifier(head.weight.detach(), head.bias.detach())

    def shown(self, cells: Maps) -> Maps:
        """(cells, channels) -> (tokens, channels): what the language model is shown of a map."""
        with torch.inference_mode():
            return self._tower.tokens(torch.from_numpy(cells)[None].float())[0].half().numpy()

    def hints(self, pictures: Sequence[Path], seen: Callable[[int], None]) -> list[str]:
        """The line that each picture is served with; `seen` hears how many pictures are done."""
        views = [replace(self._square, fit=way) for way in ("crop", "pad")]
        found = []
        for start in range(0, len(pictures), BATCH):
            batch = _opened(pictures[start : start + BATCH])
            with torch.inference_mode():
                chances = sum(self._tower(view(batch)).logits.softmax(-1) for view in views) / len(views)
            found += [self.hint(one) for one in chances]
            seen(start + len(batch))
        return found

    def hint(self, probabilities: torch.Tensor) -> str:
        """What is said of a picture that the classifier gives these, (classes,)."""
        return photo_line(recognise(probabilities.tolist(), self.labels))

    def maps(self, pictures: Sequence[Path], seen: Callable[[int], None]) -> Maps:
        """(pictures, cells, channels) float16; `seen` hears how many pictures are done."""
        found = []
        for start in range(0, len(pictures), BATCH):
            batch = _opened(pictures[start : start + BATCH])
            with torch.inference_mode():
                found.append(self._tower(self._square(batch)).last_hidden_state.half().numpy())
            seen(start + len(batch))
        return np.concatenate(found)


def _opened(paths: Sequence[Path]) -> list[Image.Image]:
    batch = []
    for path in paths:
        with Image.open(path) as picture:
            batch.append(picture.convert("RGB"))
    return batch
