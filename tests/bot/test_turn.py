"""The path of a turn, with a real SQLite file and the real OpenAI client against a fake worker."""

from __future__ import annotations

import asyncio

import pytest

from bot.chat.base import Delta, Failed, Finished, Queued, Restarted
from bot.errors import EmptyMessage, NotAllowed, NotAnswered, NotStored, TextTooLong, TooManyFiles, TooManyTurns
from bot.settings import Settings
from bot.store import AnswerRecord, Store
from bot.turn import MAX_TEXT, MAX_WAITING, Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.sending import ANN, BOB, ELSEWHERE, HERE, end_of, events_of, file, message


async def test_a_question_is_stored_answered_and_remembered(turns: Turns, store: Store, model: FakeModel) -> None:
    model.say("It is ", "Paris.", hints=("a hint",))
    turn = await turns.start(message("What is the capital of France?"))
    assert await events_of(turn) == [Delta("It is "), Delta("Paris."), Finished("It is Paris.")]
    [view] = await store.turns(HERE)
    assert (view.text, view.answer, view.state) == ("What is the capital of France?", "It is Paris.", "finished")
    assert await store.answer(turn.turn_id, HERE) == AnswerRecord(
        "It is Paris.",
        preset="fake",
        hints=("a hint",),
        timings={"prefill": 0.25, "decode": 0.5},
        prompt_tokens=7,
        answer_tokens=3,
    )
    model.say("About two million.")
    await events_of(await turns.start(message("How many people live there?")))
    assert model.prompt() == [
        ("system", "Be brief."),
        ("user", "What is the capital of France?"),
        ("assistant", "It is Paris."),
        ("user", "How many people live there?"),
    ]


async def test_the_message_is_stored_before_the_model_sees_it(turns: Turns, store: Store, model: FakeModel) -> None:
    answer = model.say("one", "two", hold=True)
    turn = await turns.start(message("Wait"))
    assert (await store.turns(HERE))[0].text == "Wait"
    await answer.wait_begun()
    assert (await store.turns(HERE))[0].state == "running"
    answer.release()
    await end_of(turn)


async def test_the_answer_is_stored_before_it_is_called_finished(turns: Turns, store: Store, model: FakeModel) -> None:
    turn = await turns.start(message("Hi"))
    async for event in turn.events():
        if isinstance(event, Finished):
            assert (await store.turns(HERE))[0].answer == event.text


async def test_two_questions_at_once_are_answered_in_order(turns: Turns, model: FakeModel) -> None:
    slow = model.say("first", hold=True)
    model.say("second")
    model.say("third")
    one = await turns.start(message("1"))
    two = await turns.start(message("2"))
    three = await turns.start(message("3"))
    assert turns.running(HERE) == (one, two, three)
    await slow.wait_begun()
    assert len(model.chats) == 1
    slow.release()
    assert await end_of(one) == Finished("first")
    assert await events_of(two) == [Queued(1), Delta("second"), Finished("second")]
    assert await events_of(three) == [Queued(2), Queued(1), Delta("third"), Finished("third")]
    assert [content for role, content in model.prompt(2) if role == "assistant"] == ["first", "second"]
    assert turns.running(HERE) == ()


async def test_messages_that_arrive_together_are_answered_in_the_order_they_are_stored(
    turns: Turns, store: Store, model: FakeModel
) -> None:
    started = await asyncio.gather(*(turns.start(message(str(number))) for number in range(6)))
    assert [turn.turn_id for turn in turns.running(HERE)] == sorted(turn.turn_id for turn in started)
    await turns.drain(30)
    assert [chat["messages"][-1]["content"] for chat in model.chats] == [view.text for view in await store.turns(HERE)]


async def test_other_conversations_do_not_wait(turns: Turns, model: FakeModel) -> None:
    slow = model.say("slow", hold=True)
    one = await turns.start(message("1"))
    await slow.wait_begun()
    assert await end_of(await turns.start(message("2", address=ELSEWHERE))) == Finished("ok")
    slow.release()
    await end_of(one)


async def test_conversations_do_not_see_each_other(turns: Turns, model: FakeModel) -> None:
    await end_of(await turns.start(message("my secret")))
    await end_of(await turns.start(message("what is the secret?", address=ELSEWHERE)))
    assert "secret" not in str(model.prompt()[:-1])
    assert turns.running(ELSEWHERE) == ()


