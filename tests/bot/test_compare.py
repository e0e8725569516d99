"""Two adapters are asked what people taught, beside each other, without a trace in any conversation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.chat.base import Address
from bot.desk import Desk
from bot.presses import Presser
from bot.retraining import compare
from bot.retraining.words import LONGEST
from bot.settings import Settings
from bot.store import Store
from tests.bot.fake_model import FakeModel
from tests.bot.fake_place import FakePlace
from tests.bot.retraining import BOSS, FakeTrainer, desk, settings, teach
from tests.bot.room import ANN, BOB, Room

__all__ = ["desk", "settings"]  # fixtures

HERE = "discord:chat:100"


@pytest.fixture
def trainer(model: FakeModel) -> FakeTrainer:
    model.adapter = "first"
    model.adapters += ["first", "second"]
    return FakeTrainer(model)


async def compared(room: Room, line: str = "first second", messages: int = 2) -> FakePlace:
    place = await room.command(f"adapters compare {line}", BOSS)
    await place.until(lambda place: len(place.texts) == messages)
    return place


def asked(model: FakeModel) -> list[tuple[str, str]]:
    """Models and what was asked, its pictures left out."""
    return [(str(chat["model"]), _words(chat["messages"][-1]["content"])) for chat in model.chats]


def _words(content: object) -> str:
    return str(content[-1]["text"] if isinstance(content, list) else content)


async def test_both_are_asked_the_same_and_shown_side_by_side(room: Room, store: Store, model: FakeModel) -> None:
    await teach(room, 2)
    rated = await room.answered("Who are you?", ANN)
    await room.press(rated.press("good"), ANN)
    model.chats.clear()
    model.say("A ", "cat.")
    model.say("The club\n1.")
    model.say(" ")
    model.say("The club 0.")
    place = await compared(room)
    assert place.texts[0] == "I am asking first and second the same 2 questions."
    assert place.texts[1].splitlines() == [
        "**first** 👍 1 👎 0 and **second** 👍 0 👎 0, asked the same:",
        "👍 👎: counted everywhere.",
        "",
        "> Whose badge is 1?",
        "**wanted:** The club 1.",
        "**first:** A cat.",
        "**second:** The club 1.",
        "",
        "> Whose badge is 0?",
        "**wanted:** The club 0.",
        "**first:** –",
        "**second:** The club 0.",
    ]
    questions = ("Whose badge is 1?", "Whose badge is 0?")
    assert asked(model) == [(f"fake/{name}", question) for question in questions for name in ("first", "second")]
    assert {chat["temperature"] for chat in model.chats} == {0.0}
    assert [message["role"] for message in model.chats[0]["messages"]] == ["system", "user"]
    assert model.chats[0]["messages"][1]["content"][0]["type"] == "image_url"
    assert [turn.text for turn in await store.turns(room.address)] == ["Who are you?"]


async def test_three_are_asked_kept_ones_first_then_the_newest(room: Room, store: Store, model: FakeModel) -> None:
    await teach(room, 5)
    numbers = {one.question: one.example_id for one in await store.usable(HERE)}
    await store.review(numbers["Whose badge is 1?"], HERE, "kept")
    await store.review(numbers["Whose badge is 4?"], HERE, "dropped")
    await compared(room)
    assert [question for _, question in asked(model)][::2] == [f"Whose badge is {number}?" for number in (1, 3, 2)]


async def test_long_answers_are_cut_and_one_message_holds_them(room: Room, model: FakeModel) -> None:
    await teach(room)
    await room.command("teach " + "Whose? " * 100 + "\n" + "Ours. " * 100, ANN)
    for _ in range(6):
        model.say("word " * 200)
    place = await compared(room)
    assert len(place.texts[1]) <= place.limit
    lines = place.texts[1].splitlines()
    assert len(next(line for line in lines if line.startswith("**first:**"))) == len("**first:** ") + LONGEST
    assert next(line for line in lines if line.startswith("> ")).endswith("…")


async def test_who_sees_thumbs_compares(room: Room, model: FakeModel) -> None:
    await teach(room, 1)
    line = "adapters compare first second"
    assert (await room.command(line, ANN)).texts == ["⚠️ Only admins can do that."]
    assert model.chats == []
    place = await room.command(line, ANN, community_admin=True)
    await place.until(lambda place: len(place.texts) == 2)
    assert "counted here" in place.texts[1]


async def test_it_counts_like_a_message(room: Room, settings: Settings, model: FakeModel) -> None:
    await teach(room, 1)
    room.desk.turns.access._settings = settings.model_copy(update={"messages_per_minute": 1, "guest_per_minute": 1})
    said = (await room.command("adapters compare first second", ANN, community_admin=True)).texts
    assert "a lot in a short time" in said[0]
    assert model.chats == []


async def test_without_a_question_it_says_how_to_get_one(room: Room, model: FakeModel) -> None:
    await room.command("teach Whose?\nOurs.", ANN)  # without a yes
    assert "/teach" in (await compared(room, messages=1)).texts[0]
    assert model.chats == []


@pytest.mark.parametrize("line", ["first cat", "cat first"])
async def test_a_name_that_is_not_there(room: Room, line: str) -> None:
    await teach(room, 1)
    said = (await compared(room, line, messages=1)).texts[0]
    assert said == "There is no adapter cat: there are none, first, second."


async def test_one_name_alone_shows_the_list(room: Room) -> None:
    assert "**Adapters**" in (await compared(room, "first", messages=1)).texts[0]


async def test_a_server_without_adapters(room: Room, model: FakeModel) -> None:
    await teach(room, 1)
    model.adapter = ""
    assert "knows no adapters" in (await compared(room, messages=1)).texts[0]


async def test_only_what_was_asked_in_this_chat_or_taught_in_this_community(
    room: Room, desk: Desk, store: Store, model: FakeModel
) -> None:
    private, elsewhere = (Room(desk, store, Address("discord", chat_id)) for chat_id in ("777", "200"))
    thread = Room(desk, store, Address("discord", room.address.chat_id, "55"))
    await teach(elsewhere, 1)
    for where, question in (
        (private, "A secret question?"),
        (thread, "A secret of the thread?"),
        (room, "An open question?"),
    ):
        place = await where.answered(question, ANN)
        await where.press(place.press("bad"), ANN, server_id="5")
        number = int(place.press("again").partition(":")[2])
        await desk.better(number, Presser(where.address, ANN, server_id="5"), "Better.")
    model.chats.clear()
    heard, shown_at = room.heard("compare", BOSS, command=True)
    heard = replace(heard, incoming=replace(heard.incoming, server_id="5"))
    await desk.command("adapters", "compare first second", heard, shown_at)
    await shown_at.until(lambda place: len(place.texts) == 2)
    assert [question for _, question in asked(model)] == ["An open question?"] * 2


async def test_one_that_does_not_fit_is_told_with_its_reason(room: Room, model: FakeModel) -> None:
    await teach(room, 1)
    model.fail(404, "model_not_found", message="It was made for other weights.")
    assert "It was made for other weights." in (await compared(room)).texts[1]
    assert model.chats == []


async def test_a_worker_that_dies_is_told(room: Room, model: FakeModel) -> None:
    await teach(room, 1)
    model.say("A c", drop=True)
    place = await room.command("adapters compare first second", replace(BOSS, language="de"))
    await place.until(lambda place: len(place.texts) == 2)
    assert place.texts[1].startswith("⚠️ Das Modell")


async def test_it_ends_in_time_and_the_chat_goes_on_meanwhile(
    room: Room, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teach(room, 1)
    monkeypatch.setattr(compare, "COMPARE_SECONDS", 3.0)
    held = model.say("A c", hold=True)
    place = await room.command("adapters compare first second", BOSS)
    await held.wait_begun()
    assert (await room.answered("Still there?", BOB)).texts[0] == "ok"
    await place.until(lambda place: len(place.texts) == 2)
    assert "took longer than" in place.texts[1]
