"""Copies of the metrics for TensorBoard and trackio. Both are optional: metrics.jsonl and `jnana report` do without."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from training.metrics import AnyMetric, Sample, Step, Validation
from training.runs import RunInfo

LoggerName = Literal["tensorboard", "trackio"]

FIELDS = ("loss", "lr", "grad_norm", "tokens_per_second", "examples_per_second", "data_seconds", "memory_bytes", "mfu")
"""Of a step that are passed on."""


class Logger(Protocol):
    def scalars(self, step: int, values: dict[str, float]) -> None: ...

    def text(self, step: int, name: str, text: str) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in RUN/tensorboard: `tensorboard --logdir RUN`."""

    def __init__(self, folder: Path, info: RunInfo, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # purge_step hides what an interrupted run wrote after the checkpoint that this one goes on from.
        make: Callable[..., Any] = SummaryWriter
        self._writer = make(str(folder / "tensorboard"), purge_step=step + 1 if step else None)
        self._writer.add_text("run", f"{info.stage} {info.name}", step)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, text: str) -> None:
        self._writer.add_text(name, text, step)

    def close(self) -> None:
        self._writer.close()


class Trackio:
    """trackio's own database on this machine: `trackio show --project jnana`."""

    def __init__(self, folder: Path, info: RunInfo, step: int) -> None:
        import trackio

        # A name that two runs share would be one curve. Resuming, trackio keeps the steps that were cut off: it cannot forget.
        name = f"{folder.resolve().name}-{info.fingerprint[:8]}"
        settings = {"stage": info.stage, "preset": info.preset, "folder": str(folder)}
        self._run = trackio.init(
            project="jnana", name=name, config=settings, resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def text(self, step: int, name: str, text: str) -> None:
        self._run.log({name: text}, step=step)

    def close(self) -> None:
        self._run.finish()


KINDS: dict[LoggerName, Callable[[Path, RunInfo, int], Logger]] = {"tensorboard": TensorBoard, "trackio": Trackio}


def missing_loggers(names: Sequence[LoggerName]) -> Iterator[str]:
    """A sentence for each of a configuration's `loggers` whose package is not there."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            yield f"loggers: {name} is not installed: run `pip install {name}`, or leave it out."


def open_loggers(names: Sequence[LoggerName], folder: Path, info: RunInfo, step: int = 0) -> list[Logger]:
    """Those of a configuration's `loggers`, for a run that goes on after `step`."""
    return [KINDS[name](folder, info, step) for name in names]


def forward(metric: AnyMetric, loggers: Sequence[Logger]) -> None:
    """Pass a metric on to those who understand it."""
    values: dict[str, float] = {}
    match metric:
        case Step():
            known = {name: getattr(metric, name) for name in FIELDS}
            values = {f"train/{name}": value for name, value in known.items() if value is not None}
        case Validation():
            values = {"validation/loss": metric.loss}
            values |= {f"validation/loss {name}": loss for name, loss in metric.by_bucket.items()}
        case Sample():
            for logger in loggers:
                logger.text(
                    metric.step, "samples", f"{metric.prompt}\n\nexpected: {metric.expected}\n\nanswer: {metric.answer}"
                )
        case _:
            pass
    if values:
        for logger in loggers:
            logger.scalars(metric.step, values)
