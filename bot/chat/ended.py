"""A turn that ended before its end was shown, told again from the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.chat.base import Failed, Finished, Notice, Transcribed, TurnEvent, TurnView


class EndedTurn:
    """Implements `bot.chat.base.RunningTurn`."""

    def __init__(self, view: TurnView) -> None:
        self._view = view

    @property
    def turn_id(self) -> int:
        return self._view.turn_id

    @property
    def request_id(self) -> str:
        return ""

    async def events(self) -> AsyncIterator[TurnEvent]:
        view = self._view
        for heard in view.transcripts if view.task == "answer" else ():
            yield Transcribed(heard, "")
        for notice in view.notices:
            yield Notice(notice)
        if view.failure is not None:
            yield Failed("\n\n".join(part for part in (view.answer, view.failure) if part), "")
        else:
            yield Finished(view.answer or "", stopped=view.state == "stopped", truncated=view.truncated)
