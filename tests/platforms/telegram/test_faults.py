"""What goes wrong while an answer is written, and what becomes of it."""

from __future__ import annotations

import pytest

from bot.settings import Settings
from tests.bot.fake_model import FakeModel
from tests.platforms.telegram.chat import Chat
from tests.platforms.telegram.faults import Drop, Fault, Flood, Status
from tests.platforms.telegram.running import Running, running
from tests.platforms.telegram.server import TelegramServer

SECRET = "a-secret-of-the-webhook"  # not one


@pytest.mark.parametrize("method", ["sendMessage", "editMessageText"])
@pytest.mark.parametrize("fault", [Flood(1), Status(500), Status(502), Status(503), Drop()], ids=str)
async def test_faults_leave_one_whole_answer(bot: Running, ann: Chat, method: str, fault: Fault) -> None:
    bot.server.fail(method, fault, fault)
    held = bot.model.say("Once", " upon a time", hold=True)
    await ann.say(ann.owner, "A story")
    await held.wait_begun()
    held.release()
    answer = await bot.shows(ann, "Once upon a time")
    assert ann.bot_messages() == [answer]


@pytest.mark.parametrize("seconds", [30, 4 * 3600])
async def test_a_long_flood_is_left_alone_and_the_end_shown_after_a_restart(
    server: TelegramServer,
    model: FakeModel,
    home: Settings,
    seconds: int,
) -> None:
    ann = server.private(name="Ann")
    server.fail("editMessageText", Flood(seconds))
    async with running(server, model, home) as bot:
        held = model.say("Once", " upon a time", hold=True)
        await ann.say(ann.owner, "A story")
        await server.until(lambda: ann.bot_messages())
        held.release()
        await server.until(lambda: any(call.error for call in server.calls_of("editMessageText")))
        await server.until(lambda: not bot.desk.turns.under_way)
        assert len(server.calls_of("editMessageText")) == 1
    async with running(server, model, home) as bot:
        answer = await bot.shows(ann, "Once upon a time")
        assert ann.bot_messages() == [answer]


async def test_a_deleted_answer_is_not_written_again(bot: Running, ann: Chat) -> None:
    held = bot.model.say("Once", " upon", " a time", hold=True)
    await ann.say(ann.owner, "A story")
    growing = await bot.told(ann, "Once")
    ann.delete(growing)
    held.release()
    await bot.server.until(lambda: not bot.desk._replies)
    assert ann.bot_messages() in ([], [growing])
    assert not any(one for one in ann.bot_messages() if not one.deleted)


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
    home: Settings,
) -> None:
    ann = server.private(name="Ann")
    server.fail("sendMessage", Flood(30))
    async with running(server, model, home) as bot:
        model.say("Late.")
        await ann.say(ann.owner, "Hello?")
        await server.until(lambda: any(call.error for call in server.calls_of("sendMessage")))
        await server.until(lambda: not bot.desk.turns.under_way)
        assert ann.bot_messages() == []
    async with running(server, model, home) as bot:
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
