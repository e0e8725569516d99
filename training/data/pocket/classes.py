"""What the published classifier knows, as examples: feature maps that it takes for each of its classes, without photographs.

This is distillation of EfficientNet-Lite0's ImageNet classifier, not new knowledge: for class c, the cells of a real feature
map where an object might be are replaced by real cells (of other pictures) that look most like c to the classifier, and
pushed along Σ(w_c − w̄) until it says c. w are the classifier's rows, Σ is the covariance of real cells: in linear discriminant
analysis w = Σ⁻¹μ, so this direction is the way from an average cell to the class's mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Maps = NDArray[np.float16]
"""(pictures, cells, channels): feature maps as the tower gives them, cells row by row."""

DONORS = 40
"""Real cells a class is made of, the most like it first."""

EMPTY = 8.0
"""Length of a cell's features below which nothing is seen in it; real ones have 22."""

SPREAD = 1.0
"""Standard deviation of an object's place around the middle, cells."""

RADIUS = (1.2, 3.0)
"""Range of an object's size, cells."""

COVER = 1.3
"""How far the middle of an object is certain to be made of donors."""

FADE = 0.5
"""Part of the features that is taken away in the middle of an object, so that cells are as long after the push as real ones."""

SURE = (0.4, 0.98)
"""Range of the probability that the classifier gives to the class in the end."""

FURTHEST = 150.0
"""Longest push; the range is halved HALVINGS times."""
HALVINGS = 9

LARGEST = 6.0
"""The tower ends with ReLU6."""

CHUNK = 250
"""Maps made, or cells compared, at a time (cells: times 16): bounds memory."""


@dataclass(frozen=True)
class Classifier:
    """The last layer: pooled features to classes."""

    weight: torch.Tensor
    """(classes, channels)."""
    bias: torch.Tensor

    def probabilities(self, maps: torch.Tensor) -> torch.Tensor:
        """(maps, cells, channels) -> (maps, classes)."""
        return self.of_cells(maps.float().mean(1)).softmax(-1)

    def of_cells(self, cells: torch.Tensor) -> torch.Tensor:
        """(..., channels) -> (..., classes), logits."""
        return cells.float() @ self.weight.T + self.bias


class Maker:
    """Makes feature maps of a class. `real`: maps of real pictures; they give cells, places and the covariance."""

    def __init__(self, real: Maps, classifier: Classifier) -> None:
        self._real = torch.from_numpy(real)
        self._classifier = classifier
        cells = self._real.reshape(-1, real.shape[-1])
        self._cells = cells[cells.float().norm(dim=1) > EMPTY]
        centred = classifier.weight - classifier.weight.mean(0)
        directions = centred @ _covariance(cells)
        self._directions = directions / directions.norm(dim=1, keepdim=True)
        self._donors = _most_like(self._cells, classifier)

    def make(self, classes: torch.Tensor, generator: torch.Generator) -> Iterator[Maps]:
        """A map for each of `classes` (maps,) int64, CHUNK at a time."""
        for start in range(0, len(classes), CHUNK):
            chunk = classes[start : start + CHUNK]
            base = self._real[torch.randint(len(self._real), (len(chunk),), generator=generator)].float()
            places = _places(base, generator)
            begun = self._replace(base, chunk, places, generator) * (1 - FADE * places[..., None])
            yield self._push(begun, chunk, places, generator).half().numpy()

    def _replace(
        self, base: torch.Tensor, classes: torch.Tensor, places: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        count, cells, _ = base.shape
        donated = torch.rand(count, cells, generator=generator) < COVER * places
        donors = self._donors[classes].gather(1, torch.randint(self._donors.shape[1], (count, cells), generator=generator))
        return torch.where(donated[..., None], self._cells[donors].float(), base)

    def _push(
        self, maps: torch.Tensor, classes: torch.Tensor, places: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """As little as the classifier needs to be as sure as it often is of a real picture; by bisection."""
        least, most = SURE
        wanted = least + (most - least) * torch.rand(len(maps), generator=generator)
        way = places[..., None] * self._directions[classes][:, None]
        near, far = torch.zeros(len(maps)), torch.full((len(maps),), FURTHEST)
        for _ in range(HALVINGS):
            middle = (near + far) / 2
            tried = (maps + middle[:, None, None] * way).clamp(0, LARGEST)
            enough = self._classifier.probabilities(tried).gather(1, classes[:, None])[:, 0] >= wanted
            far, near = torch.where(enough, middle, far), torch.where(enough, near, middle)
        pushed: torch.Tensor = (maps + far[:, None, None] * way).clamp(0, LARGEST)
        return pushed


def _covariance(cells: torch.Tensor) -> torch.Tensor:
    """(channels, channels), of (cells, channels)."""
    mean = torch.zeros(cells.shape[1])
    squares = torch.zeros(cells.shape[1], cells.shape[1])
    for start in range(0, len(cells), 16 * CHUNK):
        chunk = cells[start : start + 16 * CHUNK].float()
        mean += chunk.sum(0) / len(cells)
        squares += chunk.T @ chunk / len(cells)
    return squares - torch.outer(mean, mean)


def _most_like(cells: torch.Tensor, classifier: Classifier) -> torch.Tensor:
    """(classes, donors): numbers of the cells to which the classifier gives each class the highest probability."""
    count = min(DONORS, len(cells))
    classes = len(classifier.bias)
    best, numbers = torch.full((classes, 0), 0.0), torch.zeros(classes, 0, dtype=torch.long)
    for start in range(0, len(cells), 16 * CHUNK):
        found = classifier.of_cells(cells[start : start + 16 * CHUNK]).log_softmax(-1).T
        here = torch.arange(start, start + found.shape[1]).expand(classes, -1)
        values, numbers = torch.cat([best, found], 1), torch.cat([numbers, here], 1)
        best, at = values.topk(min(count, values.shape[1]), dim=1)
        numbers = numbers.gather(1, at)
    return numbers


def _places(maps: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(maps, cells) in 0..1: where an object of a random size is, somewhere around the middle."""
    count, cells, _ = maps.shape
    side = round(cells**0.5)
    row, column = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    middle = (side - 1) / 2 + SPREAD * torch.randn(2, count, 1, 1, generator=generator)
    radius = RADIUS[0] + (RADIUS[1] - RADIUS[0]) * torch.rand(count, 1, 1, generator=generator)
    distance = (row - middle[0]) ** 2 + (column - middle[1]) ** 2
    places: torch.Tensor = torch.exp(-distance / (2 * radius**2))
    return places.reshape(count, cells)
