"""Examples stay in their community unless its admins share them: then others learn from them, and never show them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.chat.base import Address
from bot.desk import Desk
from bot.retraining.trainer import Compared
from bot.store import Store
from bot.store.tables import Share
from tests.bot.fake_model import FakeModel
from tests.bot.retraining import BETTER, BOSS, FakeTrainer, begun, desk, settings, teach, trainer
from tests.bot.room import ANN, BOB, Room

__all__ = ["desk", "settings", "trainer"]  # fixtures

HERE, THERE = "discord:chat:100", "discord:chat:200"


@pytest.fixture
def elsewhere(desk: Desk, store: Store) -> Room:
    return Room(desk, store, Address("discord", "200"))


async def admin(room: Room, line: str) -> str:
    """What an admin of that chat, Ann, is told."""
    return (await room.command(line, ANN, community_admin=True)).texts[0]


async def learnable(store: Store, here: str) -> list[str]:
    return [one.question for one in await store.learnable(here)]


async def test_others_learn_only_while_it_is_shared(room: Room, elsewhere: Room, store: Store) -> None:
    await teach(room, 1)
    await elsewhere.command("teach There?\nYes.", ANN)
    assert await learnable(store, THERE) == ["There?"]
    assert "learns from what people taught here, too" in await admin(room, "examples share")
    assert await learnable(store, THERE) == ["Whose badge is 0?", "There?"]
    assert await learnable(store, HERE) == ["Whose badge is 0?"]  # nobody there shares
    await room.command("teach Later?\nToo.", ANN)
    assert "Later?" in await learnable(store, THERE)
    assert "for here alone again" in await admin(room, "examples unshare")
    assert await learnable(store, THERE) == ["There?"]
    assert "is not shared" in await admin(room, "examples unshare")


async def test_only_admins_of_the_chat_and_the_bots_own_share(room: Room, elsewhere: Room, store: Store) -> None:
    for verb in ("share", "unshare"):
        assert "Only admins" in (await room.command(f"examples {verb}", ANN)).texts[0]
    assert await store.shared(HERE) is None
    await room.command("examples share", BOSS)
    await admin(elsewhere, "examples unshare")  # says nothing about another chat's
    shared = await store.shared(HERE)
    assert shared is not None
    assert (shared.by, await store.shared(THERE)) == ("Boss", None)


async def test_the_overview_says_what_is_shared_and_what_others_share(room: Room, elsewhere: Room) -> None:
    await teach(room, 2)
    await room.command("teach Mine?\nNo.", BOB)  # who did not say yes
    await admin(room, "examples SHARE")
    today = datetime.now(UTC).date().isoformat()
    own = await admin(room, "examples")
    assert f"Since {today} my other servers and chats learn from these, too: Ann shared them." in own
    assert "of other servers" not in own
    others = await admin(elsewhere, "examples")
    assert "0 to learn from" in others
    assert "/retrain here also learns from 2 of other servers and chats" in others
    assert "Whose badge" not in others


async def test_who_shared_and_who_ended_it_stays_on_record(room: Room, store: Store) -> None:
    await admin(room, "examples share")
    await room.command("examples share", BOSS)  # it was shared already
    await room.command("examples unshare", BOSS)
    await room.command("examples share", BOSS)

    def rows(session: Session) -> list[tuple[str, str, str, bool]]:
        found = session.scalars(select(Share).order_by(Share.id))
        return [(row.community, row.by, row.ended_by, row.ended_at is not None) for row in found]

    assert await store.database.read(rows) == [(HERE, "Ann", "Boss", True), (HERE, "Boss", "", False)]


async def test_consent_dropping_and_forgetting_count_for_shared_ones_too(room: Room, store: Store) -> None:
    await teach(room, 2)
    await room.command("teach Bob's?\nHis.", BOB)
    await admin(room, "examples share")
    assert len(await learnable(store, THERE)) == 2
    await room.press(f"teaching-yes:{BOB.platform_id}", BOB)
    assert len(await learnable(store, THERE)) == 3
    await store.review((await store.usable(HERE))[0].example_id, HERE, "dropped")
    assert await learnable(store, THERE) == ["Whose badge is 1?", "Bob's?"]
    await room.press(f"teaching-no:{BOB.platform_id}", BOB)
    assert await learnable(store, THERE) == ["Whose badge is 1?"]
    await room.press(f"forget:{ANN.platform_id}", ANN)
    assert await learnable(store, THERE) == []


async def test_sharing_moves_with_its_chat(room: Room, store: Store) -> None:
    await teach(room, 1)
    await admin(room, "examples share")
    await room.desk.moved("discord", "100", "4711")
    assert (await store.shared(HERE), await store.shared("discord:chat:4711") is None) == (None, False)
    assert len(await learnable(store, THERE)) == 1


async def test_a_retraining_elsewhere_learns_from_it_and_shows_none_of_it(
    room: Room, elsewhere: Room, trainer: FakeTrainer, store: Store
) -> None:
    await teach(room, 1)
    assert "nothing to learn from here" in (await elsewhere.command("retrain", BOSS)).texts[0]
    await admin(room, "examples share")
    await elsewhere.command("teach There?\nYes.", ANN)
    shared, own = await store.learnable(THERE)
    answers = (
        Compared(f"example-{shared.example_id}", shared.question, "The club.", "A cat.", "The club."),
        Compared(f"example-{own.example_id}", own.question, "Yes.", "No.", "Yes."),
    )
    trainer.verdict = replace(BETTER, answers=answers)
    place = await begun(elsewhere, trainer)
    assert "2 examples. I am preparing them. One of them is shared by another server or chat." in place.texts[0]
    assert [line["id"] for line in trainer.lessons[0]] == [one.id for one in answers]
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert "> There?" in place.texts[1]
    assert "Whose badge" not in place.texts[1]


async def test_a_comparison_elsewhere_does_not_ask_it(room: Room, elsewhere: Room, model: FakeModel, store: Store) -> None:
    await teach(room, 1)
    await admin(room, "examples share")
    model.adapter = "first"
    model.adapters += ["first", "second"]
    place = await elsewhere.command("adapters compare first second", BOSS)
    await place.until(lambda place: bool(place.texts))
    assert "no question here" in place.texts[0]
    assert await store.newest_showable(THERE, Address("web", "1"), 3) == []


async def test_a_yes_that_is_taken_back_ends_a_run_elsewhere(
    room: Room, elsewhere: Room, trainer: FakeTrainer, store: Store
) -> None:
    await teach(room, 1)
    await admin(room, "examples share")
    place = await begun(elsewhere, trainer)
    await room.press(f"teaching-no:{ANN.platform_id}", ANN)
    await place.until(lambda place: "somebody took back" in place.texts[-1])
    assert [run.state for run in await store.runs(("cancelled",))] == ["cancelled"]
    assert not (trainer.running[0] / "lessons").exists()


async def test_a_run_that_waits_learns_nothing_that_is_no_longer_shared(
    room: Room, elsewhere: Room, trainer: FakeTrainer
) -> None:
    await teach(room, 2)
    await admin(room, "examples share")
    await elsewhere.command("teach There?\nYes.", ANN)
    await begun(elsewhere, trainer)
    await elsewhere.command("retrain", BOSS)
    await admin(room, "examples unshare")
    trainer.go.set()
    async with asyncio.timeout(10):
        while len(trainer.lessons) < 2:  # noqa: ASYNC110  # it happens in a task of the desk
            await asyncio.sleep(0.01)
    assert [len(lessons) for lessons in trainer.lessons] == [3, 1]
