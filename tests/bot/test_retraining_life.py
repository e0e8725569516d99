"""What becomes of a run: tried again, its hours, its picture; and two admins at once."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from PIL import Image

from bot.chat.place import Shut
from bot.desk import Desk
from bot.retraining import ProcessTrainer, TrainerError, curve, hours
from bot.retraining.hours import Hours
from bot.retraining.resources import GB, held
from bot.retraining.retrainings import EVERY, Retrainings
from bot.settings import Settings
from bot.store import Store
from bot.store.records import Choice, RunState
from bot.texts import say
from tests.bot.fake_model import FakeModel
from tests.bot.fake_place import FakePlace
from tests.bot.retraining import BOSS, FakeTrainer, begun, desk, press, settings, teach, trainer
from tests.bot.room import ANN, Room
from tests.bot.test_trainer import program

__all__ = ["desk", "settings", "trainer"]  # fixtures


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # it happens in a task of the desk
            await asyncio.sleep(0.01)


async def reaches(store: Store, state: RunState, number: int = 1) -> None:
    """What is said about a run is said first and written down after."""
    async with asyncio.timeout(20):
        while [run.run_id for run in await store.runs((state,))] != [number]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def failed(room: Room, trainer: FakeTrainer) -> FakePlace:
    await teach(room)
    trainer.verdict = "The disk is full."
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    assert place.texts[1].endswith("The disk is full.")
    await reaches(room.store, "failed")
    return place


async def judged(room: Room, trainer: FakeTrainer, number: int = 1) -> FakePlace:
    """One that is to be decided about."""
    await teach(room)
    place = await begun(room, trainer)
    trainer.go.set()
    await reaches(room.store, "told", number)
    return place


# --- Once more ---


async def test_a_failed_run_is_tried_again_where_it_was(room: Room, trainer: FakeTrainer, store: Store) -> None:
    place = await failed(room, trainer)
    trainer.verdict = FakeTrainer(trainer._model).verdict
    assert "Only the admins of this bot" in await press(room, place, "retrain-again", ANN)
    await press(room, place, "retrain-again")
    again = room.places[""]
    await again.until(lambda place: len(place.texts) == 2)
    assert "**Retraining 1**: 3 examples" in again.texts[0]
    assert "Which answers do you like more?" in again.texts[1]
    assert trainer.running == [trainer.running[0]] * 2
    assert place.actions == []
    pressed = await room.press("retrain-again:1", BOSS)
    assert pressed.instead is not None
    assert "decided already" in pressed.instead.words
    await reaches(store, "told")


async def test_where_nothing_can_be_said_it_can_be_tried_later(
    room: Room, trainer: FakeTrainer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await failed(room, trainer)
    room.places[""] = FakePlace(room.address)
    room.places[""].errors.append(Shut("kicked"))
    await press(room, place, "retrain-again")
    assert place.actions == ["retrain-again"]
    assert [run.state for run in await store.runs(("failed",))] == ["failed"]


async def test_a_failed_run_forgets_what_is_no_longer_allowed(room: Room, trainer: FakeTrainer) -> None:
    place = await failed(room, trainer)
    assert (trainer.running[0] / "lessons").exists()
    await room.press(f"teaching-no:{ANN.platform_id}", ANN)
    assert not (trainer.running[0] / "lessons").exists()
    assert len(place.texts) == 2  # it had ended before: nothing more is said
    await press(room, place, "retrain-again")
    again = room.places[""]
    await again.until(lambda place: len(place.texts) == 2)
    assert "0 examples" in again.texts[1]
    assert len(trainer.lessons) == 1


# --- Two at once ---


async def test_two_admins_who_press_at_once_use_it_once(
    room: Room, trainer: FakeTrainer, store: Store, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await teach(room)
    place = await begun(room, trainer)
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    await press(room, place, "retrain-blind-same")
    installed = []

    async def slowly(artefact: Path) -> str:
        installed.append(artefact)
        await asyncio.sleep(0.05)
        model.adapters.append(artefact.parent.name)
        return artefact.parent.name

    monkeypatch.setattr(trainer, "install", slowly)
    one, other = await asyncio.gather(*(room.press(place.press("retrain-use"), BOSS) for _ in range(2)))
    said = [pressed.instead.words for pressed in (one, other) if pressed.instead is not None]
    assert sorted("decided already" in words for words in said) == [False, True]
    assert (len(installed), model.adapter) == (1, trainer.running[0].name)
    assert [run.state for run in await store.runs(("used",))] == ["used"]


@pytest.mark.parametrize("verbs", [("retrain-use", "retrain-drop"), ("retrain-drop", "retrain-drop")])
async def test_of_two_admins_who_decide_at_once_one_does(
    room: Room, trainer: FakeTrainer, store: Store, model: FakeModel, verbs: tuple[str, str]
) -> None:
    await judged(room, trainer)
    pressed = await asyncio.gather(*(room.press(f"{verb}:1", BOSS) for verb in verbs))
    said = [one.instead.words for one in pressed if one.instead is not None]
    (decided,) = [verb for verb, words in zip(verbs, said, strict=True) if "decided already" not in words]
    used = decided == "retrain-use"
    assert [run.state for run in await store.runs(EVERY)] == ["used" if used else "dropped"]
    assert model.adapter == (trainer.running[0].name if used else "first")


async def test_of_two_admins_who_cancel_at_once_one_does(room: Room, trainer: FakeTrainer, store: Store) -> None:
    await teach(room)
    await begun(room, trainer)
    pressed = await asyncio.gather(*(room.press("retrain-cancel:1", BOSS) for _ in range(2)))
    said = [one.instead.words for one in pressed if one.instead is not None]
    assert sorted("decided already" in words for words in said) == [False, True]
    assert (trainer._at_once, [run.state for run in await store.runs(EVERY)]) == (0, ["cancelled"])


async def test_what_was_judged_cannot_be_used_once_a_yes_was_taken_back(
    room: Room, trainer: FakeTrainer, store: Store, model: FakeModel
) -> None:
    place = await judged(room, trainer)
    await room.press(f"teaching-no:{ANN.platform_id}", ANN)
    assert "somebody took back" in place.texts[-1]
    for verb in ("retrain-blind-same", "retrain-use", "retrain-here", "retrain-try", "retrain-cancel"):
        pressed = await room.press(f"{verb}:1", BOSS)
        assert pressed.instead is not None
        assert "decided already" in pressed.instead.words
    assert [run.state for run in await store.runs(EVERY)] == ["cancelled"]
    assert (model.adapter, await store.choices_for("discord:chat:100")) == ("first", (Choice(), Choice()))
    assert list(trainer.running[0].iterdir()) == []


async def test_a_yes_that_is_taken_back_while_a_run_is_cancelled_or_used_leaves_one_outcome(
    room: Room, trainer: FakeTrainer, store: Store, model: FakeModel
) -> None:
    await teach(room)
    await begun(room, trainer)
    await asyncio.gather(room.press("retrain-cancel:1", BOSS), room.press(f"teaching-no:{ANN.platform_id}", ANN))
    assert [run.state for run in await store.runs(EVERY)] == ["cancelled"]
    await room.press(f"teaching-yes:{ANN.platform_id}", ANN)
    await judged(room, trainer, number=2)
    await asyncio.gather(room.press("retrain-use:2", BOSS), room.press(f"teaching-no:{ANN.platform_id}", ANN))
    outcome = (await store.runs(EVERY))[-1].state, model.adapter
    assert outcome in (("used", trainer.running[1].name), ("cancelled", "first"))


# --- Quiet hours ---


def at(written: str) -> datetime:
    return datetime.combine(datetime.now(UTC).date(), time.fromisoformat(written)).astimezone()


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("", ("00:00", "13:00", "23:59"), ()),
        ("01:00-07:00", ("01:00", "06:59:59"), ("00:59:59", "07:00", "23:00")),
        ("22:30-06:00", ("22:30", "23:59", "00:00", "05:59"), ("06:00", "12:00", "22:29")),
    ],
)
def test_hours_may_go_over_midnight(written: str, inside: tuple[str, ...], outside: tuple[str, ...]) -> None:
    read = Hours.read(written)
    assert all(read.has(at(moment)) for moment in inside)
    assert not any(read.has(at(moment)) for moment in outside)


async def test_a_run_waits_for_its_hours_and_pauses_at_their_end(
    room: Room, trainer: FakeTrainer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now": at("12:00")}
    monkeypatch.setattr(hours, "now", lambda: clock["now"])
    monkeypatch.setattr(hours, "LOOK_EVERY", 0.01)
    room.desk.training()._hours = Hours.read("01:00-07:00")
    await teach(room)
    place = await room.command("retrain", BOSS)
    await place.until(lambda place: "waits for its hours: they begin at 01:00" in place.texts[0])
    assert (trainer.running, place.actions) == ([], ["retrain-cancel"])
    clock["now"] = at("06:59:59.900")
    await until(lambda: len(trainer.running) == 1)
    clock["now"] = at("07:00")  # it is stopped within a tenth of a second
    await until(lambda: trainer._at_once == 0)
    await place.until(lambda place: "waits for its hours" in place.texts[0])
    clock["now"] = at("02:00")
    await until(lambda: len(trainer.running) == 2)
    assert trainer.running[0] == trainer.running[1]
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)


async def test_one_that_waits_for_its_hours_can_be_cancelled(
    room: Room, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "now", lambda: at("12:00"))
    room.desk.training()._hours = Hours.read("01:00-07:00")
    await teach(room)
    place = await room.command("retrain", BOSS)
    await place.until(lambda place: "waits for its hours" in place.texts[0])
    assert "cancelled" in await press(room, place, "retrain-cancel")
    assert trainer.running == []


def test_the_setting_is_what_runs_keep_to(desk: Desk, settings: Settings) -> None:
    there = desk.training()
    made = Retrainings(
        there._store, settings.model_copy(update={"retrain_hours": "23:00-06:30"}), there._trainer, there._client
    )
    assert made._hours == Hours(time(23), time(6, 30))
    assert there._hours == Hours()


# --- The picture ---


def losses(folder: Path, steps: int = 60) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"kind": "start", "step": 0, "time": 0.0}]
    for step in range(1, steps + 1):
        lines.append({"kind": "step", "step": step, "loss": 4 - 3 * step / steps, "seconds": 1.0})
        if step % 15 == 0:
            lines.append({"kind": "validation", "step": step, "loss": 4.2 - 2.4 * step / steps})
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"kind": "ste')


def test_the_curve_goes_where_the_losses_are(tmp_path: Path) -> None:
    losses(tmp_path)
    drawn = curve.draw(tmp_path)
    assert drawn is not None
    assert len(drawn) < 60_000
    picture = Image.open(io.BytesIO(drawn)).convert("RGB")
    assert picture.size == (640, 320)
    assert picture.getpixel((0, 0)) == (255, 255, 255)

    def is_near(point: tuple[float, float], colour: tuple[int, int, int]) -> bool:
        found = picture.getpixel((round(point[0]), round(point[1])))
        assert isinstance(found, tuple)
        return sum(abs(a - b) for a, b in zip(found, colour, strict=True)) < 120

    blue, orange = (0x2F, 0x6F, 0xD0), (0xD0, 0x60, 0x2F)
    trained = [(step, 4 - 3 * step / 60) for step in range(1, 61)]
    held_out = [(step, 4.2 - 2.4 * step / 60) for step in (15, 30, 45, 60)]
    plot = curve.Plot(trained, held_out)
    assert all(is_near(plot.at(step, loss), blue) for step, loss in trained[4:56:10])
    assert all(is_near(plot.at(step, loss), orange) for step, loss in held_out)
    assert not is_near(plot.at(10, 1.5), blue)
    left = picture.crop((0, 40, 56, 268)).convert("L")
    below = picture.crop((64, 273, 620, 320)).convert("L")
    assert all(part.getextrema()[0] < 120 for part in (left, below))  # numbers on both axes


@pytest.mark.parametrize(
    "text", ["", '{"kind": "step", "step": 1, "loss": 2.0}\n', '{"kind": "step", "step": 1, "loss": "NaN"}\n' * 3]
)
def test_too_little_is_no_picture(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    assert curve.draw(tmp_path) is None


async def test_a_judged_run_shows_its_curve_where_it_was_asked_for(room: Room, trainer: FakeTrainer) -> None:
    await teach(room)
    place = await begun(room, trainer)
    losses(trainer.running[0])
    trainer.go.set()
    await place.until(lambda place: len(place.texts) == 2)
    await until(lambda: bool(place.pictures))
    ((name, data, words),) = place.pictures
    assert name == f"{trainer.running[0].name}.png"
    assert data == curve.draw(trainer.running[0])
    assert words.startswith("Retraining 1: the loss in training (blue)")


# --- What it may take ---


async def test_a_run_beyond_its_memory_is_stopped_and_the_setting_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the processes it started hold counts, too."""
    monkeypatch.setattr("bot.retraining.trainer.LOOK_EVERY", 0.05)
    hog = "import time; held = bytearray(400_000_000); time.sleep(60)"
    body = (
        f"import subprocess\nchild = subprocess.Popen([sys.executable, '-c', {hog!r}])\n"
        "pathlib.Path(sys.argv[1], 'session').write_text(str(os.getsid(0)))\n"
        "try:\n    child.wait()\nfinally:\n    child.kill()"
    )
    trainer = ProcessTrainer(settings.model_copy(update={"retrain_memory_gb": 0.2}), train=program(tmp_path, body))
    with pytest.raises(TrainerError) as stopped:
        await trainer.retrain(tmp_path, tmp_path / "run", "first", lambda progress: None)
    assert stopped.value.told("de") == say("de", "retrain-memory", limit="0.2")
    assert "RETRAIN_MEMORY_GB" in str(stopped.value)
    assert held(int((tmp_path / "session").read_text())) == 0


