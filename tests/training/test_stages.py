"""Stages 1 and 2 on a tiny mind: what is computed, what learns, and that a run goes on as if nothing had happened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from structlog.testing import capture_logs

from benchmarks.original_stage1 import per_token_loss
from model.shelf import SHIPPED
from tests.training import minds
from tests.training.toy import Heard
from training.base import Base
from training.config import RunConfig, TrainingData
from training.data.conversations import load_conversations
from training.data.features import FeatureCache
from training.errors import TrainingError
from training.instruct import _go_on_from
from training.loop import Loop
from training.mind_task import MindTask
from training.ranks import new_accelerator
from training.stages import _data_files, prepare
from training.task import IGNORE


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def other_precision() -> Iterator[None]:
    """accelerate has one for a process, and this one has other tests."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def cache(folder: Path) -> FeatureCache:
    return FeatureCache(folder / "cache", 49, 24)


def align_task(folder: Path, **changes: object) -> tuple[MindTask, Base]:
    run = minds.align(**changes)
    base = minds.base(run.template)
    records = minds.captioned(minds.pictures(folder))
    return minds.task(run, base, cache(folder), records, records[:2]), base


def instruct_task(folder: Path, **changes: object) -> tuple[MindTask, Base]:
    run = minds.instruct(**changes)
    base = minds.base(run.template)
    records = minds.conversations(minds.pictures(folder))
    return minds.task(run, base, cache(folder), records, records[:2]), base


TASKS = {"align": (align_task, minds.align), "instruct": (instruct_task, minds.instruct)}


def train(folder: Path, task: MindTask, run: RunConfig, stop_after: int | None = None) -> Heard:
    heard = Heard(stop_after)
    loop = Loop(run, task, folder / "checkpoints", new_accelerator(run), heard)
    loop.resume()
    loop.train()
    return heard


def trained(task: MindTask) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in task.module.named_parameters() if value.requires_grad}


def test_one_pass_is_the_originals_loop_over_tokens(tmp_path: Path) -> None:
    task, base = align_task(tmp_path, template="original")
    chosen = [0, 1, 3]
    batch = task.train.collate(chosen)
    examples = [task.train.examples[number] for number in chosen]
    begin = examples[0].answer.start
    loss = task.module(**batch.inputs)
    loss.backward()
    gradients = {name: value.grad.clone() for name, value in base.projector.named_parameters()}
    base.projector.zero_grad()
    expected = per_token_loss(
        base.model,
        torch.from_numpy(examples[0].ids[:begin]).long(),
        [example.ids[begin:].tolist() for example in examples],
        batch.inputs["vision_features"],
    )
    expected.backward()
    labels = batch.answer_tokens
    assert abs(float((loss - expected).detach())) / labels < 1e-6
    for name, value in base.projector.named_parameters():
        torch.testing.assert_close(gradients[name] / labels, value.grad / labels, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", TASKS)
@pytest.mark.usefixtures("other_precision")
def test_a_resumed_stage_is_bit_for_bit_the_uninterrupted_one(stage: str, precision: str, tmp_path: Path) -> None:
    make, configure = TASKS[stage]
    run = configure(precision=precision)
    whole, _ = make(tmp_path)
    train(tmp_path / "whole", whole, run)
    cut, _ = make(tmp_path)
    train(tmp_path / "parts", cut, run, stop_after=4)
    again, _ = make(tmp_path)
    heard = train(tmp_path / "parts", again, run)
    assert [figures.step for figures in heard.steps] == [5, 6]
    expected, found = trained(whole), trained(again)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("stage", TASKS)
def test_only_what_the_stage_trains_changes_and_the_loss_falls(stage: str, tmp_path: Path) -> None:
    make, configure = TASKS[stage]
    task, base = make(tmp_path)
    before = {name: value.detach().clone() for name, value in base.model.named_parameters()}
    heard = train(tmp_path, task, configure(steps=30))
    changed = {name for name, value in base.model.named_parameters() if not torch.equal(before[name], value)}
    allowed = ("multi_modal_projector",) if stage == "align" else ("multi_modal_projector", "lora_")
    assert changed
    assert all(any(part in name for part in allowed) for name in changed)
    assert any("multi_modal_projector" in name for name in changed)
    assert heard.steps[-1].loss < heard.steps[0].loss
    assert [sample.expected for sample in heard.samples] == (["a cat."] if stage == "align" else ["Thing 0."])


@pytest.mark.parametrize("template", ["original", "chat"])
@pytest.mark.parametrize("stage", TASKS)
def test_labels_are_the_answers(stage: str, template: str, tmp_path: Path) -> None:
    task, base = TASKS[stage][0](tmp_path, template=template)
    texts = []
    for number in range(len(task.train.lengths)):
        labels = task.train.collate([number]).inputs["labels"][0]
        texts.append(str(base.writer.tokenizer.decode(labels[labels != IGNORE].tolist())).replace("> ", ">").strip())
    end = "<|end_of_turn|>" if template == "chat" else "<|endoftext|>"
    if stage == "align":
        assert texts[:2] == [f"a cat.{end}", f"two dogs run{end}"]
    elif template == "chat":
        assert texts[0] == f"Thing 0.{end}Yes.{end}"
        assert texts[-1] == f"Hello.{end}"
    else:
        assert texts[:2] == [f"Thing 0.{end}", f"Yes.{end}"]


def test_padding_and_company_change_nothing(tmp_path: Path) -> None:
    task, _ = align_task(tmp_path)
    task.module.eval()
    alone = sum(float(task.module(**task.train.collate([number]).inputs)) for number in range(6))
    together = float(task.module(**task.train.collate(range(6)).inputs))
    assert abs(alone - together) < 1e-3


@pytest.mark.parametrize("stage", TASKS)
def test_a_common_beginning_is_read_once_and_changes_nothing(stage: str, tmp_path: Path) -> None:
    found = {}
    for checkpointing in (False, True):  # with checkpointing nothing is shared
        torch.manual_seed(0)
        task, _ = TASKS[stage][0](tmp_path, gradient_checkpointing=checkpointing)
        task.module.eval()
        batch = task.train.collate(range(4))
        assert ("prefix_ids" in batch.inputs) != checkpointing
        loss = task.module(**batch.inputs)
        loss.backward()
        found[checkpointing] = (loss, [value.grad for value in task.module.parameters() if value.requires_grad], batch.tokens)
    (shared, gradients, read), (apart, expected, all_tokens) = found[False], found[True]
    assert read == all_tokens - 3 * len("Instruct:")
    torch.testing.assert_close(shared, apart)
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)


