"""Two processes that train together, as torchrun starts them (gloo on the CPU)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.test_pretrain import shards as shards
from tests.training.toy import Heard, Toy, run
from training import checkpoint
from training.errors import TrainingError
from training.loop import Loop
from training.ranks import new_accelerator, require_even_batches

ROOT = Path(__file__).parents[2]
HANG_SECONDS = 150
"""Far beyond what the toy takes, also on a machine that is busy."""
ATTEMPTS = 3
"""One launch of hundreds hung, in a sandbox, and nothing said where: a warning with the ranks' stacks will, the next time."""
END_SECONDS = 40
"""torchrun ends its processes with SIGTERM, and after 30 seconds with SIGKILL."""


def launch(folder: Path, ranks: int, *arguments: str, module: str = "toy_run") -> tuple[int, list[str]]:
    """torchrun's exit code, and what each rank wrote. `module`: of tests.training."""
    logs = folder / f"logs-{len(list(folder.glob('logs-*')))}"
    how = ["--standalone", f"--nproc-per-node={ranks}", "--redirects=3", f"--log-dir={logs}"]
    command = [sys.executable, "-m", "torch.distributed.run", *how, "-m", f"tests.training.{module}", str(folder), *arguments]
    before = shutil.copytree(folder, folder.with_name(f"{folder.name}-{logs.name}"))
    for _ in range(ATTEMPTS):
        code = _ended(command)
        written = ["".join(path.read_text() for path in sorted(logs.glob(f"*/*/{rank}/*.log"))) for rank in range(ranks)]
        if code is not None:
            return code, written
        warnings.warn(f"torchrun hung: {written}", stacklevel=2)
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
    pytest.fail(f"torchrun hung {ATTEMPTS} times: {written}")


def _ended(command: list[str]) -> int | None:
    """The exit code; None: it hung, and where is in the logs of its ranks."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOY_HANGS_AFTER": str(HANG_SECONDS - 10)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, cwd=ROOT) as running:
        try:
            return running.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(END_SECONDS)
            running.kill()
            return None


def test_two_processes_learn_what_one_does_with_the_same_batch(tmp_path: Path) -> None:
    outputs = []
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        for stop_after in (4, 6):  # stopped after four steps, and started again from the second: the fourth was damaged
            code, written = launch(folder, ranks, str(stop_after))
            assert code == 0, written
            if stop_after == 4:
                (checkpoint.folder_of(folder / "checkpoints", 4) / checkpoint.OPTIMIZER).write_bytes(b"")
        assert [line for line in written[0].splitlines() if line.isdigit()] == ["3", "4", "5", "6"]
        assert ["checkpoint is damaged" in text for text in written] == [True, False][:ranks]  # one rank looks, for all
        outputs.append(torch.load(folder / "weights.pt", weights_only=True))
    assert outputs[0].keys() == outputs[1].keys()
    for name, value in outputs[0].items():
        torch.testing.assert_close(value, outputs[1][name], rtol=1e-5, atol=1e-6)

    with pytest.raises(TrainingError, match=r"made with other settings \(processes: begun with 2, now 1\)"):
        Loop(run(), Toy(), tmp_path / "2" / "checkpoints", new_accelerator(run()), Heard()).resume()


def test_a_model_that_is_sharded_learns_what_a_whole_one_does_and_goes_on_from_a_checkpoint(
    shards: Path, tmp_path: Path
) -> None:
    outputs = []
    for ranks in (1, 2):
        folder = shutil.copytree(shards, tmp_path / f"ranks-{ranks}", ignore=shutil.ignore_patterns("ranks-*"))
        for stop_after in (2, 4):
            code, written = launch(folder, ranks, str(stop_after), module="sharded_run")
            assert code == 0, written
        assert [line for line in written[0].splitlines() if line.isdigit()] == ["3", "4"]
        outputs.append(load_file(folder / "artefact" / "model.safetensors"))
    assert outputs[0].keys() == outputs[1].keys()
    for name, value in outputs[0].items():
        torch.testing.assert_close(value, outputs[1][name], rtol=1e-4, atol=1e-5)


def test_a_model_that_is_sharded_learns_in_bf16_what_a_whole_one_does(shards: Path, tmp_path: Path) -> None:
    """Nearly: a whole one keeps fp32 between its layers. With activations that are computed again."""
    losses = []
    for ranks in (1, 2):
        folder = shutil.copytree(shards, tmp_path / f"ranks-{ranks}", ignore=shutil.ignore_patterns("ranks-*"))
        code, written = launch(folder, ranks, "0", "--precision", "bf16", module="sharded_run")
        assert code == 0, written
        losses.append(json.loads((folder / "losses.json").read_text()))
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
    assert losses[0][-1] < losses[0][0] - 0.2
    assert {value.dtype for value in load_file(folder / "artefact" / "model.safetensors").values()} == {torch.float32}


def test_one_rank_that_fails_is_all_that_is_heard(tmp_path: Path) -> None:
    """One rank meets a bad record, the other waits for it in the middle of a step."""
    code, written = launch(tmp_path, 2, "0", "--bad")
    assert code == 1
    words = [line for text in written for line in text.splitlines() if not line.isdigit()]  # the main rank counts steps
    assert words == ["points.csv, record 12 is bad: repair it."]


def test_a_batch_that_cannot_be_shared_is_told() -> None:
    with pytest.raises(TrainingError, match=r"batch.size \(8\) must be a multiple of batch.micro \(2\) times the 3 processes"):
        require_even_batches(run(), 3)
    with pytest.raises(ValueError, match=r"size \(8\) must be a multiple of it"):
        run(batch={"size": 8, "micro": 3})