async def test_one_within_its_memory_is_left_alone_and_comes_last(settings: Settings, tmp_path: Path) -> None:
    body = (
        "own = pathlib.Path('/proc/self/oom_score_adj')\n"
        "while own.read_text().strip() != '800': time.sleep(0.02)\n"
        "print(f'nice {os.getpriority(os.PRIO_PROCESS, 0)}', file=sys.stderr)\nsys.exit(1)"
    )
    trainer = ProcessTrainer(settings.model_copy(update={"retrain_memory_gb": 2.0}), train=program(tmp_path, body))
    with pytest.raises(TrainerError, match=r"^nice 1[5-9]$"):
        await trainer.retrain(tmp_path, tmp_path / "run", "first", lambda progress: None)


def test_by_default_a_part_of_what_is_free_may_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.retraining.resources.PROC", tmp_path / "proc")
    monkeypatch.setattr("bot.retraining.resources.CGROUPS", tmp_path / "cgroup")
    from bot.retraining.resources import may_take

    assert may_take(0) == float("inf")  # no Linux
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 10000000 kB\nMemFree: 100 kB\nMemAvailable:    6000000 kB\n")
    assert may_take(0) == pytest.approx(5e6 * 1024)
    assert may_take(3) == 3 * GB
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/bot\n")
    (tmp_path / "cgroup" / "bot").mkdir(parents=True)
    for name, content in {"max": "4000000000", "current": "3000000000", "stat": "anon 1\ninactive_file 500000000\n"}.items():
        (tmp_path / "cgroup" / "bot" / f"memory.{name}").write_text(content)
    assert may_take(0) == pytest.approx(1.5e9 - 0.4e9)
