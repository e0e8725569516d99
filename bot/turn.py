"""The one path of a turn: stored, understood, answered, stored; in order inside a conversation, in parallel between them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import structlog

from bot import metrics
from bot.access import Access
from bot.answering import Answering
from bot.chat.base import Address, Failed, Finished, Incoming, Queued, Sender
from bot.errors import (
    EmptyMessage,
    Interrupted,
    JnanaError,
    MediaRefused,
    NotAllowed,
    NotAnswered,
    NotStored,
    ShuttingDown,
    StoreError,
    TextTooLong,
    TooManyFiles,
    TooManyTurns,
    TurnError,
)
from bot.media import MAX_FILES
from bot.running import LiveTurn, Person
from bot.settings import Settings
from bot.store import AnswerRecord, Store
from bot.texts import text
from bot.worker import ModelClient

MAX_TEXT = 20_000
"""Characters of one message: five of Telegram's longest, and more than small models can read."""

MAX_WAITING = 8
"""Turns of one conversation that may wait behind the one being answered."""

MAX_TURNS = 200
"""Turns that may be under way in all conversations together."""

MAX_ATTEMPTS = 2
"""Times that a turn is begun: once, and once more after a restart. A turn that brings the bot down must not do so forever."""

CANNOT_STORE = text("cannot-store")

log = structlog.get_logger(__name__)


