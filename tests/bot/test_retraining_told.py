"""How a run ended is told, whatever the platform does meanwhile."""

from __future__ import annotations

import pytest

from bot.chat.place import Flooded
from bot.retraining import retrainings
from bot.retraining.retrainings import EVERY
from bot.retraining.trainer import Verdict
from bot.store import Store
from tests.bot.fake_place import FakePlace
from tests.bot.retraining import BETTER, FakeTrainer, begun, desk, press, settings, teach, trainer
from tests.bot.room import Room
from tests.bot.test_retraining_life import until

__all__ = ["desk", "settings", "trainer"]  # fixtures


def flooded(place: FakePlace, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrainings, "TELL_PAUSES", (0.01, 0.02, 0.04))
    place.errors.extend([Flooded(30)] * times)


@pytest.mark.parametrize("verdict", [BETTER, "The disk is full."])
async def test_what_a_flooded_platform_did_not_take_is_told_by_itself(
    room: Room, trainer: FakeTrainer, store: Store, monkeypatch: pytest.MonkeyPatch, verdict: Verdict | str
) -> None:
    await teach(room)
    trainer.verdict = verdict
    place = await begun(room, trainer)
    flooded(place, 3, monkeypatch)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    await until(lambda: not room.desk.training()._tasks)
    assert [run.state for run in await store.runs(EVERY)] == ["told" if verdict is BETTER else "failed"]
    assert len(trainer.running) == 1


async def test_one_that_cannot_be_told_gives_up_and_can_be_cancelled(
    room: Room, trainer: FakeTrainer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teach(room)
    place = await begun(room, trainer)
    flooded(place, 4, monkeypatch)
    trainer.go.set()
    await until(lambda: not room.desk.training()._tasks)
    assert [run.state for run in await store.runs(EVERY)] == ["judged"]
    assert not place.errors
    assert "cancelled" in await press(room, place, "retrain-cancel")
    assert [run.state for run in await store.runs(EVERY)] == ["cancelled"]


async def test_one_that_waits_to_tell_holds_nobody_up(room: Room, trainer: FakeTrainer, store: Store) -> None:
    """The next one trains meanwhile; a connection tells at once, though that one trains."""
    await teach(room)
    place = await begun(room, trainer)
    place.errors.append(Flooded(30))
    trainer.go.set()
    await until(lambda: bool(room.desk.training()._untold))
    trainer.go.clear()
    await begun(room, trainer)
    there = FakePlace(room.address)
    await room.desk.resume("discord", lambda address, message_id: there)
    await there.until(lambda place: bool(place.texts) and "Which answers" in place.texts[0])
    await until(lambda: 1 not in room.desk.training()._tasks)
    assert [run.state for run in await store.runs(EVERY)] == ["told", "running"]
