"""Freed memory goes back to the system, in a process of its own and beside answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from model import allocator, process

HOLES = """
import ctypes, sys
from pathlib import Path
from model.allocator import trim

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

glibc = ctypes.CDLL(None)
if not hasattr(glibc, "malloc_trim"):
    sys.exit("no glibc")
glibc.malloc.restype = ctypes.c_void_p
glibc.malloc.argtypes, glibc.free.argtypes, glibc.memset.argtypes = [ctypes.c_size_t], [ctypes.c_void_p], [
    ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
blocks = [glibc.malloc(64 << 10) for _ in range(4000)]
for block in blocks:
    glibc.memset(block, 1, 64 << 10)
full = resident()
for block in blocks[:-1]:
    glibc.free(block)
kept = resident()
trim()
print(full - kept, kept - resident())
"""
"""250 MB, freed but for the last block: what lies below it stays, as it does below an answer that is remembered."""


def test_what_was_freed_below_something_that_lives_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=False)
    if "no glibc" in done.stderr:
        pytest.skip("the C library has no malloc_trim")
    by_itself, trimmed = map(int, done.stdout.split())
    assert by_itself < 50e6
    assert trimmed > 200e6


LARGE_ONES = """
import ctypes, sys
from model.allocator import LARGE, settle

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

glibc = ctypes.CDLL(None)
if not hasattr(glibc, "mallinfo2"):
    sys.exit("no glibc")
glibc.mallinfo2.restype = Info
glibc.malloc.restype = ctypes.c_void_p
glibc.malloc.argtypes, glibc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
settle()
for megabytes in (20, 10, 30):
    before = glibc.mallinfo2()
    block = glibc.malloc(megabytes << 20)
    with_it = glibc.mallinfo2()
    glibc.free(block)
    print(with_it.hblkhd - before.hblkhd, glibc.mallinfo2().hblkhd - before.hblkhd, with_it.arena - before.arena)
"""


def test_large_blocks_have_pages_of_their_own_however_often_they_were_freed() -> None:
    """By itself glibc takes a block of 10 MB from a heap, once one of 20 was freed."""
    done = subprocess.run([sys.executable, "-c", LARGE_ONES], capture_output=True, text=True, check=False)
    if "no glibc" in done.stderr:
        pytest.skip("the C library has no mallopt")
    for line, megabytes in zip(done.stdout.splitlines(), (20, 10, 30), strict=True):
        own, left, of_heap = map(int, line.split())
        assert own >= megabytes << 20
        assert left == of_heap == 0


async def test_a_worker_does_so_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    times = 0
    often = asyncio.Event()

    def trim() -> None:
        nonlocal times
        times += 1
        if times == 2:
            loop.call_soon_threadsafe(often.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(allocator, "trim", trim)
    monkeypatch.setattr(process, "TRIM_SECONDS", 0.01)
    lasting = asyncio.create_task(process._trim_now_and_then())
    async with asyncio.timeout(20):
        await often.wait()
    lasting.cancel()
