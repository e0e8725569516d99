"""Memory that was freed goes back to the system.

glibc keeps it for the thread that freed it, and pictures of all sizes are decoded in several: after an hour of them a worker
held 4.2 GB, of which 0.9 GB was nobody's (docs/results/soak.md). https://man7.org/linux/man-pages/man3/malloc_trim.3.html
"""

from __future__ import annotations

import ctypes


def trim() -> None:
    """Give back what is free, nothing where the C library is not glibc. Blocking; other threads go on meanwhile."""
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(0)