async def test_late_and_several_readers_get_all_events(turns: Turns, model: FakeModel) -> None:
    slow = model.say("a", "b", hold=True)
    turn = await turns.start(message("Hi"))
    early = asyncio.create_task(events_of(turn))
    await slow.wait_begun()
    joined = asyncio.create_task(events_of(turns.running(HERE)[0]))
    slow.release()
    assert await early == await joined == await events_of(turn) == [Delta("a"), Delta("b"), Finished("ab")]


async def test_an_answer_is_stored_when_nobody_reads(turns: Turns, store: Store) -> None:
    await turns.start(message("Hi"))
    await turns.drain(10)
    assert (await store.turns(HERE))[0].answer == "ok"


async def test_places_in_the_workers_queue_are_told(turns: Turns, model: FakeModel) -> None:
    model.say("done", positions=(3, 1))
    assert (await events_of(await turns.start(message("Hi"))))[:2] == [Queued(3), Queued(1)]


async def test_an_answer_at_its_length_limit_says_so(turns: Turns, model: FakeModel) -> None:
    model.say("And then", finish="length")
    assert await end_of(await turns.start(message("Tell me a story"))) == Finished("And then", truncated=True)


# --- Stop, regenerate, rate, reset ---


async def test_stop_keeps_what_was_written(turns: Turns, store: Store, model: FakeModel) -> None:
    answer = model.say("Half an", " answer", hold=True)
    turn = await turns.start(message("Go on"))
    await answer.wait_begun()
    await _until_shown(turn)
    assert not await turns.stop(turn.turn_id, ELSEWHERE)
    assert await turns.stop(turn.turn_id, HERE)
    assert await end_of(turn) == Finished("Half an", stopped=True)
    assert not await turns.stop(turn.turn_id, HERE)
    [view] = await store.turns(HERE)
    assert (view.answer, view.state) == ("Half an", "stopped")
    assert await asyncio.to_thread(answer.cancelled.wait, 10), "the worker was not told"
    await end_of(await turns.start(message("And now?")))
    assert ("assistant", "Half an") in model.prompt()


async def test_a_waiting_turn_can_be_stopped(turns: Turns, store: Store, model: FakeModel) -> None:
    slow = model.say("first", hold=True)
    one = await turns.start(message("1"))
    two = await turns.start(message("2"))
    three = await turns.start(message("3"))
    await slow.wait_begun()
    assert await turns.stop(two.turn_id, HERE)
    assert await end_of(two) == Finished("", stopped=True)
    slow.release()
    assert await end_of(one) == Finished("first")
    assert await end_of(three) == Finished("ok")
    assert [view.state for view in await store.turns(HERE)] == ["finished", "stopped", "finished"]
    assert model.prompt(1)[-1] == ("user", "3")


async def test_regenerate_replaces_the_answer_with_another(turns: Turns, store: Store, model: FakeModel) -> None:
    model.say("First.")
    turn = await turns.start(message("Why?"))
    await end_of(turn)
    model.say("Second.")
    again = await turns.regenerate(turn.turn_id, HERE)
    assert again.turn_id == turn.turn_id
    assert await end_of(again) == Finished("Second.")
    assert [view.answer for view in await store.turns(HERE)] == ["Second."]
    assert model.prompt() == [("system", "Be brief."), ("user", "Why?")]
    assert model.chats[0]["temperature"] == 0
    assert model.chats[1]["temperature"] > 0


async def test_a_failed_regeneration_leaves_the_old_answer(turns: Turns, store: Store, model: FakeModel) -> None:
    turn = await turns.start(message("Why?"))
    await end_of(turn)
    model.fail(500)
    assert isinstance(await end_of(await turns.regenerate(turn.turn_id, HERE)), Failed)
    [view] = await store.turns(HERE)
    assert (view.answer, view.state, view.failure) == ("ok", "finished", "The model failed to answer. Please try again.")
    await end_of(await turns.regenerate(turn.turn_id, HERE))
    [view] = await store.turns(HERE)
    assert (view.answer, view.state, view.failure) == ("ok", "finished", None)


