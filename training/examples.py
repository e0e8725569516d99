"""Prompts with answers and pictures as batches: what stages 1 and 2 learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.data.features import FeatureCache
from training.data.records import Origin
from training.task import IGNORE, Batch

SHORTEST_PREFIX = 8
"""Tokens from which reading a common beginning once pays for a call of its own."""


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

    def __init__(
        self, examples: Sequence[Example], cache: FeatureCache, *, image_token: int | None = None, share_prefix: bool = False
    ) -> None:
        """`share_prefix`: what all rows of a batch begin with, before the first `image_token`, is read once."""
        self.examples = examples
        self.lengths = [len(example.ids) for example in examples]
        self._cache = cache
        self._image_token = image_token
        self._share_prefix = share_prefix

    def collate(self, examples: Sequence[int]) -> Batch:
        """`input_ids`, `attention_mask`, `labels` (B, T), padded on the right; `vision_features` (pictures, tokens, width);
        `prefix_ids` (P,) of what stands before every row."""
        chosen = [self.examples[example] for example in examples]
        prefix = self._prefix(chosen) if self._share_prefix else 0
        shape = (len(chosen), max(len(example.ids) for example in chosen) - prefix)
        ids, mask = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        labels = torch.full(shape, IGNORE)
        for row, example in enumerate(chosen):
            length = len(example.ids) - prefix
            ids[row, :length] = torch.tensor(example.ids[prefix:])
            mask[row, :length] = 1
            labels[row, :length] = torch.where(torch.tensor(example.learnt[prefix:]), ids[row, :length], IGNORE)
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if prefix:
            inputs["prefix_ids"] = torch.tensor(chosen[0].ids[:prefix])
        rows = [row for example in chosen for row in example.rows]
        if rows:
            inputs["vision_features"] = self._cache.read(rows)
        return Batch(inputs, prefix + int(mask.sum()), int((labels[:, 1:] != IGNORE).sum()), len(chosen), len(rows))

    def _prefix(self, chosen: Sequence[Example]) -> int:
        """How many tokens all rows begin with, none of them a picture's; the token before a label stays in its row."""
        if len(chosen) == 1:
            return 0
        first = chosen[0].ids
        least = min(example.learnt.index(True) for example in chosen) - 1
        for place in range(least):
            if first[place] == self._image_token or any(example.ids[place] != first[place] for example in chosen):
                least = place
                break
        return least if least >= SHORTEST_PREFIX else 0

    def origin(self, example: int) -> str:
        return str(self.examples[example].origin)

    def features(self, example: int) -> torch.Tensor | None:
        """(pictures, tokens, width) of one example."""
        rows = self.examples[example].rows
        return self._cache.read(rows) if rows else None
