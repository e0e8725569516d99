"""People on Telegram: what is heard, what is for the bot, and how it is answered."""

from __future__ import annotations

import pytest

from bot.chat.pages import utf16_length
from bot.settings import Settings
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, picture, sound
from tests.platforms.telegram.chat import Chat
from tests.platforms.telegram.faults import Drop, Status
from tests.platforms.telegram.messages import Message
from tests.platforms.telegram.running import Running, actions, on, running
from tests.platforms.telegram.server import TelegramServer

RED = encoded(picture(), "JPEG")
BLUE = encoded(picture(colour="blue"), "PNG")


@pytest.fixture
def friends(server: TelegramServer) -> Chat:
    return server.group()


async def album(chat: Chat, files: list[bytes], captions: list[str], name: str = "album-1") -> list[Message]:
    sent = []
    for data, caption in zip(files, captions, strict=True):
        file, sizes = chat.world.store_photo(data)
        sent.append(await chat.send(chat.owner, file, {"photo": sizes}, caption, album_id=name))
    return sent


# --- What is heard ---


async def test_a_private_message_is_answered_with_buttons_and_seen(bot: Running, ann: Chat) -> None:
    answer = await bot.answers(ann, ann.owner, "How are you?", "Quite *well*.", shown="Quite well.")
    assert answer.text == "Quite well."
    assert answer.entities[0]["type"] == "italic"
    assert [action.split(":")[0] for action in actions(answer)] == ["again", "good", "bad"]
    assert answer.reply_to is not None
    assert answer.reply_to.text == "How are you?"
    assert ann.reactions[answer.reply_to.id] == ["👀"]
    assert ann.actions[0][1] == "typing"


async def test_a_photo_is_looked_at(bot: Running, ann: Chat) -> None:
    bot.model.say("Red.")
    await ann.photo(ann.owner, RED, "Which colour?")
    await bot.shows(ann, "Red.")
    assert bot.questions == ["Which colour?"]
    assert bot.pictures() == 1


async def test_a_picture_sent_as_a_document_or_sticker_counts(bot: Running, ann: Chat) -> None:
    bot.model.say("Blue.")
    await ann.document(ann.owner, "sky.png", BLUE, "image/png", "And this?")
    await bot.shows(ann, "Blue.")
    assert bot.pictures() == 1
    bot.model.say("A sticker.")
    await ann.sticker(ann.owner, encoded(picture(), "WEBP"))
    await bot.shows(ann, "A sticker.")


async def test_an_album_is_one_question_with_a_mention_in_one_caption(bot: Running, friends: Chat) -> None:
    bot.model.say("Red and blue.")
    sent = await album(friends, [RED, BLUE, RED], ["", "Colours, @Jnana_Bot?", ""])
    later = await friends.say(friends.owner, "@jnana_bot and now?")
    answer = await bot.shows(friends, "Red and blue.")
    assert answer.reply_to is sent[1]
    assert bot.pictures(0) == 3
    assert bot.questions[0] == "Olga: Colours?"
    assert (await bot.shows(friends, "ok")).reply_to is later
    assert bot.questions[1] == "Olga: and now?"


async def test_what_is_not_meant_for_the_bot_is_left_alone(bot: Running, friends: Chat) -> None:
    await friends.photo(friends.owner, RED)
    await friends.photo(friends.owner, RED, "my wall")
    await album(friends, [RED, BLUE], ["", "walls"])
    await friends.say(friends.owner, "hello @jnana_bot2 and jnana_bot")
    await friends.say(friends.owner, "/ask@other_bot hello")
    await friends.say(friends.owner, "/unknown")
    await friends.send(friends.owner, None, {"contact": {"phone_number": "1", "first_name": "Bo"}})
    await friends.sticker(friends.owner, b"tgs", animated=True)
    await friends.say(bot.server.bot.__class__(77, "Robot", "robot_bot", is_bot=True), "@jnana_bot hello")
    answer = await bot.answers(friends, friends.owner, "@jnana_bot hello", "Here I am.")
    assert [message for message in friends.bot_messages() if message.sender.id != 77] == [answer]
    assert bot.questions == ["Olga: hello"]