async def test_a_failed_turn_can_be_asked_again(turns: Turns, store: Store, model: FakeModel) -> None:
    model.fail(500)
    turn = await turns.start(message("Why?"))
    assert isinstance(await end_of(turn), Failed)
    assert await end_of(await turns.regenerate(turn.turn_id, HERE)) == Finished("ok")
    [view] = await store.turns(HERE)
    assert (view.state, view.failure) == ("finished", None)


async def test_only_turns_of_the_conversation_can_be_regenerated(turns: Turns, model: FakeModel) -> None:
    slow = model.say("a", hold=True)
    turn = await turns.start(message("Why?"))
    await slow.wait_begun()
    with pytest.raises(NotAnswered):
        await turns.regenerate(turn.turn_id, HERE)
    slow.release()
    await end_of(turn)
    with pytest.raises(NotAllowed):
        await turns.regenerate(turn.turn_id, ELSEWHERE)


async def test_ratings_are_kept_for_the_conversation_only(turns: Turns, store: Store) -> None:
    turn = await turns.start(message("Why?"))
    await end_of(turn)
    await turns.rate(turn.turn_id, HERE, ANN, 1)
    await turns.rate(turn.turn_id, HERE, ANN, -1)
    assert (await store.turns(HERE))[0].rating == -1
    with pytest.raises(NotAllowed):
        await turns.rate(turn.turn_id, ELSEWHERE, BOB, 1)


async def test_reset_forgets_what_was_said_but_deletes_nothing(turns: Turns, store: Store, model: FakeModel) -> None:
    await end_of(await turns.start(message("I am Ann")))
    await turns.reset(HERE)
    await end_of(await turns.start(message("Who am I?")))
    assert model.prompt() == [("system", "Be brief."), ("user", "Who am I?")]
    assert len(await store.turns(HERE)) == 2


async def test_speakers_are_named_in_groups(turns: Turns, model: FakeModel) -> None:
    await end_of(await turns.start(message("I have a cat", group=True)))
    await end_of(await turns.start(message("Whose cat?", sender=BOB, group=True)))
    assert [content for role, content in model.prompt() if role == "user"] == ["Ann: I have a cat", "Bob: Whose cat?"]


# --- What is refused, what fails ---


async def test_input_that_makes_no_sense_is_refused_before_anything_is_stored(turns: Turns, store: Store) -> None:
    with pytest.raises(EmptyMessage):
        await turns.start(message(" \n\x00 "))
    with pytest.raises(TextTooLong, match="100,000 characters; I can read 20,000"):
        await turns.start(message("x" * 100_000))
    with pytest.raises(TooManyFiles, match="11 files; I can take 10"):
        await turns.start(message("", *[file("a", b"")] * 11))
    assert await store.turns(HERE) == []
    assert await end_of(await turns.start(message("x" * MAX_TEXT))) == Finished("ok")


async def test_a_conversation_cannot_pile_up_questions(turns: Turns, model: FakeModel) -> None:
    slow = model.say("a", hold=True)
    first = await turns.start(message("1"))
    await slow.wait_begun()
    for _ in range(MAX_WAITING):
        await turns.start(message("more"))
    with pytest.raises(TooManyTurns):
        await turns.start(message("too much"))
    assert await end_of(await turns.start(message("hi", address=ELSEWHERE))) == Finished("ok")
    slow.release()
    await end_of(first)


async def test_a_message_too_long_for_the_model_is_told_with_numbers(turns: Turns, model: FakeModel) -> None:
    model.context_length = 200
    failed = await end_of(await turns.start(message("word " * 150)))
    assert isinstance(failed, Failed)
    assert "about 168 tokens, and it can take 100" in failed.sentence


async def test_failed_turns_are_left_out_of_later_prompts(turns: Turns, model: FakeModel) -> None:
    model.fail(500)
    failed = await end_of(await turns.start(message("poison")))
    assert isinstance(failed, Failed)
    assert failed.sentence == "The model failed to answer. Please try again."
    await end_of(await turns.start(message("hello")))
    assert model.prompt() == [("system", "Be brief."), ("user", "hello")]


