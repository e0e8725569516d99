"""Retrainings as the page's owner sees them: one message each, that grows, asks and says how it ended."""

from __future__ import annotations

import secrets

import structlog

from bot.chat.base import Address, community
from bot.chat.web.asking import PLATFORM
from bot.chat.web.screen import Screen
from bot.commands import NOTE_LENGTH
from bot.desk import Desk
from bot.errors import JnanaError, NotAllowed
from bot.teaching import Said
from bot.texts import DEFAULT, say, text

OWNER = "owner"
"""In the place of a chat, and of a name: whichever browser the owner used."""
OWNER_NAME = "the page's owner"
"""What people read."""

KEPT = 5
"""Retrainings that are shown after they were decided about, until the next start."""

log = structlog.get_logger(__name__)


class Board:
    """The places of all retrainings that were asked for on the page, by the thread of their address."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._screens: dict[str, Screen] = {}

    async def resume(self) -> None:
        """Show again what a restart interrupted, and go on with it."""
        if (retrainings := self._desk.retrainings) is None:
            return
        try:
            for run, said in await retrainings.standing(PLATFORM, Screen(Address(PLATFORM, OWNER))):
                self._place(run.address).said = said
            await retrainings.resume(PLATFORM, lambda address, message_id: self._place(address), self._desk.say)
        except JnanaError as error:
            log.warning("retrainings not resumed", reason=error.sentence)

    async def begin(self, note: str) -> None:
        """Raises NotTrained."""
        address = Address(PLATFORM, OWNER, secrets.token_hex(4))
        here = community(address, "")
        screen = Screen(address)
        note = note[:NOTE_LENGTH]
        await self._desk.training().begin(here, screen, self._desk.say, by=OWNER, note=note, language=DEFAULT)
        self._screens[address.thread_id] = screen
        decided = [thread for thread, old in self._screens.items() if not old.said.buttons]
        for thread in decided[:-KEPT]:
            del self._screens[thread]

    async def press(self, action: str) -> None:
        """A button that is shown. Raises NotAllowed for one that is not, or not any more."""
        pressed = [one for one in self._screens.values() if action in _actions(one.said)]
        if not pressed:
            raise NotAllowed(text("retrain-decided"))
        verb, _, number = action.partition(":")
        screen = pressed[0]
        before = screen.said
        said = await self._desk.training().press(
            verb, int(number), OWNER, DEFAULT, lambda address, _: self._place(address), self._desk.say
        )
        if screen.said is before:  # else it goes on in this very place already
            screen.said = said

    async def shown(self) -> list[str]:
        """All of them as HTML, newest first."""
        for screen in self._screens.values():
            await self._end(screen)
        return [screen.html() for screen in reversed(self._screens.values())]

    async def _end(self, screen: Screen) -> None:
        """What somebody had forgotten meanwhile is not shown any more: it repeats their words."""
        for action in _actions(screen.said)[:1]:
            number = int(action.partition(":")[2])
            run = await self._desk.store.run(number)
            if run is None or run.state == "cancelled":
                screen.said = Said(say(DEFAULT, "retrain-cancelled", number=number))

    def _place(self, address: Address) -> Screen:
        return self._screens.setdefault(address.thread_id, Screen(address))


def _actions(said: Said) -> list[str]:
    return [button.action for button in said.buttons]
