"""What goes wrong between the bot and Telegram, and what the bot does about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from telegram.error import Conflict

from bot import connections
from bot.connections import keep_up
from bot.errors import StartError
from bot.settings import Settings
from tests.bot.conftest import empty_database, settings  # noqa: F401  # fixtures
from tests.bot.fake_model import FakeModel
from tests.platforms.telegram_chat import Chat
from tests.platforms.telegram_faults import Drop, Fault, Flood, Status
from tests.platforms.telegram_running import Running, actions, on, running
from tests.platforms.telegram_server import TelegramServer
from tests.processes import free_port

SECRET = "a-secret-of-the-webhook"  # not one


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TelegramServer]:
    monkeypatch.setattr("bot.chat.telegram.place.PRIVATE_CLOCK", 0.02)
    monkeypatch.setattr("bot.chat.telegram.place.GROUP_CLOCK", 0.02)
    monkeypatch.setattr("bot.reply.PATIENCE", 0.05)
    monkeypatch.setattr("bot.reply.RETRIES", (0.02,) * 8)
    async with TelegramServer() as server:
        yield server


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


@pytest.fixture
async def bot(server: TelegramServer, model: FakeModel, settings: Settings) -> AsyncIterator[Running]:  # noqa: F811
    async with running(server, model, on(server, settings)) as bot:
        yield bot


@pytest.fixture
def ann(server: TelegramServer) -> Chat:
    return server.private(name="Ann")


# --- The connection ---


async def test_a_wrong_token_is_one_sentence_without_it(server: TelegramServer, model: FakeModel, settings: Settings) -> None:  # noqa: F811
    wrong = on(server, settings, telegram_token=SecretStr("654321:wrong"))
    async with running(server, model, wrong, ready=False) as bot:
        with pytest.raises(StartError) as told:
            await bot.task
        assert "TELEGRAM_TOKEN" in told.value.sentence
        assert "wrong" not in told.value.sentence


@pytest.mark.parametrize("reads_all", [True, False])
async def test_privacy_mode_is_said_once(reads_all: bool, model: FakeModel, settings: Settings) -> None:  # noqa: F811
    async with TelegramServer(reads_all=reads_all) as server, running(server, model, on(server, settings)) as bot:
        assert len(bot.said) == 1
        assert ("/setprivacy" in bot.said[0]) == (not reads_all)


async def test_commands_are_listed_once_in_every_language(
    server: TelegramServer,
    model: FakeModel,
    settings: Settings,  # noqa: F811
) -> None:
    async with running(server, model, on(server, settings)):
        listed = len(server.calls_of("setMyCommands"))
        assert {language for _, language in server.commands} == {"", "en", "de", "es", "hi", "pt", "ru"}
    async with running(server, model, on(server, settings)):
        assert len(server.calls_of("setMyCommands")) == listed


async def test_another_poller_is_put_up_with_for_a_while(bot: Running, ann: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.chat.telegram.polling.CONFLICT_PAUSE", 0.05)
    await bot.server.until(lambda: bot.server.calls_of("getUpdates"))
    await bot.server.kick_poller()
    await bot.answers(ann, ann.owner, "Still there?", "Yes.")
    assert not bot.task.done()


async def test_a_poller_that_stays_ends_the_connection(
    server: TelegramServer,
    model: FakeModel,
    settings: Settings,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.chat.telegram.polling.CONFLICT_PAUSE", 0.05)
    async with running(server, model, on(server, settings), conflict_seconds=0.2) as bot:
        conflict = Status(409, "Conflict: terminated by other getUpdates request")
        server.fail("getUpdates", *[conflict] * 20)
        await server.kick_poller()
        with pytest.raises(Conflict):
            await asyncio.wait_for(bot.task, 10)


async def test_polling_that_went_silent_is_made_anew(
    server: TelegramServer,
    model: FakeModel,
    settings: Settings,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.05)
    ann = server.private(name="Ann")
    async with running(server, model, on(server, settings), stale_seconds=0.5) as bot:
        bot.task.cancel()
        await asyncio.gather(bot.task, return_exceptions=True)
        kept = asyncio.create_task(keep_up(bot.telegram, bot.said.append))
        try:
            await server.until(lambda: len(bot.said) == 2)
            server.silence()
            await ann.say(ann.owner, "Anybody there?")
            await server.until(lambda: len(server.calls_of("getMe")) >= 3)
            server.speak()
            await bot.shows(ann, "ok")
        finally:
            kept.cancel()
            await asyncio.gather(kept, return_exceptions=True)


async def test_a_webhook_asks_for_its_secret(server: TelegramServer, model: FakeModel, settings: Settings) -> None:  # noqa: F811
    url = f"http://127.0.0.1:{(port := free_port())}/telegram"
    hook: dict[str, Any] = {"telegram_webhook_url": url, "telegram_webhook_port": port}
    ann = server.private(name="Ann")
    async with running(server, model, on(server, settings, **hook, telegram_webhook_secret=SecretStr(SECRET))) as bot:
        await bot.answers(ann, ann.owner, "By post?", "By post.")
        assert not server.calls_of("getUpdates")
        async with aiohttp.ClientSession() as stranger:
            for headers in ({}, {"X-Telegram-Bot-Api-Secret-Token": "guessed"}):
                async with stranger.post(url, json={"update_id": 1}, headers=headers) as response:
                    assert response.status == 403


# --- Answers ---


@pytest.mark.parametrize("method", ["sendMessage", "editMessageText"])
@pytest.mark.parametrize("fault", [Flood(1), Status(500), Status(502), Status(503), Drop()], ids=str)
async def test_faults_leave_one_whole_answer(bot: Running, ann: Chat, method: str, fault: Fault) -> None:
    bot.server.fail(method, fault, fault)
    held = bot.model.say("Once", " upon a time", hold=True)
    await ann.say(ann.owner, "A story")
    await held.wait_begun()
    held.release()
    answer = await bot.shows(ann, "Once upon a time")
    assert ann.bot_messages() == [answer]


@pytest.mark.parametrize("seconds", [30, 4 * 3600])
async def test_a_long_flood_is_left_alone_and_the_end_shown_after_a_restart(
    server: TelegramServer,
    model: FakeModel,
    settings: Settings,  # noqa: F811
    seconds: int,
) -> None:
    ann = server.private(name="Ann")
    server.fail("editMessageText", Flood(seconds))
    async with running(server, model, on(server, settings)) as bot:
        held = model.say("Once", " upon a time", hold=True)
        await ann.say(ann.owner, "A story")
        await server.until(lambda: ann.bot_messages())
        held.release()
        await server.until(lambda: any(call.error for call in server.calls_of("editMessageText")))
        await server.until(lambda: not bot.desk.turns.under_way)
        assert len(server.calls_of("editMessageText")) == 1
    async with running(server, model, on(server, settings)) as bot:
        answer = await bot.shows(ann, "Once upon a time")
        assert ann.bot_messages() == [answer]


async def test_whoever_blocks_the_bot_is_left_alone_until_they_write(bot: Running, ann: Chat) -> None:
    held = bot.model.say("Once", " upon a time", hold=True)
    await ann.say(ann.owner, "A story")
    await held.wait_begun()
    await ann.my_chat_member("kicked")
    held.release()
    await bot.server.until(lambda: not bot.desk._replies)
    refused = [call for call in bot.server.calls if call.error and "blocked" in call.error]
    assert len(refused) <= 2
    assert await bot.store.closed_chats("telegram") == {str(ann.id)}
    await ann.my_chat_member("member")
    await bot.answers(ann, ann.owner, "Back again", "Welcome.")
    assert await bot.store.closed_chats("telegram") == set()


async def test_a_group_that_becomes_a_supergroup_keeps_its_memory(bot: Running, server: TelegramServer) -> None:
    group = server.group(basic=True)
    await bot.answers(group, group.owner, "@jnana_bot I like tea", "Noted.")
    new = await group.upgrade()
    await bot.answers(new, group.owner, "@jnana_bot What do I like?", "Tea.")
    assert any("I like tea" in str(content) for _, content in bot.model.prompt())


async def test_a_deleted_answer_is_not_written_again(bot: Running, ann: Chat) -> None:
    held = bot.model.say("Once", " upon", " a time", hold=True)
    await ann.say(ann.owner, "A story")
    growing = await bot.told(ann, "Once")
    ann.delete(growing)
    held.release()
    await bot.server.until(lambda: not bot.desk._replies)
    assert ann.bot_messages() in ([], [growing])
    assert not any(one for one in ann.bot_messages() if not one.deleted)


# --- Privacy ---


async def test_forget_asks_and_export_is_sent_privately(bot: Running, server: TelegramServer) -> None:
    friends = server.group()
    private, stranger = server.private(name="Ann"), server.person("Stranger")
    person = private.owner
    await bot.answers(friends, person, "@jnana_bot hello", "Hi.")
    await friends.say(person, "/export@jnana_bot")
    await server.until(lambda: server.calls_of("sendDocument"))
    assert server.calls_of("sendDocument")[0].params["chat_id"] == private.id
    await friends.say(person, "/forget@jnana_bot")
    question = await bot.told(friends, "deletes everything")
    assert [action.split(":")[0] for action in actions(question)] == ["forget", "keep"]
    assert "not yours" in (await bot.press(friends, stranger, question, "forget")).text
    await bot.press(friends, person, question, "forget")
    await bot.told(friends, "I deleted 1 message")
    assert await bot.store.export("telegram", str(person.id)) == {}


async def test_the_language_that_is_set_is_spoken(bot: Running, ann: Chat) -> None:
    await ann.say(ann.owner, "/settings language de")
    await bot.server.until(lambda: ann.bot_messages())
    await ann.say(ann.owner, "/reset")
    await bot.told(ann, "Ich denke nicht mehr")