async def test_an_empty_answer_is_a_failure(turns: Turns, model: FakeModel) -> None:
    model.say(" ")
    failed = await end_of(await turns.start(message("hello")))
    assert isinstance(failed, Failed)
    assert "nothing to say" in failed.sentence


async def test_a_turn_has_a_time_limit_and_keeps_what_was_written(
    store: Store, client: ModelClient, settings: Settings, model: FakeModel
) -> None:
    # Long enough for the word to come on a busy machine, too.
    turns = Turns(store, client, settings.model_copy(update={"turn_timeout": 3.0}))
    model.say("Hm", hold=True)
    failed = await end_of(await turns.start(message("Think")))
    assert isinstance(failed, Failed)
    assert "took longer than" in failed.sentence
    [view] = await store.turns(HERE)
    assert (view.state, view.answer, view.failure) == ("failed", "Hm", failed.sentence)


async def test_a_store_that_fails_costs_a_sentence(turns: Turns, store: Store) -> None:
    store.database.engine.dispose()
    await asyncio.to_thread(_break_database, store)
    with pytest.raises(NotStored, match="cannot store"):
        await turns.start(message("hello"))


async def test_a_mistake_of_ours_shows_no_traceback(turns: Turns, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("private detail")

    monkeypatch.setattr(store, "remembered", broken)
    turn = await turns.start(message("hello"))
    failed = await end_of(turn)
    assert isinstance(failed, Failed)
    assert failed.request_id == turn.request_id
    assert turn.request_id in failed.sentence
    assert "private" not in failed.sentence
    monkeypatch.undo()
    assert await end_of(await turns.start(message("hello again"))) == Finished("ok")


# --- The worker dies ---


async def test_a_worker_lost_in_the_middle_costs_one_retry(turns: Turns, store: Store, model: FakeModel) -> None:
    model.say("Half", drop=True)
    model.say("Whole.")
    events = await events_of(await turns.start(message("Hi")))
    assert events == [Delta("Half"), Restarted(), Delta("Whole."), Finished("Whole.")]
    assert (await store.turns(HERE))[0].answer == "Whole."


async def test_a_worker_lost_twice_is_apologised_for_and_the_next_turn_works(
    turns: Turns, store: Store, model: FakeModel
) -> None:
    model.say("Half", drop=True)
    model.say("Again half", drop=True)
    failed = await end_of(await turns.start(message("Hi")))
    assert isinstance(failed, Failed)
    assert "crashed twice" in failed.sentence
    assert (await store.turns(HERE))[0].state == "failed"
    assert await end_of(await turns.start(message("Hi"))) == Finished("ok")


async def test_a_worker_that_is_stopped_in_the_middle_costs_one_retry_like_one_that_dies(
    turns: Turns, model: FakeModel
) -> None:
    model.say("Half", error="shutting_down")
    model.say("Whole.")
    events = await events_of(await turns.start(message("Hi")))
    assert events == [Delta("Half"), Restarted(), Delta("Whole."), Finished("Whole.")]


@pytest.mark.parametrize(("code", "said"), [("out_of_memory", "no memory for this"), ("queue_full", "Too many people")])
async def test_what_went_wrong_behind_the_queue_is_said(turns: Turns, model: FakeModel, code: str, said: str) -> None:
    model.say(error=code, positions=(1,))
    failed = await end_of(await turns.start(message("Hi")))
    assert isinstance(failed, Failed)
    assert said in failed.sentence


async def _until_shown(turn: object) -> None:
    async for event in turn.events():  # type: ignore[attr-defined]
        if isinstance(event, Delta):
            return


def _break_database(store: Store) -> None:
    path = store.files.root.parent / "jnana.db"
    for leftover in path.parent.glob("jnana.db*"):
        leftover.unlink()
    path.mkdir()


async def test_a_turn_that_was_forgotten_meanwhile_still_ends(turns: Turns, store: Store, model: FakeModel) -> None:
    held = model.say("Too", " late", hold=True)
    turn = await turns.start(message("hello"))
    await held.wait_begun()
    asker = (await store.place_of(turn.turn_id, turn.address)).asker  # type: ignore[union-attr]
    await store.forget(turn.address.platform, asker)
    held.release()
    assert isinstance(await asyncio.wait_for(end_of(turn), 10), Failed)
