"""The processes that train together, a rank each."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin, InitProcessGroupKwargs
from torch.distributed.fsdp import MixedPrecisionPolicy

from training.config import Run
from training.errors import TrainingError

RANKS_WAIT = timedelta(hours=12)
"""Before a rank takes the others for dead."""


def new_accelerator(run: Run) -> Accelerator:
    """Device and ranks as accelerate or torchrun set them up.

    Raises TrainingError for what this machine cannot do, and when the batch cannot be shared among the ranks.
    """
    has_cuda = torch.cuda.is_available()
    if run.fsdp and not has_cuda:
        raise TrainingError("fsdp shards a model over NVIDIA GPUs, and there is none here: set fsdp=false.")
    plugin = None
    if run.fsdp:
        # Layer by layer: wrapped as a whole, every GPU would hold all weights at once. Losses and gradients stay fp32.
        computed = torch.bfloat16 if run.precision == "bf16" else torch.float32
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            reshard_after_forward=True,
            auto_wrap_policy="transformer_based_wrap",
            transformer_cls_names_to_wrap=["PhiDecoderLayer"],
            mixed_precision_policy=MixedPrecisionPolicy(
                param_dtype=computed, reduce_dtype=torch.float32, output_dtype=torch.float32
            ),
        )
    mixed = "bf16" if run.precision == "bf16" else "no"
    # Ranks wait while the main one looks at every picture, or writes a checkpoint of 33 GB.
    patience = InitProcessGroupKwargs(timeout=RANKS_WAIT)
    accelerator = Accelerator(cpu=not has_cuda, mixed_precision=mixed, fsdp_plugin=plugin, kwargs_handlers=[patience])
    require_even_batches(run, accelerator.num_processes)
    return accelerator


def require_even_batches(run: Run, ranks: int) -> None:
    """Raises TrainingError when a step's micro-batches cannot be shared evenly among the ranks."""
    if run.batch.size % (run.batch.micro * ranks):
        raise TrainingError(
            f"batch.size ({run.batch.size}) must be a multiple of batch.micro ({run.batch.micro}) times the {ranks} processes."
        )
