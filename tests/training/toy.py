"""A stage small enough to look at: a linear model that learns to name the class of a point."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.config import Align
from training.metrics import AnyMetric, Sample, Step, Validation
from training.sampling import Order
from training.task import Batch, Facts, Written

RUN: dict[str, Any] = {
    "stage": "align",
    "model": "pocket",
    "template": "chat",
    "max_length": 100,
    "data": {"train": [{"format": "captions", "file": "a"}], "validation": [{"format": "captions", "file": "b"}]},
    "steps": 6,
    "batch": {"size": 8, "micro": 2},
    "optimizer": {"lr": 1e-2, "warmup_steps": 1, "weight_decay": 0.1},
    "checkpoints": {"every": 2},
    "validation": {"every": 3, "examples": 5, "samples": 1},
}


def run(**changes: Any) -> Align:
    return Align.model_validate({**RUN, **changes})


class Module(nn.Module):
    """Dropout, so that random numbers matter, and a frozen layer, which no checkpoint should hold."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(4, 8).requires_grad_(False)
        self.head = nn.Sequential(nn.LayerNorm(8), nn.Dropout(0.2), nn.Linear(8, 3))

    def forward(self, points: torch.Tensor, classes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """As if each point stood for `labels` tokens."""
        losses = nn.functional.cross_entropy(self.head(self.frozen(points)), classes, reduction="none")
        return (losses * labels).sum()


class Points:
    def __init__(self, count: int, seed: int) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.points = torch.randn(count, 4, generator=draws)
        self.classes = self.points[:, :3].argmax(1)
        self.lengths: Sequence[int] = [1 + number % 7 for number in range(count)]

    def collate(self, examples: Sequence[int]) -> Batch:
        chosen = list(examples)
        labels = torch.tensor([self.lengths[example] for example in chosen])
        count = int(labels.sum())
        inputs = {"points": self.points[chosen], "classes": self.classes[chosen], "labels": labels}
        return Batch(inputs, count, count, len(chosen))

    def origin(self, example: int) -> str:
        return f"points.csv, record {example + 1}"


class Toy:
    order: Order = "buckets"
    fingerprint = "toy"

    def __init__(self) -> None:
        self.module: nn.Module = Module()
        self.train = Points(30, 1)
        self.validation = Points(5, 2)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.head.parameters()), "weight_decay": 0.1, "lr_scale": 1.0}]

    def flops(self, batch: Batch) -> float:
        return 1e6 * batch.sequences

    def samples(self, count: int) -> Iterator[Written]:
        yield from [Written(None, "?", "!", "…")] * count

    def save(self, folder: Path, facts: Facts, weights: object = None) -> None:
        folder.mkdir()


@dataclass
class Heard:
    """What the loop said; asks it to end after a step, as a machine that is shut down does."""

    stop_after: int | None = None
    steps: list[Step] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __call__(self, metric: AnyMetric) -> None:
        match metric:
            case Step():
                self.steps.append(metric)
                if metric.step == self.stop_after:
                    os.kill(os.getpid(), signal.SIGTERM)
            case Validation():
                self.validations.append(metric)
            case Sample():
                self.samples.append(metric)
            case _:
                raise AssertionError(metric)
