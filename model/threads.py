"""How many of torch's threads compute a pass, measured on this machine when the worker starts.

A pass is hundreds of products, and threads meet after every one of them; between passes others want the cores, those who send
the tokens away. On one machine two threads wrote at half the speed of one, while they read prompts nearly twice as fast; on
another they read short prompts more slowly as well (docs/results/threads.md).
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")

SIZES = (1, 4, 16, 32, 128)
"""Tokens of the passes that are measured: the next ones of so many answers, or of a prompt. Longer ones take all threads."""
ROUNDS = 3
SECONDS, LONGEST = 1.0, 5.0
"""For each size, after which it is not tried again; and for all, after which no further size is."""


def apart(work: Callable[P, T]) -> Callable[P, T]:
    """The same, in a thread that ends with it; whoever calls waits.

    OpenMP keeps a team for every thread that ever computed with several, and once there are more of those than cores none of
    them waits for its next piece any more, but sleeps and has to be woken: every product then took two or three times as long.
    So only the engine's thread has one (https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html).
    """

    @functools.wraps(work)
    def in_thread(*args: P.args, **options: P.kwargs) -> T:
        with ThreadPoolExecutor(1, thread_name_prefix="apart") as thread:
            return thread.submit(work, *args, **options).result()

    return in_thread


def compute_alone() -> None:
    """From now on the thread that calls this computes without others."""
    torch.get_num_threads()  # so that torch knows this thread: at first sight it gives one the number that was set last, by any
    torch.set_num_threads(1)


class Threads:
    """At most `most` threads, and of them as many as a pass is fastest with."""

    def __init__(self, most: int, best: Mapping[int, int]) -> None:
        """`best`: threads for passes of up to so many tokens, in ascending order."""
        self.most = most
        self.best = dict(best)

    @classmethod
    def measured(cls, compute: Callable[[int, int], object], most: int, sizes: Sequence[int] = SIZES) -> Threads:
        """`compute`: passes of so many tokens with so many threads. Blocking, seconds, unless there is nothing to choose."""
        counts = sorted({most, *(1 << power for power in range(most.bit_length()) if 1 << power < most)})
        best: dict[int, int] = {}
        begun = time.perf_counter()
        for size in sizes if len(counts) > 1 else ():
            start = time.perf_counter()
            if start - begun >= LONGEST:  # of large models few sizes are known, and longer passes take all
                break
            compute(size, most)  # fills caches
            seconds = [[_seconds(compute, size, count) for count in counts]]
            while len(seconds) < ROUNDS and time.perf_counter() - start < SECONDS:
                seconds.append([_seconds(compute, size, count) for count in counts])
            middle = [statistics.median(times) for times in zip(*seconds, strict=True)]
            best[size] = counts[middle.index(min(middle))]
        return cls(most, best)

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


def _seconds(compute: Callable[[int, int], object], size: int, count: int) -> float:
    start = time.perf_counter()
    compute(size, count)
    return time.perf_counter() - start
