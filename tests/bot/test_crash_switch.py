"""The real worker killed with SIGKILL while an admin switches adapters: the old or the new one answers, as the store has it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import supervisor as supervising
from bot import worker
from bot.memory import PromptMessage
from bot.settings import Settings
from bot.store import Store
from bot.store.choices import EVERYWHERE
from bot.supervisor import Supervisor
from bot.texts import say
from bot.turn import Turns
from bot.worker import Details, ModelClient
from model import shelf
from model.presets import PHI2
from tests.bot.fake_model import FakeModel
from tests.bot.retraining import BOSS, FakeTrainer, desk_of
from tests.bot.room import Room
from tests.model import tiny_home
from tests.model.tiny_worker import HALF_WRITTEN, KEPT, MOMENT, PID

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "tests.model.tiny_worker", "serve")
PATIENCE = 240.0
"""Seconds until a test that waits for something gives up: torch is imported three times."""


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "HEALTH_EVERY", 0.1)
    monkeypatch.setattr(supervising, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervising, "STOP_GRACE", 0.1)
    monkeypatch.setattr(worker, "LONGEST_WAIT", 0.2)


@pytest.fixture
def settings(settings: Settings, unused_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A data folder with two adapters, of which `one` answers."""
    weights = tiny_home.prepared(tmp_path)
    for seed, name in enumerate(("one", "other")):
        shelf.install(tiny_home.adapter(tmp_path / name, weights, seed=seed, name=name), PHI2, settings.jnana_home)
    shelf.set_default("one", PHI2, settings.jnana_home)
    own = {"PYTHONPATH": str(ROOT), "MODEL_DEVICE": "cpu", "MODEL_PRECISION": "fp32", "MODEL_OCR": "false"}
    for variable, value in own.items():
        monkeypatch.setenv(variable, value)
    return settings.model_copy(update={"model_port": unused_port, "model_preset": "phi2", "admins": ("discord:person:9",)})


@pytest.fixture
def printed() -> list[str]:
    """What the worker prints for people."""
    return []


@pytest.fixture
async def supervisor(settings: Settings, printed: list[str]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(settings, say=printed.append, command=COMMAND)
    yield supervisor
    await supervisor.stop()


@pytest.fixture
async def client(settings: Settings, supervisor: Supervisor) -> AsyncIterator[ModelClient]:
    client = ModelClient(f"http://127.0.0.1:{settings.model_port}", failure=supervisor.failure)
    yield client
    await client.close()


@pytest.fixture
async def room(turns: Turns, store: Store, settings: Settings, client: ModelClient, model: FakeModel) -> AsyncIterator[Room]:
    desk = desk_of(turns, store, settings, FakeTrainer(model), client)
    yield Room(desk, store)
    await desk.close(5)


async def boss(room: Room, line: str) -> str:
    """The one message that an admin gets."""
    (said,) = (await room.command(f"adapters {line}", BOSS)).texts
    return said


async def answers(client: ModelClient, home: Path) -> str:
    """Who does, by what it says about an answer; the model list and the file agree."""
    there = await client.adapters()
    asked = [PromptMessage("user", "Hello")]
    events = [event async for event in client.chat(asked, request_id="1", conversation="1", max_tokens=2, temperature=0.0)]
    assert isinstance(events[-1], Details)
    assert there.names == ("none", "one", "other")
    assert there.default == events[-1].adapter == shelf.default_name(PHI2, home)
    return there.default


async def test_a_switch_in_which_the_worker_is_killed_is_made_and_noted_or_not_at_all(
    settings: Settings,
    supervisor: Supervisor,
    client: ModelClient,
    room: Room,
    store: Store,
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = settings.jnana_home
    use_adapter = client.use_adapter

    async def use_and_kill(name: str) -> None:
        await use_adapter(name)
        os.kill(int((home / PID).read_text()), signal.SIGKILL)

    async with asyncio.timeout(PATIENCE):
        await supervisor.start()
        (home / MOMENT).write_text(HALF_WRITTEN)
        assert await boss(room, "use other") == f"⚠️ {say('en', 'model-lost')}"
        assert await answers(client, home) == "one"
        assert await store.previous_adapter(EVERYWHERE, "other") is None
        (home / MOMENT).write_text(KEPT)  # before it is answered
        assert await boss(room, "use other") == say("en", "adapter-used", name="other")
        assert await answers(client, home) == "other"
        assert await store.previous_adapter(EVERYWHERE, "other") == "one"
        assert supervisor._crashes == 2
        monkeypatch.setattr(client, "use_adapter", use_and_kill)  # after it
        assert await boss(room, "back") == say("en", "adapter-used", name="one")
        assert shelf.default_name(PHI2, home) == "one"
        assert await store.previous_adapter(EVERYWHERE, "one") == "other"
    assert not (home / MOMENT).exists()
    assert not any("Traceback" in line for line in printed)
