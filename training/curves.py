"""Which curves the report draws of its runs, and what the original project published to hold them against."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from training.charts import Curve, Look, Mark, draw
from training.history import COLOURS, Array, History, smooth
from training.words import count, loss, percent, quantity

ORIGINAL_VOCABULARY = 51_200
ORIGINAL_TOKENS = 525 * 2048
"""1.08 M: where the original's published log of stage 0 ends (github.com/anilbhatt1/Jnana_phi2_multimodal_llm)."""
ORIGINAL_LAST = 6.67
"""Mean of the last ten losses of that log."""
ORIGINAL_FIRST = 10.96
"""Its first one; knowing nothing is ln(51200) = 10.84."""
LAST = 10
"""Steps that are averaged to be held against it."""

WIDE, NARROW = (1000, 360), (380, 280)
"""Pixels of the loss, on a screen and on a phone."""

READINGS = 240
"""Places of a curve at which the page can tell its value: two pixels of a phone's."""


@dataclass(frozen=True)
class Picture:
    """One chart. `views`: the same at other sizes and scales, by CSS class. `readings`: JSON for the page's script. `legend`:
    of lines that are not one a run."""

    title: str
    note: str
    unit: str
    """Of the horizontal axis."""
    views: tuple[tuple[str, Markup], ...]
    readings: str
    legend: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anchor:
    """A figure the original published and what a run reached."""

    what: str
    published: str
    reached: tuple[str, ...]


@dataclass(frozen=True)
class Axis:
    """What runs side by side: steps of one run; of several with batches of different sizes, what was learnt from."""

    label: str
    field: str

    def of(self, run: History) -> Array:
        return run.column(self.field)

    def at(self, run: History, steps: Sequence[int]) -> Array:
        """Places of validations, which know only their step."""
        known, places = run.column("step"), self.of(run)
        if not known.size:
            return np.array(steps, dtype=np.float64)
        return np.interp(steps, np.insert(known, 0, 0.0), np.insert(places, 0, 0.0))


def axis(runs: Sequence[History]) -> Axis:
    if any(run.info.stage == "pretrain" for run in runs):
        return Axis("tokens", "tokens")
    if len(runs) > 1:
        return Axis("tokens learnt from", "answer_tokens")
    return Axis("steps", "step")


def like_the_original(run: History) -> bool:
    """Whether the original's stage 0 is a measure for it: losses compare over the same vocabulary only."""
    architecture = run.config.get("architecture")
    return (
        run.info.stage == "pretrain"
        and isinstance(architecture, dict)
        and architecture.get("vocab_size") == ORIGINAL_VOCABULARY
    )


def anchors(runs: Sequence[History]) -> list[Anchor]:
    """Stage 0 beside the original's; empty where it is no measure."""
    if not all(like_the_original(run) for run in runs):
        return []
    first = tuple(loss(run.steps[0].loss) if run.steps else "–" for run in runs)
    return [
        Anchor("first step", f"{ORIGINAL_FIRST} (knowing nothing: ln(51200) = {math.log(ORIGINAL_VOCABULARY):.2f})", first),
        Anchor(
            f"mean of the last {LAST}, after {ORIGINAL_TOKENS / 1e6:.2f} M tokens",
            f"{ORIGINAL_LAST}",
            tuple(_at_original_end(run) for run in runs),
        ),
    ]


def _at_original_end(run: History) -> str:
    seen = run.column("tokens")
    upto = int(np.searchsorted(seen, ORIGINAL_TOKENS, side="right"))
    if not upto or seen[-1] < 0.99 * ORIGINAL_TOKENS:
        return f"not reached ({count(seen[-1] if seen.size else 0)} tokens)"
    return loss(float(np.mean(run.column("loss")[max(0, upto - LAST) : upto])))


def loss_picture(runs: Sequence[History], labels: Sequence[str]) -> Picture:
    """The loss of every step, smoothed, and of validation; four views: wide and narrow, linear and logarithmic."""
    along = axis(runs)
    curves: list[Curve] = []
    for colour, (run, label) in enumerate(zip(runs, labels, strict=True)):
        raw, places = run.column("loss"), along.of(run)
        before = f"{label}: " if len(runs) > 1 else ""
        curves.append(Curve(f"{before}each step", places, raw, colour, "faint"))
        curves.append(Curve(f"{before}smoothed", places, smooth(raw, run.window), colour))
        if run.validations:
            at = along.at(run, [validation.step for validation in run.validations])
            measured = np.array([validation.loss for validation in run.validations])
            curves.append(Curve(f"{before}validation", at, measured, colour, "points"))
    marks: list[Mark] = []
    if all(like_the_original(run) for run in runs):
        marks.append(Mark("ln(51200): knows nothing", math.log(ORIGINAL_VOCABULARY)))
        reach = max((float(along.of(run)[-1]) for run in runs if run.steps), default=0.0)
        if reach >= ORIGINAL_TOKENS / 2:
            marks.append(Mark("the original, as published", ORIGINAL_LAST, float(ORIGINAL_TOKENS)))
    windows = sorted({run.window for run in runs})
    note = f"Smoothed: mean of {' or '.join(map(str, windows))} steps, fewer at the start."
    look = Look("loss", along.label, y_format=loss, y_range=_visible(curves, marks))
    views = tuple(
        (
            f"{width} {scale}",
            draw(curves, replace(look, name=f"loss, {width}, {scale}", size=size, log_x=scale == "log"), marks),
        )
        for width, size in (("wide", WIDE), ("narrow", NARROW))
        for scale in ("linear", "log")
    )
    return Picture("Loss", note, along.label, views, _readings(curves, loss))


