"""What a stage is to the loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from training.sampling import Order

IGNORE = -100
"""Label of a token that is not learnt; what cross_entropy ignores."""


@dataclass(frozen=True)
class Batch:
    """Examples as tensors, on the CPU."""

    inputs: dict[str, torch.Tensor]
    """Arguments of the task's module."""
    tokens: int
    """That the language model reads, without padding; a beginning that all rows share counts once."""
    answer_tokens: int
    """That are learnt."""
    sequences: int
    pictures: int = 0
    label_weights: float | None = None
    """The sum of what every label weighs in the module's loss; None: each weighs one."""

    @property
    def weight(self) -> float:
        """What the loss is divided by for a mean."""
        return self.answer_tokens if self.label_weights is None else self.label_weights


@dataclass(frozen=True)
class Written:
    """An answer written out during training, beside what was expected."""

    image: Path | None
    prompt: str
    expected: str
    answer: str


@dataclass(frozen=True)
class Facts:
    """What an artefact says of the run that made it."""

    name: str
    sources: tuple[tuple[str, str | None], ...]
    """Data that was learnt from, with its licence if that was told."""
    metrics: dict[str, float]


class Examples(Protocol):
    """Data that is read into batches by number; safe to be used by several threads."""

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of every example."""
        ...

    def collate(self, examples: Sequence[int]) -> Batch: ...

    def origin(self, example: int) -> str:
        """Where an example comes from, for people: file and record."""
        ...


class Task(Protocol):
    """A stage with its model and its data."""

    module: nn.Module
    """`module(**batch.inputs)` is the sum of the negative log-likelihoods of the batch's labels: 0-dim, fp32. Sums, so that
    the mean over a step weighs every label alike, or as the batch says, however they fall into micro-batches and ranks."""
    train: Examples
    validation: Examples
    order: Order
    fingerprint: str
    """Of the data; a run does not go on with other data."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """For AdamW: `params`, `weight_decay`, and `lr_scale`, by which the schedule's rate is multiplied."""
        ...

    def flops(self, batch: Batch) -> float:
        """Of a forward and a backward pass, as the MFU counts them."""
        ...

    def samples(self, count: int) -> Iterator[Written]:
        """Answers to the first validation examples."""
        ...

    def save(self, folder: Path, facts: Facts, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write what the stage makes, as an artefact; what was in `folder` is replaced.

        `weights`: the module's, by name, where its own are sharded over GPUs.
        """
        ...