def test_every_example_can_count_alike_however_long_its_answers_are(tmp_path: Path) -> None:
    task, _ = instruct_task(tmp_path, weigh="examples")
    task.module.eval()
    numbers = range(len(task.train.lengths))
    alone = [task.train.collate([number]) for number in numbers]
    assert len({batch.answer_tokens for batch in alone}) > 1
    for batch in alone:  # whatever its answers' length, an example's labels weigh the same together
        labels, weights = batch.inputs["labels"] != IGNORE, batch.inputs["weights"]
        assert batch.weight == alone[0].weight == pytest.approx(float((labels.sum(1) * weights).sum()))
    means = []
    for batch in alone:
        del batch.inputs["weights"]
        means.append(float(task.module(**batch.inputs).detach()) / batch.answer_tokens)
    together = task.train.collate(numbers)
    loss = float(task.module(**together.inputs).detach()) / together.answer_tokens
    assert loss == pytest.approx(sum(means) / len(means), rel=1e-4)
    assert together.weight == pytest.approx(together.answer_tokens)
    assert "weights" not in task.validation.collate([0]).inputs  # what is told is a token's, as before


def test_conversations_without_a_picture_can_be_left_to_the_base(tmp_path: Path) -> None:
    task, _ = instruct_task(tmp_path, text_only="base")
    assert len(task.train.lengths) == 6
    assert len(instruct_task(tmp_path)[0].train.lengths) == 7


def test_a_batch_without_any_picture_trains(tmp_path: Path) -> None:
    task, _ = instruct_task(tmp_path)
    batch = task.train.collate([6])
    assert "vision_features" not in batch.inputs
    task.module(**batch.inputs).backward()


@pytest.mark.parametrize("stage", TASKS)
def test_records_whose_picture_does_not_decode_stop_the_run_or_are_left_out(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.stages.load_base", lambda *run: minds.base())
    monkeypatch.setattr(Base, "cache", lambda base, folder: cache(tmp_path))
    paths = minds.pictures(tmp_path)
    whole, held = (minds.source(stage, tmp_path / f"{name}.jsonl", paths, times=2) for name in ("train", "held"))
    run = TASKS[stage][1](data={"train": [whole], "validation": [held]})
    accelerator = new_accelerator(run)
    fingerprint = prepare(run, accelerator, skip_bad=False)[0].fingerprint
    paths[2].write_bytes(b"x" * paths[2].stat().st_size)
    with pytest.raises(TrainingError) as error:
        prepare(run, accelerator, skip_bad=False)
    told = str(error.value)
    assert told.startswith("2 records cannot be trained on")
    assert f"{whole.file}, record 3: a picture cannot be decoded: '{paths[2]}'" in told
    assert "--skip-bad" in told
    with capture_logs() as logs:
        task, files = prepare(run, accelerator, skip_bad=True)
    (line,) = [log for log in logs if log["event"] == "bad records left out"]
    assert line["count"] == 2
    assert [first.partition(":")[0] for first in line["first"]] == [f"{one.file}, record 3" for one in (whole, held)]
    assert len(task.train.lengths) == len(task.validation.lengths) == 10
    assert [file.records for file in files] == [5, 5]
    assert task.fingerprint != fingerprint  # a run that had this picture must not go on without it
    for path in paths:
        path.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match="No picture of the training data can be looked at"):
        prepare(run, accelerator, skip_bad=True)


