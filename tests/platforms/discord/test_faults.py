"""What goes wrong at Discord, and what else goes along with a question there."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from bot.chat.discord import Discord
from bot.errors import StartError
from bot.settings import Settings
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, photo

from .protocol import MESSAGE_CONTENT
from .running import RunningBot, action, address, bot_on, for_discord, until
from .server import DiscordServer, Drop, Flood, Status
from .world import Guild

PHOTO = encoded(photo(), "PNG")
FILE = ("photo.png", PHOTO, "image/png")


@pytest.fixture(autouse=True)
def identifies_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py waits for 5 seconds before it identifies again."""

    async def at_once(*_arguments: Any, **_more: Any) -> None: ...

    monkeypatch.setattr("discord.Client.before_identify_hook", at_once)


def asked(model: FakeModel) -> tuple[str, int]:
    """The words and the number of pictures of the newest message of the last request."""
    content = model.prompt()[-1][1]
    if isinstance(content, str):
        return content.removeprefix("Ada: "), 0
    words = "".join(part.get("text", "") for part in content)
    return words.removeprefix("Ada: "), sum(part["type"] == "image_url" for part in content)


# --- The connection ---


@pytest.mark.parametrize("end", ["invalidate", "reconnect", "drop_gateway"])
async def test_another_connection_goes_on_with_the_answer(bot: RunningBot, model: FakeModel, end: str) -> None:
    server, ada = bot.server, bot.server.user("Ada")
    direct = server.dm(ada)
    held = model.say("Once ", "upon a time.", hold=True)
    await direct.say(ada, "a story")
    half = await bot.says(direct, "Once")
    getattr(server, end)()
    await server.until(lambda: len(server.identifies) == 2 if end == "invalidate" else server.resumes)
    held.release()
    assert await bot.answer(direct, "Once upon a time.") is half
    await server.until(lambda: server.connected)
    await direct.say(ada, "are you there?")
    await bot.answer(direct, "ok", 1)
    assert len(server.identifies) == (2 if end == "invalidate" else 1)
    assert (len(bot.ups), len(model.chats)) == (1, 2)


