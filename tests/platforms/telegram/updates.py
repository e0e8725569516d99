"""How updates reach the bot: long polling with acknowledgement, or a webhook."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from tests.platforms.telegram.faults import ApiError, bad
from tests.platforms.telegram.text import Json

ONLY_WHEN_ASKED = {"chat_member", "message_reaction", "message_reaction_count"}
OTHER_POLLER = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
WEBHOOK_ACTIVE = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
WEBHOOK_RETRY_S = 0.1


class Updates:
    """The bot's queue. An update stays until the bot asks for a later one."""

    def __init__(self) -> None:
        self.pending: list[Json] = []
        self.allowed: list[str] = []
        self.webhook = ""
        self._secret: str | None = None
        self._webhook_error: Json = {}
        self._pump: asyncio.Task[None] | None = None
        self._last_id = 1000
        self._news = asyncio.Condition()
        self._voice = asyncio.Event()
        self._voice.set()
        self._turn = 0
        self._kicks = 0
        self._closing = False

    async def add(self, kind: str, content: Json) -> None:
        wanted = kind in self.allowed if self.allowed else kind not in ONLY_WHEN_ASKED
        if wanted:
            self._last_id += 1
            self.pending.append({"update_id": self._last_id, kind: content})
            await self._wake()

    async def poll(self, offset: int, limit: int, wait_s: float) -> list[Json]:
        """getUpdates. The older of two pollers is sent away, as Telegram does it: both keep failing in turn."""
        if self.webhook:
            raise ApiError(409, WEBHOOK_ACTIVE)
        self._turn += 1
        turn, end = self._turn, time.monotonic() + wait_s
        self._acknowledge(offset)
        await self._wake()
        while True:
            await self._voice.wait()
            if self._turn != turn or self._kicks:
                self._kicks = 0
                raise ApiError(409, OTHER_POLLER)
            left = end - time.monotonic()
            if self.pending or left <= 0 or self._closing:
                return self.pending[:limit]
            await self._wait(left)

    def _acknowledge(self, offset: int) -> None:
        if offset > 0:
            self.pending = [update for update in self.pending if update["update_id"] >= offset]
        elif offset < 0:
            self.pending = self.pending[offset:]

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait()
        except TimeoutError:
            return

    def silence(self) -> None:
        self._voice.clear()

    def speak(self) -> None:
        self._voice.set()

    async def kick(self) -> None:
        """409 for the poller that waits, or for the next one."""
        self._kicks = 1
        await self._wake()

    async def set_webhook(self, url: str, secret: str | None) -> None:
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise bad("bad webhook: An HTTPS URL must be provided for webhook")
        await self.delete_webhook()
        self.webhook, self._secret = url, secret
        self._turn += 1  # whoever polls is sent away
        await self._wake()
        self._pump = asyncio.create_task(self._post_all())

    async def delete_webhook(self) -> None:
        self.webhook = ""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None

    def webhook_info(self) -> Json:
        info: Json = {"url": self.webhook, "has_custom_certificate": False, "pending_update_count": len(self.pending)}
        return info | self._webhook_error | ({"allowed_updates": self.allowed} if self.allowed else {})

    async def _post_all(self) -> None:
        """One after the other; what the bot does not take is sent again."""
        headers = {"X-Telegram-Bot-Api-Secret-Token": self._secret} if self._secret else {}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                if not self.pending:
                    await self._wait(60)
                elif await self._post(session, self.pending[0]):
                    del self.pending[0]
                else:
                    await asyncio.sleep(WEBHOOK_RETRY_S)

    async def _post(self, session: aiohttp.ClientSession, update: Json) -> bool:
        try:
            async with session.post(self.webhook, json=update) as response:
                problem = "" if response.ok else f"Wrong response from the webhook: {response.status} {response.reason}"
        except aiohttp.ClientError as error:
            problem = str(error)
        if problem:
            self._webhook_error = {"last_error_date": int(time.time()), "last_error_message": problem}
        return not problem

    async def close(self) -> None:
        """Ends every wait, so that the server can stop at once."""
        await self.delete_webhook()
        self._closing = True
        self.speak()
        await self._wake()
