"""Stage 0 of a tiny phi, or go on with it, and write its artefact; by torchrun on several ranks sharded, as on GPUs."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

import torch
import typer
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from tests.training.test_pretrain import run
from tests.training.toy import Heard
from training.loop import Loop
from training.metrics import AnyMetric, Step
from training.pretrain import PretrainTask
from training.ranks import sharding, together
from training.task import Facts


def sharded(ranks: PartialState) -> Accelerator:
    """accelerate shards on GPUs only, unless it is told that it does."""
    plugin = sharding(run(Path(), fsdp=True))
    accelerator = Accelerator(cpu=True, mixed_precision="no", fsdp_plugin=plugin)
    AcceleratorState._shared_state |= {"distributed_type": DistributedType.FSDP, "fsdp_plugin": plugin}
    ranks._shared_state["distributed_type"] = DistributedType.FSDP
    return accelerator


def main(folder: Path, stop_after: int) -> None:
    torch.set_num_threads(1)
    with together() as ranks:
        several = ranks.num_processes > 1
        config = run(folder, steps=4, fsdp=several, validation={"every": 4, "samples": 0}, checkpoints={"every": 2})
        accelerator = sharded(ranks) if several else Accelerator(cpu=True)
        heard = Heard(stop_after)

        def tell(metric: AnyMetric) -> None:
            heard(metric)
            if isinstance(metric, Step):
                print(metric.step, flush=True)

        task = PretrainTask(config, accelerator.device)
        loop = Loop(config, task, folder / "checkpoints", accelerator, tell)
        loop.resume()
        loop.train()
        loop.save_artefact(folder / "artefact", Facts("test", (), {}))


if __name__ == "__main__":
    if seconds := os.environ.get("TOY_HANGS_AFTER"):
        faulthandler.dump_traceback_later(float(seconds))
    typer.run(main)
