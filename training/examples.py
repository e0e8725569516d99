"""Prompts with answers and pictures as batches: what stages 1 and 2 learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.data.features import FeatureCache
from training.data.records import Origin
from training.task import IGNORE, Batch


@dataclass(frozen=True, slots=True)
class Example:
    """Ids of one example, which of them are learnt, and the rows of its pictures in the feature cache, in order."""

    origin: Origin
    ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    rows: tuple[int, ...] = ()
    image: Path | None = None
    """The first of its pictures, to be shown."""


class MindExamples:
    """Examples with cached features. Implements `training.task.Examples`."""

    def __init__(self, examples: Sequence[Example], cache: FeatureCache) -> None:
        self.examples = examples
        self.lengths = [len(example.ids) for example in examples]
        self._cache = cache

    def collate(self, examples: Sequence[int]) -> Batch:
        """`input_ids`, `attention_mask`, `labels` (B, T), padded on the right; `vision_features` (pictures, tokens, width)."""
        chosen = [self.examples[example] for example in examples]
        shape = (len(chosen), max(len(example.ids) for example in chosen))
        ids, mask = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        labels = torch.full(shape, IGNORE)
        for row, example in enumerate(chosen):
            length = len(example.ids)
            ids[row, :length] = torch.tensor(example.ids)
            mask[row, :length] = 1
            labels[row, :length] = torch.where(torch.tensor(example.learnt), ids[row, :length], IGNORE)
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        rows = [row for example in chosen for row in example.rows]
        if rows:
            inputs["vision_features"] = self._cache.read(rows)
        return Batch(inputs, int(mask.sum()), int((labels[:, 1:] != IGNORE).sum()), len(chosen), len(rows))

    def origin(self, example: int) -> str:
        return str(self.examples[example].origin)

    def features(self, example: int) -> torch.Tensor | None:
        """(pictures, tokens, width) of one example."""
        rows = self.examples[example].rows
        return self._cache.read(rows) if rows else None
