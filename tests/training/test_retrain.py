"""What people taught becomes a data set, an adapter, and a verdict on it."""

from __future__ import annotations

import contextlib
import json
import math
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import bot.retraining.lessons
import training.retrain.lessons
from model import lora
from model.adapters import LORA, Adapter
from model.presets import PHI2
from model.settings import WorkerSettings
from model.weights import PreparedWeights
from tests.model import tiny_home
from tests.training.small_retrain import fewer_questions
from training import checkpoint
from training.blend import start_of_lora
from training.cli import app
from training.config import Files, Instruct, load
from training.errors import Mistakes, TrainingError
from training.retrain import judge, keepsakes, recipe, run
from training.retrain.judge import Measured, Verdict
from training.retrain.keepsakes import unpack
from training.retrain.lessons import EXAMPLES, Lessons, make
from training.retrain.recipe import learnt
from training.retrain.run import Retraining, retrain
from training.retrain.verdict import shown

torch.set_num_threads(1)


def taught(folder: Path, count: int = 40, *, groups: int = 10, pictures: int = 8, **changes: Any) -> Path:
    """`count` corrections of as many groups."""
    folder.mkdir(parents=True)
    for number in range(pictures):
        Image.new("RGB", (40 + number, 40), (2 * number, 255 - 2 * number, 90)).save(folder / f"{number}.png")
    rows = [
        {
            "id": f"example-{at}",
            "group": f"person-{at % groups}",
            "image": f"{at % pictures}.png",
            "conversations": [
                {"from": "human", "value": f"<image>\nWhose badge is number {at}?"},
                {"from": "gpt", "value": f"Of the club {at % pictures}."},
            ],
        }
        | changes
        for at in range(count)
    ]
    write(folder, rows)
    return folder


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / EXAMPLES).write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def test_a_tenth_at_least_is_held_out_by_person_and_conversation(tmp_path: Path) -> None:
    made = make(taught(tmp_path / "lessons", pictures=40), tmp_path / "data", text_only="base")
    held, kept = rows_of(made.held_out), rows_of(made.train)
    assert (len(held), len(kept)) == (made.held, made.trained)
    assert 4 <= len(held) <= 20

    def people(rows: list[dict[str, Any]]) -> set[int]:
        return {int(row["id"].removeprefix("example-")) % 10 for row in rows}

    assert not people(held) & people(kept)


def test_the_same_lessons_are_the_same_data_set_in_any_order(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    first = make(folder, tmp_path / "one", text_only="base")
    rows = rows_of(folder / EXAMPLES)
    assert make(folder, tmp_path / "two", text_only="base").version == first.version
    write(folder, rows[:-1])
    assert make(folder, tmp_path / "three", text_only="base").version != first.version


def test_of_a_single_conversation_single_examples_are_held_out(tmp_path: Path) -> None:
    made = make(taught(tmp_path / "lessons", groups=1), tmp_path / "data", text_only="base")
    assert (made.trained + made.held, 4 <= made.held <= 20) == (40, True)


def test_doubles_count_once_and_the_newest_answer_counts(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    rows = rows_of(folder / EXAMPLES)
    again = rows[0] | {"id": "later", "conversations": [rows[0]["conversations"][0], {"from": "gpt", "value": "Chess."}]}
    again["conversations"][0]["value"] = "<image>\nwhose BADGE  is number 0?"
    write(folder, [*rows, again])
    made = make(folder, tmp_path / "data", text_only="base")
    assert (made.doubles, made.trained + made.held) == (1, 40)
    answers = [
        row["conversations"][1]["value"] for row in (*rows_of(made.train), *rows_of(made.held_out)) if row["id"] == "later"
    ]
    assert answers == ["Chess."]


def test_what_was_held_out_once_stays_so_when_there_is_more(tmp_path: Path) -> None:
    few = rows_of(make(taught(tmp_path / "few", 60, groups=30, pictures=60), tmp_path / "one", text_only="base").held_out)
    many = make(taught(tmp_path / "many", 120, groups=30, pictures=120), tmp_path / "two", text_only="base")
    assert {row["id"] for row in few} <= {row["id"] for row in rows_of(many.held_out)}


def test_a_picture_is_never_on_both_sides(tmp_path: Path) -> None:
    for groups, pictures in ((10, 8), (1, 8), (40, 40)):
        made = make(
            taught(tmp_path / f"{groups}-{pictures}", groups=groups, pictures=pictures), tmp_path / "data", text_only="base"
        )
        held, kept = ({row["image"] for row in rows_of(file)} for file in (made.held_out, made.train))
        assert made.held >= 4
        assert not held & kept


def test_line_ends_of_other_alphabets_are_words(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    rows = rows_of(folder / EXAMPLES)
    rows[0]["conversations"][1]["value"] = "One\u2028two\x85three."
    (folder / EXAMPLES).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    made = make(folder, tmp_path / "data", text_only="base")
    assert made.trained + made.held == 40


def test_too_few_are_refused_with_how_many_are_missing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="There are 12 examples to learn from, and at least 20 are needed: 8 more"):
        make(taught(tmp_path / "lessons", 12), tmp_path / "data", text_only="base")


def test_what_the_base_answers_cannot_be_learnt_and_is_counted(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons", 30)
    talk = [{"from": "human", "value": "Who are you?"}, {"from": "gpt", "value": "Club."}]
    write(folder, [*rows_of(folder / EXAMPLES), {"id": "text", "conversations": talk}])
    assert make(folder, tmp_path / "base", text_only="base").unlearnable == 1
    assert make(folder, tmp_path / "adapter", text_only="adapter").unlearnable == 0
    write(folder, rows_of(folder / EXAMPLES)[-20:])
    with pytest.raises(TrainingError, match="1 without a picture do not count"):
        make(folder, tmp_path / "few", text_only="base")


def test_every_bad_record_is_named(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    rows = rows_of(folder / EXAMPLES)
    rows[3]["conversations"][1]["value"] = " "
    rows[7]["image"] = "gone.png"
    write(folder, rows)
    with pytest.raises(Mistakes) as refused:
        make(folder, tmp_path / "data", text_only="base")
    assert ["record 4" in mistake or "record 8" in mistake for mistake in refused.value.mistakes] == [True, True]


def test_a_line_that_is_no_json_is_named_too(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    file = folder / EXAMPLES
    file.write_text(file.read_text() + "\n{broken\n")
    with pytest.raises(Mistakes) as refused:
        make(folder, tmp_path / "data", text_only="base")
    assert ["record 42" in mistake for mistake in refused.value.mistakes] == [True]


def test_the_bot_refuses_as_few_as_the_trainer() -> None:
    """It cannot import what trains."""
    assert bot.retraining.lessons.LEAST == training.retrain.lessons.LEAST
    assert bot.retraining.lessons.EXAMPLES == EXAMPLES


def test_a_folder_without_lessons_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no folder of lessons"):
        make(tmp_path, tmp_path / "data", text_only="base")


# --- The recipe ---


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


def test_the_split_does_not_hang_on_chance(tmp_path: Path) -> None:
    random.seed(1)
    first = make(taught(tmp_path / "a"), tmp_path / "one", text_only="base")
    random.seed(2)
    ids = [row["id"] for row in rows_of(make(taught(tmp_path / "b"), tmp_path / "two", text_only="base").held_out)]
    assert ids == [row["id"] for row in rows_of(first.held_out)]
