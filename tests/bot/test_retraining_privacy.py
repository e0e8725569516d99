"""What people take back or have forgotten is in no run, whatever happens at the same time or in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.retraining import lessons, retrainings
from bot.store import Store
from bot.store.records import RunState, StoredExample
from tests.bot.fake_place import FakePlace
from tests.bot.retraining import BOSS, WORSE, FakeTrainer, begun, desk, settings, teach, trainer
from tests.bot.room import ANN, BOB, Room

__all__ = ["desk", "settings", "trainer"]  # fixtures


async def until_trained(trainer: FakeTrainer) -> None:
    async with asyncio.timeout(20):
        while not trainer.running:  # noqa: ASYNC110  # it happens in a task of the desk
            await asyncio.sleep(0.01)


async def until_told(store: Store) -> None:
    async with asyncio.timeout(20):
        while not await store.runs(("told",)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_run_that_begins_while_somebody_is_forgotten_learns_nothing_of_theirs(
    room: Room, trainer: FakeTrainer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teach(room, 2)
    await teach(room, 1, BOB)
    forget, begins = store.forget, list[asyncio.Task[FakePlace]]()

    async def forget_meanwhile(platform: str, platform_id: str) -> int:
        if not begins:
            begins.append(asyncio.create_task(room.command("retrain", BOSS)))
            for _ in range(20):  # where it can begin it does
                await asyncio.sleep(0.01)
        return await forget(platform, platform_id)

    monkeypatch.setattr(store, "forget", forget_meanwhile)
    await room.press(f"forget:{ANN.platform_id}", ANN)
    await asyncio.gather(*begins)
    await until_trained(trainer)
    assert [len(lines) for lines in trainer.lessons] == [1]


async def test_somebody_is_forgotten_when_a_data_set_is_written_not_while(
    room: Room, trainer: FakeTrainer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teach(room)
    loop, writing, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def write_slowly(examples: list[StoredExample], folder: Path, attachments: Path) -> None:
        loop.call_soon_threadsafe(writing.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(20)
        lessons.write(examples, folder, attachments)

    monkeypatch.setattr(retrainings, "write", write_slowly)
    await room.command("retrain", BOSS)
    await writing.wait()
    forgetting: asyncio.Task[Any] = asyncio.create_task(room.press(f"forget:{ANN.platform_id}", ANN))
    for _ in range(20):
        await asyncio.sleep(0.01)
    go_on.set()
    await forgetting
    (run,) = await store.runs(("cancelled",))
    folder = room.desk.training()._folder(run)
    await asyncio.sleep(0.1)
    assert not (folder / "lessons").exists()


@pytest.mark.parametrize("verb", ["forget", "teaching-no"])
async def test_what_ends_a_run_is_told_and_its_message_shows_it(room: Room, trainer: FakeTrainer, verb: str) -> None:
    await teach(room)
    place = await begun(room, trainer)
    await room.press(f"{verb}:{ANN.platform_id}", ANN)
    assert ["somebody took back" in words for words in place.texts] == [True, True]
    assert [buttons for _, buttons in place.shown.values()] == [(), ()]


@pytest.mark.parametrize("state", ["running", "told"])
async def test_a_yes_that_was_taken_back_before_a_crash_ends_the_run_after_it(
    room: Room, trainer: FakeTrainer, store: Store, state: RunState
) -> None:
    await teach(room)
    place = await begun(room, trainer)
    (trainer.running[0] / "run.json").write_text("{}")
    if state == "told":
        trainer.go.set()
        await until_told(store)
    await room.desk.training().close()
    await store.set_teaches("discord", ANN, False)  # and then the process died
    await room.desk.resume("discord", lambda address, message_id: place)
    assert [run.state for run in await store.runs(retrainings.EVERY)] == ["cancelled"]
    assert len(trainer.running) == 1
    assert "somebody took back" in place.texts[-1]
    assert not (trainer.running[0] / "lessons").exists()


async def test_a_data_set_that_was_cut_off_is_written_anew(room: Room, trainer: FakeTrainer, store: Store) -> None:
    await teach(room)
    place = await begun(room, trainer)
    await room.desk.training().close()
    (trainer.running[0] / "lessons" / "examples.jsonl").write_text('{"id": "exam')
    await room.desk.resume("discord", lambda address, message_id: place)
    async with asyncio.timeout(20):
        while len(trainer.lessons) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(trainer.lessons[1]) == 3


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def until_names(folder: Path, expected: list[str]) -> None:
    async with asyncio.timeout(20):
        while names(folder) != expected:  # noqa: ASYNC110  # after it was told
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("verb", ["retrain-use", "retrain-drop"])
async def test_a_run_that_is_over_keeps_its_weights_until_it_is_decided_about_and_then_its_figures(
    room: Room, trainer: FakeTrainer, store: Store, verb: str
) -> None:
    await teach(room)
    place = await begun(room, trainer)
    folder = trainer.running[0]
    (folder / "checkpoints").mkdir()
    trainer.go.set()
    await until_told(store)
    await until_names(folder, ["artefact", "lessons", "verdict.json"])
    pressed = await room.press(f"{verb}:1", BOSS)
    assert pressed.instead is not None
    assert names(folder) == ["verdict.json"]
    (folder / "artefact").mkdir()  # by a version before this one
    await room.desk.resume("discord", lambda address, message_id: place)
    assert names(folder) == ["verdict.json"]


async def test_what_was_cancelled_or_is_not_offered_leaves_no_weights(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    await begun(room, trainer)
    (trainer.running[0] / "artefact").mkdir()
    await room.press("retrain-cancel:1", BOSS)
    assert names(trainer.running[0]) == []
    trainer.verdict = WORSE
    await begun(room, trainer)
    trainer.go.set()
    await until_names(trainer.running[1], ["verdict.json"])
