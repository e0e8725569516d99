"""Turns prompts into answers, token by token, all of them together, on a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import math
import os
import queue
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NoReturn, TypeVar

import structlog
import torch

from model.attached import Attached
from model.batch import Batch
from model.machine import available_memory
from model.mind import Mind, Prompt
from model.packed import CAPACITY_STEP, PackedModel
from model.packed_llama import PackedLlama
from model.prefixes import Prefixes
from model.recorded import Record, RecordedModel
from model.sampling import Sampling
from model.threads import SIZES, Threads
from model.writing import Token, Writing

OF_FREE, OF_MEMORY = 0.7, 0.125
"""Parts of what a GPU has free beside the weights, and of a machine's memory, that keys and values may take."""
FOR_PREFIXES = 1 / 3
"""Of those, for earlier turns; the rest is for the answers that are being written. Whoever finds no room waits."""

GROWTH = 1 / 8
"""Part of that which comes back with every minute after memory ran out: what took it may be gone."""
MINUTE = 60.0

PRACTICE = Sampling(max_tokens=4)
"""What is written while threads are chosen: a few tokens for each of several people."""
PRACTICE_IDS = 100
"""Of which so many are there in any vocabulary."""
PRACTICE_BYTES = 1 << 28
"""Most memory for keys and values while threads are chosen: a large model's is for its answers."""

ENDING_SECONDS = 5.0
"""Seconds that the process waits for the pass that runs when it ends."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class OutOfMemory(Exception):  # noqa: N818 - the name of the condition reads better than ...Error where it is caught
    """The device has no room for this answer; others may still fit."""


class Closed(Exception):  # noqa: N818
    """The engine was closed while this waited."""


@dataclass(eq=False)
class _Waiter:
    """Who waits for an answer. It does not know the answer, which tells it: neither is then kept for the garbage collector,
    who comes late, with the tensors of a prompt."""

    loop: asyncio.AbstractEventLoop
    pieces: asyncio.Queue[Token | Exception | None]

    def tell(self, piece: Token | Exception | None) -> None:
        """None: the engine has let go of it. From any thread; a loop that is gone hears nothing."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.pieces.put_nowait, piece)


