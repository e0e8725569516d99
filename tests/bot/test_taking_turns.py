"""A retraining that does not fit beside the worker has its place in the quiet hours: what people and admins see of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot import supervisor as supervising
from bot.desk import Desk
from bot.retraining import NoRoom, TakingTurns, TrainerError, hours
from bot.retraining.hours import Hours
from bot.settings import Settings
from bot.store import Store
from bot.supervisor import Supervisor
from bot.texts import say
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_place import FakePlace
from tests.bot.retraining import BOSS, FakeTrainer, begun, desk_of, press, teach, trainer
from tests.bot.room import ANN, BOB, Room
from tests.bot.test_retraining_life import at, judged, reaches, until
from tests.processes import ROOT

__all__ = ["trainer"]  # fixtures

QUIET = "01:00-07:00"


@pytest.fixture
def settings(settings: Settings, unused_port: int) -> Settings:
    own = {"admins": ("discord:person:9",), "model_port": unused_port, "retrain_hours": QUIET}
    return settings.model_copy(update=own)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, datetime]:
    clock = {"now": at("02:00")}
    monkeypatch.setattr(hours, "now", lambda: clock["now"])
    monkeypatch.setattr(hours, "LOOK_EVERY", 0.01)
    return clock


@pytest.fixture
async def supervisor(
    settings: Settings, clock: dict[str, datetime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Supervisor]:
    monkeypatch.setattr(supervising, "HEALTH_EVERY", 0.05)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    supervisor = made(settings, tmp_path)
    yield supervisor
    await supervisor.stop()


@pytest.fixture
async def client(settings: Settings, supervisor: Supervisor) -> AsyncIterator[ModelClient]:
    client = ModelClient(f"http://127.0.0.1:{settings.model_port}", failure=supervisor.failure)
    yield client
    await client.close()


@pytest.fixture
async def desk(
    turns: Turns, store: Store, settings: Settings, trainer: FakeTrainer, client: ModelClient, supervisor: Supervisor
) -> AsyncIterator[Desk]:
    desk = desk_of(turns, store, settings, taking_turns(trainer, settings, supervisor), client)
    desk._model = lambda: supervisor.status()[0]
    yield desk
    await desk.training().close()
    await turns.drain(0)
    await desk.close(5)


def made(settings: Settings, folder: Path) -> Supervisor:
    command = (sys.executable, "-m", "tests.bot.resting_worker", str(folder))
    return Supervisor(settings, say=lambda line: None, command=command)


def taking_turns(trainer: FakeTrainer, settings: Settings, supervisor: Supervisor) -> TakingTurns:
    return TakingTurns(trainer, Hours.read(settings.retrain_hours), supervisor.resting)


def rests(language: str, key: str = "model-rests") -> str:
    return say(language, key, time=f"{at('07:00'):%H:%M %Z}")


async def resting(room: Room, trainer: FakeTrainer) -> FakePlace:
    """A run that trains where the worker was."""
    await teach(room)
    trainer.no_room = 1
    return await begun(room, trainer)


async def test_who_writes_while_the_assistant_learns_hears_it_at_once_and_is_answered_afterwards(
    room: Room, trainer: FakeTrainer, supervisor: Supervisor
) -> None:
    await supervisor.start()
    retraining = await resting(room, trainer)
    asked = await room.answered("Was ist das?", BOB)
    assert asked.texts == [f"⚠️ {rests('de')}"]
    assert rests("en", "status-rests") in (await room.command("status", ANN)).texts[0]
    trainer.go.set()
    await retraining.until(lambda place: len(place.texts) == 2)
    await supervisor.start()
    await room.press(asked.press("again"), BOB)
    await asked.until(lambda place: place.texts == ["ok"])
    assert (await room.answered("Hi", ANN)).texts == ["ok"]
    assert "The model: Ready." in (await room.command("status", ANN)).texts[0]


async def test_running_answers_end_and_who_waited_behind_them_is_told(
    room: Room, trainer: FakeTrainer, supervisor: Supervisor, tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    await supervisor.start()
    await teach(room)
    first = await room.say("Hi", ANN)
    await first.until(lambda place: place.texts == ["Half"])
    second = await room.say("Und?", BOB)
    trainer.no_room = 1
    await room.command("retrain", BOSS)
    await until(lambda: supervisor.failure() is not None)
    assert trainer.running == []
    (tmp_path / "release").touch()
    await first.until(lambda place: place.texts == ["Half a word."])
    await second.until(lambda place: place.texts == [f"⚠️ {rests('de')}"])
    await until(lambda: len(trainer.running) == 1)


async def test_what_needs_the_worker_is_refused_meanwhile_and_stays_undecided(
    room: Room, trainer: FakeTrainer, supervisor: Supervisor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await supervisor.start()
    await judged(room, trainer)
    trainer.go.clear()
    monkeypatch.setattr(trainer, "install", lambda artefact: pytest.fail("installed"))
    retraining = await resting(room, trainer)
    for verb in ("retrain-use", "retrain-here", "retrain-try"):
        pressed = await room.press(f"{verb}:1", BOSS)
        assert pressed.instead is not None
        assert pressed.instead.words.startswith(f"Retraining 1 is not used yet: {rests('en')}\n")
        assert verb in [button.action.partition(":")[0] for button in pressed.instead.buttons]
    assert [run.run_id for run in await store.runs(("told",))] == [1]
    for line in ("retrain", "adapters", "adapters use none"):
        assert (await room.command(line, BOSS)).texts == [f"⚠️ {rests('en')}"]
    assert "cancelled" in await press(room, retraining, "retrain-cancel")
    assert supervisor.failure() is None
    await supervisor.start()
    assert "**first**" in (await room.command("adapters", BOSS)).texts[0]


async def test_at_the_end_of_the_hours_the_worker_is_back_and_the_run_goes_on_in_the_next_ones(
    room: Room,
    trainer: FakeTrainer,
    supervisor: Supervisor,
    clock: dict[str, datetime],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[asyncio.Timeout] = []

    @asynccontextmanager
    async def last(_: Hours) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as timeout:
            ends.append(timeout)
            yield

    monkeypatch.setattr(Hours, "last", last)
    await supervisor.start()
    place = await resting(room, trainer)
    clock["now"] = at("07:00")
    ends[0].reschedule(0)
    await place.until(lambda place: "waits for its hours" in place.texts[0])
    assert supervisor.failure() is None
    await supervisor.start()
    assert (await room.answered("Hi", ANN)).texts == ["ok"]
    trainer.no_room = 1
    clock["now"] = at("01:30")
    await until(lambda: len(trainer.running) == 2)
    assert supervisor.failure() is not None
    assert trainer.running[0] == trainer.running[1]
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)


async def test_a_bot_that_was_stopped_meanwhile_starts_as_ever_and_the_run_goes_on(
    room: Room, trainer: FakeTrainer, supervisor: Supervisor, settings: Settings, store: Store, tmp_path: Path
) -> None:
    await supervisor.start()
    place = await resting(room, trainer)
    await supervisor.stop()  # as bot.app does it
    await room.desk.training().close()
    assert trainer._at_once == 0
    trainer.no_room = 1
    again = made(settings, tmp_path)
    client = ModelClient(f"http://127.0.0.1:{settings.model_port}", failure=again.failure)
    turns = Turns(store, client, settings)
    desk = desk_of(turns, store, settings, taking_turns(trainer, settings, again), client)
    try:
        await again.start()
        await desk.resume("discord", lambda address, message_id: place)
        await until(lambda: len(trainer.running) == 2)
        assert again.failure() is not None
        trainer.go.set()
        await reaches(store, "told")
        await again.start()
    finally:
        await again.stop()
        await desk.training().close()
        await desk.close(5)
        await client.close()


# --- Whether the worker has to rest ---


class Rests:
    def __init__(self) -> None:
        self.until: list[datetime] = []
        self.now = False

    def __call__(self, until: datetime) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def rest() -> AsyncIterator[None]:
            self.until.append(until)
            self.now = True
            try:
                yield
            finally:
                self.now = False

        return rest()


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    (tmp_path / "examples.jsonl").touch()
    return tmp_path


async def attempt(trainer: FakeTrainer, written: str, rests: Rests, lessons: Path) -> object:
    trainer.go.set()
    return await TakingTurns(trainer, Hours.read(written), rests).retrain(lessons, lessons / "run", "first", lambda now: None)


async def test_the_worker_rests_only_where_both_do_not_fit(trainer: FakeTrainer, lessons: Path) -> None:
    rests = Rests()
    assert await attempt(trainer, QUIET, rests, lessons) == trainer.verdict
    assert rests.until == []


async def test_it_rests_until_the_end_of_the_hours(trainer: FakeTrainer, lessons: Path, clock: dict[str, datetime]) -> None:
    rests = Rests()
    trainer.no_room = 1
    assert await attempt(trainer, QUIET, rests, lessons) == trainer.verdict
    assert (rests.until, rests.now) == ([at("07:00")], False)
    assert rests.until[0].tzinfo is not None
    assert rests.until[0].astimezone(UTC) > clock["now"]


async def test_without_hours_nobody_said_when_and_the_sentence_names_the_setting(trainer: FakeTrainer, lessons: Path) -> None:
    rests = Rests()
    trainer.no_room = 1
    with pytest.raises(TrainerError) as told:
        await attempt(trainer, "", rests, lessons)
    assert told.value.told("de") == say("de", "retrain-no-room", reason="The GPU is full.")
    assert "RETRAIN_HOURS" in told.value.told("de")
    assert rests.until == []


async def test_where_even_a_rest_makes_no_room_it_is_over_and_the_reason_told(
    trainer: FakeTrainer, lessons: Path, clock: dict[str, datetime]
) -> None:
    rests = Rests()
    trainer.no_room = 2
    with pytest.raises(NoRoom, match=r"^The GPU is full\.$"):
        await attempt(trainer, QUIET, rests, lessons)
    assert (len(rests.until), rests.now) == (1, False)
