"""A conversation as it stands now, and again whenever it changes: what is stored, and on top what is being answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import structlog

from bot.chat.base import Address, Failed, History, RunningTurn, TurnService, TurnView
from bot.chat.growing import Growing

log = structlog.get_logger(__name__)

FRAME_SECONDS = 0.1  # the page is told at most this often; faster than reading, slower than tokens
LOOK_SECONDS = (0.2, 0.4, 0.8, 1.6, 3.0)  # pauses between looks at the store when no event comes; the last is repeated
DRAWN_SECONDS = 2.0  # until a replaced watch has drawn its last picture; a page that is gone never takes it


@dataclass(frozen=True)
class Snapshot:
    """`stored` oldest first; `live` by turn id, to be looked at at once: it goes on growing. `busy`: more is to come."""

    stored: list[TurnView]
    live: Mapping[int, Growing]
    busy: bool


class Watch:
    """One page that looks at one conversation. A page has one watch: `end` makes room for the next."""

    def __init__(self, turns: TurnService, history: History, address: Address) -> None:
        self._turns = turns
        self._history = history
        self._address = address
        self._live: dict[int, Growing] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.ended = False
        """Replaced by another watch."""
        self._over = asyncio.Event()
        self._looks = 0

    async def end(self) -> None:
        """Yield nothing more. Returns when the last snapshot was taken over, so that the next watch draws after it."""
        self.ended = True
        self._changed.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), DRAWN_SECONDS)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """At once, then at every change, until nothing runs any more. Closing it leaves the turns running."""
        stored: list[TurnView] = []
        known: object = None
        try:
            while not self.ended:
                self._changed.clear()
                self._join_running()
                state = [(turn_id, turn.final is None) for turn_id, turn in self._live.items()]
                # The store knows more than the events when a turn has begun (its files arrive) and when it has ended.
                if state != known or any(turn.beginning for turn in self._live.values()):
                    known = state
                    stored = await self._history.turns(self._address)
                    if self.ended:  # meanwhile: what was read is older than what the next watch draws
                        return
                # What began while the store was read is in it already, and somebody is at it.
                began = self._join_running()
                # As it was when the store was read: what ended since then is drawn once more, as it stands in the store.
                busy = began or any(runs for _, runs in state)
                yield Snapshot(stored, self._live, busy)
                if not busy:
                    return
                await self._next_change()
        finally:
            self._over.set()
            for reader in self._readers:
                reader.cancel()

    def _join_running(self) -> bool:
        """Whether there are new ones."""
        new = [turn for turn in self._turns.running(self._address) if turn.turn_id not in self._live]
        for turn in new:
            self._live[turn.turn_id] = Growing()
            self._looks = 0
            reader = asyncio.create_task(self._read(turn))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
        return bool(new)

    async def _read(self, turn: RunningTurn) -> None:
        try:
            async for event in turn.events():
                self._live[turn.turn_id].apply(event)
                self._changed.set()
        except Exception:
            log.exception("turn_unreadable", turn=turn.turn_id, request_id=turn.request_id)
            self._live[turn.turn_id].final = Failed("Something went wrong here; please reload the page.", turn.request_id)
            self._changed.set()

    async def _next_change(self) -> None:
        await asyncio.sleep(FRAME_SECONDS)
        pause = LOOK_SECONDS[min(self._looks, len(LOOK_SECONDS) - 1)]
        self._looks += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), pause)
