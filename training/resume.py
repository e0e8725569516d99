"""What may be another when a run goes on, and what may not."""

from __future__ import annotations

import json
from typing import Any

from training.config import Run

MAY_CHANGE = frozenset(
    {"steps", "epochs", "checkpoints", "validation", "threads", "workers", "loggers", "compile", "optimizer", "data", "start"}
)
"""Keys that decide nothing about what is learnt, that somebody changes knowing that they do (a lower learning rate after a loss
that was no number), or whose content is in the task's fingerprint, wherever it lies."""
SAVES_MEMORY = frozenset({"gradient_checkpointing"})
"""The advice to a run that ran out of memory; with `batch.micro`."""


def deciding(run: Run) -> str:
    """What may not change when a run goes on, as text."""
    left_out: dict[str, Any] = dict.fromkeys(MAY_CHANGE | SAVES_MEMORY, True)
    return run.model_dump_json(exclude={**left_out, "batch": {"micro"}})


def differing(before: str, now: str) -> list[str]:
    """Keys that are not the same in two results of `deciding`."""
    one, other = json.loads(before), json.loads(now)
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
