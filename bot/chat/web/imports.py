"""`/teach import` on the owner's page: a file that was uploaded there becomes examples."""

from __future__ import annotations

import asyncio

from bot.chat.base import Address, Incoming, IncomingFile, Sender
from bot.chat.web.asking import PLATFORM, SENDER_NAME
from bot.chat.web.board import OWNER
from bot.chat.web.lessons import press_own
from bot.chat.web.screen import Screen
from bot.chat.web.uploads import Uploads
from bot.desk import Desk
from bot.errors import NotAllowed
from bot.importing import LIST_NAME
from bot.presses import Presser
from bot.teaching import Said
from bot.texts import DEFAULT

ADDRESS = Address(PLATFORM, OWNER)


class Imports:
    """The import that was asked for last, in memory: what came of it is shown until the next one, or the next start."""

    def __init__(self, desk: Desk, uploads: Uploads) -> None:
        self._desk = desk
        self._uploads = uploads
        self._screen = Screen(ADDRESS)
        self._taking: asyncio.Task[None] | None = None

    def begin(self, browser: str, path: str, here: str) -> None:
        """`path`: of an upload of this browser. Raises NotAllowed while another one is under way."""
        if self._under_way:
            raise NotAllowed("A file is being looked through already. Please wait until that is done.")
        self._screen = screen = Screen(ADDRESS, said=Said("Looking through the file."))
        sender = Sender(browser, SENDER_NAME)
        (file,) = self._uploads.take(browser, [path])
        incoming = Incoming(ADDRESS, sender, "", (file,))
        self._taking = self._desk.aside(screen, incoming, self._take(screen, sender, file, here))

    async def _take(self, screen: Screen, sender: Sender, file: IncomingFile, here: str) -> None:
        told = await self._desk.importing.run(here, PLATFORM, sender, file, DEFAULT)
        screen.said = told.said
        if told.all_bad:
            screen.file = await self._uploads.offer(sender.platform_id, LIST_NAME, told.all_bad)

    async def press(self, browser: str, action: str) -> None:
        """The answer to whether it may be learnt from. Raises NotAllowed for any other button."""
        self._screen.said = await press_own(self._desk, action, Presser(ADDRESS, Sender(browser, SENDER_NAME)))

    def shown(self) -> dict[str, object]:
        return {"under_way": self._under_way, "said": self._screen.html()}

    @property
    def _under_way(self) -> bool:
        return self._taking is not None and not self._taking.done()