async def test_a_mention_in_a_caption_behind_emoji_is_found_and_taken_out(bot: Running, friends: Chat) -> None:
    bot.model.say("Red.")
    await friends.photo(friends.owner, RED, "👨‍👩‍👧 🎨 hey @jnana_bot what is this?")
    await bot.shows(friends, "Red.")
    assert bot.questions == ["Olga: 👨‍👩‍👧 🎨 hey what is this?"]


async def test_a_reply_to_the_bot_is_meant_for_it(bot: Running, friends: Chat) -> None:
    first = await bot.answers(friends, friends.owner, "@jnana_bot one?", "One.")
    await bot.answers(friends, bot.server.person("Bo"), "two?", "Two.", reply_to=first)
    assert bot.questions == ["Olga: one?", "Bo: two?"]


async def test_what_a_mention_replies_to_goes_along(bot: Running, friends: Chat) -> None:
    photo = await friends.photo(friends.owner, RED, "my wall")
    bot.model.say("Red.")
    await friends.say(bot.server.person("Bo"), "@jnana_bot which colour?", reply_to=photo)
    await bot.shows(friends, "Red.")
    assert bot.questions == ["Bo: > my wall\n\nwhich colour?"]
    assert bot.pictures() == 1


async def test_topics_are_conversations_and_their_first_message_is_no_reply(bot: Running, server: TelegramServer) -> None:
    forum = server.group(forum=True)
    theirs = await forum.topic("Cats")
    made = forum.add(Message(forum, 0, server.bot, content={"forum_topic_created": {"name": "Jñāna", "icon_color": 1}}))
    made.thread = made.id
    forum.topics[made.id] = made
    await forum.say(forum.owner, "not for you", topic=theirs)
    mine = await bot.answers(forum, forum.owner, "hello", "In my topic.", topic=made.id)
    other = await bot.answers(forum, forum.owner, "@jnana_bot hello", "In theirs.", topic=theirs)
    assert (mine.thread, other.thread) == (made.id, theirs)
    assert len(bot.model.chats) == 2
    assert len(bot.model.prompt()) == len(bot.model.prompt(0)), "the other topic is not remembered here"


async def test_own_chats_of_the_settings(server: TelegramServer, model: FakeModel, settings: Settings) -> None:
    forum = server.group(forum=True)
    group = server.group()
    topic, other = await forum.topic("Mine"), await forum.topic("Other")
    own = (f"telegram:chat:{forum.id}/{topic}", f"telegram:chat:{group.id}")
    async with running(server, model, on(server, settings, own_chats=own)) as bot:
        await forum.say(forum.owner, "not here", topic=other)
        await bot.answers(forum, forum.owner, "hello", "Topic.", topic=topic)
        await bot.answers(group, group.owner, "hi", "Group.")
        assert bot.questions == ["Olga: hello", "Olga: hi"]


async def test_a_voice_note_is_answered_and_shown_as_heard(bot: Running, ann: Chat) -> None:
    bot.model.hear("What time is it?")
    bot.model.say("Noon.")
    await ann.voice(ann.owner, sound(), 1)
    answer = await bot.shows(ann, "Noon.")
    assert answer.text == "🎙 What time is it?\n\nNoon."
    assert answer.entities[0]["type"] == "blockquote"


async def test_a_file_that_telegram_does_not_hand_out_is_named(bot: Running, ann: Chat) -> None:
    bot.server.download_limit = 10
    await ann.document(ann.owner, "wall.png", BLUE, "image/png", "What is this?")
    answer = await bot.shows(ann, "wall.png")
    assert "20 MB" in answer.text or "19 MB" in answer.text
    assert bot.model.chats == []


async def test_a_download_that_fails_is_tried_again(bot: Running, ann: Chat) -> None:
    bot.server.fail("getFile", Status(502))
    bot.server.fail("file", Drop())
    bot.model.say("Red.")
    await ann.photo(ann.owner, RED, "Colour?")
    await bot.shows(ann, "Red.")


# --- How it is answered ---


