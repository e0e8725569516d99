"""Thumbs at answers on Telegram, which come only to who asks for them, and in groups only to administrators."""

from __future__ import annotations

import asyncio

from bot.settings import Settings
from tests.bot.fake_model import FakeModel
from tests.platforms.telegram.chat import Chat
from tests.platforms.telegram.running import Running, address, running
from tests.platforms.telegram.server import TelegramServer


async def rated(bot: Running, chat: Chat, value: int, topic: int | None = None) -> None:
    """Wait until people like the newest answer so much on balance."""
    async with asyncio.timeout(10):
        while (await bot.store.turns(address(chat, topic)))[-1].rating != value:  # noqa: ASYNC110  # the store sets no event
            await asyncio.sleep(0.01)


async def test_a_thumb_in_private_is_a_rating_and_down_is_asked_about(bot: Running, ann: Chat) -> None:
    answer = await bot.answers(ann, ann.owner, "Capital of France?", "Lyon.")
    await ann.react(ann.owner, answer, "👍")
    await rated(bot, ann, 1)
    await ann.react(ann.owner, answer, "👎", before="👍")
    await rated(bot, ann, -1)
    question = await bot.told(ann, "What would have been a better answer?")
    await ann.say(ann.owner, "Paris.", reply_to=question)
    await bot.told(ann, "I keep that")
    await ann.react(ann.owner, answer, before="👎")
    await rated(bot, ann, 0)
    assert len(ann.bot_messages()) == 3


async def test_an_administrator_hears_them_in_a_topic_and_asks_nobody(bot: Running, server: TelegramServer) -> None:
    group, bo = server.group(forum=True), server.person("Bo")
    topic = await group.topic("cats")
    answer = await bot.answers(group, bo, "@jnana_bot who miaows?", "A dog.", topic=topic)
    await group.react(bo, answer, "👎")  # nobody tells the bot
    group.promote(server.bot)
    await group.react(None, answer, "👍")  # an anonymous admin
    await group.react(server.person("Robot", username="robot_bot"), answer, custom="5368324170671202286")
    await group.react(server.bot.__class__(77, "Robot", "robot_bot", is_bot=True), answer, "👍")
    await group.react(group.owner, answer, "👎")
    await rated(bot, group, -1, topic)
    ratings = (await bot.store.export("telegram", str(group.owner.id)))["ratings"]
    assert [rating["value"] for rating in ratings] == [-1]
    await bot.answers(group, bo, "@jnana_bot sure?", "Yes.", topic=topic)
    assert len(group.bot_messages()) == 2


async def test_after_a_restart(server: TelegramServer, model: FakeModel, home: Settings, ann: Chat) -> None:
    async with running(server, model, home) as bot:
        answer = await bot.answers(ann, ann.owner, "Capital of France?", "Paris.")
    await ann.react(ann.owner, answer, "👍")
    async with running(server, model, home) as bot:
        await rated(bot, ann, 1)
