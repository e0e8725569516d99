"""People talk to the bot on Discord: messages, answers that grow, buttons, and what goes wrong on the way."""

from __future__ import annotations

import pytest

from bot.settings import Settings
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, photo, sound

from .running import RunningBot, action, address, bot_on, for_discord, until, verbs
from .server import Call, DiscordServer, Drop, Flood, Status

PHOTO = encoded(photo(), "PNG")
FILE = ("photo.png", PHOTO, "image/png")


def pictures(model: FakeModel, number: int = -1) -> int:
    """Pictures in the newest message of a request."""
    content = model.prompt(number)[-1][1]
    return sum(part["type"] == "image_url" for part in content) if isinstance(content, list) else 0


def edits(server: DiscordServer) -> list[Call]:
    return [call for call in server.calls if call.method == "PATCH" and "/messages/" in call.path]


def asked(model: FakeModel, number: int = -1) -> str:
    """The newest words of a request, without the name that they carry in groups."""
    content = model.prompt(number)[-1][1]
    words = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return words.removeprefix("Ada: ")


async def test_a_photo_with_a_question_in_a_group(bot: RunningBot, model: FakeModel) -> None:
    model.say("A *rainbow*.")
    general, ada = bot.server.guild("home").channel("general"), bot.server.user("Ada")
    question = await general.say(ada, f"what is {bot.server.bot.mention} this?", files=[FILE])
    answer = await bot.answer(general, "A *rainbow*.")
    assert (asked(model), pictures(model)) == ("what is this?", 1)
    assert verbs(answer) == ["again", "good", "bad"]
    assert answer.reply_to is question
    assert not answer.pinged.users
    assert (question, "👀", bot.server.bot) in general.reactions
    assert bot.ups == ["Discord: @jnana in 0 servers"]


