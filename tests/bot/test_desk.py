"""Messages, commands, buttons, edits and refusals, as every chat platform gets them from the desk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.access import Access
from bot.calling import Quoted
from bot.chat.base import Address
from bot.desk import Desk
from bot.presses import Presser
from bot.settings import Settings
from bot.store import Store
from bot.turn import MAX_WAITING, Turns
from tests.bot.fake_model import FakeModel
from tests.bot.room import ANN, BOB, ROOM, Room
from tests.bot.samples import encoded, photo, sound
from tests.bot.sending import file


async def test_a_question_is_answered(room: Room, model: FakeModel) -> None:
    model.say("A cat", " on a mat.")
    place = await room.answered("What is that?", ANN, file("photo.jpg", encoded(photo(), "JPEG")))
    assert place.texts == ["A cat on a mat."]
    assert [part["type"] for part in model.prompt()[-1][1]] == ["image_url", "text"]
    await room.desk.close(5)
    assert (await room.store.untold("discord")) == []


async def test_what_is_not_for_us_is_left_alone(room: Room, model: FakeModel) -> None:
    place = await room.say("hello all", mentioned=False)
    assert not place.history
    assert not place.acknowledged
    assert not model.chats


async def test_a_mere_mention_is_answered_with_help(room: Room) -> None:
    place = await room.say("")
    assert "/transcribe" in place.texts[0]


async def test_refusals_are_told_in_the_persons_language(room: Room) -> None:
    assert (await room.say("x" * 20_001)).texts == ["⚠️ Your message has 20,001 characters; I can read 20,000 at once."]
    assert "characters" not in (await room.say("x" * 20_001, BOB)).texts[0]


async def test_people_on_the_deny_list_hear_nothing(room: Room, turns: Turns) -> None:
    turns.access._deny = frozenset({"discord:person:2"})
    assert not (await room.say("hi", BOB)).history
    assert not (await room.command("help", BOB)).history


# --- Busy ---


async def test_the_queue_is_shown_and_stop_works_on_it(room: Room, model: FakeModel) -> None:
    held = model.say("first", hold=True)
    first = await room.say("one")
    await held.wait_begun()
    second = await room.say("two", BOB)
    await second.until(lambda place: bool(place.shown))
    assert second.actions == ["stop"]
    assert (await room.press(second.press("stop"), BOB)).toast
    await second.until(lambda place: "again" in place.actions)
    held.release()
    await first.until(lambda place: place.texts == ["first"] and "again" in place.actions)
    assert len(model.chats) == 1


async def test_a_person_has_one_turn_at_a_time_and_others_go_on(room: Room, desk: Desk, store: Store, model: FakeModel) -> None:
    held = model.say("first", hold=True)
    await room.say("one")
    await held.wait_begun()
    other = Room(desk, store, Address("discord", "200"))
    waiting = await other.say("two")
    await waiting.until(lambda place: bool(place.shown))
    assert (await Room(desk, store, Address("discord", "300")).answered("three", BOB)).texts == ["ok"]
    assert len(model.chats) == 2
    held.release()
    await waiting.until(lambda place: place.texts == ["ok"])


async def test_a_full_queue_says_so_and_keeps_the_message(room: Room, model: FakeModel) -> None:
    held = model.say("first", hold=True)
    await room.say("one")
    await held.wait_begun()
    for number in range(MAX_WAITING):
        await room.say(f"waiting {number}")
    full = await room.say("too much", ANN, file("photo.jpg", encoded(photo(), "JPEG")))
    await full.until(lambda place: "again" in place.actions)
    assert str(MAX_WAITING) in full.texts[0]
    held.release()
    await room.places["m9"].until(lambda place: "again" in place.actions)
    await room.press(full.press("again"))
    await full.until(lambda place: place.texts == ["ok"])
    assert [part["type"] for part in model.prompt()[-1][1]] == ["image_url", "text"]


# --- Buttons ---


async def test_strangers_may_not_stop_or_ask_again_and_admins_may(room: Room, model: FakeModel) -> None:
    held = model.say("slow", hold=True)
    place = await room.say("one")
    await held.wait_begun()
    await place.until(lambda place: bool(place.shown))
    stop = place.press("stop")
    refusal = (await room.press(stop, replace(BOB, language="en"))).toast
    assert refusal == "Only the person who asked, or an admin, can do that."
    assert (await room.press(stop, BOB, chat_admin=True)).toast
    await place.until(lambda place: "again" in place.actions)
    assert (await room.press(stop)).toast == "This answer has already ended."
    assert (await room.press(place.press("again"), replace(BOB, language="en"))).toast == refusal


async def test_again_shows_the_new_answer_in_the_same_message(room: Room, model: FakeModel) -> None:
    model.say("one")
    model.say("two")
    place = await room.answered("?")
    await room.press(place.press("again"))
    await place.until(lambda place: place.texts == ["two"] and "again" in place.actions)


async def test_again_counts_like_a_message(room: Room, turns: Turns, settings: Settings) -> None:
    place = await room.answered("mine", ANN)
    deny = {"deny": ("discord:person:1",)}
    for limits, refused in (({"guest_per_day": 2}, ""), ({"guest_per_day": 2}, "today's 2"), (deny, "everybody")):
        turns.access = Access(settings.model_copy(update=limits), room.store.turns_since)
        pressed = await room.press(place.press("again"), ANN)
        assert refused in pressed.toast
        assert bool(refused) == bool(pressed.toast)
        await place.until(lambda place: "again" in place.actions)
        await room.desk.close(5)


async def test_ratings_pressed_twice_count_once_and_a_better_answer_is_kept(room: Room, store: Store) -> None:
    place = await room.answered("?")
    for _ in range(2):
        assert (await room.press(place.press("good"), BOB)).better is None
    pressed = await room.press(place.press("bad"))
    assert pressed.better is not None
    presser = Presser(ROOM, ANN)
    assert "I keep that" in (await room.desk.better(pressed.better, presser, "Say yes.")).words
    ratings = (await store.export("discord", "1"))["ratings"]
    assert [(rating["value"], rating["better"]) for rating in ratings] == [(-1, "Say yes.")]
    assert len((await store.export("discord", "2"))["ratings"]) == 1


async def test_buttons_of_other_chats_and_made_up_ones_do_nothing(room: Room, desk: Desk, store: Store) -> None:
    place = await room.answered("?")
    elsewhere = Room(desk, store, Address("discord", "666"))
    assert "not part" in (await elsewhere.press(place.press("good"))).toast
    for action in ("good:x", "good:99999", "rm:1", "", "good:-1"):
        assert (await room.press(action)).toast


# --- Edits and deletions ---


async def test_an_edited_question_is_answered_again_at_once(room: Room, model: FakeModel) -> None:
    place = await room.answered("What is a cta?", message_id="q")
    heard, _ = room.heard("What is a cat?", message_id="q")
    await room.desk.edited(heard, place)
    await place.until(lambda place: len(model.chats) == 2 and "again" in place.actions)
    assert model.prompt()[-1][1].endswith("What is a cat?")
    assert len(place.shown) == 1


async def test_an_old_question_that_is_edited_waits_for_its_button(room: Room, model: FakeModel, monkeypatch: Any) -> None:
    monkeypatch.setattr("bot.desk.EDIT_SECONDS", -1)
    place = await room.answered("What is a cta?", message_id="q")
    heard, _ = room.heard("What is a cat?", message_id="q")
    await room.desk.edited(heard, place)
    assert len(model.chats) == 1
    await room.press(place.press("again"))
    await place.until(lambda place: len(model.chats) == 2)
    assert model.prompt()[-1][1].endswith("What is a cat?")


async def test_nobody_edits_anothers_question(room: Room, model: FakeModel) -> None:
    place = await room.answered("mine", message_id="q")
    heard, _ = room.heard("yours", BOB, message_id="q")
    await room.desk.edited(heard, place)
    assert len(model.chats) == 1


async def test_a_deleted_question_stops_its_answer(room: Room, model: FakeModel) -> None:
    held = model.say("slow", hold=True)
    place = await room.say("?", message_id="q")
    await held.wait_begun()
    await room.desk.deleted(ROOM, "q")
    await place.until(lambda place: "again" in place.actions)


# --- Commands ---


async def test_ask_and_describe_take_the_replied_to_picture(room: Room, model: FakeModel) -> None:
    picture = Quoted("", (file("photo.jpg", encoded(photo(), "JPEG")),))
    place = await room.command("describe", quoted=picture)
    await place.until(lambda place: "again" in place.actions)
    assert [part["type"] for part in model.prompt()[-1][1]] == ["image_url", "text"]
    assert "no picture" in (await room.command("describe")).texts[0]
    assert "question" in (await room.command("ask")).texts[0]


async def test_stop_ends_ones_own_turns(room: Room, model: FakeModel) -> None:
    held = model.say("slow", hold=True)
    await room.say("one")
    await held.wait_begun()
    assert "not writing" not in (await room.command("stop", BOB)).texts[0]
    place = await room.command("stop")
    assert place.texts == ["Stopping."]
    assert (await room.command("stop")).texts == ["I am not writing anything at the moment."]


async def test_reset_forgets_what_was_said(room: Room, model: FakeModel) -> None:
    await room.answered("My name is Ann.")
    await room.command("reset")
    await room.answered("What is my name?")
    assert len([role for role, _ in model.prompt() if role == "user"]) == 1


async def test_regenerate_answers_ones_last_question(room: Room, model: FakeModel) -> None:
    assert "no question" in (await room.command("regenerate")).texts[0]
    await room.answered("?")
    place = await room.command("regenerate")
    await place.until(lambda place: place.texts == ["ok"])
    assert len(model.chats) == 2


async def test_settings_of_a_person_and_of_a_conversation(room: Room, model: FakeModel) -> None:
    assert "English" in (await room.command("settings")).texts[0]
    await room.command("settings language de")
    assert "English" not in (await room.command("settings")).texts[0]
    assert "xx" in (await room.command("settings language xx")).texts[0]
    assert (await room.command("settings persona pirate", BOB)).texts[0].startswith("⚠️")
    await room.command("settings persona pirate", chat_admin=True)
    await room.command("settings memory 0", chat_admin=True)
    await room.answered("one")
    await room.answered("two")
    assert "pirate" in model.prompt()[0][1]
    assert len([role for role, _ in model.prompt() if role == "user"]) == 1


async def test_status_and_privacy(room: Room) -> None:
    assert "fake, ready" in (await room.command("status")).texts[0]
    assert "/forget" in (await room.command("privacy")).texts[0]


async def test_transcribe_writes_down_and_asks_nobody(room: Room, model: FakeModel, settings: Settings) -> None:
    model.hear("good morning")
    place = await room.command("transcribe", ANN, file("v.ogg", sound()))
    await place.until(lambda place: "again" in place.actions)
    assert place.texts == ["good morning"]
    assert not model.chats
