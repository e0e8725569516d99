"""Which examples make which step: a function of seed and step alone, so that a resumed run goes on exactly where it was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

Order = Literal["buckets", "random", "ascending"]

BUCKET_BATCHES = 50
"""Batches that are cut from one sorted stretch of examples (LLaVA's and Hugging Face's group_by_length do the same)."""


VALIDATION_BUCKETS = 4
"""Stretches of length that the validation loss is told for: enough to see long examples fall behind, few enough to be calm."""


def length_buckets(lengths: Sequence[int]) -> dict[str, list[int]]:
    """Indices of examples by their length in tokens, shortest first, with names for people: at most VALIDATION_BUCKETS of about
    as many examples each. Equal lengths are never parted, so when all are equal there is one."""
    parts = np.arange(1, VALIDATION_BUCKETS + 1) / VALIDATION_BUCKETS
    edges = np.unique(np.quantile(lengths, parts, method="inverted_cdf")).astype(int).tolist()
    buckets: dict[str, list[int]] = {}
    above = 0
    for edge in edges:
        name = f"{edge} tokens" if edge == above + 1 else f"{above + 1} to {edge} tokens" if above else f"up to {edge} tokens"
        inside = [index for index, length in enumerate(lengths) if above < length <= edge]
        buckets[name] = sorted(inside, key=lambda index: lengths[index])
        above = edge
    return buckets


class Sampler:
    """Endless batches of indices: epoch after epoch, each example once an epoch; a batch may hold the end of one and the
    beginning of the next.

    buckets: stretches of BUCKET_BATCHES batches are sorted by length and their batches shuffled: little padding, and nobody
    learns long answers last. random: no sorting. ascending: every epoch from the shortest to the longest.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int, order: Order) -> None:
        if not lengths:
            raise ValueError("There are no examples.")
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._order = order
        self._epoch = lru_cache(maxsize=2)(self._ordered)  # a batch may reach into the next epoch

    def batch(self, step: int) -> list[int]:
        """Indices of step `step` (from 0), the longest first: what does not fit into memory fails at once."""
        places = range(step * self._batch_size, (step + 1) * self._batch_size)
        chosen = [int(self._epoch(place // len(self._lengths))[place % len(self._lengths)]) for place in places]
        return sorted(chosen, key=lambda index: (-self._lengths[index], index))

    def _ordered(self, epoch: int) -> np.ndarray:
        """Every example once, in the order of this epoch."""
        if self._order == "ascending":
            return np.argsort(self._lengths, kind="stable")
        draws = np.random.default_rng((self._seed, epoch))
        shuffled = draws.permutation(len(self._lengths))
        if self._order == "random":
            return shuffled
        size = BUCKET_BATCHES * self._batch_size
        stretches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
        return np.concatenate([self._bucketed(stretch, draws) for stretch in stretches])

    def _bucketed(self, stretch: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        by_length = stretch[np.argsort(self._lengths[stretch], kind="stable")]
        batches = [by_length[start : start + self._batch_size] for start in range(0, len(by_length), self._batch_size)]
        # The one that is not full stays last, or all that follow would straddle two lengths.
        whole = [batch for batch in batches if len(batch) == self._batch_size]
        rest = batches[len(whole) :]
        return np.concatenate([*(whole[place] for place in draws.permutation(len(whole))), *rest])
