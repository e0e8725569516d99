"""What a person sees while a run goes on: a display that stays in place on a terminal, a line every so often elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from training.loggers import Logger, forward
from training.metrics import AnyMetric, End, Event, Sample, Start, Step, Validation
from training.runs import Hardware
from training.words import duration, flops, memory, percent, quantity

LINE_SECONDS = 30.0
"""Between two lines where there is no terminal."""

RECENT = 100
"""Steps over which speed and the time that is left are taken: validation and checkpoints are among them."""

SMOOTH = 0.95
"""Weight of the past in the smoothed loss: about the last 20 steps."""

REDRAWS = 4
"""A second."""


class Progress:
    """Give it every metric; it shows them and passes them on to the loggers.

    with Progress("align pocket", 4000, hardware, loggers) as progress:
        progress(metric)
    """

    def __init__(
        self,
        title: str,
        total_steps: int,
        hardware: Hardware,
        loggers: Sequence[Logger] = (),
        *,
        done: int = 0,
        losses: Iterable[float] = (),
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`done`, `losses`: steps that are done when a run goes on, so that it shows what an uninterrupted one would."""
        self._title, self._total, self._hardware, self._loggers = title, total_steps, hardware, loggers
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._done = done
        self._smoothed = Smoothed()
        for loss in losses:
            self._smoothed.add(loss)
        self._recent: deque[Step] = deque(maxlen=RECENT)
        self._validation: Validation | None = None
        self._said = clock()
        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            expand=True,
        )
        self._task = self._bar.add_task(title, total=total_steps, completed=done, left="")
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._display, refresh_per_second=REDRAWS)

    def __enter__(self) -> Self:
        self._say(self._machine())
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
        for logger in self._loggers:
            logger.close()

    def __call__(self, metric: AnyMetric) -> None:
        forward(metric, self._loggers)
        match metric:
            case Step():
                self._step(metric)
            case Validation():
                self._validation = metric
                self._say(f"step {metric.step:,}: validation loss {metric.loss:.4f}")
            case Start(resumed_from=int()):
                self._say(f"resumed from the checkpoint of step {metric.resumed_from:,}")
            case Event():
                self._say(f"step {metric.step:,}: {metric.text}")
            case End():
                if self._live is None and self._recent:
                    self._line()
                self._say(f"step {metric.step:,}: {metric.reason}")
            case Start() | Sample():
                pass

    def _step(self, step: Step) -> None:
        self._done = step.step
        self._smoothed.add(step.loss)
        self._recent.append(step)
        self._bar.update(self._task, completed=step.step, left=self._left())
        if self._live is None and self._clock() - self._said >= LINE_SECONDS:
            self._line()

    def _line(self) -> None:
        self._said = self._clock()
        percent = 100 * self._done // self._total
        facts = [f"loss {self._smoothed.value:.4f}", *self._learning(), *self._speed(), self._left()]
        self._say(f"step {self._done:,} of {self._total:,} ({percent} %): {', '.join(fact for fact in facts if fact)}")

    def _display(self) -> Group:
        if not self._recent:
            return Group(self._bar, Text("  the first step is under way", style="dim"))
        loss = f"loss {self._smoothed.value:.4f}"
        if self._validation is not None:
            loss += f" (validation {self._validation.loss:.4f} at {self._validation.step:,})"
        return Group(
            self._bar,
            Text("  ") + Text(loss, style="bold") + Text(" · " + " · ".join(self._learning())),
            Text("  " + " · ".join(self._speed()), style="dim"),
        )

    def _learning(self) -> list[str]:
        step = self._recent[-1]
        return [f"learning rate {step.lr:.2e}", f"gradient norm {step.grad_norm:.3g}"]

    def _speed(self) -> list[str]:
        recent = list(self._recent)  # the display is drawn by another thread than the one that adds steps
        seconds = sum(step.seconds for step in recent) or 1.0
        tokens = sum(step.tokens_per_second * step.seconds for step in recent) / seconds
        examples = sum(step.examples_per_second * step.seconds for step in recent) / seconds
        waiting = sum(step.data_seconds for step in recent) / seconds
        facts = [f"{quantity(tokens)} tokens/s", f"{quantity(examples)} examples/s", f"{percent(waiting)} waiting for data"]
        if recent[-1].memory_bytes is not None:
            facts.append(f"{memory(recent[-1].memory_bytes)} at most")
        if recent[-1].mfu is not None:
            facts.append(f"MFU {percent(sum((step.mfu or 0.0) * step.seconds for step in recent) / seconds)}")
        return facts

    def _left(self) -> str:
        if len(self._recent) < 2:
            return ""
        first, last = self._recent[0], self._recent[-1]
        seconds = (last.time - first.time) / max(1, last.step - first.step) * (self._total - last.step)
        return f"{duration(seconds)} left"

    def _machine(self) -> str:
        devices = self._hardware.devices
        machine = f"{devices} × {self._hardware.name}" if devices > 1 else self._hardware.name
        if self._hardware.peak_flops is None:
            return f"{self._title} on {machine}; its peak is not known, so MFU is not shown"
        source = f" ({self._hardware.peak_source})" if self._hardware.peak_source else ""
        return f"{self._title} on {machine}; MFU is of {flops(self._hardware.peak_flops)}{source}"

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class Smoothed:
    """Exponential mean without the pull towards zero at the start (Adam's correction, https://arxiv.org/abs/1412.6980)."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: float) -> None:
        self._sum = SMOOTH * self._sum + (1 - SMOOTH) * value
        self._weight = SMOOTH * self._weight + (1 - SMOOTH)

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else float("nan")
