"""How the bot gets to Telegram and stays there: its token, polling, the webhook, the list of commands."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from telegram.error import Conflict

from bot.chat.telegram.client import PRIVACY_MODE, WRONG_TOKEN
from bot.chat.telegram.menu import FILE
from bot.connections import keep_up
from bot.errors import StartError
from bot.settings import Settings
from tests.bot.fake_model import FakeModel
from tests.platforms.telegram.faults import Drop, Fault, Flood, Status
from tests.platforms.telegram.running import Running, on, running
from tests.platforms.telegram.server import TelegramServer
from tests.processes import free_port

SECRET = "a-secret-of-the-webhook"  # not one
CONFLICT = Status(409, "Conflict: terminated by other getUpdates request")


@pytest.fixture
def server(server: TelegramServer, monkeypatch: pytest.MonkeyPatch) -> TelegramServer:
    """Asked more often."""
    monkeypatch.setattr("bot.chat.telegram.polling.POLL_SECONDS", 0.05)
    monkeypatch.setattr("bot.chat.telegram.polling.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("bot.chat.telegram.polling.CONFLICT_PAUSE", 0.02)
    monkeypatch.setattr("bot.connections.FIRST_PAUSE", 0.05)
    return server


def by_post(settings: Settings, port: int) -> Settings:
    hook: dict[str, Any] = {"telegram_webhook_url": f"http://127.0.0.1:{port}/telegram", "telegram_webhook_port": port}
    return settings.model_copy(update=hook | {"telegram_webhook_secret": SecretStr(SECRET)})


@asynccontextmanager
async def kept_up(bot: Running) -> AsyncIterator[asyncio.Task[None]]:
    """The connection as the process keeps it."""
    bot.task.cancel()
    await asyncio.gather(bot.task, return_exceptions=True)
    kept = asyncio.create_task(keep_up(bot.telegram, bot.said.append))
    try:
        yield kept
    finally:
        kept.cancel()
        await asyncio.gather(kept, return_exceptions=True)


# --- The token ---


async def test_a_refused_token_is_told_nowhere(
    server: TelegramServer, model: FakeModel, home: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    token = "654321:AAcopied-badly"  # not one
    wrong = home.model_copy(update={"telegram_token": SecretStr(token)})
    async with running(server, model, wrong, ready=False) as bot, kept_up(bot) as kept:
        await asyncio.wait_for(kept, 10)
        assert bot.said == [f"Telegram: {WRONG_TOKEN}"]
    out, err = capfd.readouterr()
    assert "AAcopied-badly" not in out + err


async def test_a_token_that_is_revoked_later_ends_the_connection(
    server: TelegramServer, model: FakeModel, home: Settings
) -> None:
    async with running(server, model, home) as bot:
        server.fail("getUpdates", Status(401, "Unauthorized"))
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(bot.task, 10)
        server.fail("getMe", Status(401, "Unauthorized"))
        with pytest.raises(StartError) as told:
            await asyncio.wait_for(bot.telegram.run(bot.said.append), 10)
        assert "TELEGRAM_TOKEN" in told.value.sentence
        assert server.token not in told.value.sentence


async def test_a_stray_404_does_not_end_telegram_for_good(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    ann = server.private()
    async with running(server, model, home, ready=False) as bot, kept_up(bot):
        await bot.answers(ann, ann.owner, "Hello?", "Here I am.")
        server.fail("getUpdates", Status(404, "Not Found"))
        await bot.answers(ann, ann.owner, "Still?", "Still here.")


@pytest.mark.parametrize("fault", [Status(500), Status(502), Drop()], ids=str)
async def test_telegram_that_is_down_at_the_start_is_tried_again(
    server: TelegramServer, model: FakeModel, home: Settings, fault: Fault
) -> None:
    server.fail("getMe", fault, fault)
    ann = server.private()
    async with running(server, model, home, ready=False) as bot, kept_up(bot):
        await bot.answers(ann, ann.owner, "Hello?", "Here I am.")


@pytest.mark.parametrize("reads_all", [True, False])
async def test_the_line_for_the_owner(reads_all: bool, model: FakeModel, settings: Settings) -> None:
    async with TelegramServer(reads_all=reads_all) as server, running(server, model, on(server, settings)) as bot:
        assert bot.said == ["Telegram: @jnana_bot" + ("" if reads_all else f"; {PRIVACY_MODE}")]


# --- Polling ---


@pytest.mark.parametrize("fault", [Status(500), Status(502), Drop(), Flood(1), CONFLICT], ids=str)
async def test_polls_that_fail_lose_nothing(server: TelegramServer, model: FakeModel, home: Settings, fault: Fault) -> None:
    ann = server.private()
    async with running(server, model, home) as bot:
        server.fail("getUpdates", fault, fault)
        await bot.answers(ann, ann.owner, "One?", "One.")
        await server.until(lambda: not server.faults.left("getUpdates"))
        await bot.answers(ann, ann.owner, "Two?", "Two.")
        assert bot.questions == ["One?", "Two?"]
        assert not bot.task.done()


async def test_a_second_poller_that_leaves_again(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    ann = server.private()

    def conflicts() -> int:
        return sum("Conflict" in (call.error or "") for call in server.calls_of("getUpdates"))

    async with running(server, model, home) as bot, aiohttp.ClientSession() as other:

        async def polls() -> None:
            while True:
                async with other.get(f"{server.url}/bot{server.token}/getUpdates?timeout=1") as response:
                    await response.read()

        task = asyncio.create_task(polls())
        await server.until(lambda: conflicts() >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bot.answers(ann, ann.owner, "Still there?", "Yes.")
        assert not bot.task.done()


async def test_a_second_poller_that_stays_ends_the_connection(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    async with running(server, model, home, conflict_seconds=0.2) as bot:
        server.fail("getUpdates", *[CONFLICT] * 20)
        await server.kick_poller()
        with pytest.raises(Conflict):
            await asyncio.wait_for(bot.task, 10)


async def test_nothing_new_is_not_silence(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    async with running(server, model, home, stale_seconds=0.5) as bot:
        await server.until(lambda: len(server.calls_of("getUpdates")) >= 15)
        assert not bot.task.done()
        server.silence()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(bot.task, 10)


async def test_what_was_sent_during_the_silence_is_answered_once(
    server: TelegramServer, model: FakeModel, home: Settings
) -> None:
    ann = server.private()
    async with running(server, model, home, stale_seconds=0.5) as bot, kept_up(bot):
        await bot.answers(ann, ann.owner, "One?", "One.")
        server.silence()
        model.say("Two.")
        await ann.say(ann.owner, "Two?")
        connected = len(server.calls_of("getMe"))
        await server.until(lambda: len(server.calls_of("getMe")) > connected)
        server.speak()
        await bot.shows(ann, "Two.")
        await bot.answers(ann, ann.owner, "Three?", "Three.")
        assert bot.questions == ["One?", "Two?", "Three?"]


async def test_what_was_sent_while_the_bot_was_down_is_answered(
    server: TelegramServer, model: FakeModel, home: Settings
) -> None:
    ann = server.private()
    async with running(server, model, home) as bot:
        await bot.answers(ann, ann.owner, "One?", "One.")
    model.say("Two.")
    await ann.say(ann.owner, "Two?")
    async with running(server, model, home) as bot:
        await bot.shows(ann, "Two.")
        assert bot.questions == ["One?", "Two?"]


# --- The webhook ---


async def test_a_post_without_the_secret_is_not_heard(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    ann = server.private()
    hooked = by_post(home, free_port())
    async with running(server, model, hooked) as bot:
        await bot.answers(ann, ann.owner, "One?", "One.")
        forged = ann.messages[0].json() | {"message_id": 77, "text": "Forged?"}
        async with aiohttp.ClientSession() as stranger:
            for guess in (None, "", SECRET[:-1], f"{SECRET}x"):
                headers = {} if guess is None else {"X-Telegram-Bot-Api-Secret-Token": guess}
                update = {"update_id": 5000, "message": forged}
                async with stranger.post(hooked.telegram_webhook_url, json=update, headers=headers) as response:
                    assert response.status == 403
        await bot.answers(ann, ann.owner, "Two?", "Two.")
        assert bot.questions == ["One?", "Two?"]
        (call,) = server.calls_of("setWebhook")
        assert call.params["secret_token"] == SECRET
        assert not call.params.get("drop_pending_updates")


async def test_posts_keep_their_order(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    ann = server.private()
    async with running(server, model, by_post(home, free_port())) as bot:
        for number in range(4):
            model.say(f"Answer {number}.")
            await ann.say(ann.owner, f"Question {number}")
        await bot.shows(ann, "Answer 3.")
        assert bot.questions == [f"Question {number}" for number in range(4)]


async def test_from_the_webhook_back_to_polling(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    ann = server.private()
    async with running(server, model, by_post(home, free_port())) as bot:
        await bot.answers(ann, ann.owner, "One?", "One.")
    model.say("Two.")
    await ann.say(ann.owner, "Two?")
    async with running(server, model, home) as bot:
        await bot.shows(ann, "Two.")
        assert server.updates.webhook == ""


async def test_a_port_that_is_taken_is_said(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        async with running(server, model, by_post(home, port), ready=False) as bot:
            with pytest.raises(StartError, match=f"TELEGRAM_WEBHOOK_PORT={port}"):
                await asyncio.wait_for(bot.task, 10)


# --- The list of commands ---


async def test_commands_are_listed_again_when_they_change(
    server: TelegramServer, model: FakeModel, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.commands import COMMANDS

    async with running(server, model, home):
        first = len(server.calls_of("setMyCommands"))
        assert first == 7
        assert (home.jnana_home / FILE).exists()
    async with running(server, model, home):
        assert len(server.calls_of("setMyCommands")) == first
    monkeypatch.delitem(COMMANDS, "status")
    async with running(server, model, home):
        assert len(server.calls_of("setMyCommands")) == 2 * first
        assert "status" not in {command["command"] for command in server.commands["default", "de"]}


async def test_commands_that_telegram_does_not_take_are_listed_at_the_next_start(
    server: TelegramServer, model: FakeModel, home: Settings
) -> None:
    server.fail("setMyCommands", Flood(60))
    ann = server.private()
    async with running(server, model, home) as bot:
        await bot.answers(ann, ann.owner, "Hello?", "Here I am.")
        assert not server.commands
    async with running(server, model, home):
        assert {language for _, language in server.commands} == {"", "en", "de", "es", "hi", "pt", "ru"}
    (home.jnana_home / FILE).write_text("not JSON", "utf-8")
    server.commands.clear()
    async with running(server, model, home):
        assert server.commands
