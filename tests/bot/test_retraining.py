"""Admins retrain from chat: one at a time, watched, judged, decided, taken back; and nobody is forgotten only in part."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.calling import Quoted
from bot.chat.base import Address
from bot.chat.place import Refused
from bot.desk import Desk
from bot.presses import Presser
from bot.retraining import words
from bot.retraining.retrainings import EVERY
from bot.retraining.trainer import Compared, Progress, Verdict
from bot.settings import Settings
from bot.store import Store
from bot.store.records import StoredRun
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.fake_place import FakePlace
from tests.bot.retraining import (
    BOSS,
    WORSE,
    FakeTrainer,
    begun,
    desk,
    desk_of,
    press,
    settings,
    teach,
    trainer,
)
from tests.bot.room import ANN, BOB, ROOM, Room

__all__ = ["desk", "settings", "trainer"]  # fixtures


async def test_from_the_command_to_the_new_adapter_and_back(room: Room, trainer: FakeTrainer, model: FakeModel) -> None:
    await teach(room)
    place = await begun(room, trainer)
    assert "**Retraining 1**: 3 examples" in place.texts[0]
    (lessons,) = trainer.lessons
    assert lessons[0]["conversations"][0]["value"] == "<image>\nWhose badge is 0?"
    assert lessons[0]["conversations"][1]["value"] == "The club 0."
    assert (room.desk.training()._settings.attachments / lessons[0]["image"][0]).read_bytes()
    assert trainer.heard is not None
    trainer.heard(Progress(30, 60, 0.75, 240.0))
    await place.until(lambda place: "▰▰▰▰▰▱▱▱▱▱ 50 %, loss 0.75, about 4 min left" in place.texts[0])
    trainer.heard(Progress(60, 60, 0.5, 0.0))
    await place.until(lambda place: "comparing" in place.texts[0])
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert "Which answers do you like more?" in place.texts[1]
    assert {"**A:** A cat.", "**B:** A cat."} & set(place.texts[1].splitlines())
    revealed = await press(room, place, "retrain-blind-a")
    assert "is the new one" in revealed
    assert "✓ loss on what was held out: 2.50 → 0.50" in revealed
    assert "✓ questions about shapes: 90% → 91%" in revealed
    assert model.adapter == trainer.starts[0] == "first"
    name = trainer.running[0].name
    assert name.startswith("retrained-1-")
    assert f"I answer with {name}" in await press(room, place, "retrain-use")
    assert model.adapter == name
    assert f"**{name}** ←" in (await room.command("adapters", ANN)).texts[0]
    assert "I answer with first" in (await room.command("adapters back", BOSS)).texts[0]
    assert model.adapter == "first"
    assert f"I answer with {name}" in (await room.command("adapters back", BOSS)).texts[0]  # forth again


async def test_the_blind_sides_tell_the_truth(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert "> Whose badge?\n**wanted:** Of the rowing club.\n**A:** " in place.texts[1]
    new = "A" if "**A:** The rowing club's." in place.texts[1] else "B"
    assert f"{new} is the new one; you liked it more." in await press(room, place, f"retrain-blind-{new.lower()}")


async def test_what_got_worse_is_not_offered(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    trainer.verdict = WORSE
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert "I do not offer it" in place.texts[1]
    assert "✗ drawings named right: 40% → 10%" in place.texts[1]
    assert place.actions == []
    pressed = await room.press("retrain-use:1", BOSS)
    assert pressed.instead is not None
    assert "decided already" in pressed.instead.words


async def test_a_failure_is_told_with_its_reason(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    trainer.verdict = "There are 3 examples to learn from, and at least 20 are needed: 17 more."
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert place.texts[1].endswith("17 more.")


async def test_one_at_a_time_and_a_cancelled_one_ends(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    first = await begun(room, trainer)
    second = await room.command("retrain again", BOSS)
    assert "Another one is under way" in second.texts[0]
    assert "cancelled" in await press(room, first, "retrain-cancel")
    async with asyncio.timeout(10):
        while len(trainer.running) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    trainer.go.set()
    await second.until(lambda place: len(place.texts) == 2)
    assert trainer.most_at_once == 1
    assert len(first.texts) == 1


async def test_only_the_bots_own_admins_decide(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    for line in ("retrain", "adapters use first", "adapters back"):
        assert "Only the admins of this bot" in (await room.command(line, ANN, community_admin=True)).texts[0]
    place = await begun(room, trainer)
    assert "Only the admins of this bot" in await press(room, place, "retrain-cancel", ANN)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert "Only the admins of this bot" in await press(room, place, "retrain-blind-a", ANN)


async def test_nothing_allowed_nothing_trained(room: Room, trainer: FakeTrainer) -> None:
    await room.command("teach Q?\nA.", ANN)
    assert "nothing to learn from here" in (await room.command("retrain", BOSS)).texts[0]
    assert trainer.running == []


def test_the_blind_comparison_says_what_was_wanted_in_the_language_of_the_run_as_far_as_a_message_holds() -> None:
    run = StoredRun(1, "retrained-1", "first", "judged", "c", ROOM, "", "Boss", "", "de", (1,))
    long = Verdict(
        True, (), tuple(Compared(f"example-{at}", "Q? " * 100, "W. " * 100, "A. " * 100, "B. " * 100) for at in range(3))
    )
    place = FakePlace(ROOM, limit=2000)
    shown = words.verdict(run, long, place).words
    assert shown.count("**gewünscht:** W. W.") == 2  # a third one is too much for it
    assert len(shown) <= place.limit
    assert words.verdict(run, long, FakePlace(ROOM, limit=4000)).words.count("**gewünscht:**") == 3


async def test_too_few_are_refused_at_once(
    room: Room, trainer: FakeTrainer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while another one trains. Doubles count once."""
    monkeypatch.setattr("bot.retraining.retrainings.LEAST", 5)
    await teach(room, 3)
    await teach(room, 3)  # the same questions about the same picture
    said = (await room.command("retrain", BOSS)).texts[0]
    assert "To learn from here: 3 examples. I need at least 5, 2 more" in said
    assert said.endswith("counts once.")
    german = await room.command("retrain", replace(BOSS, language="de"))
    assert "hier 3 Beispiele. Ich brauche mindestens 5, also noch 2" in german.texts[0]
    assert (trainer.running, await store.runs(EVERY)) == ([], [])
    await teach(room, 5)
    await begun(room, trainer)


