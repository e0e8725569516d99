"""The loopback Telegram, driven by the real python-telegram-bot: it delivers, and it refuses, as Telegram does."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import telegram
from aiohttp import web
from PIL import Image
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters, Update
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter
from telegram.ext import Application, ApplicationBuilder, TypeHandler

from tests.platforms.telegram.faults import Drop, Flood, Status
from tests.platforms.telegram.server import TelegramServer
from tests.platforms.telegram.text import units, visible

BUTTONS = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again")]])


def picture(width: int = 200, height: int = 100) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


def bot_of(server: TelegramServer, token: str | None = None) -> telegram.Bot:
    return telegram.Bot(token or server.token, base_url=f"{server.url}/bot", base_file_url=f"{server.url}/file/bot")


@pytest.fixture
async def bot(server: TelegramServer) -> AsyncIterator[telegram.Bot]:
    async with bot_of(server) as bot:
        yield bot


@asynccontextmanager
async def polling(server: TelegramServer, **options: Any) -> AsyncIterator[list[Update]]:
    """A real application that polls; yields the updates it has seen."""
    seen: list[Update] = []

    async def see(update: Update, _context: object) -> None:
        seen.append(update)

    app: Application[Any, Any, Any, Any, Any, Any] = ApplicationBuilder().bot(bot_of(server)).build()
    app.add_handler(TypeHandler(Update, see))
    async with app:
        assert app.updater is not None
        await app.updater.start_polling(**options)
        await app.start()
        yield seen
        await app.updater.stop()
        await app.stop()


async def test_the_bot_is_told_who_it_is_and_whether_it_reads_all() -> None:
    async with TelegramServer(reads_all=False) as server, bot_of(server) as bot:
        me = await bot.get_me()
        assert (me.username, me.can_read_all_group_messages) == ("jnana_bot", False)


async def test_a_wrong_token_is_refused(server: TelegramServer) -> None:
    with pytest.raises(InvalidToken):
        await bot_of(server, "1:other").initialize()


async def test_polling_brings_texts_photos_and_voices_and_their_files(server: TelegramServer) -> None:
    chat, data = server.private(name="Ann", language_code="de"), picture()
    async with polling(server) as seen:
        await chat.say(chat.owner, "/start 🙂 @jnana_bot")
        await chat.photo(chat.owner, data, "look")
        await chat.voice(chat.owner, b"ogg", 3)
        await server.until(lambda: len(seen) == 3)
        text, photo, voice = (update.effective_message for update in seen)
        assert text is not None
        assert text.from_user is not None
        assert photo is not None
        assert voice is not None
        assert voice.voice is not None
        assert text.from_user.language_code == "de"
        assert list(text.parse_entities().values()) == ["/start", "@jnana_bot"]
        assert (photo.caption, [size.width for size in photo.photo]) == ("look", [90, 200])
        assert bytes(await (await photo.photo[-1].get_file()).download_as_bytearray()) == data
        assert voice.voice.duration == 3
        assert bytes(await (await voice.voice.get_file()).download_as_bytearray()) == b"ogg"
    assert not server.updates.pending


async def test_every_kind_of_message_parses(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    ann = chat.owner
    asked = await chat.say(ann, "first", forward=server.person("Bob"))
    await chat.document(ann, "a.txt", b"words", "text/plain", reply_to=asked)
    await chat.audio(ann, b"mp3", 60)
    await chat.video(ann, b"mp4", 5)
    await chat.video_note(ann, b"mp4", 6)
    await chat.sticker(ann, b"tgs", animated=True)
    await chat.edit(ann, asked, "second")
    forwarded, document, audio, video, note, sticker, edited = await bot.get_updates()
    assert isinstance(forwarded.message.forward_origin, telegram.MessageOriginUser)
    assert document.message.document.file_name == "a.txt"
    assert document.message.reply_to_message.text == "first"
    assert (audio.message.audio.duration, video.message.video.duration, note.message.video_note.duration) == (60, 5, 6)
    assert sticker.message.sticker.is_animated
    assert edited.edited_message.text == "second"
    assert edited.edited_message.edit_date is not None


async def test_an_album_is_separate_updates_with_one_caption(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    await chat.photo(chat.owner, picture(), "both", album_id="7")
    await chat.photo(chat.owner, picture(), album_id="7")
    messages = [update.message for update in await bot.get_updates()]
    assert [(message.media_group_id, message.caption) for message in messages] == [("7", "both"), ("7", None)]


async def test_a_file_over_the_limit_cannot_be_fetched(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    message = await chat.document(chat.owner, "film.mp4", b"x", "video/mp4", size=21 * 1024 * 1024)
    assert message.file is not None
    with pytest.raises(BadRequest, match="File is too big"):
        await bot.get_file(message.file.id)


async def test_updates_stay_until_they_are_acknowledged(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    await chat.say(chat.owner, "one")
    first = (await bot.get_updates())[0]
    assert (await bot.get_updates())[0].update_id == first.update_id
    assert not await bot.get_updates(offset=first.update_id + 1)


async def test_html_becomes_visible_text_and_edits_are_kept(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    sent = await bot.send_message(chat.id, "🙂 <b>bold <i>both</i></b> &lt;", parse_mode="HTML", reply_markup=BUTTONS)
    assert chat.last.text == "🙂 bold both <"
    assert [(entity.type, sent.parse_entity(entity)) for entity in sent.entities] == [("bold", "bold both"), ("italic", "both")]
    await bot.edit_message_text("new", chat.id, sent.message_id)
    assert ([edit.text for edit in chat.last.edits], chat.last.buttons) == (["new"], [])
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_text("new", chat.id, sent.message_id)
    await bot.edit_message_reply_markup(chat.id, sent.message_id, reply_markup=BUTTONS)
    assert chat.last.buttons[0]["text"] == "Again"
    await bot.delete_message(chat.id, sent.message_id)
    assert chat.messages[0].deleted
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("newer", chat.id, sent.message_id)


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ("<b>open", "find end tag"),
        ("<b><i>crossed</b></i>", "Unmatched end tag"),
        ("</b>", "Unexpected end tag"),
        ("<h1>no</h1>", "Unsupported start tag"),
        ("a < b", "Unsupported start tag"),
        ("<b", "Unclosed start tag"),
        ("<span>x</span>", "must have class"),
    ],
)
async def test_broken_html_is_refused(server: TelegramServer, bot: telegram.Bot, html: str, complaint: str) -> None:
    with pytest.raises(BadRequest, match=f"(?i){complaint}"):
        await bot.send_message(server.private().id, html, parse_mode="HTML")


def test_code_keeps_its_language_and_white_space_is_cut() -> None:
    text, entities = visible('\n<pre><code class="language-py">x &lt; 1</code></pre> \n', "HTML", [])
    assert (text, entities) == ("x < 1", [{"type": "pre", "offset": 0, "length": 5, "language": "py"}])


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ({"text": "😀" * 2049}, "Message is too long"),
        ({"text": "<b> </b>", "parse_mode": "HTML"}, "Message text is empty"),
        (
            {"text": "x", "reply_markup": InlineKeyboardMarkup([[InlineKeyboardButton("x", callback_data="ü" * 33)]])},
            "(?i)data",
        ),
        ({"text": "x", "reply_parameters": ReplyParameters(99)}, "Message to be replied not found"),
        ({"text": "x", "message_thread_id": 99}, "Message thread not found"),
        ({"text": "x", "chat_id": 1}, "Chat not found"),
    ],
)
async def test_what_telegram_refuses(server: TelegramServer, bot: telegram.Bot, what: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        await bot.send_message(**{"chat_id": server.private().id, **what})
    assert server.calls[-1].error


async def test_the_limit_counts_what_is_visible(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    gone = ReplyParameters(99, allow_sending_without_reply=True)
    await bot.send_message(chat.id, f"<b>{'😀' * 2048}</b>", parse_mode="HTML", reply_parameters=gone)
    assert units(chat.last.text) == 4096


async def test_documents_photos_drafts_actions_and_reactions_arrive(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    heard = await chat.say(chat.owner, "123")
    await bot.send_document(chat.id, b"words", filename="a.md", caption="all of it")
    await bot.send_photo(chat.id, picture())
    await bot.send_chat_action(chat.id, "typing")
    await bot.send_message_draft(chat.id, 1, "half an ans")
    await bot.set_message_reaction(chat.id, heard.id, "👀")
    document, photo = chat.bot_messages()
    assert document.file is not None
    assert (document.file.data, document.text, document.content["document"]["file_name"]) == (b"words", "all of it", "a.md")
    assert photo.content["photo"][-1]["width"] == 200
    assert (chat.actions[0][1], chat.drafts[0].text, chat.reactions) == ("typing", "half an ans", {heard.id: ["👀"]})
    with pytest.raises(BadRequest):
        await bot.send_message_draft(server.group().id, 1, "x")


async def test_faults_meet_the_next_calls(server: TelegramServer, bot: telegram.Bot) -> None:
    chat, other = server.private(), server.private()
    server.fail("sendMessage", Flood(7), Status(502), Drop(), Drop(after=True), chat_id=chat.id)
    await bot.send_message(other.id, "free")
    with pytest.raises(RetryAfter) as flood:
        await bot.send_message(chat.id, "1")
    assert flood.value._retry_after.total_seconds() == 7
    for text in ("2", "3", "4"):
        with pytest.raises(NetworkError):
            await bot.send_message(chat.id, text)
    await bot.send_message(chat.id, "5")
    assert [message.text for message in chat.messages] == ["4", "5"]


async def test_blocked_kicked_and_upgraded_chats_refuse(server: TelegramServer, bot: telegram.Bot) -> None:
    private, group, old = server.private(), server.group(), server.group(basic=True)
    await private.my_chat_member("kicked")
    await group.my_chat_member("kicked")
    new = await old.upgrade()
    for chat, words in ((private, "blocked by the user"), (group, "kicked from the supergroup")):
        with pytest.raises(Forbidden, match=words):
            await bot.send_message(chat.id, "x")
    with pytest.raises(ChatMigrated) as migrated:
        await bot.send_message(old.id, "x")
    assert migrated.value.new_chat_id == new.id
    blocked, _, to, back = await bot.get_updates()
    assert blocked.my_chat_member.new_chat_member.status == "kicked"
    assert (to.message.migrate_to_chat_id, back.message.migrate_from_chat_id) == (new.id, old.id)


async def test_a_button_is_pressed_and_answered_once(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    await bot.send_message(chat.id, "?", reply_markup=BUTTONS)
    press = await chat.press(chat.owner, chat.last, "Again")
    query = (await bot.get_updates())[0].callback_query
    assert query.data == "again"
    await query.answer("done", show_alert=True)
    assert (await press.answered()).text == "done"
    old = await chat.press(chat.owner, chat.last, "again")
    old.expire()
    for gone in (press, old):
        with pytest.raises(BadRequest, match="Query is too old"):
            await bot.answer_callback_query(gone.id)


async def test_two_pollers_are_in_conflict(server: TelegramServer, bot: telegram.Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=30))
    await server.until(lambda: server.calls_of("getUpdates"))
    async with bot_of(server) as other:
        assert not await other.get_updates(timeout=0)
    with pytest.raises(Conflict):
        await first
    await server.kick_poller()
    with pytest.raises(Conflict):
        await bot.get_updates()


async def test_silence_holds_the_answer_back(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.private()
    server.silence()
    poll = asyncio.create_task(bot.get_updates(timeout=0))
    await server.until(lambda: server.calls_of("getUpdates"))
    await chat.say(chat.owner, "anybody there?")
    await asyncio.sleep(0.05)
    assert not poll.done()
    server.speak()
    assert (await poll)[0].message.text == "anybody there?"


async def test_a_webhook_gets_updates_with_its_secret(server: TelegramServer, bot: telegram.Bot) -> None:
    got: list[tuple[str | None, str]] = []

    async def hook(request: web.Request) -> web.Response:
        body = await request.json()
        got.append((request.headers.get("X-Telegram-Bot-Api-Secret-Token"), body["message"]["text"]))
        return web.Response(status=500 if len(got) == 1 else 200)

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await bot.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", secret_token="quiet")
    chat = server.private()
    await chat.say(chat.owner, "knock")
    await server.until(lambda: len(got) == 2)
    assert set(got) == {("quiet", "knock")}
    assert "500" in ((await bot.get_webhook_info()).last_error_message or "")
    with pytest.raises(Conflict):
        await bot.get_updates()
    await bot.delete_webhook()
    await runner.cleanup()
    assert not await bot.get_updates()


async def test_privacy_mode_hides_what_is_not_meant_for_the_bot() -> None:
    async with TelegramServer(reads_all=False) as server, bot_of(server) as bot:
        chat, bob = server.group(), server.person("Bob")
        await bot.send_message(chat.id, "Hello")
        await chat.say(bob, "among us")
        await chat.say(bob, "/help")
        await chat.say(bob, "/help@other_bot")
        await chat.say(bob, "and you", reply_to=chat.last)
        await chat.say(bob, "what of @jnana_bot?")
        await chat.my_chat_member("administrator")
        await chat.say(bob, "an admin hears all")
        texts = [update.message.text for update in await bot.get_updates() if update.message]
        assert texts == ["/help", "and you", "what of @jnana_bot?", "an admin hears all"]


async def test_messages_of_a_topic_answer_the_topic(server: TelegramServer, bot: telegram.Bot) -> None:
    chat = server.group(forum=True)
    thread = await chat.topic("Cats")
    await chat.say(chat.owner, "miaow", topic=thread)
    message = (await bot.get_updates())[-1].message
    assert message.is_topic_message
    assert message.reply_to_message.forum_topic_created.name == "Cats"
    await message.reply_text("purr")
    assert chat.last.thread == thread
    chat.delete_topic(thread)
    with pytest.raises(BadRequest, match="thread not found"):
        await bot.send_message(chat.id, "x", message_thread_id=thread)


async def test_groups_members_and_commands_are_known(server: TelegramServer, bot: telegram.Bot) -> None:
    chat, bob = server.group("Cats"), server.person("Bob")
    chat.promote(bob)
    assert (await bot.get_chat(chat.id)).title == "Cats"
    assert {admin.user.first_name for admin in await bot.get_chat_administrators(chat.id)} == {"Olga", "Bob"}
    assert (await bot.get_chat_member(chat.id, bob.id)).status == "administrator"
    await bot.set_my_commands([("help", "Hilfe")], language_code="de", scope=telegram.BotCommandScopeAllPrivateChats())
    assert server.commands["all_private_chats", "de"] == [{"command": "help", "description": "Hilfe"}]
    await bot.leave_chat(chat.id)
    with pytest.raises(Forbidden, match="not a member"):
        await bot.send_message(chat.id, "x")


async def test_reactions_of_people_come_to_bots_that_ask(server: TelegramServer) -> None:
    chat = server.private()
    async with polling(server, allowed_updates=["message_reaction"]) as seen:
        await server.until(lambda: server.calls_of("getUpdates"))
        await chat.react(chat.owner, await chat.say(chat.owner, "not asked for"), "👍")
        await server.until(lambda: seen)
    assert [update.message_reaction is not None for update in seen] == [True]


async def test_until_fails_with_all_that_was_said(server: TelegramServer) -> None:
    chat = server.private()
    await chat.say(chat.owner, "hello?")
    with pytest.raises(AssertionError, match=r"hello\?"):
        await server.until(lambda: chat.bot_messages(), timeout=0)
