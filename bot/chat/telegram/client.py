"""The connection to Telegram: by long polling, or by a webhook behind the owner's TLS proxy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog
from telegram import Bot, Update
from telegram.error import InvalidToken
from telegram.ext import Updater
from telegram.request import HTTPXRequest

from bot.chat.base import Address
from bot.chat.place import Place
from bot.chat.telegram.dispatch import Dispatch
from bot.chat.telegram.hearing import Hearing
from bot.chat.telegram.members import Members
from bot.chat.telegram.menu import set_commands
from bot.chat.telegram.place import PLATFORM, TelegramPlace
from bot.chat.telegram.polling import CONFLICT_SECONDS, POLL_STALE_SECONDS, UPDATES, Polling
from bot.chat.telegram.pressing import Pressing
from bot.desk import Desk
from bot.errors import StartError
from bot.settings import Settings

CONNECT_SECONDS, ANSWER_SECONDS, UPLOAD_SECONDS, POOL_SECONDS = 10.0, 20.0, 60.0, 10.0
POLL_EXTRA_SECONDS = 5.0
"""How much longer than it was asked to Telegram may take to answer a poll."""

TAKEN_SECONDS = 10.0
"""For updates that were taken before the connection broke: an album may be collected for 5."""

CONNECTIONS = 64
"""For sending. Polling has one of its own, so that neither waits for the other."""

WRONG_TOKEN = "Telegram refuses TELEGRAM_TOKEN: ask @BotFather for /token and copy it again"  # noqa: S105  # a sentence
PRIVACY_MODE = (
    "privacy mode is on: in groups I see commands, mentions and replies only. That suffices; "
    "to use OWN_CHATS turn it off: @BotFather /setprivacy, and add the bot again"
)

log = structlog.get_logger(__name__)


class Telegram:
    """Implements `bot.connections.Connection`. One client for all runs: answers that are being written while the connection
    is made anew go on with it."""

    name = "Telegram"

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        *,
        stale_seconds: float = POLL_STALE_SECONDS,
        conflict_seconds: float = CONFLICT_SECONDS,
    ) -> None:
        # These log addresses, which hold the token; what went wrong is logged here.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        logging.getLogger("telegram").setLevel(logging.CRITICAL)
        self._settings = settings
        self._desk = desk
        self._bot = _bot(settings)
        self._polling = Polling(self._bot, stale_seconds, conflict_seconds)
        self._members = Members(self._bot)
        self._pressing = Pressing(self._bot, desk, self._members, self._place)
        self._worked = False
        """Whether Telegram took the token the last time that it was asked who we are."""

    async def run(self, up: Callable[[str], None]) -> None:
        dispatch: Dispatch | None = None
        try:
            await self._bot.initialize()
            self._worked = True
            me = self._bot.bot
            unlimited = bool(self._settings.telegram_api_url)
            hearing = Hearing(self._bot, me, self._settings.own_chats, unlimited=unlimited)
            dispatch = Dispatch(self._desk, hearing, self._members, self._pressing, self._place)
            await set_commands(self._bot, self._settings.jnana_home)
            line = f"Telegram: @{me.username}" + ("" if me.can_read_all_group_messages else f"; {PRIVACY_MODE}")
            if self._settings.telegram_webhook_url:
                await self._listen(dispatch, lambda: up(line))
            else:
                await self._bot.delete_webhook(drop_pending_updates=False)
                up(line)
                await self._resume()
                await self._polling.run(dispatch.take, self._resume)
        except InvalidToken:  # its message may hold the token
            if self._worked:
                # Any 404 of a proxy on the way reads like this; a second refusal, at the next start, is believed.
                self._worked = False
                raise ConnectionError("Telegram refused the token") from None
            raise StartError(WRONG_TOKEN) from None
        finally:
            if dispatch is not None:
                # When the bot is being stopped nobody waits: what was not acknowledged comes again.
                task = asyncio.current_task()
                await dispatch.close(0 if task and task.cancelling() else TAKEN_SECONDS)
            await self._bot.shutdown()

    async def _listen(self, dispatch: Dispatch, up: Callable[[], None]) -> None:
        """Wait for what Telegram posts. One connection, so that updates keep their order."""
        received: asyncio.Queue[object] = asyncio.Queue()
        updater = Updater(self._bot, received)
        await updater.initialize()
        settings = self._settings
        try:
            await updater.start_webhook(
                settings.telegram_webhook_host,
                settings.telegram_webhook_port,
                urlsplit(settings.telegram_webhook_url).path,
                webhook_url=settings.telegram_webhook_url,
                secret_token=settings.telegram_webhook_secret.get_secret_value(),
                allowed_updates=UPDATES,
                max_connections=1,
            )
        except OSError as error:
            where = f"TELEGRAM_WEBHOOK_HOST={settings.telegram_webhook_host}, TELEGRAM_WEBHOOK_PORT"
            raise StartError(f"{where}={settings.telegram_webhook_port}: cannot listen there ({error.strerror})") from None
        try:
            up()
            await self._resume()
            while True:
                update = await received.get()
                if isinstance(update, Update):
                    dispatch.take(update)
        finally:
            await updater.stop()

    async def _resume(self) -> None:
        await self._desk.resume(PLATFORM, self._place)

    def _place(self, address: Address, message_id: str, person: str = "") -> Place:
        return TelegramPlace(self._bot, address, message_id, self._moved, person=person)

    async def _moved(self, old: str, new: str) -> None:
        await self._desk.moved(PLATFORM, old, new)


def _bot(settings: Settings) -> Bot:
    url = settings.telegram_api_url
    token = settings.telegram_token.get_secret_value()
    sending = HTTPXRequest(
        CONNECTIONS,
        read_timeout=ANSWER_SECONDS,
        write_timeout=ANSWER_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        pool_timeout=POOL_SECONDS,
        media_write_timeout=UPLOAD_SECONDS,
    )
    polling = HTTPXRequest(1, read_timeout=POLL_EXTRA_SECONDS, connect_timeout=CONNECT_SECONDS, pool_timeout=POOL_SECONDS)
    if not url:
        return Bot(token, request=sending, get_updates_request=polling)
    return Bot(
        token,
        base_url=f"{url}/bot",
        base_file_url=f"{url}/file/bot",
        request=sending,
        get_updates_request=polling,
        local_mode=True,
    )