@pytest.mark.parametrize("stage", TASKS)
def test_a_picture_replaced_by_another_of_as_many_bytes_is_other_data(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.stages.load_base", lambda *run: minds.base())
    monkeypatch.setattr(Base, "cache", lambda base, folder: cache(tmp_path))
    paths = minds.pictures(tmp_path)
    sources = {name: [minds.source(stage, tmp_path / f"{name}.jsonl", paths)] for name in ("train", "validation")}
    run = TASKS[stage][1](data=sources)

    def fingerprint_with(colour: str, seconds: int) -> str:
        Image.new("RGB", (20, 20), colour).save(paths[2], "BMP")  # as large whatever it shows
        os.utime(paths[2], (seconds, seconds))
        return prepare(run, new_accelerator(run), skip_bad=False)[0].fingerprint

    red = fingerprint_with("red", 1)
    assert fingerprint_with("blue", 2) != red
    assert fingerprint_with("red", 3) == red


def test_records_that_go_from_training_to_validation_are_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files and their order are the same."""
    monkeypatch.setattr("training.stages.load_base", lambda *run: minds.base())
    monkeypatch.setattr(Base, "cache", lambda base, folder: cache(tmp_path))
    paths = minds.pictures(tmp_path)
    files = [minds.source("align", tmp_path / f"{name}.jsonl", paths) for name in ("one", "two", "three")]
    found = set()
    for border in (1, 2):
        run = minds.align(data={"train": files[:border], "validation": files[border:]})
        found.add(prepare(run, new_accelerator(run), skip_bad=False)[0].fingerprint)
    assert len(found) == 2


def test_conversations_without_pictures_alone_are_told(tmp_path: Path) -> None:
    records = minds.conversations([])
    run = minds.instruct(text_only="base")
    with pytest.raises(TrainingError, match="No training conversation has a picture"):
        minds.task(run, minds.base(), cache(tmp_path), records, records)


def test_layers_that_are_not_there_are_told(tmp_path: Path) -> None:
    lora = {"rank": 2, "alpha": 4, "targets": ["q_proj", "w1"]}
    with pytest.raises(TrainingError, match=r"lora.targets: w1 is in no layer of phi2; there are dense, fc1, fc2, k_proj"):
        instruct_task(tmp_path, lora=lora)


def test_an_adapter_to_go_on_from_is_not_read_as_another_kind(tmp_path: Path) -> None:
    """Its matrices alone do not say how loud they are."""
    lora = {"rank": 16, "alpha": 1, "dora": True, "targets": ["q_proj", "k_proj", "v_proj"]}
    with pytest.raises(TrainingError, match=r"set lora.alpha=32(.0)?, lora.dora=False, lora.targets="):
        _go_on_from(SHIPPED / "pocket", minds.instruct(lora=lora), torch.nn.Module())


def test_examples_that_are_too_long_are_left_out_and_none_is_an_error(tmp_path: Path) -> None:
    assert len(align_task(tmp_path, max_length=100)[0].train.lengths) < 6
    with pytest.raises(TrainingError, match="No training example fits into max_length"):
        align_task(tmp_path, max_length=20)


def test_a_file_that_is_two_sources_is_counted_apart(tmp_path: Path) -> None:
    pictures = minds.pictures(tmp_path)
    whole = minds.source("instruct", tmp_path / "talk.jsonl", pictures)
    held, first, rest = (
        whole.model_copy(update=part) for part in ({"first": 1}, {"skip": 1, "first": 2}, {"skip": 3, "times": 2})
    )
    sources = TrainingData(train=(first, rest), validation=(held,))
    records = [load_conversations(files, skip_bad=False) for files in (sources.train, sources.validation)]
    assert [(file.use, file.records) for file in _data_files(sources, records)] == [
        ("train", 2),
        ("train", 3),
        ("validation", 1),
    ]