async def test_a_silent_gateway_is_left(
    server: DiscordServer, model: FakeModel, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, ada = Discord.options, server.user("Ada")
    monkeypatch.setattr(Discord, "options", lambda self: options(self) | {"heartbeat_timeout": 0.3})
    server.events.heartbeat_interval = 0.1
    direct = server.dm(ada)
    async with bot_on(server, for_discord(settings, server), model.url) as bot:
        server.mute_gateway()
        await direct.say(ada, "hello?")
        await bot.answer(direct, "ok")
        assert server.resumes


@pytest.mark.parametrize("wrong", ["token", "token at the gateway", "intent"])
async def test_what_only_the_owner_can_set_right(
    server: DiscordServer, model: FakeModel, settings: Settings, wrong: str
) -> None:
    there = for_discord(settings, server)
    if wrong == "token":
        there = there.model_copy(update={"discord_token": SecretStr("wrong")})
    elif wrong == "token at the gateway":
        server.events.token = "another"
    else:
        server.disallow(MESSAGE_CONTENT)
    async with bot_on(server, there, model.url, connect=False) as bot:
        with pytest.raises(StartError) as failed:
            await Discord(there, bot.desk).run(bot.ups.append)
    sentence = str(failed.value)
    assert ("Message Content Intent" if wrong == "intent" else "DISCORD_TOKEN") in sentence
    assert "wrong" not in sentence
    assert not bot.ups


async def test_shards(server: DiscordServer, model: FakeModel, settings: Settings) -> None:
    there, ada = for_discord(settings, server, discord_shards=2), server.user("Ada")
    guilds = [Guild(server.world, f"home {number}", (1000 + number) << 22) for number in range(2)]
    channels = [guild.channel("general") for guild in guilds]
    async with bot_on(server, there, model.url) as bot:
        client = Discord(there, bot.desk).make_client()
        assert isinstance(client, discord.AutoShardedClient)
        assert client.shard_count == 2
        assert [identify.data["shard"] for identify in server.identifies] == [[0, 2], [1, 2]]
        for channel in (*channels, server.dm(ada)):
            await channel.say(ada, f"{server.bot.mention} hello")
            await bot.answer(channel, "ok")
        await channels[1].slash(ada, "ask", {"question": "and now?"})
        await bot.answer(channels[1], "ok", 1)
        assert bot.ups == ["Discord: @jnana in 2 servers"]
        assert len(model.chats) == 4


# --- Sending ---


@pytest.mark.parametrize(
    "fault", [Status(500), Status(502), Status(503), Flood(0.05, global_=True), Drop(), Drop(after=True)], ids=str
)
async def test_a_failed_final_edit_is_made_up_for(bot: RunningBot, model: FakeModel, fault: Drop | Flood | Status) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    held = model.say("Once ", "upon a time.", hold=True)
    await direct.say(ada, "a story")
    half = await bot.says(direct, "Once")
    bot.server.fail("PATCH", "/channels/*/messages/*", fault)
    held.release()
    assert await bot.answer(direct, "Once upon a time.") is half
    await until(lambda: not bot.desk._replies)
    assert direct.bot_messages() == [half]
    assert not await bot.store.untold("discord")


async def test_global_flood_control(bot: RunningBot) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    bot.server.fail("POST", "/channels/*/messages", Flood(0.05, global_=True), Flood(0.05, global_=True))
    await direct.say(ada, "hello")
    answer = await bot.answer(direct, "ok")
    assert direct.bot_messages() == [answer]


async def test_a_deleted_answer_is_not_written_again(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    held = model.say("Once ", "upon a time.", hold=True)
    await direct.say(ada, "a story")
    await direct.delete(await bot.says(direct, "Once"))
    held.release()
    await until(lambda: not bot.desk._replies)
    assert not direct.bot_messages()
    assert not await bot.store.untold("discord")


async def test_the_bot_is_kicked_and_invited_again(bot: RunningBot, model: FakeModel) -> None:
    guild, ada = bot.server.guild("home"), bot.server.user("Ada")
    general, direct = guild.channel("general"), bot.server.dm(ada)
    held = model.say("Once ", "upon a time.", hold=True)
    await general.say(ada, f"{bot.server.bot.mention} a story")
    await bot.says(general, "Once")
    guild.kick_bot()
    held.release()
    await until(lambda: not bot.desk._replies)
    assert await bot.store.closed_chats("discord") == {str(general.id)}
    await direct.say(ada, "hello")
    await bot.answer(direct, "ok")
    guild.invite_bot()
    await general.say(ada, f"{bot.server.bot.mention} hello again")
    await bot.answer(general, "ok", 1)
    assert not await bot.store.closed_chats("discord")


async def test_a_deleted_channel(bot: RunningBot, model: FakeModel) -> None:
    general, ada = bot.server.guild("home").channel("general"), bot.server.user("Ada")
    held = model.say("Once ", "upon a time.", hold=True)
    await general.say(ada, f"{bot.server.bot.mention} a story")
    await bot.says(general, "Once")
    general.remove()
    held.release()
    await until(lambda: not bot.desk._replies)
    assert not await bot.store.untold("discord")


# --- Where it answers, and what goes along ---


async def test_threads_of_the_bot_also_those_that_it_meets_later(
    server: DiscordServer, model: FakeModel, settings: Settings
) -> None:
    guild, ada = server.guild("home"), server.user("Ada")
    own = guild.channel("own")
    there = for_discord(settings, server, own_chats=(f"discord:chat:{own.id}",))
    async with bot_on(server, there, model.url) as bot:
        general = guild.channel("general")
        ours, theirs = guild.thread(general, server.bot), guild.thread(general, ada)
        for channel in (theirs, general, own, ours):
            await channel.say(ada, "nobody is mentioned")
        for channel in (own, ours):
            await bot.answer(channel, "ok")
            assert await bot.store.newest(address(channel)) is not None
        assert not theirs.bot_messages()
        assert not general.bot_messages()
        assert len(model.chats) == 2


async def test_a_file_that_discord_does_not_hand_out_is_named(bot: RunningBot) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    bot.server.fail("GET", "/attachments/*", *[Status(404)] * 9)
    await direct.say(ada, "what is this?", files=[FILE])
    said = await bot.says(direct, "photo.png")
    assert "could not be fetched" in said.content
    assert "http" not in said.content
    assert "/attachments/" not in said.content


async def test_text_files_are_read(bot: RunningBot, model: FakeModel) -> None:
    general, ada = bot.server.guild("home").channel("general"), bot.server.user("Ada")
    notes = ("notes.md", "# Größe\n\nalpha beta".encode(), "text/markdown")
    await general.say(ada, f"{bot.server.bot.mention} sum up", files=[notes, FILE])
    await bot.answer(general, "ok")
    words, pictures = asked(model)
    assert pictures == 1
    assert all(part in words for part in ("sum up", "notes.md", "# Größe\n\nalpha beta"))


async def test_forwarded_messages_in_groups(bot: RunningBot, model: FakeModel) -> None:
    guild, ada = bot.server.guild("home"), bot.server.user("Ada")
    general, own = guild.channel("general"), guild.thread(guild.channel("other"), bot.server.bot)
    source = await general.say(bot.server.user("Bob"), "my cat", files=[FILE])
    await general.say(ada, forward_of=source)
    await own.say(ada, forward_of=source)
    await bot.answer(own, "ok")
    assert asked(model) == ("my cat", 1)
    assert not general.bot_messages()


async def test_stickers_are_pictures(bot: RunningBot, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sticker(_request: web.Request) -> web.Response:
        return web.Response(body=PHOTO, content_type="image/png")

    app = web.Application()
    app.router.add_get("/stickers/{name}", sticker)
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    async with TestServer(app) as cdn:
        monkeypatch.setattr("discord.asset.Asset.BASE", str(cdn.make_url("")).rstrip("/"))
        await direct.say(ada, "cute?", sticker="cat")
        await bot.answer(direct, "ok")
    assert asked(model) == ("cute?", 1)


async def test_nobody_is_pinged(bot: RunningBot, model: FakeModel) -> None:
    guild, ada, bob = bot.server.guild("home"), bot.server.user("Ada"), bot.server.user("Bob")
    general = guild.channel("general")
    role = guild.role("everybody")
    loud = f"@everyone @here {bob.mention} <@&{role.id}>"
    for _ in range(3):
        model.say(loud, " again", pause=0.05)
    await general.say(ada, f"{bot.server.bot.mention} shout")
    answer = await bot.answer(general, loud)
    await bot.server.until(lambda: loud in answer.content)
    again = await general.press(ada, answer, action(answer, "again"))
    await general.slash(ada, "ask", {"question": "louder"})
    await bot.answer(general, loud, 1)
    await bot.server.until(lambda: again.responses and not bot.turns.under_way)
    command = await general.slash(ada, "export")
    await bot.server.until(lambda: len(command.answers) == 2)
    await until(lambda: not bot.desk._replies)
    bodies = [body for call in bot.server.calls for body in (call.json, call.json.get("data")) if body and "content" in body]
    assert len(bodies) > 4
    assert all(body["allowed_mentions"]["parse"] == [] for body in bodies)
    for message in general.bot_messages():
        assert (message.pinged.users, message.pinged.roles, message.pinged.everyone) == ([], [], False)


async def test_a_picture_is_shown_in_the_channel(
    server: DiscordServer, model: FakeModel, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Discord] = []
    connect = Discord.run

    async def caught(self: Discord, up: Any) -> None:
        made.append(self)
        await connect(self, up)

    monkeypatch.setattr(Discord, "run", caught)
    direct = server.dm(server.user("Ada"))
    async with bot_on(server, for_discord(settings, server), model.url):
        place = made[0].make_place(address(direct), "")
        await place.send_picture("curve.png", encoded(photo(), "PNG"), "Loss (blue)")
    (shown,) = direct.bot_messages()
    assert (shown.content, [one.upload.name for one in shown.attachments]) == ("Loss (blue)", ["curve.png"])
