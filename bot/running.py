"""A turn while it is answered: its events for any number of readers, and the text so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from bot import metrics
from bot.chat.base import Address, Delta, Failed, Finished, Restarted, TurnEvent
from bot.store.records import AnswerRecord, StoredTurn

Person = tuple[str, str]
"""Platform and the person's id there."""


class LiveTurn:
    """Implements `bot.chat.base.RunningTurn`. Only `bot.turn.Turns` makes and feeds it."""

    def __init__(self, stored: StoredTurn, request_id: str) -> None:
        self.stored = stored
        self.text = ""
        self.adapter = ""
        """Which one writes, once that is known."""
        self.work: asyncio.Task[AnswerRecord] | None = None
        """What `stop` cancels; the task around it stores the outcome."""
        self.is_next = asyncio.Event()
        self._request_id = request_id
        self._began = time.perf_counter()
        self._spoke = False
        self._events: list[TurnEvent] = []
        self._news = asyncio.Event()

    @property
    def turn_id(self) -> int:
        return self.stored.turn_id

    @property
    def request_id(self) -> str:
        return self._request_id

    @property
    def address(self) -> Address:
        """Where the answer belongs: needed for turns that `Turns.recover` brings back."""
        return self.stored.address

    @property
    def person(self) -> Person:
        return self.stored.address.platform, self.stored.asker

    @property
    def language(self) -> str:
        """The one to talk to the person in, "" if unknown."""
        return self.stored.language

    @property
    def message_id(self) -> str:
        """The platform's id of the message that is answered."""
        return self.stored.message_id

    def go(self) -> None:
        """It is its turn."""
        metrics.waited.labels(self.address.platform).observe(time.perf_counter() - self._began)
        self.is_next.set()

    def emit(self, event: TurnEvent) -> None:
        if isinstance(event, Delta):
            if not self._spoke:
                self._spoke = True
                metrics.first_words.labels(self.address.platform).observe(time.perf_counter() - self._began)
            self.text += event.text
        elif isinstance(event, Restarted):
            self.text = ""
        self._events.append(event)
        self._news.set()
        self._news = asyncio.Event()

    async def events(self) -> AsyncIterator[TurnEvent]:
        told = 0
        while True:
            news = self._news
            while told < len(self._events):
                event = self._events[told]
                told += 1
                yield event
                if isinstance(event, Finished | Failed):
                    return
            if news is self._news:
                await news.wait()