async def test_what_the_base_would_answer_is_neither_counted_nor_trained_on(
    room: Room, trainer: FakeTrainer, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter that leaves conversations without a picture to the base, like pocket's, learns nothing from them."""
    monkeypatch.setattr("bot.retraining.retrainings.LEAST", 3)
    model.origins["first"] = {"parent": "fake/none", "card": {"created": "2026-11-26", "data": [], "text_only": "base"}}
    await teach(room, 2)
    for number in range(5):
        await room.command(f"teach When is training {number}?\nOn day {number}.", ANN)
    said = (await room.command("retrain", BOSS)).texts[0]
    assert "2 examples. I need at least 3, 1 more" in said
    assert "once. 5 without a picture do not count" in said
    await teach(room, 3)
    place = await begun(room, trainer)
    assert "5 examples" in place.texts[0]
    assert ["image" in line for line in trainer.lessons[0]] == [True] * 5


async def test_a_restart_goes_on_and_tells(
    room: Room, trainer: FakeTrainer, turns: Turns, store: Store, settings: Settings, client: ModelClient
) -> None:
    await teach(room)
    place = await begun(room, trainer)
    await room.desk.training().close()
    assert len(place.texts) == 1
    after = desk_of(turns, store, settings, trainer, client)
    trainer.go.set()
    await after.resume("discord", lambda address, message_id: place)
    await place.until(lambda place: len(place.texts) == 2)
    assert trainer.running == [trainer.running[0]] * 2
    assert "Which answers" in place.texts[1]
    await after.resume("discord", lambda address, message_id: place)
    await after.training().close()
    assert len(place.texts) == 2


async def test_forget_clears_what_was_written_out_and_names_the_adapters(
    room: Room, trainer: FakeTrainer, store: Store
) -> None:
    await teach(room)
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    await press(room, place, "retrain-blind-same")
    await press(room, place, "retrain-use")
    folder = trainer.running[0]
    assert (await store.export("discord", ANN.platform_id)) | (await room.desk.training().export("discord", "1")) != {}
    assert await room.desk.training().export("discord", "1") == {"adapters": [folder.name]}
    assert await room.desk.training().export("discord", BOB.platform_id) == {}
    said = (await room.press(f"forget:{ANN.platform_id}", ANN)).instead
    assert said is not None
    assert f"learnt from something of yours, and cannot unlearn it: {folder.name}" in said.words
    assert list(folder.iterdir()) == []


async def test_forget_ends_a_run_that_learns_from_them(room: Room, trainer: FakeTrainer, store: Store) -> None:
    await teach(room)
    await begun(room, trainer)
    await room.press(f"forget:{ANN.platform_id}", ANN)
    assert [run.state for run in await store.runs(("cancelled",))] == ["cancelled"]
    assert not (trainer.running[0] / "lessons").exists()


async def test_a_yes_that_is_taken_back_ends_the_run_and_says_so(room: Room, trainer: FakeTrainer, store: Store) -> None:
    await teach(room)
    place = await begun(room, trainer)
    await room.press(f"teaching-no:{ANN.platform_id}", ANN)
    await place.until(lambda place: "somebody took back" in place.texts[-1])
    assert [run.state for run in await store.runs(("cancelled",))] == ["cancelled"]
    assert not (trainer.running[0] / "lessons").exists()


async def test_a_queued_run_learns_only_what_is_still_allowed(room: Room, trainer: FakeTrainer, store: Store) -> None:
    await teach(room, 2)
    await teach(room, 1, BOB)
    await begun(room, trainer)
    await room.command("retrain", BOSS)
    dropped = (await store.usable(trainer_community(room)))[0].example_id
    await room.press(f"example-drop:{dropped}", ANN, community_admin=True)
    trainer.go.set()
    async with asyncio.timeout(10):
        while len(trainer.lessons) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [len(lessons) for lessons in trainer.lessons] == [3, 2]


async def test_a_queued_run_that_is_left_with_too_few_says_so_in_the_language_it_was_asked_in(
    room: Room, trainer: FakeTrainer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teach(room, 3)
    await begun(room, trainer)
    monkeypatch.setattr("bot.retraining.retrainings.LEAST", 3)
    place = await room.command("retrain", replace(BOSS, language="de"))
    dropped = (await store.usable(trainer_community(room)))[0].example_id
    await room.press(f"example-drop:{dropped}", ANN, community_admin=True)
    trainer.go.set()
    await place.until(lambda place: "Training 2" in place.texts[-1] and "2 Beispiele" in place.texts[-1])
    assert len(trainer.lessons) == 1


async def test_the_note_that_it_was_asked_for_with_stands_below(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    place = await begun(room, trainer, note="the clubs")
    assert place.texts[0].splitlines()[1] == "“the clubs”"
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert "“the clubs”" in place.texts[1]


def trainer_community(room: Room) -> str:
    return f"discord:chat:{room.address.chat_id}"


async def test_a_verdict_that_could_not_be_told_is_told_later(room: Room, trainer: FakeTrainer, store: Store) -> None:
    await teach(room)
    place = await begun(room, trainer)
    place.errors.extend([Refused("too long")])
    trainer.go.set()
    async with asyncio.timeout(10):
        while not await store.runs(("judged",)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert [run.state for run in await store.runs(("judged", "told"))] == ["judged"]
    await room.desk.resume("discord", lambda address, message_id: place)
    await place.until(lambda place: len(place.texts) == 2)
    assert trainer.running == [trainer.running[0]]


@pytest.mark.parametrize("elsewhere", [Address("discord", "777"), Address("discord", ROOM.chat_id, "55")])
async def test_questions_of_other_channels_and_of_threads_are_not_shown(
    room: Room, trainer: FakeTrainer, desk: Desk, store: Store, elsewhere: Address
) -> None:
    private = Room(desk, store, elsewhere)
    place = await private.answered("A secret question?", ANN)
    await private.press(place.press("bad"), ANN, server_id="5")
    await desk.better(1, Presser(private.address, ANN, server_id="5"), "A secret answer.")
    await room.press(f"teaching-yes:{ANN.platform_id}", ANN)
    heard, shown_at = room.heard("retrain", BOSS, command=True)
    heard = replace(heard, incoming=replace(heard.incoming, server_id="5"))
    await desk.command("retrain", "", heard, shown_at)
    trainer.go.set()
    await shown_at.until(lambda place: len(place.texts) == 2)
    assert "Whose badge?" not in shown_at.texts[1]
    assert shown_at.actions == ["retrain-here", "retrain-use", "retrain-try", "retrain-drop"]


async def test_what_somebody_else_said_is_no_lesson(room: Room, store: Store) -> None:
    place = await room.answered("Is that so?", ANN, quoted=Quoted("Bob's secret", ()))
    pressed = await room.press(place.press("bad"))
    await room.desk.better(pressed.better or 0, Presser(ROOM, ANN), "Yes.")
    await room.press(f"teaching-yes:{ANN.platform_id}", ANN)
    assert await store.usable(trainer_community(room)) == []


async def test_what_was_taught_moves_with_its_chat(room: Room, trainer: FakeTrainer, store: Store) -> None:
    await teach(room)
    await begun(room, trainer)
    await room.desk.moved("discord", room.address.chat_id, "4711")
    assert len(await store.usable("discord:chat:4711")) == 3
    (run,) = await store.runs(("running",))
    assert (run.address.chat_id, run.community) == ("4711", "discord:chat:4711")


async def test_without_an_adapter_there_is_nothing_to_go_on_from(room: Room, model: FakeModel, trainer: FakeTrainer) -> None:
    await teach(room)
    model.adapter = "none"
    assert "goes on from one" in (await room.command("retrain", BOSS)).texts[0]
    model.adapter = ""
    assert "Nothing can be trained here" in (await room.command("retrain", BOSS)).texts[0]
    assert trainer.running == []


async def test_unknown_adapters_and_servers_without_any(room: Room, model: FakeModel) -> None:
    model.adapter = "first"
    assert "There is no adapter cat: there are none" in (await room.command("adapters use cat", BOSS)).texts[0]
    model.adapter = ""
    assert "knows no adapters" in (await room.command("adapters", ANN)).texts[0]
