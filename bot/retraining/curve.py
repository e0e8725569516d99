"""The losses of a run as a small picture for the chat: of each step, and of what was held out."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from bot.retraining.trainer import METRICS

SIZE = (640, 320)
LEFT, TOP, RIGHT, BOTTOM = 64, 40, 620, 268
"""Of the plot, in pixels."""
SCALE = 2
"""It is drawn larger and made smaller: lines without steps."""
PAPER, TEXT, GRID, TRAINED, HELD_OUT = "#ffffff", "#3c4048", "#dcdfe4", "#2f6fd0", "#d0602f"
"""White also where the chat is dark; the two colours are told apart by eyes that see no red or green."""
OF_TRAINING, OF_HELD_OUT, STEPS = "loss in training", "loss on what was held out", "steps"
"""English: Pillow's own font has Latin letters only. The caption beside the picture is in the chat's language."""
LINES = 5
"""Of the grid, about."""
ROOM = 0.06
"""Above and below the curves, as a part of what they span."""

Points = Sequence[tuple[float, float]]


def draw(folder: Path) -> bytes | None:
    """A PNG of the run in `folder`; None: it has no two steps.

    Blocking, short. Raises OSError.
    """
    losses = _read(folder / METRICS)
    if len(losses["step"]) < 2:
        return None
    return Plot(losses["step"], losses["validation"]).png()


class Plot:
    """Two curves on axes that hold both."""

    def __init__(self, trained: Points, held_out: Points) -> None:
        self._curves = ((trained, TRAINED), (held_out, HELD_OUT))
        values = [loss for curve in (trained, held_out) for _, loss in curve]
        low, high = min(values), max(values)
        room = (high - low) * ROOM or 1.0
        self._low, self._high = max(0.0, low - room), high + room
        self._last = max(step for curve in (trained, held_out) for step, _ in curve)
        self._image = Image.new("RGB", (SIZE[0] * SCALE, SIZE[1] * SCALE), PAPER)
        self._pen = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(13 * SCALE)

    def at(self, step: float, loss: float) -> tuple[float, float]:
        """Where a point lies, in pixels of the picture."""
        part = (loss - self._low) / (self._high - self._low)
        return LEFT + (RIGHT - LEFT) * step / self._last, BOTTOM - (BOTTOM - TOP) * part

    def png(self) -> bytes:
        self._grid()
        for curve, colour in self._curves:
            self._pen.line([_scaled(self.at(*point)) for point in curve], colour, 2 * SCALE, joint="curve")
        for point in self._curves[1][0]:  # few: each is seen
            x, y = _scaled(self.at(*point))
            self._pen.ellipse((x - 4 * SCALE, y - 4 * SCALE, x + 4 * SCALE, y + 4 * SCALE), HELD_OUT)
        self._legend((OF_TRAINING, TRAINED), (OF_HELD_OUT, HELD_OUT))
        written = io.BytesIO()
        self._image.resize(SIZE, Image.Resampling.LANCZOS).save(written, "PNG", optimize=True)
        return written.getvalue()

    def _grid(self) -> None:
        for loss in _round_numbers(self._low, self._high):
            _, y = self.at(0, loss)
            self._line((LEFT, y), (RIGHT, y), GRID)
            self._write((LEFT - 8, y), f"{loss:g}", "rm")
        for step in _round_numbers(0, self._last):
            if step == int(step):
                x, _ = self.at(step, self._low)
                self._line((x, BOTTOM), (x, BOTTOM + 4), TEXT)
                self._write((x, BOTTOM + 16), f"{step:g}", "mm")
        self._line((LEFT, BOTTOM), (RIGHT, BOTTOM), TEXT)
        self._write(((LEFT + RIGHT) / 2, BOTTOM + 36), STEPS, "mm")

    def _legend(self, *entries: tuple[str, str]) -> None:
        x = float(LEFT)
        for words, colour in entries:
            self._line((x, 20), (x + 20, 20), colour, 3)
            self._write((x + 28, 20), words, "lm")
            x += 28 + self._font.getlength(words) / SCALE + 28

    def _line(self, begin: tuple[float, float], end: tuple[float, float], colour: str, width: int = 1) -> None:
        self._pen.line([_scaled(begin), _scaled(end)], colour, width * SCALE)

    def _write(self, at: tuple[float, float], words: str, anchor: str) -> None:
        self._pen.text(_scaled(at), words, TEXT, self._font, anchor)


def _read(file: Path) -> dict[str, list[tuple[float, float]]]:
    losses: dict[str, list[tuple[float, float]]] = {"step": [], "validation": []}
    for metric in _metrics(file):
        loss = float(metric.get("loss", math.nan))
        if metric.get("kind") in losses and math.isfinite(loss):
            losses[metric["kind"]].append((float(metric["step"]), loss))
    return losses


def _metrics(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text("utf-8").splitlines():
        try:
            metric = json.loads(line)
        except ValueError:  # half written
            continue
        if isinstance(metric, dict):
            yield metric


def _round_numbers(low: float, high: float) -> Iterator[float]:
    """1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / LINES
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    number = math.ceil(low / step)
    while number * step <= high:
        yield round(number * step, 10)
        number += 1


def _scaled(point: tuple[float, float]) -> tuple[float, float]:
    return point[0] * SCALE, point[1] * SCALE