class Turns:
    """Implements `bot.chat.base.TurnService`. Owns a task for every turn until it has ended."""

    def __init__(
        self, store: Store, client: ModelClient, settings: Settings, personas: Mapping[str, str] | None = None
    ) -> None:
        self._store = store
        self.access = Access(settings, store.turns_since)
        self._answering = Answering(store, client, settings, personas or {})
        self._waiting: dict[Address, list[LiveTurn]] = {}
        self._tasks: dict[LiveTurn, asyncio.Task[None]] = {}
        self._busy: dict[Person, LiveTurn] = {}
        """The one turn of every person that is being answered."""
        self._arrivals = asyncio.Lock()
        """Held from storing a turn to queueing it, so that turns are answered in the order in which they are stored."""
        self._closing = False

    # --- bot.chat.base.TurnService ---

    async def start(self, incoming: Incoming) -> LiveTurn:
        incoming = replace(incoming, text=incoming.text.replace("\x00", "").strip(), files=tuple(incoming.files))
        request_id = new_request_id()
        with _told_to_person(request_id, incoming.address):
            self._check(incoming)
            await self.access.check(incoming)
            async with self._arrivals:
                full = self._full(incoming.address)
                if full and not incoming.message_id:
                    raise full
                live = LiveTurn(await self._store.receive(incoming, request_id), request_id)
                metrics.turns.labels(incoming.address.platform).inc()
                if not full:
                    return self._launch(live, incoming)
            # Not under the lock: everybody would wait while its files are fetched.
            return await self._keep(live, incoming, full)

    async def regenerate(self, turn_id: int, address: Address) -> LiveTurn:
        request_id = new_request_id()
        with _told_to_person(request_id, address):
            async with self._arrivals:
                if full := self._full(address):
                    raise full
                if any(live.turn_id == turn_id for live in self._waiting.get(address, ())):
                    raise NotAnswered(text("still-answering"))
                stored = await self._store.ask_again(turn_id, address, request_id)
                if stored is not None:
                    return self._launch(LiveTurn(stored, request_id))
                raise NotAllowed(text("not-here"))

    def running(self, address: Address) -> Sequence[LiveTurn]:
        return tuple(self._waiting.get(address, ()))

    async def stop(self, turn_id: int, address: Address) -> bool:
        live = next((live for live in self._waiting.get(address, ()) if live.turn_id == turn_id), None)
        if live is None or live.work is None or live.work.done():
            return False
        live.work.cancel()
        await asyncio.wait({self._tasks[live]})
        return True

    async def rate(self, turn_id: int, address: Address, sender: Sender, value: Literal[-1, 0, 1]) -> None:
        with _told_to_person(new_request_id(), address):
            if not await self._store.rate(turn_id, address, sender, value):
                raise NotAllowed(text("nothing-to-rate"))

    async def reset(self, address: Address) -> None:
        with _told_to_person(new_request_id(), address):
            await self._store.reset(address)

    async def stop_all(self, person: Person) -> None:
        """End every turn of a person, wherever it is."""
        for live in [live for live in reversed(self._tasks) if live.person == person]:
            await self.stop(live.turn_id, live.address)

    @property
    def under_way(self) -> int:
        """Turns that wait or are being answered."""
        return len(self._tasks)

    # --- Life cycle ---

    async def recover(self, platforms: Collection[str]) -> list[LiveTurn]:
        """Answer the turns that a restart interrupted, or apologise for them, each exactly once. To be called before `start`.

        Args:
            platforms: where answers can be shown; turns of others (a terminal that was closed) are left as they are.

        Returns:
            These turns, with `address` and `message_id`, for the platforms to show.
        """
        recovered = []
        for stored in await self._store.unfinished(platforms):
            live = LiveTurn(stored, new_request_id())
            if stored.attempts < MAX_ATTEMPTS:
                self._launch(live)
            else:
                with structlog.contextvars.bound_contextvars(request_id=live.request_id, turn_id=live.turn_id):
                    await self._fail(live, Interrupted(text("restarted-too-often")))
            recovered.append(live)
        if recovered:
            log.info("turns recovered", turns=len(recovered))
        return recovered

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109  # turns that are not done in time are kept, not failed
        """Accept nothing more and give the running turns `timeout` seconds; the others stay in the store for `recover`."""
        self._closing = True
        await asyncio.sleep(0)  # a task cancelled before its first step would not cancel the work it owns
        tasks = set(self._tasks.values())
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=timeout)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            log.info("turns drained", finished=len(tasks) - len(left), left=len(left))

    # --- One turn ---

    def _check(self, incoming: Incoming) -> None:
        if self._closing:
            raise ShuttingDown(text("restarting"))
        if not incoming.text and not incoming.files:
            raise EmptyMessage(text("empty-message"))
        if len(incoming.text) > MAX_TEXT:
            raise TextTooLong(text("text-too-long", length=len(incoming.text), limit=MAX_TEXT))
        if len(incoming.files) > MAX_FILES:
            raise TooManyFiles(text("too-many-files", count=len(incoming.files), limit=MAX_FILES))

    def _full(self, address: Address) -> TurnError | None:
        if self._closing:
            return ShuttingDown(text("restarting"))
        if len(self._waiting.get(address, ())) > MAX_WAITING:
            return TooManyTurns(text("queue-full", limit=MAX_WAITING))
        if len(self._tasks) >= MAX_TURNS:
            return TooManyTurns(text("queue-full-all"))
        return None

    async def _keep(self, live: LiveTurn, incoming: Incoming, full: TurnError) -> LiveTurn:
        """Keep a message for which there is no room: its files, too, so that a button can have it answered later."""
        try:
            if incoming.files:
                await self._answering.take_in(live, incoming.files)
        except MediaRefused as error:
            full = error
        await self._fail(live, full)
        return live

    def _launch(self, live: LiveTurn, incoming: Incoming | None = None) -> LiveTurn:
        queue = self._waiting.setdefault(live.address, [])
        queue.append(live)
        # Tasks keep the context in which they are made: every line they log carries these ids.
        with structlog.contextvars.bound_contextvars(request_id=live.request_id, turn_id=live.turn_id):
            live.work = asyncio.create_task(self._answering.answer(live, incoming.files if incoming else ()))
            task = asyncio.create_task(self._own(live, live.work), name=f"turn-{live.turn_id}")
        self._tasks[live] = task
        self._call_next()
        if not live.is_next.is_set():
            live.emit(Queued(max(queue.index(live), 1)))
        return live

    async def _own(self, live: LiveTurn, work: asyncio.Task[AnswerRecord]) -> None:
        """Wait for the work, store its outcome and emit exactly one final event."""
        try:
            await asyncio.wait({work})
            await self._end(live, work)
        except asyncio.CancelledError:  # drain: the turn stays in the store as it is
            work.cancel()
            await asyncio.wait({work})
            live.emit(Failed(text("restarting-kept").to(live.language), live.request_id, postponed=True))
            raise
        finally:
            self._leave(live)

    async def _end(self, live: LiveTurn, work: asyncio.Task[AnswerRecord]) -> None:
        try:
            answer = AnswerRecord(live.text, stopped=True, adapter=live.adapter) if work.cancelled() else work.result()
            await self._store.finish(live.turn_id, answer)
        except Exception as error:
            await self._fail(live, error)
            return
        log.info("turn answered", stopped=answer.stopped, tokens=answer.answer_tokens, **answer.timings)
        live.emit(Finished(answer.text, stopped=answer.stopped, truncated=answer.truncated))

    async def _fail(self, live: LiveTurn, error: Exception) -> None:
        if isinstance(error, JnanaError):
            sentence, code = told(error, live.language), error.code
            log.warning("turn failed", code=code, reason=error.sentence, cause=repr(error.__cause__))
        else:
            sentence, code = text("internal", id=live.request_id).to(live.language), "internal"
            log.error("turn failed", code=code, exc_info=error)
        try:
            partial = AnswerRecord(live.text, adapter=live.adapter)
            await self._store.fail(live.turn_id, sentence, code, partial, keep_answer=live.stored.answered)
        except Exception as broken:  # also a row that /forget took meanwhile: whoever waits hears how it ended
            log.warning("failure not stored", error=type(broken).__name__, cause=repr(broken.__cause__))
        live.emit(Failed(sentence, live.request_id))

    def _leave(self, live: LiveTurn) -> None:
        self._tasks.pop(live, None)
        self._busy.pop(live.person, None) if self._busy.get(live.person) is live else None
        queue = self._waiting[live.address]
        queue.remove(live)
        if not queue:
            del self._waiting[live.address]
        self._call_next()
        for position, waiting in enumerate(queue):
            if not waiting.is_next.is_set():
                waiting.emit(Queued(max(position, 1)))

    def _call_next(self) -> None:
        """Let the oldest turn of every conversation begin, if its person has no other one under way."""
        for queue in self._waiting.values():
            first = queue[0]
            if not first.is_next.is_set() and first.person not in self._busy:
                self._busy[first.person] = first
                first.go()


def new_request_id() -> str:
    return secrets.token_hex(8)


@contextmanager
def _told_to_person(request_id: str, address: Address) -> Iterator[None]:
    """Log what is refused, for whichever platform tells the person. A store that fails is the owner's matter: the log gets the
    details, the person one sentence."""
    where = {"request_id": request_id, "platform": address.platform}
    try:
        yield
    except StoreError as error:
        log.warning("not stored", code=error.code, reason=error.sentence, cause=repr(error.__cause__), **where)
        raise NotStored(CANNOT_STORE) from error
    except TurnError as error:
        metrics.refused.labels(address.platform, error.code).inc()
        log.info("turn refused", code=error.code, reason=error.sentence, **where)
        raise


def told(error: JnanaError, language: str) -> str:
    """What the person is told. A store that fails is the owner's matter."""
    if isinstance(error, TurnError):
        return error.told(language)
    return CANNOT_STORE.to(language) if isinstance(error, StoreError) else error.sentence
