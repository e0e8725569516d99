"""The learning rate of a step: a function of the configuration and the step, so there is no state to lose."""

from __future__ import annotations

import math

from training.config import Optimizer


def learning_rate(optimizer: Optimizer, step: int, steps: int) -> float:
    """Of step `step` (from 0) of `steps`: a linear warm-up, then the schedule down to `min_lr` at the last step."""
    if step < optimizer.warmup_steps:
        return optimizer.lr * (step + 1) / optimizer.warmup_steps
    left = max(1, steps - optimizer.warmup_steps - 1)
    done = min(1.0, (step - optimizer.warmup_steps) / left)
    if optimizer.schedule == "constant":
        return optimizer.lr
    share = (1 - done) if optimizer.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return optimizer.min_lr + (optimizer.lr - optimizer.min_lr) * share
