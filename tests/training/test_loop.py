"""The loop: what a run that is cut off, shared out or fed with nonsense does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.full_disk import files_of_at_most
from tests.training.toy import Heard, Points, Toy, run
from training import checkpoint
from training.config import Align
from training.errors import TrainingError
from training.loop import Loop, total_steps
from training.ranks import new_accelerator
from training.task import Batch

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def loop(folder: Path, config: Align, toy: Toy | None = None, heard: Heard | None = None) -> tuple[Loop, Toy]:
    toy = toy or Toy()
    return Loop(config, toy, folder, new_accelerator(config), heard or Heard()), toy


def weights(toy: Toy) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in toy.module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, toy = loop(tmp_path / "whole", run(steps=6))
    assert whole.train() == "finished"
    first, _ = loop(tmp_path / "parts", run(steps=6), heard=Heard(stop_after=4))
    assert first.train() == "stopped"
    heard = Heard()
    second, resumed = loop(tmp_path / "parts", run(steps=6), heard=heard)
    assert second.resume() == 4
    assert second.train() == "finished"
    assert same(weights(toy), weights(resumed))
    assert [figures.step for figures in heard.steps] == [5, 6]


def test_the_loss_goes_down_and_is_told(tmp_path: Path) -> None:
    heard = Heard()
    trained, _ = loop(tmp_path, run(steps=60, optimizer={"lr": 3e-2}, validation={"every": 30, "samples": 1}), heard=heard)
    trained.train()
    losses = [figures.loss for figures in heard.steps]
    assert sum(losses[-10:]) < sum(losses[:10])
    assert [one.step for one in heard.validations] == [30, 60]
    assert [one.step for one in heard.samples] == [30, 60]
    assert heard.steps[-1].answer_tokens == heard.steps[-1].tokens > 60 * 8


def test_the_validation_loss_is_told_by_length_too(tmp_path: Path) -> None:
    toy, heard = Toy(), Heard()
    loop(tmp_path, run(steps=3), toy, heard)[0].train()
    toy.module.eval()
    with torch.no_grad():
        losses = [float(toy.module(**toy.validation.collate([number]).inputs)) for number in range(5)]  # of 1 to 5 labels
    (told,) = heard.validations
    assert told.loss == pytest.approx(sum(losses) / 15)
    short = (losses[0] + losses[1]) / 3
    expected = {"up to 2 tokens": short, **{f"{length} tokens": losses[length - 1] / length for length in (3, 4, 5)}}
    assert told.by_bucket == pytest.approx(expected)


def test_accumulation_changes_nothing_but_memory(tmp_path: Path) -> None:
    """Every label weighs the same, whatever micro-batch it is in: lengths differ here."""
    results = []
    for micro in (8, 2):
        config = run(batch={"size": 8, "micro": micro})
        toy = Toy()
        toy.module.head[1].p = 0.0  # dropout draws per micro-batch
        loop(tmp_path / str(micro), config, toy)[0].train()
        results.append(weights(toy))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-5, atol=1e-6)


def test_an_example_counts_in_a_step_what_its_labels_weigh(tmp_path: Path) -> None:
    """The same point with 2 and with 20 labels, which weigh 11 together both times: the same step."""

    class Alike(Points):
        def collate(self, examples: Sequence[int]) -> Batch:
            batch = super().collate(examples)
            weights = torch.full((len(examples),), 11.0)  # what a label weighs, times the labels
            return replace(batch, inputs={**batch.inputs, "labels": weights}, label_weights=float(weights.sum()))

    toy, heard = Toy(), Heard()
    toy.module.head[1].p = 0.0
    toy.train = Alike(2, 1)
    toy.train.points[1], toy.train.classes[1] = toy.train.points[0], toy.train.classes[0]
    toy.train.lengths = [2, 20]
    still = run(steps=2, batch={"size": 1, "micro": 1}, optimizer={"lr": 1e-12})
    loop(tmp_path, still, toy, heard)[0].train()
    one, other = heard.steps
    assert sorted([one.answer_tokens, other.answer_tokens - one.answer_tokens]) == [2, 20]
    assert (one.loss, one.grad_norm) == pytest.approx((other.loss, other.grad_norm))


def test_a_run_that_is_killed_again_and_again_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    """SIGKILL, wherever it is: also while a checkpoint is written."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.training.toy_run", str(folder), "0"]
        return subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    with start(tmp_path / "whole") as whole:
        assert whole.wait() == 0
    kills = 0
    while not (tmp_path / "parts" / "weights.pt").exists():
        with start(tmp_path / "parts") as process:
            assert process.stdout is not None
            for _ in range(kills + 1):  # a line a step: later and later, so that it ends
                process.stdout.readline()
            if kills < 3:
                process.kill()
                kills += 1
    expected, found = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("whole", "parts"))
    assert same(expected, found)


