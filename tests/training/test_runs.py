"""A run's folder: nothing half written is taken for whole, and one process writes it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.training.made_run import BEGAN, config, info, make_run, step
from training import claim, runs
from training.config import Align, load
from training.errors import TrainingError
from training.history import read
from training.metrics import FINISHED, End, Event, Sample, Start, Step, Validation
from training.runs import RunFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", config(), info())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LOCK_SECONDS", 0.05)


def numbers(run: RunFolder) -> list[int]:
    return [metric.step for metric in run.metrics()]


def test_what_is_written_is_read_back(run: RunFolder) -> None:
    written = [
        Start(step=0, time=BEGAN),
        step(1),
        Step.model_validate(step(2).model_dump() | {"mfu": None, "memory_bytes": None}),
        Validation(step=2, loss=3.5, by_bucket={"up to 40 tokens": 4.0}),
        Sample(step=2, image="a.jpg", prompt="What?\nWhere?", expected="ein Bär", answer="\u2028"),
        Event(step=2, time=BEGAN, text="slower"),
        End(step=2, time=BEGAN, reason=FINISHED),
    ]
    for metric in written:
        run.append(metric)
    assert list(RunFolder.open(run.folder).metrics()) == written
    assert RunFolder.open(run.folder).info == info()
    assert load(Align, run.folder / "config.yaml") == config()


def test_lines_are_plain_json_also_when_a_loss_is_no_number(run: RunFolder) -> None:
    run.append(step(1).model_copy(update={"loss": math.nan, "grad_norm": math.inf}))
    line = (run.folder / "metrics.jsonl").read_text()

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    json.loads(line, parse_constant=refuse)
    (back,) = run.metrics()
    assert isinstance(back, Step)
    assert math.isnan(back.loss)
    assert back.grad_norm == math.inf


def test_a_line_is_there_when_append_returns_and_a_cut_one_is_not_taken_for_a_metric(tmp_path: Path) -> None:
    """A process is killed in the middle of a line; the next one goes on."""
    code = """
        import os, signal, sys
        from pathlib import Path
        from tests.training.made_run import config, info, step
        from training.runs import RunFolder
        run = RunFolder.create(Path(sys.argv[1]), config(), info())
        run.append(step(1))
        run.append(step(2))
        with (run.folder / "metrics.jsonl").open("a") as stream:
            stream.write('{"kind":"step","step":3,"ti')
        os.kill(os.getpid(), signal.SIGKILL)
    """
    folder = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(folder)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert numbers(RunFolder.open(folder)) == [1, 2]
    assert read(folder).state == "stopped"
    with RunFolder.resume(folder) as run:
        run.append(step(3))
        assert numbers(run) == [1, 2, 3]


def test_rewind_cuts_everything_after_the_checkpoint_and_tells_what_is_done_again(run: RunFolder) -> None:
    for number in range(1, 6):
        run.append(step(number))
    run.append(Validation(step=4, loss=2.0))
    run.append(Event(step=5, time=BEGAN, text="odd"))
    lost = run.rewind(3)
    assert lost == pytest.approx(step(4).seconds + step(5).seconds)
    assert numbers(run) == [1, 2, 3]
    run.append(step(4))
    assert numbers(run) == [1, 2, 3, 4]
    assert not [path for path in run.folder.iterdir() if "partial" in path.name]


def test_rewind_that_dies_leaves_the_old_lines(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    run.append(step(1))
    run.append(step(2))

    def die(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        run.rewind(1)
    assert numbers(run) == [1, 2]


def test_damaged_line_is_named(run: RunFolder) -> None:
    run.append(step(1))
    with (run.folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "step", "step": "two"}\n')
    with pytest.raises(TrainingError, match=r"metrics\.jsonl, line 2 .*delete the line"):
        list(run.metrics())


def test_second_process_is_told_who_has_the_run(run: RunFolder) -> None:
    with pytest.raises(TrainingError, match=r"is in use: process [0-9]+ trains in it"):
        RunFolder.resume(run.folder)
    assert RunFolder.open(run.folder).is_running()
    run.close()
    assert not RunFolder.open(run.folder).is_running()
    with RunFolder.resume(run.folder) as again:
        again.append(step(1))


def test_who_waits_for_a_folder_that_is_given_up_gets_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "LOCK_SECONDS", 30.0)
    folder = tmp_path / "run"
    with ThreadPoolExecutor(1) as threads:
        with runs.claimed(folder):
            waiting = threads.submit(claim.lock, folder)
            time.sleep(0.1)
            assert not waiting.done()
        with waiting.result():
            assert (folder / claim.LOCK).read_text() == str(os.getpid())
            monkeypatch.setattr(claim, "LOCK_SECONDS", 0.05)
            with pytest.raises(TrainingError, match="is in use: process"):
                claim.lock(folder)


def test_a_run_is_not_overwritten(run: RunFolder) -> None:
    run.append(step(1))
    run.close()
    with pytest.raises(TrainingError, match="holds a run already"):
        RunFolder.create(run.folder, config(), info())
    assert numbers(RunFolder.open(run.folder)) == [1]
    assert not run.is_running()


def test_folders_that_are_no_runs_get_a_sentence(tmp_path: Path, run: RunFolder) -> None:
    with pytest.raises(TrainingError, match=r"is not the folder of a run: run\.json is missing"):
        RunFolder.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        RunFolder.create(tmp_path / "file" / "run", config(), info())
    (run.folder / "run.json").write_text('{"stage": "align"}')
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        RunFolder.open(run.folder)


def test_history_counts_steps_once_and_lost_work_as_time(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", config(), info(steps=4)) as run:
        run.append(Start(step=0, time=BEGAN))
        for number in (1, 2):
            run.append(step(number).model_copy(update={"time": BEGAN + 10 * number}))
        run.append(Start(step=2, time=BEGAN + 1000, resumed_from=2, lost_seconds=7))
        run.append(step(3).model_copy(update={"time": BEGAN + 1010}))
        run.append(step(3).model_copy(update={"time": BEGAN + 1012, "loss": 1.0}))
        assert read(tmp_path / "run").state == "running"
        run.append(End(step=3, time=BEGAN + 1015, reason="interrupted"))
    found = read(tmp_path / "run")
    assert [one.step for one in found.steps] == [1, 2, 3]
    assert found.steps[-1].loss == 1.0
    assert found.working_seconds == 20 + 15 + 7
    assert found.state == "stopped"


def test_a_run_that_was_killed_before_its_first_line_took_no_time(run: RunFolder) -> None:
    assert read(run.folder).working_seconds == 0


def test_finished_run_has_ended(tmp_path: Path) -> None:
    assert read(make_run(tmp_path / "run", steps=8)).state == "ended"


def test_software_names_what_ran() -> None:
    ours = runs.software()
    assert ours.packages["torch"]
    assert ours.command
