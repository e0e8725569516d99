"""Thumbs at answers on Discord, with a client that keeps no messages in memory."""

from __future__ import annotations

import asyncio

from bot.settings import Settings
from tests.bot.fake_model import FakeModel

from .channel import Channel
from .model import Message, User
from .running import RunningBot, address, bot_on, for_discord
from .server import DiscordServer


async def rated(bot: RunningBot, channel: Channel, value: int) -> None:
    """Wait until people like the newest answer so much on balance."""
    async with asyncio.timeout(10):
        while (await bot.store.turns(address(channel)))[-1].rating != value:  # noqa: ASYNC110  # the store sets no event
            await asyncio.sleep(0.01)


async def asked(bot: RunningBot, channel: Channel, person: User) -> Message:
    await channel.say(person, f"{bot.server.bot.mention} 2+2?")
    return await bot.answer(channel, "ok", len(channel.bot_messages()))


async def test_a_thumb_is_a_rating_and_goes_with_the_reaction(bot: RunningBot) -> None:
    general, ada = bot.server.guild("home").channel("general"), bot.server.user("Ada")
    answer = await asked(bot, general, ada)
    for emoji, value in (("👍", 1), ("👎🏾", -1)):
        await general.react(ada, answer, emoji)
        await rated(bot, general, value)
        await general.unreact(ada, answer, emoji)
        await rated(bot, general, 0)
    assert len(general.bot_messages()) == 1  # whoever sees the answer sees the reaction: nothing is said


async def test_neither_machines_nor_other_messages_count(bot: RunningBot) -> None:
    general, ada, robot = bot.server.guild("home").channel("general"), bot.server.user("Ada"), bot.server.user("R2")
    robot.bot = True
    said = await general.say(ada, "hello everybody")
    answer = await asked(bot, general, ada)
    await general.react(robot, answer, "👎")
    await general.react(ada, said, "👎")
    await general.react(ada, answer, "❤")
    await general.react(bot.server.user("Bob"), answer, "👍")
    await rated(bot, general, 1)
    assert (await bot.store.export("discord", str(robot.id))) == {}
    assert (await bot.store.export("discord", str(ada.id)))["ratings"] == []


async def test_in_private_where_only_an_id_comes_the_name_stays(bot: RunningBot) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    answer = await asked(bot, direct, ada)
    await direct.react(ada, answer, "👎")
    await rated(bot, direct, -1)
    assert (await bot.store.export("discord", str(ada.id)))["person"]["name"] == "Ada"
    assert len(direct.bot_messages()) == 1  # no form opens for a reaction: the button under the answer asks


async def test_after_a_restart_also_in_a_thread_that_it_does_not_know(
    server: DiscordServer, model: FakeModel, settings: Settings
) -> None:
    guild, ada = server.guild("home"), server.user("Ada")
    there = for_discord(settings, server)
    thread = guild.thread(guild.channel("general"), ada)
    async with bot_on(server, there, model.url) as bot:
        answer = await asked(bot, thread, ada)
    thread.remove()  # as an archived thread, it is not among those that Discord tells at the start
    async with bot_on(server, there, model.url) as bot:
        await thread.react(ada, answer, "👍")
        await rated(bot, thread, 1)
        await thread.unreact(ada, answer, "👍")
        await rated(bot, thread, 0)