async def test_an_answer_grows_and_is_stopped(bot: Running, ann: Chat) -> None:
    held = bot.model.say("Once upon", " a time", hold=True)
    await ann.say(ann.owner, "Tell me a story")
    growing = await bot.shows(ann, "Once upon", ended=False)
    assert [action.split(":")[0] for action in actions(growing)] == ["stop"]
    assert (await bot.press(ann, ann.owner, growing, "stop")).text == "Stopping."
    ended = await bot.shows(ann, "(stopped)")
    assert ended is growing
    assert ended.text == "Once upon\n\n(stopped)"
    held.release()


async def test_again_edits_the_same_message(bot: Running, ann: Chat) -> None:
    answer = await bot.answers(ann, ann.owner, "A number?", "One.")
    bot.model.say("Two.")
    assert (await bot.press(ann, ann.owner, answer, "again")).text == ""
    assert await bot.shows(ann, "Two.") is answer
    assert ann.bot_messages() == [answer]
    bot.model.say("Three.")
    await ann.say(ann.owner, "/regenerate")
    assert await bot.shows(ann, "Three.") is not answer


async def test_a_long_answer_is_split_by_utf16(bot: Running, ann: Chat) -> None:
    long = "😀 " * 2000 + "\n\n```python\n" + "print('x')\n" * 500 + "```\n\nThe end."
    bot.model.say(long)
    await ann.say(ann.owner, "Much, please")
    await bot.shows(ann, "The end.")
    pages = ann.bot_messages()
    assert len(pages) > 2
    assert all(utf16_length(page.text) <= 4096 for page in pages)
    assert [bool(page.buttons) for page in pages] == [False] * (len(pages) - 1) + [True]
    assert sum(page.text.count("😀") for page in pages) == 2000
    assert sum(page.text.count("print('x')") for page in pages) == 500
    assert any(entity.get("language") == "python" for page in pages[1:] for entity in page.entities)


@pytest.mark.parametrize("words", ["**never closed `x", "<b>x</i> & <script>", "[a](javascript:x) </pre>", "> - ```\n> x"])
async def test_strange_markdown_is_shown(bot: Running, ann: Chat, words: str) -> None:
    bot.model.say(words)
    await ann.say(ann.owner, "Strange?")
    await bot.server.until(lambda: [m for m in ann.bot_messages() if m.buttons and len(m.buttons) == 3])
    assert not [call.error for call in bot.server.calls if call.error]


async def test_plain_text_where_telegram_refuses_html(bot: Running, ann: Chat) -> None:
    bot.server.reads_html = False
    answer = await bot.answers(ann, ann.owner, "Hm?", "**so** @someone_else", shown="**so**")
    assert answer.text == "**so** ＠someone_else"
    assert "mention" not in {entity["type"] for entity in answer.entities}


async def test_nobody_is_pinged(bot: Running, ann: Chat) -> None:
    answer = await bot.answers(ann, ann.owner, "Who?", "Ask @someone_else or mail a@b.example.")
    assert "mention" not in {entity["type"] for entity in answer.entities}
    assert "code" in {entity["type"] for entity in answer.entities}


async def test_a_strangers_press_is_refused_and_an_admins_is_not(bot: Running, friends: Chat) -> None:
    asker, stranger, admin = (bot.server.person(name) for name in ("Ann", "Stranger", "Admin"))
    friends.promote(admin)
    held = bot.model.say("Slowly", " on", hold=True)
    await friends.say(asker, "@jnana_bot tell me")
    growing = await bot.shows(friends, "Slowly", ended=False)
    assert "Only the person who asked" in (await bot.press(friends, stranger, growing, "stop")).text
    assert (await bot.press(friends, admin, growing, "stop")).text == "Stopping."
    await bot.shows(friends, "(stopped)")
    held.release()


