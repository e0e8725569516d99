"""How an answer grows: one writer, its clock, pages, floods, and one end whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from bot import reply as reply_module
from bot.chat.base import Address, Delta, Failed, Finished, Notice, Queued, Restarted, Transcribed, TurnEvent
from bot.chat.place import Flooded, Gone, Hiccup, PlaceError, Refused, Shut
from bot.reply import Reply
from bot.running import LiveTurn
from bot.store.records import StoredTurn
from tests.bot.fake_place import FakePlace

HERE = Address("discord", "1")


class Notes:
    def __init__(self) -> None:
        self.ids: list[str] = []
        self.told: list[bool] = []

    async def shown(self, turn_id: int, reply_ids: Sequence[str], *, told: bool) -> None:
        self.ids, self.told = list(reply_ids), [*self.told, told]


class Stage:
    """A turn that a test feeds, and where it is shown."""

    def __init__(self, *, ids: Sequence[str] = (), limit: int = 2000, language: str = "en") -> None:
        self.turn = LiveTurn(StoredTurn(7, 1, HERE, "m", "question", 0, (), 0), "request")
        self.place = FakePlace(HERE, limit=limit)
        self.notes = Notes()
        for message_id in ids:
            self.place.shown[message_id] = ("before", ())
        self.task = asyncio.create_task(Reply(self.turn, self.place, self.notes, language=language, ids=ids).run())

    def emit(self, *events: TurnEvent) -> None:
        for event in events:
            self.turn.emit(event)

    async def end(self, *events: TurnEvent) -> list[str]:
        self.emit(*events)
        await asyncio.wait_for(self.task, 10)
        return self.place.texts


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_module, "PATIENCE", 0.05)
    monkeypatch.setattr(reply_module, "RETRIES", (0.01, 0.01, 0.01))


async def test_an_answer_grows_and_ends_with_its_buttons() -> None:
    stage = Stage()
    stage.emit(Delta("Hello"))
    await stage.place.until(lambda place: place.texts == ["Hello"])
    assert stage.place.actions == ["stop"]
    stage.emit(Delta(" world"))
    await stage.place.until(lambda place: place.texts == ["Hello world"])
    assert await stage.end(Finished("Hello world.")) == ["Hello world."]
    assert stage.place.actions == ["again", "good", "bad"]
    assert stage.notes.told[-1]
    assert stage.place.acknowledged == 1
    assert stage.place.typed


async def test_a_slow_start_shows_a_button_to_stop_it() -> None:
    stage = Stage()
    await stage.place.until(lambda place: place.texts == ["⏳ …"])
    assert stage.place.actions == ["stop"]
    assert await stage.end(Finished("done")) == ["done"]


async def test_a_fast_answer_is_one_message_and_no_edit() -> None:
    stage = Stage()
    assert await stage.end(Delta("ok"), Finished("ok")) == ["ok"]
    assert [what for what, *_ in stage.place.history] == ["send"]


async def test_the_queue_notice_shows_the_position_and_becomes_the_answer() -> None:
    stage = Stage()
    stage.emit(Queued(2))
    await stage.place.until(lambda place: place.texts == ["⏳ Queued: number 2 in line."])
    stage.emit(Queued(1))
    await stage.place.until(lambda place: place.texts == ["⏳ Queued: you are next."])
    assert stage.place.actions == ["stop"]
    assert await stage.end(Delta("x"), Finished("x")) == ["x"]
    assert len(stage.place.shown) == 1


async def test_no_edit_is_faster_than_its_clock() -> None:
    stage = Stage()
    stage.place.clock = 0.2
    for number in range(60):
        stage.emit(Delta(f"{number} "))
        await asyncio.sleep(0.01)
    growing = stage.place.times.copy()
    await stage.end(Finished("end"))
    assert 2 <= len(growing) <= 5
    assert all(later - earlier >= 0.19 for earlier, later in pairwise(growing))


async def test_transcripts_and_notices_stand_above_the_answer() -> None:
    stage = Stage()
    text = (await stage.end(Transcribed("what is this", "en"), Notice("x.svg: no."), Delta("A cat"), Finished("A cat")))[0]
    assert text == "> 🎙 what is this\n⚠️ x.svg: no.\n\nA cat"


async def test_a_long_answer_is_several_messages_with_buttons_under_the_last() -> None:
    stage = Stage(limit=100)
    words = "\n\n".join(f"Paragraph {number} " + "word " * 8 for number in range(6))
    pages = await stage.end(Delta(words[:150]), Finished(words))
    assert all(len(page) <= 100 for page in pages)
    assert " ".join(" ".join(pages).split()) == " ".join(words.split())
    assert [bool(buttons) for _, buttons in stage.place.shown.values()] == [False] * (len(pages) - 1) + [True]
    assert stage.notes.ids == list(stage.place.shown)


async def test_a_worker_that_died_begins_the_answer_again() -> None:
    stage = Stage()
    stage.emit(Delta("half"))
    await stage.place.until(lambda place: place.texts == ["half"])
    assert await stage.end(Restarted(), Delta("whole"), Finished("whole")) == ["whole"]


async def test_a_failure_keeps_what_was_written_and_says_why() -> None:
    stage = Stage()
    assert await stage.end(Delta("half"), Failed("It broke.", "id")) == ["half\n\n⚠️ It broke."]
    assert stage.place.actions == ["again"]


async def test_stopped_and_cut_off_answers_say_so() -> None:
    assert await Stage().end(Finished("half", stopped=True)) == ["half\n\n*(stopped)*"]
    assert "longest length" in (await Stage().end(Finished("half", truncated=True)))[0]


async def test_the_person_is_told_in_their_language() -> None:
    stage = Stage(language="de")
    stage.emit(Queued(1))
    await stage.place.until(lambda place: bool(place.texts))
    assert "you are next" not in stage.place.texts[0]
    await stage.end(Finished("ok"))


async def test_after_a_restart_the_same_message_becomes_the_answer() -> None:
    stage = Stage(ids=["old"])
    assert await stage.end(Delta("new"), Finished("new")) == ["new"]
    assert {what for what, *_ in stage.place.history} == {"edit"}


async def test_pages_of_an_older_answer_that_are_too_many_are_taken_back() -> None:
    stage = Stage(ids=["one", "two"])
    assert await stage.end(Finished("short")) == ["short"]
    assert stage.notes.ids == ["one"]


async def test_a_restart_leaves_the_end_for_later() -> None:
    stage = Stage()
    assert await stage.end(Delta("half"), Failed("Back soon.", "id", postponed=True)) == ["half\n\n⚠️ Back soon."]
    assert stage.notes.told
    assert not any(stage.notes.told)
    assert not any(buttons for _, buttons in stage.place.shown.values())


# --- Faults ---


@pytest.mark.parametrize("error", [Flooded(0.05), Hiccup("502")])
async def test_one_fault_while_it_grows_is_made_up_for(error: PlaceError) -> None:
    stage = Stage()
    stage.emit(Delta("a"))
    await stage.place.until(lambda place: place.texts == ["a"])
    stage.place.errors.append(error)
    stage.emit(Delta("b"))
    await stage.place.until(lambda place: place.texts == ["ab"])
    assert await stage.end(Finished("abc")) == ["abc"]


async def test_after_three_floods_only_the_end_is_shown() -> None:
    stage = Stage()
    stage.emit(Delta("a"))
    await stage.place.until(lambda place: bool(place.shown))
    stage.place.errors.extend([Flooded(0.02)] * 3)
    for letter in "bcdefghij":
        stage.emit(Delta(letter))
        await asyncio.sleep(0.1)
    assert stage.place.texts == ["a"]
    assert len([what for what, *_ in stage.place.history if what == "edit"]) == 3
    assert await stage.end(Finished("abcdefghij")) == ["abcdefghij"]
    assert len(stage.place.history) == 5


async def test_a_long_flood_is_not_tried_against_and_the_end_comes_once() -> None:
    stage = Stage()
    stage.emit(Delta("a"))
    await stage.place.until(lambda place: bool(place.shown))
    stage.place.errors.append(Flooded(0.6))
    stage.emit(Delta("b"))
    await stage.place.until(lambda place: len(place.history) == 2)
    assert await stage.end(Delta("c"), Finished("abc")) == ["abc"]
    assert [what for what, *_ in stage.place.history] == ["send", "edit", "edit"]
    assert stage.place.times[2] - stage.place.times[1] >= 0.59


async def test_a_flood_of_hours_leaves_the_end_to_the_next_start() -> None:
    stage = Stage()
    stage.place.errors.append(Flooded(4 * 3600))
    stage.emit(Delta("a"), Finished("a"))
    await stage.place.until(lambda place: len(place.history) == 1)
    stage.task.cancel()
    await asyncio.gather(stage.task, return_exceptions=True)
    assert not any(stage.notes.told)


async def test_a_platform_that_stays_broken_leaves_the_end_to_the_next_start() -> None:
    stage = Stage()
    stage.place.errors.extend([Hiccup("503")] * 50)
    await stage.end(Finished("a"))
    assert not any(stage.notes.told)


async def test_an_end_that_the_platform_refuses_is_not_sent_for_ever() -> None:
    stage = Stage()
    stage.place.errors.append(Refused("no"))
    await stage.end(Finished("a"))
    assert stage.notes.told[-1]
    assert len(stage.place.history) == 1


async def test_an_answer_that_was_deleted_is_not_written_again() -> None:
    stage = Stage()
    stage.emit(Delta("a"))
    await stage.place.until(lambda place: bool(place.shown))
    stage.place.shown.clear()
    assert await stage.end(Delta("b"), Finished("ab")) == []
    assert stage.notes.told[-1]


async def test_a_chat_that_blocked_us_is_not_tried_again() -> None:
    stage = Stage()
    stage.place.errors.append(Shut("blocked"))
    with pytest.raises(Shut):
        await stage.end(Finished("a"))
    assert stage.notes.told == [True]
    assert len(stage.place.history) == 1


def test_errors_of_places_are_told_apart() -> None:
    assert Gone.__mro__[1] is PlaceError
