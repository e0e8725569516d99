"""`jnana runs`: what a folder of runs holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training import words
from training.errors import TrainingError
from training.history import History, read
from training.runs import INFO

DEEP = 2
"""Folders below the one that is named: runs/ or runs/<stage>/."""

RETRAINED = "retraining"
"""Below JNANA_HOME: the runs that admins began in a chat (bot/retraining/theirs.py)."""

WIDE = 160
"""Columns of a table that goes to a file or a pipe."""

STYLES = {"running": "green", "ended": "", "stopped": "yellow"}


def find_runs(folders: Sequence[Path]) -> list[History | TrainingError]:
    """The runs in and below these folders, newest first; in the place of one that is damaged, its sentence.

    Raises TrainingError: there is none of these folders, or no run in them.
    """
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        raise TrainingError(f"There is no folder {' or '.join(map(str, folders))}: name the one where the runs are.")
    places = {path.parent for folder in there for depth in range(DEEP + 1) for path in folder.glob("*/" * depth + INFO)}
    if not places:
        raise TrainingError(f"There is no run in {' or '.join(map(str, there))}.")
    found: list[History] = []
    damaged: list[TrainingError] = []
    for place in sorted(places):
        try:
            found.append(read(place))
        except TrainingError as error:
            damaged.append(error)
    return [*sorted(found, key=lambda run: run.info.started, reverse=True), *damaged]


def show(found: Sequence[History | TrainingError], *, as_json: bool) -> None:
    """On standard output; what is damaged on standard error."""
    runs = [run for run in found if isinstance(run, History)]
    if as_json:
        print(json.dumps([_as_json(run) for run in runs], indent=2))
    elif runs:
        Console(width=None if sys.stdout.isatty() else WIDE).print(_table(runs))
    for damaged in found:
        if isinstance(damaged, TrainingError):
            print(damaged, file=sys.stderr)


def _table(runs: Sequence[History]) -> Table:
    table = Table()
    for column in ("run", "stage", "state", "steps", "loss", "validation", "time", "started"):
        numbers = column in ("steps", "loss", "validation", "time")
        table.add_column(column, overflow="fold", no_wrap=column != "run", justify="right" if numbers else "left")
    for run in runs:
        best = run.best_validation
        table.add_row(
            escape(str(run.folder)),
            run.info.stage,
            f"[{style}]{run.state}[/]" if (style := STYLES[run.state]) else run.state,
            f"{_steps(run):,} of {run.info.total_steps:,}",
            words.loss(run.last_loss),
            words.loss(best.loss if best else None),
            words.duration(run.working_seconds),
            f"{run.info.started.astimezone():%Y-%m-%d %H:%M}",
        )
    return table


def _as_json(run: History) -> dict[str, Any]:
    best = run.best_validation
    return {
        "folder": str(run.folder),
        "name": run.info.name,
        "stage": run.info.stage,
        "state": run.state,
        "reason": run.end.reason if run.end else None,
        "steps": _steps(run),
        "total_steps": run.info.total_steps,
        "loss": run.last_loss,
        "validation_loss": best.loss if best else None,
        "seconds": round(run.working_seconds, 1),
        "started": run.info.started.isoformat(),
    }


def _steps(run: History) -> int:
    return run.steps[-1].step if run.steps else 0
