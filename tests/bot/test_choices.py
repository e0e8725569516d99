"""Which adapter answers where: a community's own, everybody's, one on trial; and what people think of each."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from bot.adapters import candidates, is_part
from bot.chat.base import Address
from bot.desk import Desk
from bot.retraining import retrainings
from bot.store import Store
from bot.store.choices import EVERYWHERE
from bot.store.records import Choice, Thumbs
from bot.store.tables import AdapterUse
from bot.turn import Turns
from tests.bot.fake_model import FakeModel
from tests.bot.retraining import BOSS, FakeTrainer, begun, desk, press, settings, teach
from tests.bot.room import ANN, BOB, Room

__all__ = ["desk", "settings"]  # fixtures

HERE = "discord:chat:100"


@pytest.fixture
def trainer(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> FakeTrainer:
    monkeypatch.setattr(retrainings, "LEAST", 1)
    model.adapter = "first"
    model.adapters += ["first", "second", "third"]
    return FakeTrainer(model)


@pytest.fixture
def elsewhere(desk: Desk, store: Store) -> Room:
    return Room(desk, store, Address("discord", "200"))


async def asked_by(room: Room, model: FakeModel) -> str:
    """The model that a question is sent to."""
    await room.answered("Who are you?", ANN)
    return str(model.chats[-1]["model"])


async def boss(room: Room, line: str) -> str:
    return (await room.command(f"adapters {line}".strip(), BOSS)).texts[0]


async def test_a_community_has_an_adapter_of_its_own_and_takes_it_back(room: Room, elsewhere: Room, model: FakeModel) -> None:
    assert "second answers here" in await boss(room, "here second")
    assert (await asked_by(room, model), await asked_by(elsewhere, model)) == ("fake/second", "fake")
    shown = await boss(room, "")
    assert "**first** ← everywhere" in shown
    assert "**second** ← here" in shown
    assert "third answers here" in await boss(room, "here third")
    assert "second answers here" in await boss(room, "back")
    assert "everybody's adapter answers here: first" in await boss(room, "here default")
    assert await asked_by(room, model) == "fake"
    assert model.adapter == "first"


async def test_everybodys_is_not_said_to_answer_where_a_community_has_its_own(
    room: Room, elsewhere: Room, model: FakeModel
) -> None:
    await boss(room, "here second")
    said = await boss(room, "use third")
    assert "I answer with third wherever no adapter of its own was chosen. Here second goes on answering" in said
    assert "/adapters here default ends that" in said
    assert (await asked_by(room, model), model.adapter) == ("fake/second", "third")
    assert "goes on answering" not in await boss(elsewhere, "use first")
    assert "goes on answering" not in await boss(room, "use second")  # the same one
    model.adapters.remove("second")
    assert "goes on answering" not in await boss(room, "use third")  # it is gone: everybody's answers


@pytest.mark.parametrize("own", ["", "second"])
async def test_a_retraining_that_is_used_everywhere_says_where_not(
    room: Room, trainer: FakeTrainer, model: FakeModel, own: str
) -> None:
    if own:
        await boss(room, f"here {own}")
    await teach(room)
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    await press(room, place, "retrain-blind-same")
    assert ("Here second goes on answering" in await press(room, place, "retrain-use")) is bool(own)
    assert model.adapter == trainer.running[0].name


async def test_only_the_bots_own_admins_choose_and_try(room: Room, store: Store) -> None:
    for line in ("here second", "try second", "back"):
        said = (await room.command(f"adapters {line}", ANN, community_admin=True)).texts[0]
        assert "Only the admins of this bot" in said
    assert await store.choices_for(HERE) == (Choice(), Choice())


async def test_an_adapter_that_went_falls_back_to_everybodys(room: Room, store: Store, model: FakeModel) -> None:
    await boss(room, "here second")
    model.adapters.remove("second")
    model.say("Still here.")
    place = await room.answered("Who are you?", ANN)
    assert place.texts == ["Still here."]
    assert (await store.answer(1, room.address)).adapter == "first"  # type: ignore[union-attr]
    assert "There is no adapter cat" in await boss(room, "here cat")


async def test_an_adapter_that_does_not_fit_is_refused_with_its_reason(room: Room, store: Store, model: FakeModel) -> None:
    for line in ("here second", "try second"):
        model.fail(404, "model_not_found", message="It was made for other weights.")
        assert "It was made for other weights." in await boss(room, line)
    assert await store.choices_for(HERE) == (Choice(), Choice())


async def test_a_community_moves_with_its_chat(room: Room, store: Store, model: FakeModel) -> None:
    await boss(room, "here second")
    await asked_by(room, model)
    await room.desk.moved("discord", "100", "4711")
    moved = Room(room.desk, store, Address("discord", "4711"))
    assert await asked_by(moved, model) == "fake/second"
    assert await store.choice(HERE) == Choice()


async def test_a_server_is_one_community_also_for_an_answer_that_is_asked_for_again(
    room: Room, store: Store, model: FakeModel
) -> None:
    await store.choose("discord:server:5", "second", "", "Boss")
    heard, place = room.heard("Hello?")
    heard = replace(heard, incoming=replace(heard.incoming, server_id="5"))
    await room.desk.hear(heard, place)
    await place.until(lambda place: bool(place.shown) and "again" in place.actions)
    await room.press(place.press("again"), ANN)
    async with asyncio.timeout(10):
        while len(model.chats) < 2:  # noqa: ASYNC110  # it happens in a task of the desk
            await asyncio.sleep(0.01)
    assert [chat["model"] for chat in model.chats] == ["fake/second", "fake/second"]


async def test_thumbs_are_counted_by_adapter_for_admins_only(room: Room, elsewhere: Room, store: Store) -> None:
    for where, verb, sender in ((room, "good", ANN), (room, "bad", BOB), (elsewhere, "good", ANN)):
        place = await where.answered("Who are you?", ANN)
        await where.press(place.press(verb), sender)
    await boss(room, "here second")
    place = await room.answered("And now?", ANN)
    await room.press(place.press("good"), ANN)
    assert await store.thumbs(HERE) == {"first": Thumbs(1, 1), "second": Thumbs(1, 0)}
    everywhere = await boss(room, "")
    assert "**first** ← everywhere 👍 2 👎 1" in everywhere
    assert "counted everywhere" in everywhere
    of_the_chat = (await room.command("adapters", ANN, community_admin=True)).texts[0]
    assert "**first** ← everywhere 👍 1 👎 1" in of_the_chat
    assert "👍" not in (await room.command("adapters", ANN)).texts[0]


async def test_the_list_says_where_adapters_come_from_if_the_server_does(room: Room, model: FakeModel) -> None:
    card = {"created": "2026-11-26", "data": ["badges"]}
    model.origins = {
        "first": {"parent": "fake/none", "card": card},
        "second": {"parent": "fake/first", "card": card},
        "third": {"parent": None, "card": card},
        "none": {"parent": "somebody", "card": None},
    }
    model.adapters.append("fourth")
    assert (await room.command("adapters", ANN)).texts[0].splitlines()[1:] == [
        "- none",
        "- **first** ← everywhere – from the plain base, 2026-11-26",
        "- second – from first, 2026-11-26",
        "- third – 2026-11-26",
        "- fourth",
    ]
    german = (await room.command("adapters", BOB)).texts[0]
    assert "- second – aus first, 2026-11-26" in german
    assert "**first** ← everywhere 👍 0 👎 0 – from the plain base" in await boss(room, "")


async def test_a_stopped_answer_knows_its_adapter(turns: Turns, room: Room, store: Store, model: FakeModel) -> None:
    held = model.say("I am", hold=True)
    place = await room.say("Who are you?", ANN)
    await held.wait_begun()
    await place.until(lambda place: bool(place.shown))
    await turns.stop(1, room.address)
    answer = await store.answer(1, room.address)
    assert answer is not None
    assert (answer.stopped, answer.adapter) == (True, "first")


async def test_a_trial_answers_its_part_and_ends(room: Room, store: Store, model: FakeModel) -> None:
    assert "second answers 99 % of the conversations." in await boss(room, "try second 99 %")
    (_, everywhere) = await store.choices_for(HERE)
    expected = "fake/second" if is_part(1, everywhere) else "fake"
    assert await asked_by(room, model) == expected
    place = await room.answered("And now?", ANN)
    await room.press(place.press("good"), ANN)
    shown = await boss(room, "")
    assert "second answers 99 % of the conversations that no adapter of a community's own" in shown
    assert shown.splitlines()[-1] == f"- second 👍 {int(expected != 'fake')} 👎 0"
    assert "second is not tried any more; first answers" in await boss(room, "back")
    assert await asked_by(room, model) == "fake"
    await boss(room, "try second")
    assert (await store.choice(EVERYWHERE)).percent == 10
    await boss(room, "use third")
    assert (await store.choice(EVERYWHERE)).tried == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("second 0", "from 1 to 99"),
        ("second 100", "from 1 to 99"),
        ("second much", "from 1 to 99"),
        ("first", "answers already"),
        ("cat", "no adapter cat"),
    ],
)
async def test_what_cannot_be_tried_is_refused(room: Room, store: Store, line: str, said: str) -> None:
    assert said in await boss(room, f"try {line}")
    assert await store.choice(EVERYWHERE) == Choice()


async def test_a_community_with_its_own_tries_only_there(room: Room, elsewhere: Room, store: Store) -> None:
    await boss(room, "here second")
    assert "conversations here" in await boss(room, "try third")
    assert (await store.choice(HERE)).tried == "third"
    assert await store.choice(EVERYWHERE) == Choice()
    assert "third" not in (await boss(elsewhere, "")).partition("trial")[2]


async def test_who_began_and_ended_a_trial_stays_known(room: Room, store: Store) -> None:
    await boss(room, "try second 20")
    await boss(room, "try third")  # in its place
    await boss(room, "back")
    await boss(room, "try second")
    await boss(room, "use third")
    with store.database.engine.connect() as connection:
        rows = connection.execute(select(AdapterUse.kind, AdapterUse.name, AdapterUse.percent).order_by(AdapterUse.id)).all()
        by = set(connection.scalars(select(AdapterUse.by)))
    trials = [("try", "second", 20), ("end", "second", 0), ("try", "third", 10), ("end", "third", 0)]
    assert [tuple(row) for row in rows] == [*trials, ("try", "second", 10), ("end", "second", 0), ("use", "third", 0)]
    assert by == {"Boss"}
    assert await store.previous_adapter(EVERYWHERE, "second") is None  # it was tried, nobody chose it
    assert "I answer with first" in await boss(room, "back")


async def tried_by_button(room: Room, trainer: FakeTrainer) -> str:
    """Name of the adapter that is tried, by the button of a verdict in a community without an adapter of its own."""
    await teach(room)
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    await press(room, place, "retrain-blind-same")
    assert "10 % of the conversations here" in await press(room, place, "retrain-try")
    return trainer.running[0].name


async def test_the_button_of_a_retraining_tries_it_where_it_was_taught(
    room: Room, elsewhere: Room, trainer: FakeTrainer, store: Store, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.is_part", lambda conversation_id, trial: True)
    name = await tried_by_button(room, trainer)
    assert await store.choice(EVERYWHERE) == Choice()
    assert (await asked_by(room, model), await asked_by(elsewhere, model)) == (f"fake/{name}", "fake")
    shown = await boss(room, "")
    assert f"{name} answers 10 % of the conversations here" in shown
    assert "- first 👍 0 👎 0" in shown.partition("Since then")[2]
    assert "On trial" not in await boss(elsewhere, "")
    assert "second answers 20 % of the conversations here" in await boss(room, "try second 20")
    assert "second is not tried any more; first answers" in await boss(room, "back")
    assert await asked_by(room, model) == "fake"
    assert "second answers 20 % of the conversations." in await boss(room, "try second 20")


async def test_what_is_tried_here_ends_when_everybodys_changes_here(
    room: Room, elsewhere: Room, trainer: FakeTrainer, store: Store, model: FakeModel
) -> None:
    name = await tried_by_button(room, trainer)
    await boss(elsewhere, "use third")
    assert (await store.choice(HERE)).tried == name
    await boss(room, f"use {name}")
    assert await store.choice(HERE) == Choice()
    assert "I answer with third" in await boss(room, "back")
    assert model.adapter == "third"


def test_a_conversation_stays_on_its_side_and_parts_are_as_large_as_said() -> None:
    ten, thirty = (Choice(tried="new", percent=percent) for percent in (10, 30))
    first = {number for number in range(2000) if is_part(number, ten)}
    assert 150 < len(first) < 250
    assert first < {number for number in range(2000) if is_part(number, thirty)}
    other = {number for number in range(2000) if is_part(number, Choice(tried="other", percent=10))}
    assert len(first & other) < 60
    inside, outside = min(first), min(set(range(2000)) - first)
    assert candidates(inside, Choice(), ten) == ("new", "")
    assert candidates(outside, Choice(), ten) == ("",)
    assert candidates(inside, Choice(name="own"), ten) == ("own", "")
    assert candidates(inside, ten, Choice()) == ("new", "")
    assert candidates(outside, ten, Choice(tried="other", percent=99)) == ("",)


@pytest.mark.parametrize("verb", ["retrain-here", "retrain-try"])
async def test_a_retraining_is_used_here_or_tried(
    room: Room, trainer: FakeTrainer, store: Store, model: FakeModel, verb: str
) -> None:
    await boss(room, "here second")
    rated = await room.answered("Who are you?", ANN)
    await room.press(rated.press("bad"), ANN)
    await teach(room)
    place = await begun(room, trainer)
    assert trainer.starts == ["second"]
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert "What people think of second: 👍 0 👎 1" in await press(room, place, "retrain-blind-same")
    name = trainer.running[0].name
    assert name in await press(room, place, verb)
    here = await store.choice(HERE)
    assert (here.name, here.tried, here.percent) == ((name, "", 0) if verb == "retrain-here" else ("second", name, 10))
    assert model.adapter == "first"
    assert await room.desk.training().saw("discord", ANN.platform_id) == [name]
