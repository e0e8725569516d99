"""A desk that retrains, with a trainer that waits until it is let: fixtures, and what admins and people do there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.chat.base import Sender
from bot.desk import Desk
from bot.personas import load_personas
from bot.privacy import Privacy
from bot.retraining import NoRoom, Retrainings, TrainerError, retrainings, shown
from bot.retraining.trainer import Compared, Heard, Measured, Verdict
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.fake_place import FakePlace
from tests.bot.room import ANN, Room
from tests.bot.samples import encoded, photo
from tests.bot.sending import file

BOSS = Sender("9", "Boss", "en")
PICTURE = encoded(photo(), "JPEG")
BETTER = Verdict(
    True,
    (Measured("what was taught and held out", 2.5, 0.5, True, False), Measured("shapes", 0.9, 0.91, False, False)),
    (Compared("example-1", "Whose badge?", "Of the rowing club.", "A cat.", "The rowing club's."),),
)
WORSE = Verdict(False, (Measured("drawings", 0.4, 0.1, False, True),), ())


class FakeTrainer:
    """Trains when it is let."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model
        self.go = asyncio.Event()
        self.running: list[Path] = []
        self.starts: list[str] = []
        self.most_at_once = self._at_once = 0
        self.lessons: list[list[dict[str, Any]]] = []
        self.verdict: Verdict | str = BETTER
        self.heard: Heard | None = None
        self.no_room = 0
        """Times that it does not fit beside the worker."""

    async def retrain(self, lessons: Path, folder: Path, start: str, heard: Heard) -> Verdict:
        if self.no_room:
            self.no_room -= 1
            raise NoRoom("The GPU is full.")
        self.starts.append(start)
        self.lessons.append([json.loads(line) for line in (lessons / "examples.jsonl").read_text().splitlines()])
        self.running.append(folder)
        self.heard = heard
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.go.wait()
        finally:
            self._at_once -= 1
        if isinstance(self.verdict, str):
            raise TrainerError(self.verdict)
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "train.jsonl").write_text("people's words")
        (folder / "artefact").mkdir()
        write(self.verdict, folder)
        return self.verdict

    async def install(self, artefact: Path) -> str:
        name = artefact.parent.name
        if name not in self._model.adapters:
            self._model.adapters.append(name)
        return name


def write(verdict: Verdict, folder: Path) -> None:
    said = {
        "offered": verdict.offered,
        "reasons": [],
        "measures": [{key: getattr(one, key) for key in Measured.__slots__} for one in verdict.measures],
        "answers": [{key: getattr(one, key) for key in Compared.__slots__} for one in verdict.answers],
    }
    (folder / "verdict.json").write_text(json.dumps(said))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"admins": ("discord:person:9",)})


@pytest.fixture
def trainer(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> FakeTrainer:
    monkeypatch.setattr(shown, "EDIT_EVERY", 0.02)
    monkeypatch.setattr(retrainings, "LEAST", 1)  # so that tests need not teach that many
    model.adapter = "first"
    model.adapters.append("first")
    return FakeTrainer(model)


def desk_of(turns: Turns, store: Store, settings: Settings, trainer: Any, client: ModelClient) -> Desk:
    made = Retrainings(store, settings, trainer, client)
    privacy = Privacy([made, store], settings.attachments)
    return Desk(turns, store, privacy, load_personas(), lambda: "fake, ready", "1.0", made)


@pytest.fixture
async def desk(
    turns: Turns, store: Store, settings: Settings, trainer: FakeTrainer, client: ModelClient
) -> AsyncIterator[Desk]:
    desk = desk_of(turns, store, settings, trainer, client)
    yield desk
    await desk.training().close()
    await turns.drain(0)
    await desk.close(5)


async def teach(room: Room, count: int = 3, sender: Sender = ANN) -> None:
    await room.press(f"teaching-yes:{sender.platform_id}", sender)
    for number in range(count):
        await room.command(f"teach Whose badge is {number}?\nThe club {number}.", sender, file("badge.jpg", PICTURE))


async def press(room: Room, place: FakePlace, verb: str, sender: Sender = BOSS) -> str:
    """What the message says afterwards, or what the person is told."""
    pressed = await room.press(place.press(verb), sender)
    if pressed.instead is None:
        return pressed.toast
    await place.edit(list(place.shown)[-1], pressed.instead.words, pressed.instead.buttons)
    return pressed.instead.words


async def begun(room: Room, trainer: FakeTrainer, note: str = "") -> FakePlace:
    before = len(trainer.running)
    place = await room.command(f"retrain {note}", BOSS)
    async with asyncio.timeout(10):
        while len(trainer.running) == before:  # noqa: ASYNC110  # it happens in a task of the desk
            await asyncio.sleep(0.01)
    return place
