"""Train the toy, or go on with it, and write its weights; alone or by torchrun."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Sequence
from pathlib import Path

import torch
import typer

from tests.training.toy import Heard, Points, Toy, run
from training.cli import sentences
from training.errors import TrainingError
from training.loop import Loop
from training.metrics import AnyMetric, Step
from training.ranks import new_accelerator, together
from training.task import Batch


class WithABadRecord(Points):
    def collate(self, examples: Sequence[int]) -> Batch:
        if 11 in examples:
            raise TrainingError("points.csv, record 12 is bad: repair it.")
        return super().collate(examples)


def main(folder: Path, stop_after: int, bad: bool = False) -> None:
    with sentences(), together():
        config, toy = run(steps=20 if bad else 6, validation={"every": 3, "examples": 5, "samples": 0}), Toy()
        toy.module.head[1].p = 0.0  # type: ignore[index,union-attr]  # every rank draws its own dropout
        if bad:
            toy.train = WithABadRecord(30, 1)
        accelerator = new_accelerator(config)
        heard = Heard(stop_after)

        def tell(metric: AnyMetric) -> None:
            heard(metric)
            if isinstance(metric, Step):
                print(metric.step, flush=True)

        loop = Loop(config, toy, folder / "checkpoints", accelerator, tell)
        loop.resume()
        loop.train()
        if accelerator.is_main_process:
            torch.save(dict(toy.module.state_dict()), folder / "weights.pt")


if __name__ == "__main__":
    if seconds := os.environ.get("TOY_HANGS_AFTER"):
        faulthandler.dump_traceback_later(float(seconds))
    typer.run(main)
