"""`jnana report` and `jnana runs` as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bot.retraining.left import FIGURES
from bot.retraining.theirs import FOLDER
from tests.training.made_run import config, info, make_run, step
from training.runs import RunFolder

ROOT = Path(__file__).parents[2]


def jnana(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bot.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_report_says_where_it_is(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a", steps=8), make_run(tmp_path / "b", steps=8, seed=2)
    done = jnana("report", first)
    assert (done.returncode, done.stdout) == (0, f"{first / 'report.html'}\n{first / 'README.md'}\n")
    assert "## Data and licences\n" in (first / "README.md").read_text()
    done = jnana("report", first, second, "--to", tmp_path / "both.html", "--price", "1.5")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'both.html'}\n")
    page = (tmp_path / "both.html").read_text()
    assert "pocket (a)" in page
    assert "pocket (b)" in page


def test_report_of_what_is_no_run(tmp_path: Path) -> None:
    done = jnana("report", tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path} is not the folder of a run: run.json is missing.\n"


def test_report_where_nothing_can_be_written(tmp_path: Path) -> None:
    made = make_run(tmp_path / "a", steps=8)
    done = jnana("report", made, "--to", tmp_path / "nowhere" / "page.html")
    assert done.returncode == 1
    assert "cannot be written: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_tells_states_apart_and_damage_from_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "align" / "ended", steps=8)
    (make_run(tmp_path / "broken", steps=8) / "run.json").write_text("{")
    with RunFolder.create(tmp_path / "stopped", config(), info()) as stopped:
        stopped.append(step(1))
    with RunFolder.create(tmp_path / "running", config(), info()) as running:
        running.append(step(1))
        table = jnana("runs", tmp_path)
        listed = jnana("runs", tmp_path, "--json")
    assert table.returncode == 0
    for expected in ("ended", "stopped", "running", "8 of 8", "1 of 400"):
        assert expected in table.stdout
    assert f"{tmp_path / 'broken' / 'run.json'} is damaged" in table.stderr
    states = {Path(run["folder"]).name: run["state"] for run in json.loads(listed.stdout)}
    assert states == {"ended": "ended", "stopped": "stopped", "running": "running"}


def test_runs_without_a_folder_are_those_here_and_those_of_communities(tmp_path: Path) -> None:
    """Also of one that was decided about: of that only the figures are left."""
    make_run(tmp_path / "runs" / "align", steps=8)
    retrained = make_run(tmp_path / "home" / FOLDER / "club", steps=8)
    for file in [path for path in retrained.rglob("*") if path.is_file() and path.name not in FIGURES]:
        file.unlink()
    env = {**os.environ, "JNANA_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bot.cli", "runs"]
    for place, names in ((tmp_path, ("align", "club")), (tmp_path / "home", ("club",))):
        done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(name in done.stdout for name in names)


def test_runs_where_there_are_none(tmp_path: Path) -> None:
    assert jnana("runs", tmp_path).stderr == f"There is no run in {tmp_path}.\n"
    assert jnana("runs", tmp_path / "nowhere").returncode == 1


def test_a_machine_that_only_trains_needs_no_matplotlib() -> None:
    code = "import training.card, training.cli, training.progress, training.runs, sys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
