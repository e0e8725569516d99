"""Memory that was freed goes back to the system.

glibc keeps it for the thread that freed it, and pictures of all sizes are decoded in several: after an hour of them a worker
held 4.2 GB, of which 0.9 GB was nobody's (docs/results/soak.md). https://man7.org/linux/man-pages/man3/malloc_trim.3.html,
https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""mallopt's numbers of what is set."""
LARGE = 4 << 20
"""Bytes from which a block has pages of its own, which go back when it is freed: kept keys and values, pictures, requests.
What a pass of pocket computes with is smaller. By itself glibc comes to take up to 32 MB from a heap, full of holes."""
KEPT = 256 << 20
"""Bytes at the end of a heap that stay until `trim`: the next pass takes them again."""
ARENAS = 4
"""Heaps beside each other; by itself eight for every core, each of which keeps its own holes."""


def settle() -> None:
    """Before threads begin: where memory comes from. Nothing where the C library is not glibc."""
    if (option := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        option(M_MMAP_THRESHOLD, LARGE)
        option(M_TRIM_THRESHOLD, KEPT)
        option(M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give back what is free, nothing where the C library is not glibc. Blocking; other threads go on meanwhile."""
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(0)
