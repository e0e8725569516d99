"""Chats that close, move and come back, and what else people send there."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Iterator

import pytest

from bot.settings import Settings
from tests.bot.conftest import empty_database, settings  # noqa: F401  # fixtures
from tests.bot.fake_model import FakeModel
from tests.platforms.telegram_chat import Chat
from tests.platforms.telegram_faults import Drop, Flood
from tests.platforms.telegram_running import Running, on, running
from tests.platforms.telegram_server import TelegramServer


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TelegramServer]:
    """Waits of seconds become short ones; what is waited for stays the same."""
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


# --- Chats that close, move and come back ---


async def test_a_refused_answer_closes_the_chat_for_good(server: TelegramServer, model: FakeModel, settings: Settings) -> None:  # noqa: F811
    ann, bo = server.private(name="Ann"), server.private(name="Bo")

    def calls_for_ann() -> int:
        return sum(call.params.get("chat_id") == ann.id for call in server.calls)

    async with running(server, model, on(server, settings)) as bot:
        held = model.say("Once", " upon a time", hold=True)
        await ann.say(ann.owner, "A story")
        await bot.told(ann, "Once")
        ann.members[server.bot.id] = "kicked"  # before Telegram says so
        held.release()
        held.release()
        await server.until(lambda: not bot.desk._replies)
        assert await bot.store.closed_chats("telegram") == {str(ann.id)}
        assert [message.text for message in ann.bot_messages()] == ["Once"]
    before = calls_for_ann()
    async with running(server, model, on(server, settings)) as bot:
        await bot.answers(bo, bo.owner, "And me?", "You, too.")
        assert calls_for_ann() == before


async def test_a_group_that_throws_the_bot_out_and_takes_it_back(bot: Running, server: TelegramServer) -> None:
    friends = server.group()
    await bot.answers(friends, friends.owner, "@jnana_bot hello", "Hi.")
    await friends.my_chat_member("kicked")
    await server.until(lambda: bot.desk._closed)
    assert await bot.store.closed_chats("telegram") == {str(friends.id)}
    await friends.my_chat_member("member")
    await bot.answers(friends, friends.owner, "@jnana_bot again?", "Again.")
    assert await bot.store.closed_chats("telegram") == set()


async def test_an_answer_follows_a_group_that_moves_while_it_grows(bot: Running, ann: Chat, server: TelegramServer) -> None:
    await bot.answers(ann, ann.owner, "Hello?", "Hi.")  # so that the new group counts its messages otherwise
    group = server.group(basic=True)
    held = bot.model.say("Once", " upon a time", hold=True)
    await group.say(group.owner, "@jnana_bot a story")
    await bot.told(group, "Once")
    new = await group.upgrade()
    held.release()
    answer = await bot.shows(new, "Once upon a time")
    assert new.bot_messages() == [answer]
    await bot.server.until(lambda: not bot.desk._replies)
    bot.model.say("Another one")
    await bot.press(new, group.owner, answer, "again")
    assert await bot.shows(new, "Another one") is answer
    assert new.bot_messages() == [answer]


async def test_another_chat_is_answered_during_a_flood(bot: Running, ann: Chat, server: TelegramServer) -> None:
    bo = server.private(name="Bo")
    server.fail("sendMessage", Flood(4 * 3600), chat_id=ann.id)
    await ann.say(ann.owner, "Hello?")
    await server.until(lambda: any(call.error for call in server.calls_of("sendMessage")))
    await server.until(lambda: not bot.desk.turns.under_way)
    await bot.answers(bo, bo.owner, "Hello?", "Hi.")
    assert ann.bot_messages() == []
    assert sum(call.params["chat_id"] == ann.id for call in server.calls_of("sendMessage")) == 1


async def test_an_answer_that_a_flood_kept_back_is_sent_after_a_restart(
    server: TelegramServer,
    model: FakeModel,
    settings: Settings,  # noqa: F811
) -> None:
    ann = server.private(name="Ann")
    server.fail("sendMessage", Flood(30))
    async with running(server, model, on(server, settings)) as bot:
        model.say("Late.")
        await ann.say(ann.owner, "Hello?")
        await server.until(lambda: any(call.error for call in server.calls_of("sendMessage")))
        await server.until(lambda: not bot.desk.turns.under_way)
        assert ann.bot_messages() == []
    async with running(server, model, on(server, settings)) as bot:
        answer = await bot.shows(ann, "Late.")
        assert ann.bot_messages() == [answer]
        assert bot.questions == ["Hello?"], "it is not thought about again"


async def test_an_edit_whose_answer_is_lost_is_no_second_message(bot: Running, ann: Chat) -> None:
    bot.server.fail("editMessageText", Drop(after=True), Drop(after=True))
    held = bot.model.say("Once", " upon a time", hold=True)
    await ann.say(ann.owner, "A story")
    await bot.told(ann, "Once")
    held.release()
    answer = await bot.shows(ann, "Once upon a time")
    await bot.server.until(lambda: not bot.desk._replies)
    assert ann.bot_messages() == [answer]


# --- What else people send ---


async def test_forget_that_is_thought_better_of(bot: Running, server: TelegramServer) -> None:
    friends, stranger = server.group(), server.person("Stranger")
    await bot.answers(friends, friends.owner, "@jnana_bot hello", "Hi.")
    await friends.say(friends.owner, "/forget")
    question = await bot.told(friends, "deletes everything")
    asked = question.text
    for verb in ("forget", "keep"):
        assert (await bot.press(friends, stranger, question, verb)).text == "This button is not yours."
    assert question.text == asked
    await bot.press(friends, friends.owner, question, "keep")
    assert question.text == "Nothing was deleted."
    assert question.buttons == []
    assert await bot.store.export("telegram", str(friends.owner.id))


async def test_export_of_somebody_whom_the_bot_cannot_write_to(bot: Running, server: TelegramServer) -> None:
    friends = server.group()
    await friends.say(friends.owner, "/export")
    told = await bot.told(friends, "I could not write to you privately.")
    assert told.chat is friends
    assert not [message for message in friends.bot_messages() if message.file]


async def test_the_export_is_a_document_in_the_private_chat(bot: Running, ann: Chat) -> None:
    await bot.answers(ann, ann.owner, "A secret", "Kept.")
    await ann.say(ann.owner, "/export")
    document = await bot.told(ann, "everything that I keep about you")
    assert document.content["document"]["file_name"] == "jnana-export.zip"
    assert document.file is not None
    with zipfile.ZipFile(io.BytesIO(document.file.data)) as packed:
        assert any(b"A secret" in packed.read(name) for name in packed.namelist())


async def test_answers_are_in_the_language_that_is_set(bot: Running, ann: Chat) -> None:
    await ann.say(ann.owner, "/settings language de")
    await bot.told(ann, "Erledigt.")
    held = bot.model.say("Es war", " einmal", hold=True)
    await ann.say(ann.owner, "Ein Märchen")
    growing = await bot.told(ann, "Es war")
    assert (await bot.press(ann, ann.owner, growing, "stop")).text == "Ich höre auf."
    await bot.shows(ann, "(abgebrochen)")
    held.release()


async def test_commands_for_another_bot_are_left_alone(bot: Running, server: TelegramServer) -> None:
    friends = server.group()
    for command in ("help", "reset", "ask Who?", "forget", "export"):
        name, _, rest = command.partition(" ")
        await friends.say(friends.owner, f"/{name}@other_bot {rest}".strip())
    await bot.answers(friends, friends.owner, "/ask@jnana_bot Who?", "Me.")
    assert [message.text for message in friends.bot_messages()] == ["Me."]
    assert len(bot.questions) == 1


@pytest.mark.parametrize("hidden", [True, False])
async def test_what_is_forwarded_is_a_question(bot: Running, ann: Chat, hidden: bool) -> None:
    source = True if hidden else bot.server.person("Bo")
    bot.model.say("Nine.")
    forwarded = await ann.say(ann.owner, "What is 3 times 3?", forward=source)
    await bot.shows(ann, "Nine.")
    await bot.answers(ann, ann.owner, "And twice that?", "Eighteen.", reply_to=forwarded)
    assert bot.questions == ["What is 3 times 3?", "> What is 3 times 3?\n\nAnd twice that?"]


async def test_a_text_file_is_read(bot: Running, ann: Chat) -> None:
    bot.model.say("About tea.")
    await ann.document(ann.owner, "notes.txt", "Grüner Tee <b>".encode(), "text/plain", "What is this about?")
    await bot.shows(ann, "About tea.")
    (question,) = bot.questions
    assert all(words in question for words in ("notes.txt", "Grüner Tee <b>", "What is this about?"))
    await ann.document(ann.owner, "program.bin", bytes(range(256)), "application/octet-stream", "And this?")
    await bot.told(ann, "program.bin")
    assert len(bot.questions) == 1
