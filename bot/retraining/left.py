"""What stays of runs that are over."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from bot.retraining.lessons import LESSONS
from bot.retraining.trainer import ARTEFACT, METRICS, RUN, VERDICT
from bot.store.records import RunState

CONFIG = "config.yaml"
"""In the folder of a run (training/runs.py): what `jnana runs` and `jnana report` need beside the figures."""
FIGURES = (RUN, CONFIG, METRICS, VERDICT)
KEPT: dict[RunState, tuple[str, ...]] = {
    "told": (*FIGURES, ARTEFACT, LESSONS),
    "used": FIGURES,
    "dropped": FIGURES,
    "cancelled": FIGURES,
}
"""Of the folders of runs that are over: no checkpoint, nothing that was seen in people's pictures; and no weights that nobody
uses, for no list of adapters names those (the ones that are used were copied)."""


def clear(folder: Path, kept: Collection[str] = ()) -> None:
    """All but what is `kept`. Blocking."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name in kept:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