async def test_a_button_pressed_twice_or_too_late(bot: Running, ann: Chat) -> None:
    held = bot.model.say("Slowly", " on", hold=True)
    await ann.say(ann.owner, "tell me")
    growing = await bot.shows(ann, "Slowly", ended=False)
    stop = actions(growing)[0]
    presses = [await ann.press(ann.owner, growing, stop) for _ in range(2)]
    assert [(await press.answered()).text for press in presses] == ["Stopping.", "This answer has already ended."]
    held.release()
    answer = await bot.shows(ann, "(stopped)")
    late = await ann.press(ann.owner, answer, actions(answer)[1])
    late.expire()
    await bot.answers(ann, ann.owner, "Still there?", "Yes.")


async def test_a_bad_answer_is_asked_about_and_the_better_one_kept(bot: Running, friends: Chat) -> None:
    asker = bot.server.person("Ann")
    answer = await bot.answers(friends, asker, "@jnana_bot capital of France?", "Lyon.")
    assert (await bot.press(friends, asker, answer, "bad")).text == "Thank you."
    question = await bot.told(friends, "What would have been a better answer?")
    assert question.markup == {"force_reply": True, "selective": True}
    assert question.text.endswith(actions(answer)[0].replace("again:", "#"))
    await friends.say(asker, "Paris.", reply_to=question)
    kept = await bot.told(friends, "I keep that")
    assert len(bot.model.chats) == 1
    assert "not yours" in (await bot.press(friends, bot.server.person("Eve"), kept, "teaching-yes")).text
    await bot.press(friends, asker, kept, "teaching-yes")
    assert ("may be used to train me" in kept.text, kept.buttons) == (True, [])
    (example,) = await bot.store.usable(f"telegram:chat:{friends.id}")
    assert (example.question, example.answer) == ("capital of France?", "Paris.")
    exported = await bot.store.export("telegram", str(asker.id))
    assert exported["ratings"][0]["better"] == "Paris."


async def test_whose_question_somebody_else_corrects_is_asked_below_it(bot: Running, friends: Chat) -> None:
    ann, eve = bot.server.person("Ann"), bot.server.person("Eve")
    answer = await bot.answers(friends, ann, "@jnana_bot capital of France?", "Lyon.")
    await bot.press(friends, eve, answer, "bad")
    question = await bot.told(friends, "What would have been a better answer?")
    await friends.say(eve, "Paris.", reply_to=question)
    asked = await bot.told(friends, "Ann, somebody told me a better answer")
    await bot.press(friends, eve, await bot.told(friends, "I keep that"), "teaching-yes")
    assert await bot.store.usable(f"telegram:chat:{friends.id}") == []
    assert "not yours" in (await bot.press(friends, eve, asked, "teaching-yes")).text
    await bot.press(friends, ann, asked, "teaching-yes")
    (example,) = await bot.store.usable(f"telegram:chat:{friends.id}")
    assert (example.question, example.answer) == ("capital of France?", "Paris.")


async def test_an_edited_question_is_answered_again(bot: Running, ann: Chat) -> None:
    bot.model.say("Four.")
    question = await ann.say(ann.owner, "2+2?")
    answer = await bot.shows(ann, "Four.")
    bot.model.say("Six.")
    await ann.edit(ann.owner, question, "3+3?")
    assert await bot.shows(ann, "Six.") is answer
    await ann.edit(ann.owner, question, "3+3?")  # Telegram also tells of edits that change nothing people see
    await bot.answers(ann, ann.owner, "Done?", "Yes.")
    assert bot.questions == ["2+2?", "3+3?", "Done?"]


async def test_different_chats_do_not_wait_for_each_other(bot: Running, server: TelegramServer) -> None:
    ann, bo = server.private(name="Ann"), server.private(name="Bo")
    held = bot.model.say("Slow", " end", hold=True)
    await ann.say(ann.owner, "slow?")
    await held.wait_begun()
    await bot.answers(bo, bo.owner, "fast?", "Fast.")
    held.release()
    held.release()
    await bot.shows(ann, "Slow end")


async def test_questions_of_one_chat_keep_their_order(bot: Running, ann: Chat) -> None:
    for number in range(5):
        bot.model.say(f"Answer {number}.")
        await ann.say(ann.owner, f"question {number}")
    await bot.shows(ann, "Answer 4.")
    assert bot.questions == [f"question {number}" for number in range(5)]
