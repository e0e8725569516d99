"""Prompts with answers and pictures as batches: what stages 1 and 2 learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch

from model.weights import Progress
from training.config import Weigh
from training.data.features import FeatureCache
from training.data.records import Origin
from training.task import IGNORE, Batch

SHORTEST_PREFIX = 8
"""Tokens from which reading a common beginning once pays for a call of its own."""

MULTIPLE = 8
"""Batches are padded to a multiple of so many tokens: matrix libraries prepare for every shape they meet and forget the oldest
(pocket's stage 2 was twice as slow after 50 steps), and a GPU's matrix units work on eights."""

STEP = 256
"""Records between two reports of progress."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """Ids of one example, which of them are learnt, and the rows of its pictures in the feature cache, in order.

    Arrays, 5 bytes a token: a run keeps all its examples, and Python's own numbers would take 44.
    """

    origin: Origin
    ids: np.ndarray
    """(T,) int32."""
    learnt: np.ndarray
    """(T,) bool, some of them True."""
    rows: tuple[int, ...] = ()
    image: Path | None = None
    """The first of its pictures, to be shown."""

    @classmethod
    def of(
        cls, origin: Origin, ids: Sequence[int], learnt: Sequence[bool], rows: tuple[int, ...] = (), image: Path | None = None
    ) -> Self:
        return cls(origin, np.array(ids, np.int32), np.array(learnt, np.bool_), rows, image)

    @property
    def answer(self) -> slice:
        """Where the first answer stands."""
        begin = int(self.learnt.argmax())
        others = np.flatnonzero(~self.learnt[begin:])
        return slice(begin, begin + int(others[0]) if len(others) else len(self.ids))


def tokenised(records: Sequence[R], which: str, progress: Progress) -> Iterator[R]:
    """`records` one after the other, telling how far they are."""
    for done, record in enumerate(records, 1):
        yield record
        if done % STEP == 0 or done == len(records):
            progress(f"Tokenising {which} data", done, len(records))


def _learnt(example: Example) -> int:
    return int(example.learnt.sum())


class MindExamples:
    """Examples with cached features. Implements `training.task.Examples`."""

    def __init__(
        self,
        examples: Sequence[Example],
        cache: FeatureCache,
        *,
        image_token: int | None = None,
        share_prefix: bool = False,
        weigh: Weigh = "labels",
    ) -> None:
        """`share_prefix`: what all rows of a batch begin with, before the first `image_token`, is read once. `weigh`: what
        counts alike in a step's loss, every label or every example."""
        self.examples = examples
        self.lengths = [len(example.ids) for example in examples]
        self._cache = cache
        self._image_token = image_token
        self._share_prefix = share_prefix
        self._mean_learnt: float | None = None
        if weigh == "examples":
            self._mean_learnt = sum(_learnt(example) for example in examples) / max(len(examples), 1)

    def collate(self, examples: Sequence[int]) -> Batch:
        """`input_ids`, `attention_mask`, `labels` (B, T), padded on the right; `vision_features` (pictures, tokens, width);
        `prefix_ids` (P,) of what stands before every row; `weights` (B,) of the labels of every row."""
        chosen = [self.examples[example] for example in examples]
        prefix = self._prefix(chosen) if self._share_prefix else 0
        longest = max(len(example.ids) for example in chosen) - prefix
        shape = (len(chosen), -(-longest // MULTIPLE) * MULTIPLE)
        ids, mask = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        labels = torch.full(shape, IGNORE)
        for row, example in enumerate(chosen):
            length = len(example.ids) - prefix
            ids[row, :length] = torch.from_numpy(example.ids[prefix:])
            mask[row, :length] = 1
            labels[row, :length] = torch.where(torch.from_numpy(example.learnt[prefix:]), ids[row, :length], IGNORE)
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if prefix:
            inputs["prefix_ids"] = torch.tensor(chosen[0].ids[:prefix], dtype=torch.int64)
        together: float | None = None
        if self._mean_learnt is not None:  # about as large as the number of labels, and the same of every batch
            inputs["weights"] = torch.tensor([self._mean_learnt / _learnt(example) for example in chosen])
            together = self._mean_learnt * len(chosen)
        rows = [row for example in chosen for row in example.rows]
        if rows:
            inputs["vision_features"] = self._cache.read(rows)
        tokens, learnt = prefix + int(mask.sum()), int((labels[:, 1:] != IGNORE).sum())
        return Batch(inputs, tokens, learnt, len(chosen), len(rows), together)

    def _prefix(self, chosen: Sequence[Example]) -> int:
        """How many tokens all rows begin with, none of them a picture's; the token before a label stays in its row."""
        if len(chosen) == 1:
            return 0
        least = max(0, min(example.answer.start for example in chosen) - 1)
        ids = np.stack([example.ids[:least] for example in chosen])
        ends = (ids != ids[0]).any(axis=0)
        if self._image_token is not None:
            ends |= ids[0] == self._image_token
        common = int(ends.argmax()) if ends.any() else least
        return common if common >= SHORTEST_PREFIX else 0

    def origin(self, example: int) -> str:
        return str(self.examples[example].origin)

    def features(self, example: int) -> torch.Tensor | None:
        """(pictures, tokens, width) of one example."""
        rows = self.examples[example].rows
        return self._cache.read(rows) if rows else None
