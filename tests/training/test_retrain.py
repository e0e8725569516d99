"""What people taught becomes a data set, an adapter, and a verdict on it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from typer.testing import CliRunner

from model import lora
from model.adapters import LORA, Adapter
from model.presets import PHI2
from model.settings import WorkerSettings
from model.weights import PreparedWeights
from tests.model import tiny_home
from tests.training.small_retrain import fewer_questions
from tests.training.test_lessons import rows_of, taught, write
from training import checkpoint
from training.blend import start_of_lora
from training.cli import app
from training.config import Files, Instruct, load
from training.errors import TrainingError
from training.retrain import judge, keepsakes, recipe, run
from training.retrain.judge import Measured, Verdict
from training.retrain.keepsakes import unpack
from training.retrain.lessons import EXAMPLES, Lessons, make
from training.retrain.recipe import learnt
from training.retrain.run import Retraining, retrain
from training.retrain.verdict import shown

torch.set_num_threads(1)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedWeights:
    for name, value in {"JNANA_HOME": str(tmp_path / "home"), "MODEL_PRESET": "phi2", "MODEL_DEVICE": "cpu"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODEL_PRECISION", "fp32")
    monkeypatch.setenv("MODEL_OCR", "false")
    return tiny_home.prepared(tmp_path, max_position_embeddings=512)


@pytest.fixture
def current(weights: PreparedWeights, tmp_path: Path) -> Adapter:
    return tiny_home.adapter(tmp_path / "current", weights, text_only="adapter")


def lessons(trained: int) -> Lessons:
    return Lessons(Path("train.jsonl"), Path("held-out.jsonl"), Path(), "v", trained, trained // 10, 0, 0)


def test_more_examples_are_learnt_longer_at_a_lower_rate(current: Adapter) -> None:
    files = [learnt(lessons(18), Path("train.jsonl"))]
    few, many = (recipe.recipe(PHI2, current, lessons(count), files, on_gpu=False) for count in (18, 2000))
    assert (few.steps, many.steps) == (recipe.LEAST_STEPS, recipe.MOST_STEPS)
    assert few.optimizer.lr > many.optimizer.lr
    assert few.start == current.folder.resolve()
    assert set(few.lora.targets) == {"q_proj", "fc1", "dense"}
    assert (few.lora.rank, few.quantize, few.template) == (4, None, "chat")
    assert (few.weigh, few.order) == ("examples", "random")  # a "yes" is a whole example, and steps mix it with what is taught


@pytest.mark.parametrize("trained", [18, 100, 216, 480, 550, 560, 700, 721, 1079, 1080, 2200, 5000, 10_000])
def test_all_that_comes_along_is_replayed_and_its_part_stays_however_many_are_learnt(trained: int) -> None:
    there = sum(keepsakes.REPLAYED.values())
    of_lessons, of_replay = recipe.times(trained, there)
    assert min(of_lessons, of_replay) == 1
    part = of_replay * there / (of_replay * there + of_lessons * trained)
    assert 0.17 <= part <= 0.301


def test_lessons_without_a_picture_are_no_more_replayed_for_than_others(
    current: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few of them are trained a second time as a person sends them, or none: nothing is put in front of them."""
    folder = taught(tmp_path / "lessons", 200)
    rows = [{key: value for key, value in row.items() if key != "image"} for row in rows_of(folder / EXAMPLES)]
    for row in rows:
        row["conversations"][0]["value"] = row["conversations"][0]["value"].removeprefix("<image>\n")
    write(folder, rows)
    made = make(folder, tmp_path / "data", text_only="adapter")

    def seen_by(mind: object, source: Files, looked: object) -> Iterator[SimpleNamespace]:
        yield from (SimpleNamespace(record=row) for row in rows_of(source.file))

    def as_served(seen: Iterable[SimpleNamespace]) -> Iterator[dict[str, Any]]:
        yield from (one.record for one in seen if "image" in one.record)

    monkeypatch.setattr(run, "_mind", lambda *asked: contextlib.nullcontext())
    monkeypatch.setattr(run, "seen_by", seen_by)
    monkeypatch.setattr(run, "as_served", as_served)
    monkeypatch.setattr(run, "with_own_answers", lambda mind, seen: seen)
    asked = Retraining(folder, PHI2, current.folder, tmp_path / "run")
    files = run._as_served(asked, current, WorkerSettings(), made, unpack(tmp_path / "kept"), lambda what, done, total: None)
    counts = [file.times * len(rows_of(file.file)) for file in files]
    assert [file.file.name for file in files] == ["train.jsonl", "replay-own.jsonl", "replay-own-as-served.jsonl"]
    assert 0.17 <= sum(counts[1:]) / sum(counts) <= 0.301


# --- The run ---

QUICK = ("steps=6", "max_length=400", "validation.samples=1", "batch.size=4", "batch.micro=4", "optimizer.warmup_steps=1")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few questions. Accelerate has one state a process, whoever trains in it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    fewer_questions(monkeypatch)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def assert_between(start: Adapter, artefact: Adapter, checkpoints: Path) -> None:
    """A part of what it started from is kept, weight by weight."""
    newest = checkpoint.newest(checkpoints)
    trained = load_file(checkpoint.folder_of(checkpoints, newest or 0) / checkpoint.TRAINED)
    (_, old), (_, new) = lora.read(start.folder), lora.read(artefact.folder)
    for name, weight in new.items():
        layer = name[name.index("layers.") :].replace(".weight", ".default.weight")
        (learnt,) = (value for key, value in trained.items() if key.endswith(layer))
        torch.testing.assert_close(weight, torch.lerp(learnt, old[name], recipe.KEPT))


