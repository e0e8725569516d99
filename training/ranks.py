"""The processes that train together, a rank each: one that fails ends the others, and only it says why."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import FullyShardedDataParallelPlugin
from rich.console import Console
from torch.distributed.distributed_c10d import _get_default_store
from torch.distributed.fsdp import MixedPrecisionPolicy

from training.config import RunConfig
from training.errors import TrainingError

RANKS_WAIT = timedelta(hours=12)
"""For each other: the main one may look at every picture meanwhile, or write a checkpoint of 33 GB. A failure ends it."""
LOOK_SECONDS = 0.2
"""Between two looks whether another rank failed."""
LEAVE_SECONDS = 10.0
"""That a rank which failed gives the others to end before it says why."""

FAILED, LEFT = "jnana/failed", "jnana/left"
"""Counters in the store that the ranks share."""

Store = Any
"""torch.distributed.Store, whose annotations lack what is used here."""


@contextlib.contextmanager
def together() -> Iterator[PartialState]:
    """This process among the ranks that a launcher started (torchrun, accelerate), or alone.

    When the block fails on one rank, the others end at once and say nothing, whatever they wait for; the error goes on in the
    first that failed, and in no other.
    """
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=RANKS_WAIT)
    try:
        with _one_voice(state.num_processes) if state.num_processes > 1 else contextlib.nullcontext():
            yield state
    finally:
        state.destroy_process_group()


@contextlib.contextmanager
def _one_voice(ranks: int) -> Iterator[None]:
    store: Store = _get_default_store()
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(store.clone(), done), daemon=True)  # a connection of its own
    watcher.start()
    try:
        yield
    except BaseException:
        done.set()
        watcher.join()
        if not _is_first(store):
            _leave(store)
        _wait_until_left(store, ranks - 1)
        raise
    finally:
        done.set()
        watcher.join()


def _watch(store: Store, done: threading.Event) -> None:
    """A thread: nothing else gets a word in while a rank waits for another in the middle of a step."""
    while not done.wait(LOOK_SECONDS):
        try:
            failed = store.check([FAILED])
        except RuntimeError:  # whoever kept the store is gone
            failed = True
        if failed:
            _leave(store)


def _is_first(store: Store) -> bool:
    try:
        return int(store.add(FAILED, 1)) == 1
    except RuntimeError:
        return False


def _leave(store: Store) -> None:
    """With 0: a launcher takes the first process that fails for the cause, and ends the one that still has to say why."""
    Console(stderr=True).show_cursor(True)  # a display that is cut off leaves it hidden
    with contextlib.suppress(RuntimeError):
        store.add(LEFT, 1)
    os._exit(0)


def _wait_until_left(store: Store, others: int) -> None:
    deadline = time.monotonic() + LEAVE_SECONDS
    with contextlib.suppress(RuntimeError):
        while store.add(LEFT, 0) < others and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)


def new_accelerator(run: RunConfig) -> Accelerator:
    """Device and precision for a run, on the ranks that there are.

    Raises TrainingError for what this machine cannot do, and when the batch cannot be shared among the ranks.
    """
    has_cuda = torch.cuda.is_available()
    if run.fsdp and not has_cuda:
        raise TrainingError("fsdp shards a model over NVIDIA GPUs, and there is none here: set fsdp=false.")
    plugin = sharding(run) if run.fsdp else None
    accelerator = Accelerator(cpu=not has_cuda, mixed_precision="bf16" if run.precision == "bf16" else "no", fsdp_plugin=plugin)
    require_even_batches(run, accelerator.num_processes)
    return accelerator


def sharding(run: RunConfig) -> FullyShardedDataParallelPlugin:
    """Layer by layer: wrapped as a whole, every GPU would hold all weights at once. Gradients are summed in fp32; losses are
    fp32 by themselves (training/losses.py), and layers hand each other what the next one computes in."""
    computed = torch.bfloat16 if run.precision == "bf16" else torch.float32
    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=["PhiDecoderLayer"],
        mixed_precision_policy=MixedPrecisionPolicy(param_dtype=computed, reduce_dtype=torch.float32),
    )


def require_even_batches(run: RunConfig, ranks: int) -> None:
    """Raises TrainingError when a step's micro-batches cannot be shared evenly among the ranks."""
    if run.batch.size % (run.batch.micro * ranks):
        raise TrainingError(
            f"batch.size ({run.batch.size}) must be a multiple of batch.micro ({run.batch.micro}) times the {ranks} processes."
        )
