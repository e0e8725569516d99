"""`jnana run` on Discord and Telegram when its owner made a mistake, when it is killed, and when it is stopped."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import discord
import pytest

from tests.bot.fake_model import FakeModel

from .discord.server import Drop, Status
from .drivers import PATIENCE, OnDiscord, OnTelegram, discord_verbs, telegram_verbs
from .process import Platforms, platforms, running
from .telegram.faults import Drop as TelegramDrop
from .telegram.faults import Status as TelegramStatus


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


@pytest.fixture
async def where(tmp_path: Path, model: FakeModel) -> AsyncIterator[Platforms]:
    """Without the page, so that it starts at once."""
    async with platforms(tmp_path, MODEL_URL=model.url, WEB_ENABLED="false") as where:
        yield where


async def test_a_wrong_discord_token_is_told_and_telegram_works(where: Platforms) -> None:
    told = ("^ready:", "^Discord: Discord refuses DISCORD_TOKEN", "^Telegram: @")
    async with running(where, up=told, DISCORD_TOKEN="MTIzNDU2.wrong.discord-token") as bot:
        await works(OnTelegram(where.telegram))
    assert bot.output.count("\nDiscord: ") == 1
    assert await bot.end() == 0


async def test_a_wrong_telegram_token_is_told_and_discord_works(where: Platforms) -> None:
    told = ("^ready:", "^Telegram: Telegram refuses TELEGRAM_TOKEN", "^Discord: @")
    async with running(where, up=told, TELEGRAM_TOKEN="654321:wrong-telegram-token") as bot:
        await works(OnDiscord(where.discord))
    assert bot.output.count("\nTelegram: ") == 1


async def test_a_missing_intent_is_told_and_telegram_works(where: Platforms) -> None:
    where.discord.disallow(discord.Intents(message_content=True).value)
    async with running(where, up=("^ready:", "^Discord: .*Message Content Intent", "^Telegram: @")) as bot:
        await works(OnTelegram(where.telegram))
    assert bot.output.count("\nDiscord: ") == 1


async def works(person: OnTelegram | OnDiscord) -> None:
    await person.ask("Are you there?")
    await person.shows("ok")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_ended_with_a_half_written_answer_and_a_queue(where: Platforms, model: FakeModel, number: signal.Signals) -> None:
    """Two people ask in one group; after the start both questions are answered once, in the messages that were there."""
    general, friends = where.discord.guild("home").channel("general"), where.telegram.group()
    me, groups = where.discord.bot.mention, (general, friends)
    ada, bob = where.discord.user("Ada"), where.discord.user("Bob")

    def said() -> list[list[str]]:
        return [[message.content for message in general.bot_messages()], [message.text for message in friends.bot_messages()]]

    async with running(where) as bot:
        for _ in groups:
            model.say("Half an answer", " and more", hold=True)
        await general.say(ada, f"{me} one")
        await friends.say(friends.owner, "@jnana_bot one")
        await until(lambda: all(texts == ["Half an answer"] for texts in said()), where)
        await general.say(bob, f"{me} two")
        await friends.say(where.telegram.person("Bo"), "@jnana_bot two")
        await until(lambda: all(len(texts) == 2 for texts in said()), where)
        await until(lambda: noted(where.home) == 4, where)  # a message that is shown but not noted yet would be sent again
        await bot.end(number)
    before = [list(group.bot_messages()) for group in groups]
    async with running(where) as bot:
        await until(lambda: said() == [["ok", "ok"]] * 2, where)
        await until(lambda: all("again" in discord_verbs(message) for message in general.bot_messages()), where)
        await until(lambda: all("again" in telegram_verbs(message) for message in friends.bot_messages()), where)
        assert await bot.end() == 0
    assert [list(group.bot_messages()) for group in groups] == before
    assert [edit.content for message in general.bot_messages() for edit in message.edits].count("ok") == 2
    assert [edit.text for message in friends.bot_messages() for edit in message.edits].count("ok") == 2
    assert len(model.chats) == 6
    edits = [len(message.edits) for group in groups for message in group.bot_messages()]
    async with running(where) as bot:  # nothing is left to be told
        await works(OnTelegram(where.telegram))
    assert len(model.chats) == 7
    assert [list(group.bot_messages()) for group in groups] == before
    assert [len(message.edits) for group in groups for message in group.bot_messages()] == edits


def noted(home: Path) -> int:
    """Turns of which the process knows where they are shown."""
    with closing(sqlite3.connect(home / "jnana.db")) as database:
        return sum(ids != "[]" for (ids,) in database.execute("SELECT reply_ids FROM turns"))


async def test_asked_to_stop_it_finishes_what_it_has_begun(where: Platforms, model: FakeModel) -> None:
    people = OnDiscord(where.discord), OnTelegram(where.telegram)
    async with running(where) as bot:
        held = [model.say("Slowly", " but surely.", hold=True) for _ in people]
        for person in people:
            await person.ask("How?")
            await person.shows("Slowly", ended=False)
        bot.running.process.send_signal(signal.SIGTERM)
        await bot.line("^stopping:")
        for answer in held:
            answer.release()
        for person in people:
            assert await person.shows("Slowly but surely.") == "Slowly but surely."
        assert await bot.end(signal.SIGCONT) == 0


async def test_no_token_is_told_even_when_everything_goes_wrong(where: Platforms) -> None:
    """`running` looks at the output."""
    async with running(where, LOG_LEVEL="debug") as bot:
        on_discord, on_telegram = OnDiscord(where.discord), OnTelegram(where.telegram)
        where.discord.fail("POST", "/channels/*/messages", Status(500), Drop())
        where.discord.fail("PUT", "*", Status(403), Drop())
        where.discord.drop_gateway()
        where.telegram.fail("sendMessage", TelegramStatus(502), TelegramDrop())
        where.telegram.fail("getUpdates", TelegramDrop(), TelegramStatus(500))
        where.telegram.fail("setMessageReaction", TelegramDrop(), TelegramStatus(400, "Bad Request: what?"))
        for person in (on_discord, on_telegram):
            await works(person)
        where.discord.invalidate()
        await works(on_telegram)
        await where.discord.until(lambda: len(where.discord.identifies) == 2 and where.discord.connected, PATIENCE)
        await works(on_discord)
    assert where.discord.token.rpartition(".")[2] not in bot.output


async def until(condition: Callable[[], bool], where: Platforms) -> None:
    """For what is to be seen on both platforms."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 (two servers have no event in common)
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{where.discord.dump()}\n{where.telegram.dump()}") from None