class Engine:
    """Writes up to `slots` answers of `mind` at the same time."""

    slots = 16

    def __init__(self, mind: Mind, record: Record | None = None) -> None:
        """`record`: how passes are recorded, None: not at all."""
        self._mind = mind
        self._packed = _packed(mind, record)
        memory = _memory(mind.device)
        kept = int(memory * FOR_PREFIXES)
        self._prefixes = Prefixes(kept)
        self._memory = self._left = memory - kept
        """Bytes for the answers that are being written, and what was left of them when memory ran out."""
        self._ran_out = -math.inf
        """When that was, monotonic seconds."""
        self._batches: dict[Attached | None, Batch] = {}
        """Those that are busy, by who answers, or None: all; their passes take turns."""
        self._waiters: dict[Writing, _Waiter] = {}
        self._inbox: queue.SimpleQueue[tuple[Writing, _Waiter] | Callable[[], None] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()
        _ENGINES.add(self)
        _THREADS.add(self._thread)

    async def generate(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Token, None]:
        """The answer as it grows. Closing the iterator or cancelling its task ends generation within one pass.

        Returns (in both cases) only after the thread has let go of it. Raises OutOfMemory.
        """
        pieces: asyncio.Queue[Token | Exception | None] = asyncio.Queue()
        waiter = _Waiter(asyncio.get_running_loop(), pieces)
        writing = Writing(self._mind, prompt, sampling, waiter.tell)
        self._send((writing, waiter))
        released = False
        try:
            while (piece := await pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
            released = True
        finally:
            writing.cancelled = True
            while not released:
                released = await pieces.get() is None

    async def compute(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run other blocking work of the mind (pictures to features and hints) on the engine's thread, between passes; not at
        all when whoever asked has gone by then.

        torch keeps a team of OpenMP threads for every thread that computes, and teams that share two cores spin against
        each other: with a thread of its own for pictures the first token about a photo took a third longer.

        Raises what `work` raises, and OutOfMemory when memory runs out twice.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, error = None, None
            if done.cancelled():
                return
            try:
                result = self._with_room(work, *arguments)
            except torch.AcceleratorError:
                _device_lost()
            except Exception as raised:
                error = raised
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, result, error)

        self._send(run)
        return await done

    def choose_threads(self, most: int) -> None:
        """Measure with how many of `most` threads of a CPU answers are written and prompts read fastest, and use so many from
        now on. Blocking, seconds; before anybody is answered, and outside of event loops."""
        if most < 2 or self._mind.device.type != "cpu":
            return
        slots = self._packed.slots()
        chance = torch.Generator().manual_seed(0)

        async def answer(tokens: int, sampling: Sampling) -> None:
            ids = torch.randint(1, PRACTICE_IDS, (1, tokens), generator=chance)
            async with contextlib.aclosing(self.generate(Prompt(ids, None, ()), sampling)) as written:
                async for _ in written:
                    pass

        async def practise(size: int) -> None:
            if size > self.slots:
                await answer(size, Sampling(max_tokens=1))
            else:
                await asyncio.gather(*(answer(1, PRACTICE) for _ in range(size)))

        def practise_with(size: int, threads: int) -> None:
            self._packed.threads = Threads(most, {size: threads})
            asyncio.run(practise(size))

        sizes = list(takewhile(lambda size: slots.bytes_of(min(size, self.slots), CAPACITY_STEP) <= PRACTICE_BYTES, SIZES))
        self._packed.threads = Threads.measured(practise_with, most, sizes)
        asyncio.run(self.compute(self._prefixes.clear))
        log.info("threads", most=most, best=self._packed.threads.best)

    @property
    def kv_cache_bytes(self) -> int:
        """Of keys and values: earlier turns' and those of the answers that are being written. From any thread."""
        return self._prefixes.bytes + sum(batch.slots.memory.nbytes for batch in list(self._batches.values()))

    async def detach(self, attached: Attached) -> None:
        """Take an adapter out of the mind, between passes. Nobody may be answered with it any more."""

        def detach() -> None:
            self._prefixes.forget(attached)
            self._mind.detach(attached)

        await self.compute(detach)

    def close(self) -> None:
        """No further answers; the thread ends after those that run."""
        self._closed = True
        self._inbox.put(None)

    def join(self) -> None:
        """Wait for the thread, after `close`; at most ENDING_SECONDS."""
        self._thread.join(ENDING_SECONDS)

    def _send(self, what: tuple[Writing, _Waiter] | Callable[[], None]) -> None:
        if self._closed:
            raise Closed
        self._inbox.put(what)

    @property
    def _busy(self) -> bool:
        return bool(self._batches)

    @property
    def _budget(self) -> float:
        """Bytes that may be taken now."""
        minutes = (time.monotonic() - self._ran_out) // MINUTE
        return min(self._memory, self._left + self._memory * GROWTH * minutes)

    def _work(self) -> None:
        with torch.inference_mode():
            while self._busy or not self._closed:
                self._take_in()
                self._pass()

    def _pass(self) -> None:
        """One of every batch."""
        for attached, batch in list(self._batches.items()):
            self._go_on(attached, batch)
            if not batch.busy:
                del self._batches[attached]

    def _take_in(self) -> None:
        """What came meanwhile, up to one piece of other work; waits for something if there is nothing to do."""
        with contextlib.suppress(queue.Empty):
            while self._take(self._inbox.get(block=not self._busy)):  # no name here: it would live while nothing comes
                pass

    def _take(self, what: tuple[Writing, _Waiter] | Callable[[], None] | None) -> bool:
        """Whether there is time for more."""
        if what is None:
            return False
        if isinstance(what, tuple):
            writing, self._waiters[writing] = what
            self._batch(writing.prompt.attached).waiting.append(writing)
            return True
        what()
        return not self._busy

    def _batch(self, attached: Attached | None) -> Batch:
        which = None if self._packed.mixes else attached
        if which not in self._batches:
            self._batches[which] = Batch(self._packed, self._prefixes)
        return self._batches[which]

    def _drop_cancelled(self, batch: Batch) -> None:
        for writing in [one for one in (*batch.waiting, *batch.running) if one.cancelled]:
            self._let_go(batch, writing)

    def _admit(self, batch: Batch) -> None:
        """Let in whoever finds room. A prompt that cannot be taken in is the fault of nobody else."""
        while batch.waiting:
            writing = batch.waiting[0]
            others = sum(other.slots.memory.nbytes for other in self._batches.values() if other is not batch)
            running = sum(len(other.running) for other in self._batches.values())
            if any(other.waiting and other.waiting[0].started < writing.started for other in self._batches.values()):
                return  # first come, first served, whoever answers; else a busy adapter's slots would never leave room
            if running and (running >= self.slots or batch.bytes_with(writing) + others > self._budget):
                return
            try:
                self._mind.switch_to(writing.prompt.attached)  # its projector, where passes are for all
                batch.admit()
            except (torch.OutOfMemoryError, torch.AcceleratorError):
                raise
            except Exception as error:
                self._let_go(batch, writing, error)

    def _go_on(self, attached: Attached | None, batch: Batch) -> None:
        try:
            self._mind.switch_to(attached)
            self._drop_cancelled(batch)
            self._admit(batch)
            for writing, error in batch.step() if batch.running else ():
                self._let_go(batch, writing, error)
        except torch.OutOfMemoryError:
            self._make_room(batch)
        except torch.AcceleratorError:
            _device_lost()
        except Exception as error:
            log.exception("pass_failed", answers=len(batch.running))
            for writing in (*batch.running, *batch.waiting):
                self._let_go(batch, writing, error)

    def _with_room(self, work: Callable[..., T], *arguments: Any) -> T:
        """Once more where memory ran out, without what only saves time."""
        try:
            return work(*arguments)
        except torch.OutOfMemoryError:
            self._shrink()
        try:
            return work(*arguments)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory from error

    def _shrink(self) -> None:
        """After memory ran out: forget what only saves time, and let no more be written at once than is now."""
        self._prefixes.clear()
        self._left = max(sum(batch.needed for batch in self._batches.values()) - 1, 1)
        self._ran_out = time.monotonic()
        log.warning("out_of_memory", answers=sum(len(batch.running) for batch in self._batches.values()), budget=self._left)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _make_room(self, batch: Batch) -> None:
        """After memory ran out in a pass: let the youngest answer wait once; then there was no room."""
        self._shrink()
        youngest = batch.running[-1] if batch.running else batch.waiting[0]
        if youngest.retried:
            self._let_go(batch, youngest, OutOfMemory())
        else:
            youngest.retried = True
            if youngest.row >= 0:
                batch.evict(youngest)
                batch.waiting.appendleft(youngest)

    def _let_go(self, batch: Batch, writing: Writing, error: Exception | None = None) -> None:
        if error is None:
            batch.remove(writing)
        else:
            batch.evict(writing)
        waiter = self._waiters.pop(writing)
        if error is not None:
            waiter.tell(error)
        waiter.tell(None)


def _device_lost() -> NoReturn:
    """Nothing on this device works any more in this process. Ended at once, it is restarted, and clients, whose connections
    break, ask again; an error as an answer would be final for them."""
    log.exception("device_lost")
    os._exit(1)


_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()
_THREADS: set[threading.Thread] = set()
"""Also those of engines that are gone: torch takes its time to leave a thread that has ended."""


@atexit.register
def _end_all() -> None:
    """A thread that is inside torch when the interpreter goes takes the process down with it."""
    for engine in list(_ENGINES):
        engine.close()
    for thread in _THREADS:
        thread.join(ENDING_SECONDS)


def _packed(mind: Mind, record: Record | None) -> PackedModel:
    if record is not None:
        return RecordedModel(mind.model, record)
    return PackedLlama(mind.model) if PackedLlama.takes(mind.model) else PackedModel(mind.model)


def _memory(device: torch.device) -> int:
    """Bytes for keys and values."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * OF_FREE)
    return int(available_memory() * OF_MEMORY)