def test_checkpoints_hold_what_is_trained_and_the_newest_are_kept(tmp_path: Path) -> None:
    trained, toy = loop(tmp_path, run(steps=6))
    trained.train()
    assert checkpoint.steps(tmp_path) == [6, 4]
    assert checkpoint.newest(tmp_path) == checkpoint.state_of(checkpoint.folder_of(tmp_path, 6)).step == 6
    assert set(checkpoint.trained_weights(toy.module)) == {f"head.{at}" for at in ("0.weight", "0.bias", "2.weight", "2.bias")}


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    trained, _ = loop(tmp_path, run(steps=6))
    trained.train()
    file = checkpoint.folder_of(tmp_path, 6) / checkpoint.OPTIMIZER
    file.write_bytes(file.read_bytes()[:-8])
    again, _ = loop(tmp_path, run(steps=6))
    assert again.resume() == 4
    (checkpoint.folder_of(tmp_path, 4) / checkpoint.STATE).write_text("{}")
    with pytest.raises(TrainingError, match=r"No checkpoint is whole.*step-00000006.*step-00000004"):
        loop(tmp_path, run(steps=6))[0].resume()


def test_other_data_or_settings_are_refused(tmp_path: Path) -> None:
    loop(tmp_path, run(steps=2))[0].train()
    changed = Toy()
    changed.fingerprint = "other"
    with pytest.raises(TrainingError, match="data changed"):
        loop(tmp_path, run(steps=2), changed)[0].resume()
    with pytest.raises(TrainingError, match=r"other settings \(seed: begun with 1, now 2\)"):
        loop(tmp_path, run(steps=2, seed=2))[0].resume()
    with pytest.raises(TrainingError, match="has 2 steps, and 1 were asked for"):
        loop(tmp_path, run(steps=1, optimizer={"lr": 1e-2}))[0].resume()
    assert loop(tmp_path, run(steps=9, workers=1))[0].resume() == 2  # what does not decide what is learnt may change


def test_a_loss_that_is_no_number_names_the_records_and_keeps_the_weights(tmp_path: Path) -> None:
    toy = Toy()
    toy.train.points[11] = torch.nan
    trained, _ = loop(tmp_path, run(steps=40), toy)
    with pytest.raises(TrainingError, match=r"no number in step \d+.*points.csv, record 12\b.*give the same command again"):
        trained.train()
    assert all(torch.isfinite(value).all() for value in weights(toy).values())


def test_a_gradient_that_is_no_number_never_reaches_weights_or_checkpoints(tmp_path: Path) -> None:
    toy, steps = Toy(), 0

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return torch.full_like(gradient, torch.inf) if steps == 9 else gradient  # in the third step of four micro-batches

    toy.module.head[2].weight.register_hook(spoil)
    with pytest.raises(TrainingError, match=r"The gradient is no number in step 3, in the batch of: points.csv"):
        loop(tmp_path, run(steps=6, checkpoints={"every": 1, "keep": 9}), toy)[0].train()
    assert checkpoint.steps(tmp_path) == [2, 1]
    assert all(torch.isfinite(value).all() for value in weights(toy).values())


def test_the_good_checkpoint_stays_when_a_newer_one_is_damaged(tmp_path: Path) -> None:
    loop(tmp_path, run(steps=6, checkpoints={"every": 2, "keep": 2}))[0].train()
    (checkpoint.folder_of(tmp_path, 6) / checkpoint.STATE).write_text("{}")
    again, _ = loop(tmp_path, run(steps=5, checkpoints={"every": 1, "keep": 1}))
    assert again.resume() == 4
    again.train()
    assert loop(tmp_path, run(steps=6))[0].resume() == 5


def test_a_checkpoint_of_other_weights_is_refused(tmp_path: Path) -> None:
    loop(tmp_path, run(steps=2))[0].train()
    other = Toy()
    other.module.frozen.requires_grad_(True)
    with pytest.raises(TrainingError, match="holds other weights than this run trains"):
        loop(tmp_path, run(steps=2), other)[0].resume()


def test_batches_made_ahead_are_the_same(tmp_path: Path) -> None:
    results = []
    for workers in (0, 2):
        trained, toy = loop(tmp_path / str(workers), run(workers=workers))
        trained.train()
        results.append(weights(toy))
    assert same(*results)


def test_being_asked_to_end_leaves_a_checkpoint(tmp_path: Path) -> None:
    toy = Toy()

    class Asks(Points):
        def collate(self, examples):  # type: ignore[no-untyped-def]
            os.kill(os.getpid(), signal.SIGTERM)
            return super().collate(examples)

    toy.train = Asks(30, 1)
    trained, _ = loop(tmp_path, run(steps=6, batch={"size": 8, "micro": 8}), toy)
    assert trained.train() == "stopped"
    assert checkpoint.steps(tmp_path) == [1]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_full_disk_is_a_sentence_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    """Which safetensors reports with an error of its own."""
    loop(tmp_path, run(steps=2))[0].train()
    again, _ = loop(tmp_path, run(steps=4))
    again.resume()
    with files_of_at_most(100), pytest.raises(TrainingError, match=r"disk with .* is full"):
        again.train()
    assert checkpoint.steps(tmp_path) == [2]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["step-00000002"]


def test_a_run_of_epochs_that_would_end_in_its_warm_up_is_refused() -> None:
    short = run(steps=None, epochs=1, optimizer={"lr": 1e-3, "warmup_steps": 500})
    assert total_steps(short, 4000 * short.batch.size) == 4000
    with pytest.raises(TrainingError, match=r"are 3 steps, .* warm up for 500: set optimizer\.warmup_steps lower"):
        total_steps(short, 3 * short.batch.size)
