"""How an answer grows on a chat platform: one writer, a clock of its own, split into pages, exactly one final state."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Literal, Protocol

import structlog

from bot import metrics
from bot.chat.base import Failed, RunningTurn
from bot.chat.growing import Growing
from bot.chat.pages import split
from bot.chat.place import Button, Flooded, Gone, Hiccup, Place, PlaceError, Refused, Shut
from bot.texts import say

PATIENCE = 2.0
"""Seconds after which a turn that shows nothing yet gets a message, so that there is a button to stop it."""

INLINE_WAIT = 5.0
"""Seconds of flood control that are waited out while an answer grows; longer ones are used to write nothing."""

STRIKES = 3
"""Times that flood control or the platform's errors may hit an answer that grows; after that only its end is shown."""

RETRIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0)
"""Seconds between attempts to show how a turn ended; what is left undone then is done after the next start."""

RENDER_ROOM = 2
"""Characters that stay free on every page, for what platforms add when they render Markdown."""

log = structlog.get_logger(__name__)


class Shown(Protocol):
    """What is noted about an answer's messages (`bot.store.Store`)."""

    async def shown(self, turn_id: int, reply_ids: Sequence[str], *, told: bool) -> None: ...


class Reply:
    """The one writer of one answer. `ids`: messages that show it already, from before a restart or a first answer."""

    def __init__(self, turn: RunningTurn, place: Place, store: Shown, *, language: str, ids: Sequence[str] = ()) -> None:
        self._turn = turn
        self._place = place
        self._store = store
        self._language = language
        self._ids = list(ids)
        self._pages: list[tuple[str, tuple[Button, ...]] | None] = [None] * len(self._ids)
        self._growing = Growing()
        self._changed = asyncio.Event()
        self._strikes = 0
        self._quiet_until = 0.0
        self._written_at = 0.0

    async def run(self) -> None:
        """Show the turn until its end is shown, or nothing can be shown any more. Cancelled: the rest is `untold`.

        Raises Shut when the chat takes nothing any more.
        """
        helpers = [asyncio.create_task(self._read()), asyncio.create_task(self._keep_busy())]
        try:
            await self._grow()
            final_at = time.perf_counter()
            await self._finish()
            metrics.final_edit.labels(self._place.address.platform).observe(time.perf_counter() - final_at)
        except Gone:
            # Somebody deleted the answer: it is not written again, and there is nothing left to tell.
            await self._note(told=True)
        except Shut:
            await self._note(told=True)
            raise
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    # --- What the turn says ---

    async def _read(self) -> None:
        try:
            async for event in self._turn.events():
                self._growing.apply(event)
                self._changed.set()
        except Exception:
            # Whoever waits for this answer is told, rather than left with half of it.
            log.exception("turn not readable", turn_id=self._turn.turn_id, request_id=self._turn.request_id)
            sentence = say(self._language, "internal", id=self._turn.request_id)
            self._growing.apply(Failed(sentence, self._turn.request_id))
            self._changed.set()

    async def _keep_busy(self) -> None:
        with contextlib.suppress(PlaceError):
            await self._place.acknowledge()
        while True:
            with contextlib.suppress(PlaceError):
                await self._place.busy()
            await asyncio.sleep(self._place.busy_seconds)

    # --- While it grows ---

    async def _grow(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self._growing.final is None:
            pause = max(self._written_at + self._place.clock, self._quiet_until) - loop.time()
            if pause <= 0 and self._strikes < STRIKES and (text := self._draft(loop.time() - began)):
                await self._try(text)
                continue
            self._changed.clear()
            wait = pause if pause > 0 else None
            if wait is None and self._growing.beginning and not self._ids:
                wait = max(0.05, began + PATIENCE - loop.time())
            # While the clock runs, tokens are only collected; the end is heard at once.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news(until_final=pause > 0), wait)

    async def _news(self, *, until_final: bool) -> None:
        while True:
            await self._changed.wait()
            if not until_final or self._growing.final is not None:
                return
            self._changed.clear()

    def _draft(self, seconds: float) -> str:
        """What there is to show now, "" if it is shown already or too early."""
        growing = self._growing
        if growing.beginning and growing.position is None and not growing.transcripts:
            if not self._ids and seconds < PATIENCE:
                return ""
            text = self._compose(say(self._language, "thinking"))
        elif growing.position is not None:
            text = self._compose(say(self._language, "queued", position=growing.position))
        else:
            text = self._compose(growing.text or say(self._language, "thinking"))
        pages = self._split(text)
        return "" if self._same(pages, self._stop_button()) else text

    async def _try(self, text: str) -> None:
        """One attempt to show `text`; what goes wrong only counts."""
        platform = self._place.address.platform
        try:
            await self._write(self._split(text), self._stop_button())
        except Flooded as flood:
            self._strikes += 1
            metrics.floods.labels(platform).inc()
            log.info(
                "flood control", turn_id=self._turn.turn_id, platform=platform, seconds=flood.seconds, strikes=self._strikes
            )
            self._quiet_until = asyncio.get_running_loop().time() + flood.seconds
        except (Hiccup, Refused) as error:
            self._strikes += 1
            log.info("answer not shown for now", turn_id=self._turn.turn_id, platform=platform, error=str(error))
        finally:
            self._written_at = asyncio.get_running_loop().time()

    # --- Its end ---

    async def _finish(self) -> None:
        final = self._growing.final
        postponed = isinstance(final, Failed) and final.postponed
        body = self._last_words()
        buttons = () if postponed else answered_buttons(self._turn.turn_id, self._language, failed=isinstance(final, Failed))
        retries = iter(RETRIES)
        while True:
            wait = self._quiet_until - asyncio.get_running_loop().time()
            if wait > 0:
                await asyncio.sleep(wait)
            try:
                await self._write(self._split(self._compose(body)), buttons)
            except Flooded as flood:
                metrics.floods.labels(self._place.address.platform).inc()
                self._quiet_until = asyncio.get_running_loop().time() + flood.seconds
            except Hiccup as error:
                pause = next(retries, None)
                if pause is None:
                    log.warning("end not shown until the next start", turn_id=self._turn.turn_id, error=str(error))
                    return
                await asyncio.sleep(pause)
            except Refused as error:
                log.error("end refused by the platform", turn_id=self._turn.turn_id, error=str(error))  # noqa: TRY400
                break
            else:
                break
        if not postponed:
            await self._note(told=True)

    def _last_words(self) -> str:
        return last_words(self._growing, self._language)

    def _compose(self, body: str) -> str:
        return compose(self._growing, body, self._language)

    # --- Writing ---

    def _split(self, text: str) -> list[str]:
        return split(text, self._place.limit - RENDER_ROOM, self._place.length)

    def _stop_button(self) -> tuple[Button, ...]:
        return (Button(f"stop:{self._turn.turn_id}", say(self._language, "button-stop")),)

    def _same(self, pages: Sequence[str], buttons: tuple[Button, ...]) -> bool:
        return self._pages == _with_buttons(pages, buttons)

    async def _write(self, pages: Sequence[str], buttons: tuple[Button, ...]) -> None:
        """Make the messages what `pages` say: edit what differs, send what is missing, take back what is too much."""
        for index, (page, with_buttons) in enumerate(_with_buttons(pages, buttons)):
            if index == len(self._ids):
                self._ids.append(await self._place.send(page, with_buttons))
                self._pages.append((page, with_buttons))
                await self._note(told=False)
            elif self._pages[index] != (page, with_buttons):
                sent_again = await self._place.edit(self._ids[index], page, with_buttons)
                self._pages[index] = (page, with_buttons)
                if sent_again is not None:
                    self._ids[index] = sent_again
                    await self._note(told=False)
                metrics.edits.labels(self._place.address.platform).inc()
        while len(self._ids) > len(pages):
            await self._place.delete(self._ids[-1])
            self._ids.pop()
            self._pages.pop()
            await self._note(told=False)

    async def _note(self, *, told: bool) -> None:
        await self._store.shown(self._turn.turn_id, self._ids, told=told)


def _with_buttons(pages: Sequence[str], buttons: tuple[Button, ...]) -> list[tuple[str, tuple[Button, ...]]]:
    """Only the last page has buttons."""
    return [(page, buttons if index == len(pages) - 1 else ()) for index, page in enumerate(pages)]


def compose(growing: Growing, body: str, language: str) -> str:
    """What was heard and left out, then the answer."""
    lines = [f"> {say(language, 'heard', text=' '.join(heard.split()))}" for heard in growing.transcripts]
    lines += [f"⚠️ {notice}" for notice in growing.notices]
    return "\n\n".join(part for part in ("\n".join(lines), body) if part)


def last_words(growing: Growing, language: str) -> str:
    """How the turn ended. What was written before it failed stays."""
    final = growing.final
    if isinstance(final, Failed):
        return "\n\n".join(part for part in (growing.text, f"⚠️ {final.sentence}") if part.strip())
    text = final.text if final is not None else growing.text
    note: Literal["stopped", "truncated"] | None = None
    if final is not None and final.stopped:
        note = "stopped"
    elif final is not None and final.truncated:
        note = "truncated"
    return "\n\n".join(part for part in (text, f"*{say(language, note)}*" if note else "") if part.strip())


def answered_buttons(turn_id: int, language: str, *, failed: bool = False) -> tuple[Button, ...]:
    again = Button(f"again:{turn_id}", say(language, "button-again"))
    if failed:
        return (again,)
    return (
        again,
        Button(f"good:{turn_id}", say(language, "button-good")),
        Button(f"bad:{turn_id}", say(language, "button-bad")),
    )
