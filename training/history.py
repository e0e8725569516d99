"""A run read back: its curves as arrays, its samples, its restarts, what it took."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics import FINISHED, End, Event, Sample, Start, Step, Validation
from training.runs import RunFolder, RunInfo, RunState

Array = NDArray[np.float64]

COLOURS = 6
"""Runs that can be told apart on one page."""

SMOOTHED = 40
"""A smoothed curve's window is this part of all steps: enough to calm a batch of two, short enough to show a bump."""


@dataclass(frozen=True)
class History:
    """Everything in a run's folder that a person wants to see. A step that was done twice counts once, as it was last."""

    folder: Path
    info: RunInfo
    config: dict[str, Any]
    state: RunState
    steps: tuple[Step, ...]
    validations: tuple[Validation, ...]
    samples: tuple[Sample, ...]
    starts: tuple[Start, ...]
    events: tuple[Event, ...]
    end: End | None
    """None: it is running, or was killed."""

    def column(self, name: str) -> Array:
        """A field of all steps, [steps]; not-a-number where there is none."""
        values = [getattr(step, name) for step in self.steps]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    @property
    def window(self) -> int:
        """Steps that a smoothed curve averages over."""
        return max(5, -(-len(self.steps) // SMOOTHED))

    @property
    def last_loss(self) -> float | None:
        """Mean of the last steps, as many as `window`."""
        return float(np.mean(self.column("loss")[-self.window :])) if self.steps else None

    @property
    def best_validation(self) -> Validation | None:
        return min(self.validations, key=lambda validation: validation.loss, default=None)

    @property
    def working_seconds(self) -> float:
        """All that the machine was held for: steps, validation, checkpoints, and what a kill made it do twice."""
        last = [self.end.time] if self.end else []
        ordered = sorted([*(timed.time for group in (self.starts, self.steps, self.events) for timed in group), *last])
        begins = sorted(start.time for start in self.starts) or ordered[:1]
        total = sum(start.lost_seconds for start in self.starts)
        for begin, following in pairwise([*begins, float("inf")]):
            total += max((time for time in ordered if begin <= time < following), default=begin) - begin
        return total

    def typical(self, name: str) -> float | None:
        """Median of a field over all steps; the first ones compile and fill caches, so a mean would mislead."""
        column = self.column(name)
        known = column[np.isfinite(column)]
        return float(np.median(known)) if known.size else None

    @property
    def waiting(self) -> float | None:
        """Part of the steps' time that was spent waiting for data, 0 to 1."""
        total = float(np.nansum(self.column("seconds")))
        return float(np.nansum(self.column("data_seconds"))) / total if total > 0 else None

    @property
    def peak_memory(self) -> float | None:
        """Bytes."""
        column = self.column("memory_bytes")
        return float(np.nanmax(column)) if np.isfinite(column).any() else None


def read(folder: Path) -> History:
    """Read a run, whether or not it is still running. Raises TrainingError: it is none, or damaged."""
    run = RunFolder.open(folder)
    running = run.is_running()
    steps: dict[int, Step] = {}
    validations: dict[int, Validation] = {}
    samples: dict[tuple[int, str | None, str, str], Sample] = {}
    starts: list[Start] = []
    events: list[Event] = []
    end: End | None = None
    for metric in run.metrics():
        match metric:
            case Step():
                steps[metric.step] = metric
            case Validation():
                validations[metric.step] = metric
            case Sample():
                samples[metric.step, metric.image, metric.prompt, metric.expected] = metric
            case Start():
                starts.append(metric)
                end = None
            case Event():
                events.append(metric)
            case End():
                end = metric
    ended = end is not None and end.reason == FINISHED
    return History(
        folder=folder,
        info=run.info,
        config=run.config(),
        state="ended" if ended else "running" if running else "stopped",
        steps=tuple(steps[number] for number in sorted(steps)),
        validations=tuple(validations[number] for number in sorted(validations)),
        samples=tuple(samples.values()),
        starts=tuple(starts),
        events=tuple(events),
        end=end,
    )


def smooth(values: Array, window: int) -> Array:
    """The mean of the `window` values around each place, of fewer at the start: half as far as it is from there, so that a
    steep beginning stays where it is; at the end of those before it. What is not finite is passed over."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    at = np.arange(len(values))
    reach = np.minimum(window // 2, at // 4)
    begin, end = at - reach, np.minimum(at + reach + 1, len(values))
    known = counts[end] - counts[begin]
    return np.where(known > 0, (sums[end] - sums[begin]) / np.maximum(known, 1), np.nan)


def flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested keys joined by dots, places of a list in brackets: `data.train[0].file`. Nulls in lists are left out."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, dict) and value:
            found |= flat(value, name)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for at, item in enumerate(value):
                given = {key: inner for key, inner in item.items() if inner is not None}
                found |= flat(given, f"{name}[{at}]")
        else:
            found[name] = value
    return found