async def test_private_messages_and_mere_pictures(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    general, direct = bot.server.guild("home").channel("general"), bot.server.dm(ada)
    await general.say(ada, files=[FILE])
    await general.say(ada, "hello everybody")
    model.say("hi")
    await direct.say(ada, "hello")
    await bot.answer(direct, "hi")
    await direct.say(ada, files=[FILE])
    await bot.answer(direct, "ok", 1)
    assert not general.bot_messages()
    assert pictures(model) == 1
    assert len(model.chats) == 2


async def test_threads_of_the_bot_and_chats_that_the_owner_gave_it(
    server: DiscordServer, model: FakeModel, settings: Settings
) -> None:
    guild, ada = server.guild("home"), server.user("Ada")
    general, own = guild.channel("general"), guild.channel("own")
    theirs, ours = guild.thread(general, ada), guild.thread(general, server.bot)
    there = for_discord(settings, server, own_chats=(f"discord:chat:{own.id}",))
    async with bot_on(server, there, model.url) as bot:
        await theirs.say(ada, "nobody asked you")
        for number, place in enumerate((ours, own, guild.thread(own, ada))):
            model.say(f"answer {number}")
            await place.say(ada, "hello")
            await bot.answer(place, f"answer {number}")
            assert await bot.store.newest(address(place)) is not None
        assert not theirs.bot_messages()


async def test_replies(bot: RunningBot, model: FakeModel) -> None:
    general, ada, bob = bot.server.guild("home").channel("general"), bot.server.user("Ada"), bot.server.user("Bob")
    me = bot.server.bot.mention
    model.say("first")
    await general.say(ada, f"{me} one")
    first = await bot.answer(general, "first")
    await general.say(ada, "and two?", reply_to=first)
    await bot.answer(general, "ok", 1)
    assert asked(model) == "and two?"
    picture = await general.say(bob, "my <@1> holiday", files=[FILE])
    await general.say(ada, f"{me} where is this?", reply_to=picture)
    await bot.answer(general, "ok", 2)
    assert (asked(model), pictures(model)) == ("> my <@1> holiday\n\nwhere is this?", 1)
    await general.say(ada, f"ask {bob.mention} in <#{general.id}> {me}")
    await bot.answer(general, "ok", 3)
    assert asked(model) == "ask @Bob in #general"


async def test_forwarded_pictures_voice_messages_and_stickers(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    general, direct = bot.server.guild("home").channel("general"), bot.server.dm(ada)
    picture = await general.say(ada, "look", files=[FILE])
    await direct.say(ada, forward_of=picture)
    await bot.answer(direct, "ok")
    assert (asked(model), pictures(model)) == ("look", 1)
    model.hear("what time is it")
    model.say("noon")
    await direct.say(ada, voice=(sound(), 1.0))
    answer = await bot.answer(direct, "noon", 1)
    assert "🎙 what time is it" in answer.content
    await direct.say(ada, "cute?", sticker="cat")
    await bot.answer(direct, "cat.png", 2)  # the loopback Discord has no stickers: it is told that this one did not arrive


async def test_machines_are_not_answered(bot: RunningBot, model: FakeModel) -> None:
    general, robot = bot.server.guild("home").channel("general"), bot.server.user("R2")
    robot.bot = True
    await general.say(robot, f"{bot.server.bot.mention} beep")
    ada = bot.server.user("Ada")
    await general.say(ada, f"{bot.server.bot.mention} hi")
    await bot.answer(general, "ok")
    assert len(general.bot_messages()) == len(model.chats) == 1


async def test_an_answer_grows_is_stopped_and_asked_again(bot: RunningBot, model: FakeModel) -> None:
    general, ada, eve = bot.server.guild("home").channel("general"), bot.server.user("Ada"), bot.server.user("Eve")
    long = model.say("Once upon a time ", "there was a cat. " * 10, "The end.", hold=True)
    question = await general.say(ada, f"{bot.server.bot.mention} tell me a story")
    growing = await bot.says(general, "Once upon a time")
    assert verbs(growing) == ["stop"]
    assert growing.reply_to is question
    refused = await general.press(eve, growing, action(growing, "stop"))
    await bot.server.until(lambda: refused.answers)
    assert refused.answers[0].ephemeral
    assert "Only the person who asked" in refused.answers[0].content
    stopping = await general.press(ada, growing, action(growing, "stop"))
    await bot.answer(general, "(stopped)")
    await bot.server.until(lambda: stopping.answers)
    assert await until(long.cancelled.is_set)
    model.say("A cat.")
    again = await general.press(ada, growing, action(growing, "again"))
    await bot.server.until(lambda: again.response_type == 6 and growing.content == "A cat." and "good" in verbs(growing))
    assert general.bot_messages() == [growing]
    thumb = await general.press(eve, growing, action(growing, "good"))
    await bot.server.until(lambda: thumb.answers)
    assert thumb.answers[0].content == "Thank you."


async def test_pressed_twice_and_too_late(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    await direct.say(ada, "one")
    answer = await bot.answer(direct, "ok")
    late = await direct.press(ada, answer, action(answer, "good"))
    bot.server.expire(late)
    held = model.say("better", " words", hold=True)
    first = await direct.press(ada, answer, action(answer, "again"))
    second = await direct.press(ada, answer, "jnana:again:" + action(answer, "again").split(":")[2])
    # Presses are heard side by side: either of them may be the first.
    await bot.server.until(lambda: {first.response_type, second.response_type} == {4, 6})
    [refused] = [press for press in (first, second) if press.answers]
    assert "still being answered" in refused.answers[0].content
    held.release()
    await bot.answer(direct, "better words")
    assert not late.responses
    assert len(model.chats) == 2


async def test_a_better_answer_is_asked_for_and_kept(bot: RunningBot) -> None:
    general, ada = bot.server.guild("home").channel("general"), bot.server.user("Ada")
    await general.say(ada, f"{bot.server.bot.mention} 2+2?")
    answer = await bot.answer(general, "ok")
    bad = await general.press(ada, answer, action(answer, "bad"))
    await bot.server.until(lambda: bad.modal)
    assert bad.modal is not None
    assert bad.modal["title"] == "A better answer"
    sent = await bot.server.submit_modal(ada, bad, {"text": "4"})
    await bot.server.until(lambda: sent.answers)
    asked = sent.answers[0]
    assert (asked.ephemeral, "Thank you" in asked.content) == (True, True)
    await general.press(ada, asked, action(asked, "teaching-yes"))
    await bot.server.until(lambda: "may be used to train me" in asked.content)
    assert [one.answer for one in await bot.store.usable(f"discord:server:{general.guild.id}")] == ["4"]
    export = await bot.store.export("discord", str(ada.id))
    assert "4" in str(export)


async def test_whose_question_somebody_else_corrects_is_asked_below_it(bot: RunningBot) -> None:
    general, ada, bob = bot.server.guild("home").channel("general"), bot.server.user("Ada"), bot.server.user("Bob")
    question = await general.say(ada, f"{bot.server.bot.mention} 2+2?")
    answer = await bot.answer(general, "ok")
    bad = await general.press(bob, answer, action(answer, "bad"))
    await bot.server.until(lambda: bad.modal)
    sent = await bot.server.submit_modal(bob, bad, {"text": "4"})
    await bot.server.until(lambda: sent.answers)
    await general.press(bob, sent.answers[0], action(sent.answers[0], "teaching-yes"))
    await bot.server.until(lambda: general.bot_messages()[-1] is not answer)
    asked = general.bot_messages()[-1]
    assert (asked.content[:30], asked.reply_to) == ("Ada, somebody told me a better", question)
    await general.press(ada, asked, action(asked, "teaching-yes"))
    await bot.server.until(lambda: "may be used to train me" in asked.content)
    assert [one.answer for one in await bot.store.usable(f"discord:server:{general.guild.id}")] == ["4"]


async def test_long_answers_are_split_with_their_code(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    code = "\n".join(f"print({number})" for number in range(300))
    model.say(f"Here:\n\n```python\n{code}\n```\n\nDone.")
    await direct.say(ada, "code please")
    await bot.server.until(lambda: direct.bot_messages() and "Done." in direct.bot_messages()[-1].content)
    await bot.server.until(lambda: "again" in verbs(direct.bot_messages()[-1]))
    pages = direct.bot_messages()
    assert len(pages) > 1
    assert all(len(page.content) <= 2000 and page.content.count("```") % 2 == 0 for page in pages)
    assert pages[1].content.startswith("```python\n")
    assert [bool(page.components) for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[1].reply_to is None


async def test_an_edited_question_is_answered_again(bot: RunningBot, model: FakeModel) -> None:
    general, ada = bot.server.guild("home").channel("general"), bot.server.user("Ada")
    question = await general.say(ada, f"{bot.server.bot.mention} capital of Frence?")
    await bot.answer(general, "ok")
    model.say("Paris")
    await general.edit(ada, question, f"{bot.server.bot.mention} capital of France?")
    answer = await bot.answer(general, "Paris")
    assert asked(model) == "capital of France?"
    assert general.bot_messages() == [answer]


async def test_a_deleted_question_stops(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    held = model.say("Well, ", "let me think", hold=True)
    question = await direct.say(ada, "never mind")
    await held.wait_begun()
    await direct.delete(question)
    await bot.answer(direct, "(stopped)")
    assert await until(held.cancelled.is_set)


async def test_messages_keep_their_order_although_one_has_to_be_fetched(bot: RunningBot, model: FakeModel) -> None:
    general, ada = bot.server.guild("home").channel("general"), bot.server.user("Ada")
    me = bot.server.bot.mention
    old = await general.say(ada, "old words")
    old.deleted = True  # so that the reply comes without it
    await general.say(ada, f"{me} first", reply_to=old)
    await general.say(ada, f"{me} second")
    await bot.answer(general, "ok", 1)
    await bot.answer(general, "ok")
    assert [asked(model, number) for number in range(2)] == ["first", "second"]


async def test_what_is_missed_while_the_gateway_is_away(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    bot.server.drop_gateway()
    await direct.say(ada, "are you there?")
    await bot.answer(direct, "ok")
    assert len(bot.server.resumes) == 1
    assert len(model.chats) == 1


@pytest.mark.parametrize("fault", [Status(503), Drop(), Drop(after=True), Flood(0.05)], ids=str)
async def test_faults_leave_one_whole_answer(bot: RunningBot, model: FakeModel, fault: Drop | Flood | Status) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    bot.server.fail("POST", "/channels/*/messages", fault)
    bot.server.fail("PATCH", "/channels/*/messages/*", fault)
    held = model.say("Once ", "upon a time", hold=True)
    await direct.say(ada, "a story")
    await bot.says(direct, "Once")
    held.release()
    answer = await bot.answer(direct, "Once upon a time")
    assert direct.bot_messages() == [answer]


async def test_a_long_flood_is_left_alone_and_the_end_shown_after_a_restart(
    server: DiscordServer, model: FakeModel, settings: Settings
) -> None:
    there, ada = for_discord(settings, server), server.user("Ada")
    direct = server.dm(ada)
    server.fail("PATCH", "/channels/*/messages/*", Flood(4 * 3600))
    async with bot_on(server, there, model.url) as bot:
        held = model.say("Once ", "upon a time", hold=True)
        await direct.say(ada, "a story")
        await server.until(lambda: edits(server))
        held.release()
        await until(lambda: not bot.turns.under_way)
        assert [call.status for call in edits(server)] == [429]
    async with bot_on(server, there, model.url) as bot:
        await bot.answer(direct, "Once upon a time")
        assert len(direct.bot_messages()) == 1


async def test_the_end_is_shown_once(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    direct = bot.server.dm(ada)
    model.say("Once ", "upon ", "a time.", pause=0.05)
    await direct.say(ada, "a story")
    answer = await bot.answer(direct, "Once upon a time.")
    await until(lambda: not bot.desk._replies)
    assert sum("again:" in str(call.json) for call in edits(bot.server)) == 1
    assert answer.content == "Once upon a time."


async def test_a_restart_finishes_the_answer_in_the_same_message(
    server: DiscordServer, model: FakeModel, settings: Settings
) -> None:
    there, ada = for_discord(settings, server), server.user("Ada")
    direct = server.dm(ada)
    async with bot_on(server, there, model.url) as bot:
        model.say("Once ", "upon", hold=True)
        await direct.say(ada, "a story")
        half = await bot.says(direct, "Once")
    model.say("Once upon a time.")
    async with bot_on(server, there, model.url) as bot:
        answer = await bot.answer(direct, "Once upon a time.")
        assert answer is half
        assert direct.bot_messages() == [half]
        thumb = await direct.press(ada, answer, action(answer, "good"))
        await server.until(lambda: thumb.answers)


async def test_where_the_bot_may_not_write(bot: RunningBot, model: FakeModel) -> None:
    ada = bot.server.user("Ada")
    general, direct = bot.server.guild("home").channel("general"), bot.server.dm(ada)
    general.deny("send")
    await general.say(ada, f"{bot.server.bot.mention} hello")
    await direct.say(ada, "hello")
    await bot.answer(direct, "ok")
    await until(lambda: not bot.desk._replies)
    assert not general.bot_messages()
    assert await bot.store.closed_chats("discord") == {str(general.id)}
    general.allow("send")
    general.deny("read_history", "add_reactions")
    await general.say(ada, f"{bot.server.bot.mention} again")
    answer = await bot.answer(general, "ok")
    assert answer.reply_to is None
