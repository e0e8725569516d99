"""Chats that close, move and come back, and what else people send there."""

from __future__ import annotations

import io
import zipfile

import pytest

from bot.settings import Settings
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, photo
from tests.platforms.telegram.chat import Chat
from tests.platforms.telegram.running import Running, actions, address, running
from tests.platforms.telegram.server import TelegramServer

# --- Chats that close, move and come back ---


async def test_a_refused_answer_closes_the_chat_for_good(server: TelegramServer, model: FakeModel, home: Settings) -> None:
    ann, bo = server.private(name="Ann"), server.private(name="Bo")

    def calls_for_ann() -> int:
        return sum(call.params.get("chat_id") == ann.id for call in server.calls)

    async with running(server, model, home) as bot:
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
    async with running(server, model, home) as bot:
        await bot.answers(bo, bo.owner, "And me?", "You, too.")
        assert calls_for_ann() == before


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


async def test_a_group_that_throws_the_bot_out_and_takes_it_back(bot: Running, server: TelegramServer) -> None:
    friends = server.group()
    await bot.answers(friends, friends.owner, "@jnana_bot hello", "Hi.")
    await friends.my_chat_member("kicked")
    await server.until(lambda: bot.desk._closed)
    assert await bot.store.closed_chats("telegram") == {str(friends.id)}
    await friends.my_chat_member("member")
    await bot.answers(friends, friends.owner, "@jnana_bot again?", "Again.")
    assert await bot.store.closed_chats("telegram") == set()


async def test_a_group_that_becomes_a_supergroup_keeps_its_memory(bot: Running, server: TelegramServer) -> None:
    group = server.group(basic=True)
    await bot.answers(group, group.owner, "@jnana_bot I like tea", "Noted.")
    new = await group.upgrade()
    await bot.answers(new, group.owner, "@jnana_bot What do I like?", "Tea.")
    assert any("I like tea" in str(content) for _, content in bot.model.prompt())


async def test_a_deleted_topic_does_not_close_its_group(bot: Running, server: TelegramServer) -> None:
    forum = server.group(forum=True)
    cats, dogs = await forum.topic("Cats"), await forum.topic("Dogs")
    held = bot.model.say("Once", " upon a time", hold=True)
    await forum.say(forum.owner, "@jnana_bot a story", topic=cats)
    await held.wait_begun()
    forum.delete_topic(cats)
    held.release()
    await server.until(lambda: not bot.desk._replies)
    assert await bot.store.closed_chats("telegram") == set()
    await bot.answers(forum, forum.owner, "@jnana_bot hello", "Hi.", topic=dogs)


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


# --- Privacy, language ---


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


# --- What else people send ---


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


async def test_import_of_a_document_and_its_list_in_private(bot: Running, server: TelegramServer) -> None:
    group = server.group()
    good = '{"conversations": [{"from": "human", "value": "Whose badge?"}, {"from": "gpt", "value": "Ours."}]}\n'
    data, kind = (good + "{}\n" * 6).encode(), "application/json"
    await group.document(server.person("Bo"), "club.jsonl", data, kind, "/teach@jnana_bot import")
    await bot.told(group, "Only admins")
    await group.document(group.owner, "club.jsonl", data, kind, "/teach import")
    done = await bot.told(group, "1 taken, 0 I had already, 6 could not be used")
    await bot.told(group, "could not send you the whole list privately")
    await bot.press(group, group.owner, done, "teaching-yes")
    assert [one.answer for one in await bot.store.usable(f"telegram:chat:{group.id}")] == ["Ours."]
    private = server.private(group.owner.id)
    await group.document(group.owner, "club.jsonl", data, kind, "/teach import")
    await bot.told(group, "0 taken, 1 I had already, 6 could not be used")
    listed = await bot.server.until(lambda: next((m for m in private.bot_messages() if m.file), None))
    assert listed.file is not None
    assert "Record 7: this is no conversation" in listed.file.data.decode()


async def test_a_picture_is_shown_in_the_topic_that_it_is_for(bot: Running, server: TelegramServer) -> None:
    friends = server.group()
    data = encoded(photo(), "PNG")
    await bot.telegram._place(address(friends), "").send_picture("curve.png", data, "Loss (**blue**)")
    (call,) = server.calls_of("sendPhoto")
    assert call.params["chat_id"] == friends.id
    assert friends.bot_messages()[-1].text == "Loss (blue)"
