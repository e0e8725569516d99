"""Which examples make which step: a function of seed and step alone, so that a resumed run goes on exactly where it was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

Order = Literal["buckets", "random", "ascending"]

BUCKET_BATCHES = 50
"""Batches that are cut from one sorted stretch of examples (LLaVA's and Hugging Face's group_by_length do the same)."""


class Sampler:
    """Endless batches of indices: epoch after epoch, each example once an epoch.

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
        self._stretch = BUCKET_BATCHES if order == "buckets" else 1
        self._epoch = lru_cache(maxsize=2)(self._shuffled)  # a stretch may reach into the next epoch
        self._batches = lru_cache(maxsize=2)(self._cut)

    def batch(self, step: int) -> list[int]:
        """Indices of step `step` (from 0), the longest first: what does not fit into memory fails at once."""
        stretch, position = divmod(step, self._stretch)
        chosen = self._batches(stretch)[position]
        return [int(index) for index in sorted(chosen, key=lambda index: (-self._lengths[index], index))]

    def _shuffled(self, epoch: int) -> np.ndarray:
        if self._order == "ascending":
            return np.argsort(self._lengths, kind="stable")
        return np.random.default_rng((self._seed, epoch)).permutation(len(self._lengths))

    def _cut(self, stretch: int) -> np.ndarray:
        """(stretch, batch_size) indices."""
        size = self._stretch * self._batch_size
        places = np.arange(stretch * size, (stretch + 1) * size)
        epochs, within = np.divmod(places, len(self._lengths))
        chosen = np.concatenate([self._epoch(int(epoch))[within[epochs == epoch]] for epoch in np.unique(epochs)])
        if self._order != "buckets":
            return chosen.reshape(1, -1)
        by_length = chosen[np.argsort(self._lengths[chosen], kind="stable")].reshape(self._stretch, -1)
        return np.random.default_rng((self._seed, stretch, 1)).permutation(by_length, axis=0)
