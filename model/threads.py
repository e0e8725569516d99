"""How many of torch's threads compute a pass, measured on this machine when the worker starts.

A pass that writes one token of each answer is hundreds of small products, and threads meet after every one of them: on one
machine two threads wrote at half the speed of one, while they read prompts nearly twice as fast (docs/results/threads.md).
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import torch

SIZES = (1, 4, 16)
"""Tokens of the passes that are tried: a token of so many answers. Longer passes read prompts, and take all threads."""
ROUNDS = 3
SECONDS = 2.0
"""After which no further round begins: where a pass takes seconds, that is one round."""


class Threads:
    """At most `most` threads, and of them as many as a pass is fastest with."""

    def __init__(self, most: int, best: Mapping[int, int]) -> None:
        """`best`: threads for passes of up to so many tokens, in ascending order."""
        self.most = most
        self.best = dict(best)

    @classmethod
    def measured(cls, compute: Callable[[int], object], most: int) -> Threads:
        """`compute`: a pass of so many tokens. Blocking, about SECONDS, unless there is nothing to choose."""
        counts = sorted({most, *(1 << power for power in range(most.bit_length()) if 1 << power < most)})
        if len(counts) < 2:
            return cls(most, {})
        seconds: dict[tuple[int, int], list[float]] = {(size, count): [] for size in SIZES for count in counts}
        start = time.perf_counter()
        while len(seconds[SIZES[0], most]) < ROUNDS and time.perf_counter() - start < SECONDS:
            for (size, count), times in seconds.items():
                times.append(_seconds(compute, size, count))
        torch.set_num_threads(most)
        middle = {key: statistics.median(times) for key, times in seconds.items()}
        return cls(most, {size: min(counts, key=lambda count: middle[size, count]) for size in SIZES})

    def for_pass(self, tokens: int) -> int:
        return next((count for size, count in self.best.items() if tokens <= size), self.most)

    @contextlib.contextmanager
    def computing(self, tokens: int) -> Iterator[None]:
        """A pass of so many tokens goes inside. Setting costs a microsecond."""
        count = self.for_pass(tokens)
        if count == self.most:
            yield
            return
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(self.most)


def _seconds(compute: Callable[[int], object], size: int, count: int) -> float:
    torch.set_num_threads(count)
    compute(size)  # wakes threads and fills caches
    start = time.perf_counter()
    compute(size)
    return time.perf_counter() - start
