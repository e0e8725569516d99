"""The loopback Discord, driven with the real discord.py."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from .client import Bot, all_intents, running, soon
from .server import DiscordServer, Drop, Flood, Status

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as server:
        monkeypatch.setattr(Route, "BASE", server.api)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway))
        yield server


async def test_a_client_logs_in_and_knows_the_guild(server: DiscordServer) -> None:
    guild = server.guild("home")
    channel = guild.channel("general")
    thread = guild.thread(channel, server.user("Ada"), "plans")
    guild.member(server.user("Eve"), administrator=True)
    async with running(server) as bot:
        assert bot.user is not None
        assert bot.user.id == server.bot.id
        home = bot.get_guild(guild.id)
        assert home is not None
        assert [c.name for c in home.text_channels] == ["general"]
        assert [t.id for t in home.threads] == [thread.id]
        assert server.identifies[0].intents == all_intents().value


async def test_a_wrong_token_is_refused(server: DiscordServer) -> None:
    bot = Bot(all_intents())
    with pytest.raises(discord.LoginFailure):
        await bot.start("wrong")
    await bot.close()


async def test_a_file_is_read_back_and_an_answer_seen(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    ada = server.user("Ada")
    async with running(server) as bot:
        question = await channel.say(ada, "what is this?", files=[("dot.png", PNG, "image/png")])
        await soon(lambda: bot.heard)
        attachment = bot.heard[0].attachments[0]
        assert (attachment.width, attachment.content_type, attachment.size) == (1, "image/png", len(PNG))
        assert await attachment.read() == PNG
        async with bot.heard[0].channel.typing():
            answer = await bot.heard[0].reply("thinking", embed=discord.Embed(title="t"))
        await answer.edit(content="a dot", embed=None)
        sent = (await server.until(channel.bot_messages))[0]
        assert (sent.content, sent.reply_to, len(sent.edits)) == ("a dot", question, 1)
        assert sent.pinged.users == [ada]
        assert len(channel.typing) == 1
        server.fail("GET", "/attachments/*", Status(404))
        with pytest.raises(discord.NotFound):
            await attachment.read()


async def test_voice_forwarded_and_huge_messages(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    ada = server.user("Ada")
    async with running(server) as bot:
        await channel.say(ada, voice=(b"OggS", 3.5))
        picture = await channel.say(ada, "look", files=[("dot.png", PNG, "image/png", 1 << 30)])
        await channel.say(ada, forward_of=picture)
        await soon(lambda: len(bot.heard) == 3)
        voice, huge, forwarded = bot.heard
        assert voice.flags.voice
        assert voice.attachments[0].is_voice_message()
        assert huge.attachments[0].size == 1 << 30
        assert forwarded.message_snapshots[0].content == "look"
        assert forwarded.message_snapshots[0].attachments[0].filename == "dot.png"


async def test_what_discord_refuses(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    question = await channel.say(server.user("Ada"), "hi")
    async with running(server) as bot:
        place = bot.get_channel(channel.id)
        assert isinstance(place, discord.TextChannel)

        async def code(action: Awaitable[object]) -> int:
            with pytest.raises(discord.HTTPException) as caught:
                await action
            return caught.value.code

        assert await code(place.send("x" * 2001)) == 50035
        assert await code(place.send(" ")) == 50006
        assert await code(place.fetch_message(1)) == 10008
        assert await code(bot.fetch_channel(1)) == 10003
        theirs = await place.fetch_message(question.id)
        assert await code(theirs.edit(content="mine")) == 50005
        assert await code(theirs.delete()) == 50013
        assert await code(place.send(file=discord.File(io.BytesIO(bytes(10 * 1024 * 1024 + 1)), "big.bin"))) == 40005
        channel.deny("add_reactions")
        assert await code(theirs.add_reaction("👍")) == 50013
        channel.deny("send")
        assert await code(place.send("hello")) == 50013
        await soon(lambda: not place.permissions_for(place.guild.me).send_messages)
        channel.deny("view")
        assert await code(place.send("hello")) == 50001
        assert not channel.bot_messages()


class Panel(discord.ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.add_item(discord.ui.Button(label="Again", custom_id="again"))


async def test_a_button_and_its_second_acknowledgement(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    ada = server.user("Ada")
    assert channel.guild is not None
    channel.guild.member(ada)
    async with running(server) as bot:
        place = bot.get_channel(channel.id)
        assert isinstance(place, discord.TextChannel)
        await place.send("done", view=Panel())
        press = await channel.press(ada, channel.bot_messages()[0], "again")
        await soon(lambda: bot.clicked)
        clicked = bot.clicked[0]
        assert clicked.user.id == ada.id
        with pytest.raises(discord.NotFound) as caught:
            await clicked.followup.send("too early")
        assert caught.value.code == 10015
        await clicked.response.defer(ephemeral=True, thinking=True)
        assert press.response_type == 5
        assert not press.answers
        clicked.response._response_type = None  # the library's own guard
        with pytest.raises(discord.HTTPException) as twice:
            await clicked.response.defer()
        assert twice.value.code == 40060
        await clicked.followup.send("private", ephemeral=True)
        assert [(m.content, m.ephemeral) for m in press.answers] == [("private", True)]
        assert len(channel.bot_messages()) == 1
        await clicked.edit_original_response(content="changed")
        assert press.answers[0].content == "changed"
        server.expire_token(press)
        with pytest.raises(discord.HTTPException) as late:
            await clicked.followup.send("late")
        assert late.value.code == 50027

        await channel.press(ada, channel.bot_messages()[0], "again")
        await soon(lambda: len(bot.clicked) == 2)
        await bot.clicked[1].response.edit_message(content="pressed", view=None)
        assert (channel.bot_messages()[0].content, channel.bot_messages()[0].components) == ("pressed", [])


async def test_a_late_first_response(server: DiscordServer) -> None:
    ada = server.user("Ada")
    direct = server.dm(ada)
    async with running(server) as bot:
        person = await bot.fetch_user(ada.id)
        await person.send("hello", view=Panel())
        press = await direct.press(ada, direct.bot_messages()[0], "again")
        server.expire(press)
        await soon(lambda: bot.clicked)
        with pytest.raises(discord.NotFound) as caught:
            await bot.clicked[0].response.send_message("late")
        assert caught.value.code == 10062
        assert not press.responses
        ada.accepts_dms = False
        with pytest.raises(discord.Forbidden) as closed:
            await person.send("hello?")
        assert closed.value.code == 50007


class Form(discord.ui.Modal, title="Persona"):
    text = discord.ui.TextInput[Any](label="Text", custom_id="text")

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.send_message(f"set: {self.text.value}")


async def test_commands_with_a_file_a_menu_and_a_modal(server: DiscordServer) -> None:
    guild = server.guild("home")
    channel, ada = guild.channel("general"), server.user("Ada", locale="de")
    guild.member(ada)
    async with running(server) as bot:

        @bot.tree.command(description="Ask")
        async def ask(interaction: discord.Interaction[Any], text: str, image: discord.Attachment, who: discord.User) -> None:
            await interaction.response.defer()
            size = len(await image.read())
            await interaction.followup.send(f"{text} {size} {who.name} {interaction.locale}")

        @bot.tree.context_menu(name="Describe picture")
        async def describe(interaction: discord.Interaction[Any], message: discord.Message) -> None:
            await interaction.response.send_message(message.content, ephemeral=True)

        @bot.tree.command(description="Persona")
        async def persona(interaction: discord.Interaction[Any]) -> None:
            await interaction.response.send_modal(Form())

        await bot.tree.sync()
        assert {command["name"] for command in server.commands} == {"ask", "Describe picture", "persona"}
        asked = await channel.slash(ada, "ask", {"text": "what", "image": ("dot.png", PNG, "image/png"), "who": ada})
        await server.until(lambda: asked.answers)
        assert channel.bot_messages()[0].content == f"what {len(PNG)} Ada de"
        picture = await channel.say(ada, "a picture")
        menu = await channel.context_menu(ada, "Describe picture", picture)
        await server.until(lambda: menu.answers)
        assert (menu.answers[0].content, menu.answers[0].ephemeral) == ("a picture", True)
        opened = await channel.slash(ada, "persona")
        await server.until(lambda: opened.modal)
        submitted = await server.submit_modal(ada, opened, {"text": "kind"})
        await server.until(lambda: submitted.answers)
        assert submitted.answers[0].content == "set: kind"
        with pytest.raises(AssertionError, match="no command 'missing'"):
            await channel.slash(ada, "missing")


async def test_without_the_intent_only_what_concerns_the_bot_is_read(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    ada = server.user("Ada")
    async with running(server, discord.Intents.default()) as bot:
        await channel.say(ada, "secret", files=[("a.txt", b"x", "text/plain")])
        await channel.say(ada, f"{server.bot.mention} open")
        await server.dm(ada).say(ada, "direct")
        await soon(lambda: len(bot.heard) == 3)
        assert [(m.content, len(m.attachments)) for m in bot.heard] == [
            ("", 0),
            (f"{server.bot.mention} open", 0),
            ("direct", 0),
        ]
        assert isinstance(bot.heard[2].channel, discord.DMChannel)
        await bot.heard[2].channel.send("answer")
        assert server.dm(ada).bot_messages()[0].content == "answer"


async def test_a_privileged_intent_that_is_off(server: DiscordServer) -> None:
    server.disallow(discord.Intents(message_content=True).value)
    bot = Bot(all_intents())
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await bot.start(server.token)


@pytest.mark.parametrize("end", ["drop", "reconnect", "resumable"])
async def test_a_session_is_resumed_and_what_was_missed_is_replayed(server: DiscordServer, end: str) -> None:
    channel = server.guild("home").channel("general")
    ada = server.user("Ada")
    ends = {"drop": server.drop_gateway, "reconnect": server.reconnect, "resumable": lambda: server.invalidate(resumable=True)}
    async with running(server) as bot:
        await channel.say(ada, "before")
        await soon(lambda: bot.heard)
        ends[end]()
        await channel.say(ada, "meanwhile")
        await server.until(lambda: server.resumes and server.connected)
        await channel.say(ada, "after")
        await soon(lambda: len(bot.heard) == 3)
        assert [message.content for message in bot.heard] == ["before", "meanwhile", "after"]
        assert len(server.identifies) == 1


async def test_a_lost_session_begins_anew(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    async with running(server) as bot:
        server.invalidate()
        await server.until(lambda: len(server.identifies) == 2 and server.connected)
        await channel.say(server.user("Ada"), "hello")
        await soon(lambda: bot.heard)


async def test_a_silent_gateway_is_left(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    server.events.heartbeat_interval = 0.05
    async with running(server, heartbeat_timeout=1) as bot:
        server.mute_gateway()
        await channel.say(server.user("Ada"), "anyone?")
        await server.until(lambda: server.resumes)
        await soon(lambda: bot.heard)
        assert bot.heard[0].content == "anyone?"


async def test_floods_and_errors(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    async with running(server) as bot:
        place = bot.get_channel(channel.id)
        assert isinstance(place, discord.TextChannel)
        server.fail("POST", "/channels/*/messages", Flood(0.01), Flood(0.01, global_=True))
        sent = await place.send("hello")
        assert [call.status for call in server.calls if call.method == "POST"] == [429, 429, 200]
        repeated = [await place.send("once", nonce="7") for _ in range(2)]
        assert repeated[0].id == repeated[1].id
        server.fail("PATCH", "/channels/*/messages/*", Status(503), Drop(), Drop(after=True))
        with pytest.raises(discord.DiscordServerError):
            await sent.edit(content="one")
        for text in ("two", "three"):
            with pytest.raises((OSError, discord.DiscordException, aiohttp.ClientError)):
                await sent.edit(content=text)
        assert [edit.content for edit in channel.bot_messages()[0].edits] == ["three"]


async def test_the_bucket_of_a_channel(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    server.rate_limits = True
    headers = {"Authorization": f"Bot {server.token}"}
    url = f"{server.api}/channels/{channel.id}/messages"
    answers = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for number in range(6):
            async with session.post(url, json={"content": str(number)}) as response:
                answers.append((response.status, response.headers["X-RateLimit-Remaining"]))
                last = await response.json()
    assert answers == [(200, "4"), (200, "3"), (200, "2"), (200, "1"), (200, "0"), (429, "0")]
    assert 0 < last["retry_after"] <= 5


async def test_threads_reactions_edits_and_leaving(server: DiscordServer) -> None:
    guild = server.guild("home")
    channel, ada = guild.channel("general"), server.user("Ada")
    async with running(server) as bot:
        message = await channel.say(ada, "hi")
        await soon(lambda: bot.heard)
        await channel.react(ada, message, "👍")
        await soon(lambda: bot.reactions)
        await bot.heard[0].add_reaction("🎉")
        assert channel.reactions == [(message, "👍", ada), (message, "🎉", server.bot)]
        await bot.heard[0].remove_reaction("🎉", discord.Object(server.bot.id))
        thread = await bot.heard[0].create_thread(name="more")
        await thread.send("in here")
        channel.deny("send_in_threads")
        with pytest.raises(discord.Forbidden):
            await thread.send("not in here")
        assert server.world.channels[thread.id].bot_messages()[0].content == "in here"
        await channel.edit(ada, message, "hello")
        await soon(lambda: bot.heard[0].content == "hello")
        await channel.delete(message)
        await soon(lambda: message.id not in [cached.id for cached in bot.cached_messages])
        channel.remove()
        await soon(lambda: bot.get_channel(channel.id) is None)
        guild.kick_bot()
        await soon(lambda: not bot.guilds)


async def test_waiting_in_vain_says_what_happened(server: DiscordServer) -> None:
    channel = server.guild("home").channel("general")
    await channel.say(server.user("Ada"), "hello")
    with pytest.raises(AssertionError, match="#general Ada: 'hello'"):
        await server.until(channel.bot_messages, timeout=0.01)
