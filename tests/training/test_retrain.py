"""What people taught becomes a data set, an adapter, and a verdict on it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image

from model.adapters import Adapter
from model.presets import PHI2
from model.settings import WorkerSettings
from model.weights import PreparedWeights
from tests.model import tiny_home
from training.errors import Mistakes, TrainingError
from training.retrain import judge, recipe
from training.retrain.judge import Measured, Verdict
from training.retrain.keepsakes import unpack
from training.retrain.lessons import EXAMPLES, Lessons, make
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
    few, many = (recipe.recipe(PHI2, current, lessons(count), [], on_gpu=False) for count in (18, 2000))
    assert (few.steps, many.steps) == (recipe.LEAST_STEPS, recipe.MOST_STEPS)
    assert few.optimizer.lr > many.optimizer.lr
    assert few.start == current.folder.resolve()
    assert set(few.lora.targets) == {"q_proj", "fc1", "dense"}
    assert (few.lora.rank, few.quantize, few.template) == (4, None, "chat")


@pytest.mark.parametrize("trained", [18, 100, 700, 5000])
def test_replay_is_between_a_tenth_and_three_tenths(trained: int) -> None:
    part = recipe.replayed(lessons(trained), 10_000) / (recipe.replayed(lessons(trained), 10_000) + trained)
    assert 0.1 <= part <= 0.3


def test_keepsakes_are_small_whole_and_apart(tmp_path: Path) -> None:
    kept = unpack(tmp_path)
    replay, vqa, captions = (rows_of(file) for file in (kept.replay, kept.vqa, kept.captions))
    assert (len(replay), len(vqa), len(captions)) == (240, 60, 60)
    pictures = [{row["image"] for row in rows} for rows in (replay, vqa, captions)]
    assert not pictures[0] & (pictures[1] | pictures[2])
    assert all((tmp_path / name).is_file() for name in set.union(*pictures))
    assert "MIT" in (tmp_path / "LICENCES").read_text()


# --- The run ---

QUICK = ("steps=6", "max_length=400", "validation.samples=1", "batch.size=4", "batch.micro=4", "optimizer.warmup_steps=1")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few questions: a tiny mind knows none of the answers. Accelerate has one state a process, whoever trains in it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    real = unpack

    def cut(to: Path) -> Any:
        kept = real(to)
        for file in (kept.replay, kept.vqa, kept.captions):
            file.write_text("".join(line + "\n" for line in file.read_text().splitlines()[:6]))
        return kept

    monkeypatch.setattr("training.retrain.run.unpack", cut)
    monkeypatch.setattr("training.preflight._machine", lambda run: [])  # phi2 wants a GPU; a tiny one does not
    monkeypatch.setattr("training.evaluate.chat.QUESTIONS", ("Hello!", "Who are you?"))
    monkeypatch.setattr(judge, "MAX_TOKENS", 4)
    monkeypatch.setattr(judge, "SHOWN", 2)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


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
    assert artefact.card.data[0].licence == "the community's own, with their consent"
    assert len(verdict.answers) == 2
    assert Verdict.model_validate_json((tmp_path / "run" / "verdict.json").read_text()) == verdict
    steps = (tmp_path / "run" / "metrics.jsonl").read_text().count('"step"')
    again, second = retrain(asked, WorkerSettings())
    assert (again.version, second) == (made.version, verdict)
    assert (tmp_path / "run" / "metrics.jsonl").read_text().count('"step"') <= steps + 4  # nothing was trained anew
    words = [part for part in shown(made, verdict) if isinstance(part, str)]
    assert f"{made.trained} examples learnt, {made.held} held out" in words[0]


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
    ("name", "is_loss", "before", "after", "reason"),
    [
        ("what was taught and held out", True, 2.0, 1.9, None),
        ("what was taught and held out", True, 2.0, 2.0, "did not learn"),
        ("shapes", False, 0.90, 0.885, None),
        ("shapes", False, 0.90, 0.87, "It forgot shapes: 90% right before, 87% now."),
        ("drawings", False, 0.2, 0.1, "forgot drawings"),
        ("plain chat", True, 1.0, 1.05, None),
        ("plain chat", True, 1.0, 1.2, "plain chat"),
    ],
)
def test_worse_anywhere_is_not_offered(name: str, is_loss: bool, before: float, after: float, reason: str | None) -> None:
    said = judge._worse(Measured(name=name, before=before, after=after, is_loss=is_loss))
    assert (said is None) == (reason is None)
    assert (reason or "") in (said or "")


def test_the_split_does_not_hang_on_chance(tmp_path: Path) -> None:
    random.seed(1)
    first = make(taught(tmp_path / "a"), tmp_path / "one", text_only="base")
    random.seed(2)
    ids = [row["id"] for row in rows_of(make(taught(tmp_path / "b"), tmp_path / "two", text_only="base").held_out)]
    assert ids == [row["id"] for row in rows_of(first.held_out)]
