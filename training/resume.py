"""What may be another when a run goes on, and what may not."""

from __future__ import annotations

import json
from typing import Any

from training.config import RunConfig
from training.history import flat

MAY_CHANGE = frozenset(
    {"steps", "epochs", "optimizer", "checkpoints", "validation", "threads", "workers", "loggers", "compile"}
    | {"data", "start", "language"}
)
"""Keys that decide nothing about what is learnt, that somebody changes knowing that they do (a lower learning rate after a loss
that was no number), or whose content is in the task's fingerprint, wherever it lies."""
SAVES_MEMORY = frozenset({"gradient_checkpointing"})
"""The advice to a run that ran out of memory; with `batch.micro`."""


def may_change(setting: str) -> bool:
    """`setting`: key.sub or key.sub=value; whether a run goes on with it."""
    key = setting.partition("=")[0]
    return key == "batch.micro" or key.partition(".")[0] in MAY_CHANGE | SAVES_MEMORY


PROCESSES = "processes"
ROTARY, ROTARY_BEFORE = "architecture.partial_rotary_factor", 0.5
"""What stage 0 took before there was such a key: transformers' default."""
BEFORE = {PROCESSES: 1, ROTARY: ROTARY_BEFORE}
"""What was decided before it was written down."""


def deciding(run: RunConfig, processes: int) -> str:
    """What may not change when a run goes on, as JSON.

    `processes`: each draws random numbers of its own and sums the gradients of its own micro-batches, so with more or fewer of
    them the same step learns something else.
    """
    left_out: dict[str, Any] = dict.fromkeys(MAY_CHANGE | SAVES_MEMORY, True)
    values = run.model_dump(mode="json", exclude={**left_out, "batch": {"micro"}})
    return json.dumps({**values, PROCESSES: processes})


def differing(before: str, now: str) -> list[str]:
    """Keys that are not the same in two results of `deciding`, with what they were and are."""
    return _changed(json.loads(before), json.loads(now))


def changed(before: RunConfig, now: RunConfig) -> list[str]:
    """Keys that may change and did, with what they were and are: whoever changed them by accident should see it."""
    return _changed(before.model_dump(mode="json"), now.model_dump(mode="json"))


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    one, other = ({**BEFORE, **flat(values)} for values in (before, now))
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return [f"{key}: begun with {one.get(key)}, now {other.get(key)}" for key in keys]