@pytest.mark.usefixtures("small")
def test_a_retraining_learns_judges_and_goes_on_where_it_was(current: Adapter, tmp_path: Path) -> None:
    asked = Retraining(
        taught(tmp_path / "lessons"), PHI2, current.folder, tmp_path / "run", changes=(*QUICK, "optimizer.lr=0.01")
    )
    made, verdict = retrain(asked, WorkerSettings())
    assert verdict is not None
    first = {measure.name: measure for measure in verdict.measures}
    assert list(first) == ["what was taught and held out", "shapes", "drawings", "plain chat"]
    assert first["what was taught and held out"].after < first["what was taught and held out"].before
    artefact = Adapter.open(tmp_path / "run" / "artefact")
    assert artefact.card.parent == current.sha256
    assert_between(current, artefact, tmp_path / "run" / "checkpoints")
    learnt = [source.licence for source in artefact.card.data]
    assert learnt.index("MIT") < learnt.index("the community's own, with their consent")  # what it goes on from comes first
    assert len(verdict.answers) == 2
    (replayed,) = (
        source for source in load(Instruct, tmp_path / "run" / "retrain.yaml").data.train if source.file.name == run.OWN
    )
    part = replayed.times * len(rows_of(replayed.file))  # of six that there are, as many times as it takes
    assert 0.17 <= part / (part + made.trained) <= 0.301
    assert Verdict.model_validate_json((tmp_path / "run" / "verdict.json").read_text()) == verdict
    steps = (tmp_path / "run" / "metrics.jsonl").read_text().count('"step"')
    again, second = retrain(asked, WorkerSettings())
    assert (again.version, second) == (made.version, verdict)
    assert (tmp_path / "run" / "metrics.jsonl").read_text().count('"step"') <= steps + 4  # nothing was trained anew
    words = [part for part in shown(made, verdict) if isinstance(part, str)]
    assert f"{made.trained} examples learnt, {made.held} held out" in words[0]


def test_of_a_lora_that_began_anew_the_start_changes_nothing(current: Adapter) -> None:
    trained = {"q_proj.lora_A.weight": torch.ones(2, 3), "q_proj.lora_B.weight": torch.ones(3, 2)}
    (current.folder / LORA).unlink()
    start = start_of_lora(trained, current)
    assert [bool(weight.any()) for weight in start.values()] == [True, False]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (8, 7)])
def test_beside_a_worker_one_core_is_left_to_it(
    current: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    seen = []

    def trained(asked: Retraining, settings: WorkerSettings) -> tuple[Lessons, None]:
        seen.append(settings.cpu_threads())
        return lessons(100), None

    monkeypatch.setattr(run, "retrain", trained)
    monkeypatch.setattr("training.cli.available_cores", lambda: cores)
    command = ["train", "retrain", str(tmp_path), "--to", str(tmp_path / "run"), "--adapter", str(current.folder)]
    for arguments in (command, [*command, "--leave-core"]):
        assert CliRunner().invoke(app, arguments).exit_code == 130
    assert seen == [WorkerSettings().cpu_threads(), threads]
    configuration = recipe.recipe(
        PHI2, current, lessons(100), [learnt(lessons(100), Path("train.jsonl"))], on_gpu=False, threads=threads
    )
    assert configuration.threads == threads


def test_an_adapter_without_eyes_cannot_be_taught(weights: PreparedWeights, tmp_path: Path) -> None:
    from model.lora import extract

    blind = Adapter.save(
        tmp_path / "blind",
        tiny_home.card(weights),
        projector=None,
        lora=extract(tiny_home.with_lora(tiny_home.plain(weights)).base_model),
    )
    with pytest.raises(TrainingError, match="has no projector"):
        retrain(Retraining(taught(tmp_path / "lessons"), PHI2, blind.folder, tmp_path / "run"), WorkerSettings())


@pytest.mark.parametrize(
    ("name", "is_loss", "before", "after", "allowed", "reason"),
    [
        ("what was taught and held out", True, 2.0, 1.9, 0.0, None),
        ("what was taught and held out", True, 2.0, 2.0, 0.0, "did not learn"),
        ("what was taught and held out", True, 2.0, math.nan, 0.0, "did not learn"),
        ("shapes", False, 0.90, 0.885, 0.02, None),
        ("shapes", False, 0.90, 0.87, 0.02, "It forgot shapes: 90% right before, 87% now, and 2.0% less would be let through."),
        ("drawings", False, 0.2, 0.1, 0.03, "forgot drawings"),
        ("plain chat", True, 1.0, 1.05, 0.1, None),
        ("plain chat", True, 1.0, 1.2, 0.1, "plain chat"),
        ("plain chat", True, 1.0, math.nan, 0.1, "plain chat"),
    ],
)
def test_worse_anywhere_is_not_offered(
    name: str, is_loss: bool, before: float, after: float, allowed: float, reason: str | None
) -> None:
    said = judge._worse(Measured(name=name, before=before, after=after, is_loss=is_loss, allowed=allowed))
    assert (said is None) == (reason is None)
    assert (reason or "") in (said or "")


@pytest.mark.parametrize(
    ("lost", "gained", "is_offered"),
    [(0, 0, True), (3, 0, True), (4, 0, False), (14, 11, True), (9, 3, False), (30, 10, False)],
)
def test_two_of_a_hundred_or_what_chance_explains_is_let_through(lost: int, gained: int, is_offered: bool) -> None:
    """Of 150 questions, 139 of which were answered rightly before."""
    before = [True] * 139 + [False] * 11
    after = [False] * lost + [True] * (139 - lost) + [True] * gained + [False] * (11 - gained)
    measure = judge.right("drawings", before, after)
    assert measure.before - measure.after == pytest.approx((lost - gained) / 150)
    assert (judge._worse(measure) is None) is is_offered
