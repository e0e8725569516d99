"""The folder of a run that goes on, or does not: stage 0 of a tiny phi, as `jnana train` does it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from model.adapters import Name
from tests.training.test_pretrain import run
from tests.training.test_pretrain import shards as shards
from training import stages
from training.config import dump
from training.data.pack import pack
from training.errors import TrainingError
from training.metrics import Validation
from training.pretrain import PretrainTask
from training.runs import CONFIG, INFO, Hardware, RunFolder
from training.stages import _facts, _Listener
from training.task import Facts


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its speed is not measured."""
    monkeypatch.setattr(stages, "this_machine", lambda count, precision: Hardware(name="a machine"))


@pytest.fixture
def begun(shards: Path, tmp_path: Path) -> Path:
    """The folder of a run that is done with its four steps."""
    settings = run(shards, steps=4, validation={"every": 2, "samples": 0}, checkpoints={"every": 2}, threads=1)
    (tmp_path / "run.yaml").write_text(dump(settings))
    assert train(tmp_path / "run") == "finished"
    return tmp_path / "run"


def train(folder: Path, *changes: str) -> str:
    return stages.train("pretrain", str(folder.with_name("run.yaml")), changes, folder, skip_bad=False)


def test_a_run_that_is_refused_stays_as_it_was(begun: Path, shards: Path) -> None:
    pack(sorted(shards.glob("*.txt")), shards / "tokenizer", shards / "other", validation=0.5)
    other = f"data.train={shards / 'other' / 'train'}"
    before = [(begun / name).read_bytes() for name in (CONFIG, INFO)]
    for change, told in ((other, "The data changed since"), ("steps=3", "has 4 steps, and 3 were asked for")):
        with pytest.raises(TrainingError, match=told):
            train(begun, change)
        assert [(begun / name).read_bytes() for name in (CONFIG, INFO)] == before
    assert train(begun, "steps=5") == "finished"
    assert [(begun / name).read_bytes() for name in (CONFIG, INFO)] != before


def test_a_run_that_goes_on_with_other_settings_says_which(begun: Path) -> None:
    with capture_logs() as logs:
        assert train(begun) == "finished"
    assert not logs
    with capture_logs() as logs:
        assert train(begun, "steps=6", "optimizer.lr=5e-3") == "finished"
    [line] = logs
    assert line["log_level"] == "warning"
    assert "optimizer.lr: begun with 0.01, now 0.005; steps: begun with 4, now 6" in line["changed"]


def test_an_artefact_that_a_kill_prevented_has_its_validation_loss_all_the_same(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Facts] = []

    def save(task: PretrainTask, folder: Path, facts: Facts, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        told.append(facts)

    monkeypatch.setattr(PretrainTask, "save", save)
    shutil.rmtree(begun / "artefact")
    assert train(begun) == "finished"
    last = [metric for metric in RunFolder.open(begun).metrics() if isinstance(metric, Validation)][-1]
    assert [facts.metrics for facts in told] == [{"validation loss": last.loss}]


@pytest.mark.parametrize("folder", ["default", "none", "my run", "…", "x" * 99])
def test_an_adapter_can_be_called_what_its_run_is(folder: str) -> None:
    assert TypeAdapter(Name).validate_python(_facts(Path("runs") / folder, "instruct", (), _Listener()).name)