def pictures(runs: Sequence[History], labels: Sequence[str]) -> list[Picture]:
    """The small charts: how it learnt, how fast, and what that took. Those without a measurement are left out."""
    small = _Small(runs, labels)
    found = [
        small.chart("Learning rate", "lr", lambda value: f"{value:.3g}", zero=True),
        small.chart("Gradient norm", "grad_norm", quantity, faint=True, log=True, note="before clipping"),
        small.chart("Tokens a second", "tokens_per_second", quantity, faint=True, zero=True, note="pictures' tokens included"),
        small.chart("Waiting for data", "waiting", percent, faint=True, zero=True, note="part of a step's time"),
        small.chart("Memory", "gib", lambda value: f"{value:.3g}", zero=True, note="peak, GiB"),
        small.chart("MFU", "mfu", percent, faint=True, zero=True, note="model FLOPs utilisation"),
        _buckets(runs[0]) if len(runs) == 1 else None,
    ]
    return [picture for picture in found if picture is not None]


class _Small:
    def __init__(self, runs: Sequence[History], labels: Sequence[str]) -> None:
        self._runs, self._labels, self._axis = runs, labels, axis(runs)

    def chart(
        self, title: str, field: str, show: Callable[[float], str], *,
        faint: bool = False, zero: bool = False, log: bool = False, note: str = "",
    ) -> Picture | None:  # fmt: skip
        curves: list[Curve] = []
        for colour, run in enumerate(self._runs):
            values = self._values(run, field)
            if not np.isfinite(values).any():
                continue
            places = self._axis.of(run)
            if faint:
                curves.append(Curve("", places, values, colour, "faint"))
            line = smooth(values, run.window) if faint else values
            curves.append(Curve(self._labels[colour] if len(self._runs) > 1 else "", places, line, colour))
        if not curves:
            return None
        lines = np.concatenate([curve.y[np.isfinite(curve.y)] for curve in curves])
        positive = lines[lines > 0]
        logarithmic = log and positive.size > 0 and float(np.percentile(positive, 99) / positive.min()) > 30
        top = float(np.percentile(lines, 99.5)) * 1.12 or 1.0
        y_range = (0.0, top) if zero and not logarithmic else None
        look = Look(title, self._axis.label, y_format=show, log_y=logarithmic, y_range=y_range)
        return Picture(title, note, self._axis.label, (("", draw(curves, look)),), _readings(curves, show))

    @staticmethod
    def _values(run: History, field: str) -> Array:
        if field == "waiting":
            return run.column("data_seconds") / np.maximum(run.column("seconds"), 1e-9)
        if field == "gib":
            return run.column("memory_bytes") / 2**30
        return run.column(field)


def _buckets(run: History) -> Picture | None:
    names = list(dict.fromkeys(name for validation in run.validations for name in validation.by_bucket))[:COLOURS]
    if not names:
        return None
    along, curves = axis([run]), []
    for colour, name in enumerate(names):
        having = [validation for validation in run.validations if name in validation.by_bucket]
        at = along.at(run, [validation.step for validation in having])
        curves.append(Curve(name, at, np.array([validation.by_bucket[name] for validation in having]), colour, "points"))
    look = Look("Validation loss by length", along.label, y_format=loss)
    return Picture(look.name, "", along.label, (("", draw(curves, look)),), _readings(curves, loss), tuple(names))


def _visible(curves: Sequence[Curve], marks: Sequence[Mark]) -> tuple[float, float]:
    """Limits that show everything but the few highest and lowest raw steps."""
    ends: list[float] = [mark.y for mark in marks]
    for curve in curves:
        known = curve.y[np.isfinite(curve.y)]
        if known.size:
            ends += map(float, np.percentile(known, (0.5, 99.5)) if curve.style == "faint" else (known.min(), known.max()))
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = (high - low or 1.0) * 0.05
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _readings(curves: Sequence[Curve], show: Callable[[float], str]) -> str:
    """The lines' values for whoever points at the chart; not the raw steps'."""
    series = []
    for curve in curves:
        known = np.flatnonzero(np.isfinite(curve.y))
        if curve.style == "faint" or not known.size:
            continue
        at = known[np.unique(np.geomspace(1, known.size, READINGS).astype(int)) - 1] if known.size > READINGS else known
        more = known[np.linspace(0, known.size - 1, READINGS).astype(int)]
        at = np.unique(np.concatenate([at, more]))
        series.append(
            {
                "label": curve.label,
                "colour": curve.colour + 1,
                "x": [round(float(x), 1) for x in curve.x[at]],
                "y": [show(float(y)) for y in curve.y[at]],
            }
        )
    return json.dumps(series, separators=(",", ":"))
