"""The same adapter inside simcord, somebody else's idea of Discord: what both agree on is likely to be so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import discord
import pytest
import simcord
from simcord.enums import MessageType

from bot.chat.discord import Discord
from bot.chat.discord.client import Events
from bot.chat.discord.commands import Commands
from bot.desk import Desk
from bot.personas import load_personas
from bot.privacy import Privacy
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, photo

FILE = ("photo.png", encoded(photo(), "PNG"))


@dataclass
class Simulated:
    env: simcord.Env
    store: Store
    guild: simcord.GuildHandle
    general: simcord.ChannelHandle
    ada: simcord.MemberActor

    @property
    def me(self) -> str:
        return f"<@{self.env.bot.user.id}>" if self.env.bot.user else ""

    def said(self, channel: simcord.ChannelHandle) -> list[discord.Message]:
        """What the bot has said there."""
        return [message for message in channel.history() if message.author == self.env.bot.user]


@pytest.fixture
async def sim(model: FakeModel, settings: Settings) -> AsyncIterator[Simulated]:
    store = await Store.open(settings.database, settings.attachments)
    worker = ModelClient(model.url)
    personas = load_personas()
    turns = Turns(store, worker, settings, personas)
    desk = Desk(turns, store, Privacy([store], settings.attachments), personas, lambda: "ready", "1")
    adapter = Discord(settings, desk)
    client = adapter._client = adapter.make_client()
    events = Events(client, desk, adapter, lambda _: None)
    commands = Commands(client, desk, events.hearing, adapter.client)
    env = simcord.Env(client, settle_timeout=10)
    try:
        await env.start()
        commands.tree._http = client.http  # which it took from the client before simcord changed it
        with env.time_context():
            await commands.sync(settings.jnana_home)
        guild = env.create_guild()
        general = guild.create_text_channel("general")
        yield Simulated(env, store, guild, general, guild.add_member(env.create_user("Ada")))
        assert not env.errors
    finally:
        await turns.drain(0)
        await desk.close(0.2)
        await env.shutdown()
        await worker.close()
        await store.close()


def prompt(model: FakeModel) -> tuple[str, int]:
    """The words and the number of pictures of the newest message of the last request."""
    content = model.prompt()[-1][1]
    if isinstance(content, str):
        return content.removeprefix("Ada: "), 0
    words = "".join(part.get("text", "") for part in content)
    return words.removeprefix("Ada: "), sum(part["type"] == "image_url" for part in content)


def labels(message: discord.Message | simcord.ResponseMessage) -> list[str]:
    rows: Any = message.components
    rows = [row if isinstance(row, dict) else row.to_dict() for row in rows]
    return [str(button["custom_id"]).split(":")[1] for row in rows for button in row["components"]]


async def test_a_mention_with_a_picture_is_answered(sim: Simulated, model: FakeModel) -> None:
    model.say("A *rainbow*.")
    question = await sim.ada.send(sim.general, f"{sim.me} what is this?", attachments=[FILE])
    (answer,) = sim.said(sim.general)
    assert (answer.content, labels(answer)) == ("A *rainbow*.", ["again", "good", "bad"])
    assert answer.reference is not None
    assert answer.reference.message_id == question.id
    assert prompt(model) == ("what is this?", 1)
    seen = next(message for message in sim.general.history() if message.id == question.id)
    assert [str(reaction.emoji) for reaction in seen.reactions] == ["👀"]


async def test_only_what_is_meant_for_it(sim: Simulated, model: FakeModel) -> None:
    robot = sim.guild.add_member(sim.env.create_user("R2", bot=True))
    await sim.ada.send(sim.general, "hello everybody", attachments=[FILE])
    await robot.send(sim.general, f"{sim.me} beep")
    sim.guild.create_system_message(sim.general, MessageType.NEW_MEMBER, author=sim.ada)
    assert not sim.said(sim.general)
    first = await sim.ada.send(sim.general, f"{sim.me} one")
    await sim.ada.send(sim.general, "two", reply_to=sim.said(sim.general)[0])
    await sim.ada.send(sim.general, "three", reply_to=first)
    assert (len(sim.said(sim.general)), prompt(model)[0]) == (2, "two")


async def test_direct_messages_and_forwarded_ones(sim: Simulated, model: FakeModel) -> None:
    await sim.ada.send_dm("hello")
    direct = sim.ada.user.dm_channel
    assert [message.content for message in sim.said(direct)] == ["ok"]
    source = await sim.ada.send(sim.general, "my cat", attachments=[FILE])
    await sim.ada.forward(source, direct)
    assert (len(sim.said(direct)), prompt(model)) == (2, ("my cat", 1))


async def test_threads(sim: Simulated, model: FakeModel) -> None:
    channel = cast(discord.TextChannel, sim.env.bot.get_channel(sim.general.id))
    await channel.create_thread(name="ours", type=discord.ChannelType.public_thread)
    await sim.env.settle()
    (thread,) = sim.general.threads
    await sim.ada.send(thread, "nobody is mentioned")
    assert [message.content for message in sim.said(thread)] == ["ok"]
    assert prompt(model)[0] == "nobody is mentioned"
    assert [message.type for message in sim.said(sim.general)] == [discord.MessageType.thread_created]


async def test_edits_and_deletions(sim: Simulated, model: FakeModel) -> None:
    question = await sim.ada.send(sim.general, f"{sim.me} capital of Frence?")
    model.say("Paris")
    await sim.ada.edit(question, f"{sim.me} capital of France?")
    assert [message.content for message in sim.said(sim.general)] == ["Paris"]
    await sim.ada.delete(question)
    await sim.ada.send(sim.general, f"{sim.me} and now?")
    assert len(sim.said(sim.general)) == 2


async def test_where_it_may_not_write_or_read_what_was(sim: Simulated) -> None:
    everyone = sim.guild.default_role
    mute = sim.guild.create_text_channel(
        "mute", overwrites={sim.env.bot.user: discord.PermissionOverwrite(send_messages=False)} if sim.env.bot.user else {}
    )
    past = sim.guild.create_text_channel(
        "past", overwrites={everyone: discord.PermissionOverwrite(read_message_history=False, add_reactions=False)}
    )
    await sim.ada.send(mute, f"{sim.me} hello")
    await sim.ada.send(past, f"{sim.me} hello")
    assert not sim.said(mute)
    assert await sim.store.closed_chats("discord") == {str(mute.id)}
    (answer,) = sim.said(past)
    assert (answer.content, answer.reactions) == ("ok", [])


async def test_commands_and_what_is_private(sim: Simulated, model: FakeModel) -> None:
    model.say("four")
    asked = await sim.ada.slash(sim.general, "ask", question="2+2?")
    assert asked.response is not None
    assert (asked.response.content, asked.ephemeral, labels(asked.response)) == ("four", False, ["again", "good", "bad"])
    described = await sim.ada.slash(sim.general, "describe", file=FILE)
    assert described.response is not None
    assert (described.response.content, prompt(model)[1]) == ("ok", 1)
    for name in ("help", "privacy", "status", "settings", "export"):
        private = await sim.ada.slash(sim.general, name)
        assert private.ephemeral, name
    forget = await sim.ada.slash(sim.general, "forget")
    assert forget.response is not None
    done = await sim.ada.click(forget.response.message, custom_id=f"jnana:forget:{sim.ada.id}")
    assert done.response is not None
    assert ("2 messages" in done.response.content, done.response.ephemeral) == (True, True)


async def test_the_menu_of_a_message_and_the_buttons_of_an_answer(sim: Simulated, model: FakeModel) -> None:
    picture = await sim.ada.send(sim.general, "my holiday", attachments=[FILE])
    menu = await sim.ada.context_menu(sim.general, "Ask about this", picture)
    asked = await sim.ada.submit_modal(menu, {"text": "where is this?"})
    assert asked.response is not None
    assert asked.response.content == "ok"
    assert prompt(model) == ("> my holiday\n\nwhere is this?", 1)
    model.say("In Rome.")
    answer = sim.said(sim.general)[-1]
    await sim.ada.click(answer, label="↻ Again")
    assert sim.said(sim.general)[-1].content == "In Rome."
    bad = await sim.ada.click(sim.said(sim.general)[-1], label="👎")
    thanks = await sim.ada.submit_modal(bad, {"text": "In Florence."})
    assert thanks.response is not None
    assert "Thank you" in thanks.response.content
    eve = sim.guild.add_member(sim.env.create_user("Eve"))
    refused = await eve.click(sim.said(sim.general)[-1], label="↻ Again")
    assert refused.response is not None
    assert (refused.ephemeral, "Only the person who asked" in refused.response.content) == (True, True)


async def test_long_answers_and_nobody_is_pinged(sim: Simulated, model: FakeModel) -> None:
    model.say(f"@everyone {sim.ada.mention} " + "word " * 700)
    await sim.ada.send(sim.general, f"{sim.me} a long one")
    pages = sim.said(sim.general)
    assert len(pages) == 2
    assert not any(page.mention_everyone for page in pages)
    sent = [request.json for request in sim.env.http_requests if request.json and "content" in request.json]
    assert len(sent) >= 2
    assert all(body["allowed_mentions"]["parse"] == [] for body in sent)
