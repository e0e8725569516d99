"""Train the toy, or go on with it, and write its weights; alone or by torchrun. Arguments: folder, step to stop after."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.training.toy import Heard, Toy, run
from training.loop import Loop
from training.metrics import AnyMetric, Step
from training.ranks import new_accelerator

folder, stop_after = Path(sys.argv[1]), int(sys.argv[2])
config, toy = run(validation={"every": 3, "examples": 5, "samples": 0}), Toy()
toy.module.head[1].p = 0.0  # type: ignore[index,union-attr]  # every rank draws its own dropout
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
accelerator.end_training()
