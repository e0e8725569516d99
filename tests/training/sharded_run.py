"""Stage 0 of a tiny phi, or go on with it, and write its artefact; by torchrun on several ranks sharded, as on GPUs."""

from __future__ import annotations

import faulthandler
import json
import os
from pathlib import Path

import torch
import typer
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.fsdp import FSDPModule

from tests.training.test_pretrain import run
from tests.training.toy import Heard
from training.config import Pretrain
from training.loop import Loop
from training.metrics import AnyMetric, Step
from training.pretrain import PretrainTask
from training.ranks import new_accelerator, sharding, together
from training.task import Facts


def sharded(ranks: PartialState, config: Pretrain) -> Accelerator:
    """accelerate shards on GPUs only, unless it is told that it does."""
    plugin = sharding(config)
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if config.precision == "bf16" else "no", fsdp_plugin=plugin)
    AcceleratorState._shared_state |= {"distributed_type": DistributedType.FSDP, "fsdp_plugin": plugin}
    ranks._shared_state["distributed_type"] = DistributedType.FSDP
    return accelerator


def require_no_whole_gradients(module: nn.Module, _inputs: object) -> None:
    """Between two micro-batches: they would be as large as on a single GPU."""
    for part in module.modules():
        if isinstance(part, FSDPModule) and (group := part._get_fsdp_state()._fsdp_param_group) is not None:
            whole = [weight for weight in group.fsdp_params if weight.unsharded_accumulated_grad is not None]
            assert not whole, f"{len(whole)} whole gradients are kept"


def main(folder: Path, stop_after: int, precision: str = "fp32") -> None:
    torch.set_num_threads(1)
    with together() as ranks:
        several = ranks.num_processes > 1
        config = run(
            folder,
            steps=4,
            fsdp=several,
            batch={"size": 4, "micro": 1},
            validation={"every": 4, "samples": 0},
            checkpoints={"every": 2},
            precision=precision,
            gradient_checkpointing=precision == "bf16",
        )
        accelerator = sharded(ranks, config) if several else new_accelerator(config)
        heard = Heard(stop_after)

        def tell(metric: AnyMetric) -> None:
            heard(metric)
            if isinstance(metric, Step):
                print(metric.step, flush=True)

        task = PretrainTask(config, accelerator.device)
        loop = Loop(config, task, folder / "checkpoints", accelerator, tell)
        loop._module.register_forward_pre_hook(require_no_whole_gradients)
        loop.resume()
        loop.train()
        loop.save_artefact(folder / "artefact", Facts("test", (), {}))
        if accelerator.is_main_process:
            (folder / "losses.json").write_text(json.dumps([step.loss for step in heard.steps]))


if __name__ == "__main__":
    if seconds := os.environ.get("TOY_HANGS_AFTER"):
        faulthandler.dump_traceback_later(float(seconds))
    typer.run(main)
