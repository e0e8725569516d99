"""Line charts as inline SVG whose colours are the page's: one picture for light, dark and paper.

The only module that imports matplotlib.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from training.history import COLOURS, Array
from training.words import short_count

Style = Literal["line", "faint", "points"]

DASHES: tuple[tuple[float, tuple[float, ...] | None], ...] = (
    (0, None),
    (0, (5, 1.5)),
    (0, (1.5, 1.5)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
"""One a colour, for paper and for eyes that do not see the colours."""

MARKERS = "osD^vP"

STEPS = (1, 2, 2.5, 5, 10)
"""Between numbers on an axis."""

# matplotlib wants real colours: these stand for the page's CSS variables and are replaced in its output.
_TEXT, _GRID, _ANCHOR, _BACK = "#0000b0", "#0000b1", "#0000b2", "#0000b3"
_VARIABLES = {_TEXT: "--chart-text", _GRID: "--chart-grid", _ANCHOR: "--anchor", _BACK: "--card"}
_VARIABLES |= {f"#0000a{index}": f"--run-{index + 1}" for index in range(COLOURS)}

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters: the page's font, searchable, small
    "text.parse_math": False,  # a $ in a name is a $
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _TEXT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "text.color": _TEXT,
    "xtick.color": _GRID,
    "xtick.labelcolor": _TEXT,
    "xtick.major.size": 3,
    "xtick.minor.size": 2,
    "ytick.color": _GRID,
    "ytick.labelcolor": _TEXT,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "path.simplify": False,  # `thinned` did it
}

LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 36
"""Margins around the curves, in pixels."""


@dataclass(frozen=True)
class Curve:
    label: str
    x: Array
    y: Array
    colour: int = 0
    """Which run, from 0."""
    style: Style = "line"
    """faint: the raw measurements behind a smoothed line; points: few measurements, joined."""


@dataclass(frozen=True)
class Mark:
    """What somebody else reached: a level, or a point when it has an `x`."""

    text: str
    y: float
    x: float | None = None


@dataclass(frozen=True)
class Look:
    """What a chart is like apart from its curves."""

    name: str
    """Unique on the page; what screen readers say."""
    x_label: str
    y_format: Callable[[float], str] | None = None
    size: tuple[int, int] = (380, 200)
    """Pixels."""
    log_x: bool = False
    log_y: bool = False
    y_range: tuple[float, float] | None = None


def draw(curves: Sequence[Curve], look: Look, marks: Sequence[Mark] = ()) -> Markup:
    """An `<svg>` without colours, fonts or addresses of its own; `data-plot` says where its axes are, for the page's script."""
    width, height = look.size
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": look.name}):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((LEFT / width, BOTTOM / height, 1 - (LEFT + RIGHT) / width, 1 - (TOP + BOTTOM) / height))
        _scales(axes, curves, look, marks)
        for curve in curves:
            _curve(axes, curve, width - LEFT - RIGHT, log=look.log_x)
        for mark in marks:
            _mark(axes, mark)
        stream = io.StringIO()
        first, last = axes.get_xlim()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    plot = json.dumps([LEFT, TOP, width - RIGHT, height - BOTTOM, float(first), float(last), look.log_x])
    return _inline(stream.getvalue(), look, plot)


def thinned(x: Array, y: Array, columns: int, *, log: bool) -> tuple[Array, Array]:
    """At most two points a column of pixels, the lowest and the highest: looks the same, however many steps there are."""
    known = np.isfinite(y) & (x > 0 if log else True)
    x, y = x[known], y[known]
    if len(x) <= 2 * columns:
        return x, y
    along = np.log(x) if log else x
    column = ((along - along[0]) / max(along[-1] - along[0], 1e-12) * (columns - 1)).astype(int)
    by_height = np.lexsort((y, column))
    begins = np.flatnonzero(np.diff(column[by_height], prepend=-1))
    ends = np.append(begins[1:], len(x)) - 1
    kept = np.unique(np.concatenate([by_height[begins], by_height[ends]]))
    return x[kept], y[kept]


def _scales(axes: Axes, curves: Sequence[Curve], look: Look, marks: Sequence[Mark]) -> None:
    every = np.concatenate([curve.x for curve in curves] or [np.array([1.0])])
    every = np.append(every, [mark.x for mark in marks if mark.x is not None])
    first, last = float(every.min()), float(every.max())
    if look.log_x:
        positive = every[every > 0]
        first = float(positive.min()) if positive.size else 1.0
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        first = min(first, 0.0)
        axes.xaxis.set_major_locator(MaxNLocator(max(4, look.size[0] // 110), integer=True, steps=STEPS))
    last = last if last > first else first + 1
    axes.set_xlim(first, last * 1.02 if look.log_x else last + (last - first) * 0.01)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes.set_xlabel(look.x_label, loc="right", labelpad=3)
    if look.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5 if look.size[1] > 240 else 4, steps=STEPS))
    if look.y_range is not None:
        axes.set_ylim(*look.y_range)
    show = look.y_format
    if show is not None:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))


def _curve(axes: Axes, curve: Curve, columns: int, *, log: bool) -> None:
    colour = f"#0000a{curve.colour % COLOURS}"
    x, y = thinned(curve.x, curve.y, columns, log=log)
    if curve.style == "faint":
        axes.plot(x, y, color=colour, alpha=0.35, linewidth=0.8, zorder=2)
    elif curve.style == "points":
        marker = MARKERS[curve.colour % len(MARKERS)]
        axes.plot(x, y, color=colour, linewidth=1.0, linestyle=(0, (1, 2)), zorder=4)
        axes.plot(x, y, color=colour, linestyle="none", marker=marker, markersize=5, markerfacecolor=_BACK, zorder=5)
    else:
        axes.plot(x, y, color=colour, linewidth=1.8, linestyle=DASHES[curve.colour % len(DASHES)], zorder=3)


def _mark(axes: Axes, mark: Mark) -> None:
    if mark.x is None:
        axes.axhline(mark.y, color=_ANCHOR, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            mark.text, (1, mark.y), xycoords=("axes fraction", "data"), xytext=(0, -4), textcoords="offset points",
            ha="right", va="top", color=_ANCHOR, fontsize=10,
        )  # fmt: skip
        return
    axes.plot([mark.x], [mark.y], color=_ANCHOR, marker="*", markersize=11, linestyle="none", zorder=6, clip_on=False)
    axes.annotate(
        mark.text, (mark.x, mark.y), xytext=(4, 8), textcoords="offset points",
        ha="right", va="bottom", color=_ANCHOR, fontsize=10,
    )  # fmt: skip


def _inline(svg: str, look: Look, plot: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # figure_1 and the like, the same in every chart
    svg = re.sub(r"#0000[ab]\d", lambda found: f"var({_VARIABLES[found[0]]})", svg)
    svg = re.sub(
        r"font: (\d+)px [^;\"]*|font-family: [^;\"]*;? ?", lambda found: f"font-size: {found[1]}px" if found[1] else "", svg
    )
    svg = re.sub(r'\b(d|x|y)="[^"]*"', lambda found: re.sub(r"(\.\d)\d+|\s+", lambda part: part[1] or " ", found[0]), svg)
    svg = re.sub(r">\s+<", "><", svg).replace("xlink:href", "href")
    width, height = look.size
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}" data-plot="{}">')
    head = head.format(width, height, look.name, plot)
    return head + Markup(svg[svg.index(">") + 1 :].strip())  # noqa: S704 - matplotlib escapes what it is given
