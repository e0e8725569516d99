"""What people teach is kept, looked through by admins, and used only with the yes of everybody whose words are in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.chat.base import Address, Sender, community
from bot.chat.place import Refused
from bot.presses import Pressed, Presser
from bot.settings import Settings
from bot.store import Store
from bot.teaching import Said
from tests.bot.room import ANN, BOB, ROOM, Room
from tests.bot.samples import encoded, photo
from tests.bot.sending import file

HERE = community(ROOM, "")
CAT = Sender("3", "Cat", "en")
PICTURE = encoded(photo(), "JPEG")


def stored_files(settings: Settings) -> list[Path]:
    return [path for path in settings.attachments.rglob("*") if path.is_file()]


async def corrected(room: Room, better: str, sender: Sender = ANN, asker: Sender = ANN, *files: Any) -> Said:
    """A question, a thumb down, and what would have been better."""
    place = await room.answered("What club is this?", asker, *files)
    pressed = await room.press(place.press("bad"), sender)
    assert pressed.better is not None
    said = await room.desk.better(pressed.better, Presser(ROOM, sender), better)
    await room.desk.ask_asker(pressed.better, Presser(ROOM, sender), room.make)
    return said


async def allow(room: Room, *people: Sender, verb: str = "teaching-yes") -> None:
    for person in people:
        await room.press(f"{verb}:{person.platform_id}", person)


async def pairs(store: Store, here: str = HERE) -> list[tuple[str, str]]:
    return [(example.question, example.answer) for example in await store.usable(here)]


def actions(said: Said | None) -> list[str]:
    assert said is not None
    return [button.action for button in said.buttons]


async def test_a_correction_is_used_once_its_person_says_yes_and_they_are_asked_once(room: Room, store: Store) -> None:
    first = await corrected(room, "The rowing club.")
    assert actions(first) == ["teaching-yes:1", "teaching-no:1"]
    assert "train" in first.words
    assert await pairs(store) == []
    again = await corrected(room, "The chess club.")
    assert (actions(again), "not used for training" in again.words) == ([], True)
    said = (await room.press("teaching-yes:1")).instead
    assert said is not None
    assert "may be used" in said.words
    assert await pairs(store) == [("What club is this?", "The rowing club."), ("What club is this?", "The chess club.")]
    assert actions(await corrected(room, "The choir.")) == []


async def test_somebody_elses_question_needs_their_yes_too(room: Room, store: Store) -> None:
    await corrected(room, "The rowing club.", ANN, BOB)
    await allow(room, ANN)
    assert await pairs(store) == []
    assert (await store.lessons(HERE)).waiting == 1
    await allow(room, BOB)
    assert len(await pairs(store)) == 1
    await allow(room, BOB, verb="teaching-no")
    assert await pairs(store) == []


async def test_whose_question_somebody_else_corrects_is_asked_once_at_their_question(room: Room, store: Store) -> None:
    await allow(room, ANN)
    await corrected(room, "The rowing club.", ANN, BOB)
    place = room.places["m1"]
    assert (len(place.texts), place.actions) == (2, ["teaching-yes", "teaching-no"])
    assert place.texts[1].startswith("Bob, jemand hat mir eine bessere Antwort auf diese Frage von dir gegeben.")
    assert "not yours" in (await room.press(place.press("teaching-yes"), ANN)).toast
    await room.press(place.press("teaching-yes"), BOB)
    assert await pairs(store) == [("What club is this?", "The rowing club.")]
    await corrected(room, "The chess club.", ANN, BOB)
    assert len(room.places["m2"].texts) == 1


async def test_who_was_asked_before_is_not_asked_for_somebody_elses_correction(room: Room) -> None:
    await allow(room, BOB, verb="teaching-no")
    await corrected(room, "The rowing club.", ANN, BOB)
    assert len(room.places["m1"].texts) == 1
    await corrected(room, "The rowing club.", CAT, CAT)
    assert len(room.places["m2"].texts) == 1


async def test_an_asker_who_could_not_be_asked_is_asked_another_time(room: Room) -> None:
    place = await room.answered("What club is this?", BOB)
    pressed = await room.press(place.press("bad"), ANN)
    await room.desk.better(pressed.better or 0, Presser(ROOM, ANN), "The rowing club.")
    place.errors.append(Refused("no"))
    await room.desk.ask_asker(pressed.better or 0, Presser(ROOM, ANN), room.make)
    assert len(place.texts) == 1
    await room.desk.ask_asker(pressed.better or 0, Presser(ROOM, ANN), room.make)
    assert len(place.texts) == 2


async def test_nobody_says_yes_for_another(room: Room, store: Store) -> None:
    await corrected(room, "The rowing club.")
    assert "not yours" in (await room.press("teaching-yes:1", replace(BOB, language="en"))).toast
    assert await pairs(store) == []


async def test_a_correction_that_is_corrected_replaces_the_first(room: Room, store: Store) -> None:
    place = await room.answered("What club is this?", ANN, file("badge.jpg", PICTURE))
    await allow(room, ANN)
    for better in ("Chess", "The chess club."):
        pressed = await room.press(place.press("bad"))
        await room.desk.better(pressed.better or 0, Presser(ROOM, ANN), better)
    (example,) = await store.usable(HERE)
    assert (example.answer, len(example.pictures), example.pictures[0].path.exists()) == ("The chess club.", 1, True)


async def test_teach_takes_a_question_an_answer_and_a_picture(room: Room, store: Store) -> None:
    place = await room.command("teach Whose badge is this?\nThe rowing club's.\nSince 1907.", ANN, file("badge.jpg", PICTURE))
    assert "keep that" in place.texts[0]
    assert place.actions == ["teaching-yes", "teaching-no"]
    await allow(room, ANN)
    (example,) = await store.usable(HERE)
    assert (example.question, example.answer) == ("Whose badge is this?", "The rowing club's.\nSince 1907.")
    assert example.pictures[0].mime == "image/jpeg"


@pytest.mark.parametrize(
    ("line", "files", "said"),
    [
        ("teach", [], "the answer on the lines below"),
        ("teach A question?", [], "the answer on the lines below"),
        ("teach \nAn answer.", [], "the answer on the lines below"),
        ("teach Q?\n" + "x" * 2001, [], "2,001 characters"),
        ("teach Q?\nA.", [file("notes.txt", b"words")], "only pictures"),
        ("teach Q?\nA.", [file("a.jpg", PICTURE)] * 5, "5 files"),
    ],
)
async def test_what_cannot_be_learnt_is_refused_with_a_reason(
    room: Room, store: Store, line: str, files: list[Any], said: str
) -> None:
    await allow(room, ANN)
    assert said in (await room.command(line, ANN, *files)).texts[0]
    assert await pairs(store) == []


async def test_admins_look_through_what_was_taught(room: Room, store: Store) -> None:
    await allow(room, ANN)
    for number in range(3):
        await room.command(f"teach Question {number}?\nAnswer {number}.", ANN)
    for how in ({}, {"chat_admin": True}):  # who looks after one channel may not see the others of a server
        assert "Only admins" in (await room.command("examples", ANN, **how)).texts[0]
    place = await room.command("examples", ANN, community_admin=True)
    assert "3 to learn from (3 not looked at yet)" in place.texts[0]
    assert "> Question 0?\n\nAnswer 0." in place.texts[0]
    bob = replace(BOB, language="en")
    assert "Only admins" in (await room.press(place.press("example-drop"), bob, chat_admin=True)).toast
    assert len(await pairs(store)) == 3

    async def press(action: str) -> Said:
        pressed: Pressed = await room.press(action, ANN, community_admin=True)
        assert pressed.instead is not None
        return pressed.instead

    second = await press(place.press("example-drop"))
    assert "Answer 1." in second.words
    third = await press(actions(second)[0])
    assert "Answer 2." in third.words
    assert actions(await press(actions(third)[2])) == []  # left for later: it is the last one
    assert await pairs(store) == [("Question 1?", "Answer 1."), ("Question 2?", "Answer 2.")]
    assert (await store.lessons(HERE)).new == 1


async def test_admins_give_an_example_a_better_answer(room: Room, store: Store) -> None:
    await allow(room, ANN)
    await room.command("teach Whose badge?\nOurs.", ANN)
    (example,) = await store.usable(HERE)
    line = f"examples {example.example_id} The rowing club's."
    assert "Only admins" in (await room.command(line, replace(BOB, language="en"))).texts[0]
    assert await pairs(store) == [("Whose badge?", "Ours.")]
    assert "has that answer now" in (await room.command(line, ANN, community_admin=True)).texts[0]
    assert await pairs(store) == [("Whose badge?", "The rowing club's.")]
    assert (await store.lessons(HERE)).new == 0
    assert "no example 999" in (await room.command("examples 999 What?", ANN, community_admin=True)).texts[0]


async def test_examples_stay_in_their_community(room: Room, desk: Any, store: Store) -> None:
    elsewhere = Room(desk, store, Address("discord", "200"))
    await allow(room, ANN)
    await room.command("teach Here?\nYes.", ANN)
    place = await elsewhere.command("examples", ANN, community_admin=True)
    assert "0 to learn from" in place.texts[0]
    example = (await store.usable(HERE))[0].example_id
    await elsewhere.press(f"example-drop:{example}", ANN, community_admin=True)
    assert len(await pairs(store)) == 1
    assert community(Address("discord", "1", "2"), "9") == community(Address("discord", "7"), "9") == "discord:server:9"
    assert community(Address("web", "a-browser", "1"), "") == "web"


async def test_privacy_shows_what_was_said_and_changes_it(room: Room, store: Store) -> None:
    await room.command("teach Here?\nYes.", ANN)
    place = await room.command("privacy", ANN)
    assert "did not allow" in place.texts[0]
    await room.press(place.press("teaching-yes"), ANN)
    assert len(await pairs(store)) == 1
    place = await room.command("privacy", ANN)
    assert "You allow" in place.texts[0]
    await room.press(place.press("teaching-no"), ANN)
    assert await pairs(store) == []


async def test_forget_and_export_reach_what_was_taught(room: Room, store: Store, settings: Settings) -> None:
    await allow(room, ANN, CAT)
    await room.command("teach Whose badge?\nOurs.", ANN, file("badge.jpg", PICTURE))
    await corrected(room, "The rowing club.", CAT, ANN, file("other.png", encoded(photo((90, 90)), "PNG")))
    exported = await store.export("discord", "1")
    assert exported["person"]["teaches"] is True
    assert [(one["question"], one["answer"], len(one["files"])) for one in exported["examples"]] == [
        ("Whose badge?", "Ours.", 1)
    ]
    await room.command("teach Whose badge?\nOurs, too.", CAT, file("same.jpg", PICTURE))
    await room.press(f"forget:{ANN.platform_id}", ANN)
    assert await pairs(store) == [("Whose badge?", "Ours, too.")]  # the correction was of a question of Ann's
    assert len(stored_files(settings)) == 1
    await room.press(f"forget:{CAT.platform_id}", CAT)
    assert await pairs(store) == []
    assert stored_files(settings) == []
