"""Checkpoints: whole or not there, the newest few kept, the one before taken when the newest is damaged.

One is a folder `step-00000100` with `trained.safetensors` (trained weights by name), `optimizer.safetensors` (AdamW's moments),
`state.json` and a manifest of sizes and hashes. Frozen weights are not in it: the run's configuration says what they were.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from model.files import appearing, check_manifest, locked, remove_leftovers, write_manifest
from training.errors import TrainingError

TRAINED, OPTIMIZER, STATE = "trained.safetensors", "optimizer.safetensors", "state.json"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """What a run needs to go on as if nothing had happened, besides weights: all else follows from seed and step."""

    step: int
    """Optimizer steps that are done."""
    tokens: int
    """Tokens the language model has seen, over all steps and ranks."""
    answer_tokens: int
    fingerprint: str
    """Of the data: a changed data set would give other batches."""
    settings: str
    """The part of the configuration that decides what is learnt, as JSON."""


def folder_of(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"step-{step:08d}"


def steps(checkpoints: Path) -> list[int]:
    """Of the checkpoints that are there, newest first; a folder that is being written has another name."""
    found = (path.name.removeprefix("step-") for path in checkpoints.glob("step-*") if path.is_dir())
    return sorted((int(name) for name in found if name.isdigit()), reverse=True)


def save(
    checkpoints: Path, state: TrainingState, model: nn.Module, optimizer: torch.optim.Optimizer, *, keep: int, is_main: bool
) -> None:
    """Write a checkpoint and delete older ones than the newest `keep`. All ranks call this; the main one writes.

    Raises TrainingError when the disk is full; what was there before stays.
    """
    trained = trained_weights(model)
    moments = get_optimizer_state_dict(model, optimizer, options=_options())
    if not is_main:
        return
    with _explained(checkpoints), locked(checkpoints / ".lock"):
        remove_leftovers(checkpoints)
        with appearing(folder_of(checkpoints, state.step)) as folder:
            save_file(trained, folder / TRAINED)
            save_file(_flat(moments), folder / OPTIMIZER)
            (folder / STATE).write_text(json.dumps(asdict(state), indent=1) + "\n")
            write_manifest(folder, {}, lambda count: None)
        there = steps(checkpoints)
        damaged = [step for step in there if step > state.step]  # it was gone on from the one before
        for step in [*damaged, *[step for step in there if step <= state.step][keep:]]:
            shutil.rmtree(folder_of(checkpoints, step))


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights that are trained, by name, whole and on the CPU; on ranks other than the first none, when they are sharded."""
    weights: dict[str, Any] = get_model_state_dict(model, options=_options(ignore_frozen_params=True))
    kept = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    names = {_plain(name) for name in kept}
    return {name: value.contiguous() for name, value in weights.items() if name in names}


def newest(checkpoints: Path) -> int | None:
    """Step of the newest whole checkpoint; None if there is none at all. Reads all of it, once.

    Raises TrainingError when there are some and every one is damaged.
    """
    with _explained(checkpoints):
        if checkpoints.is_dir():
            with locked(checkpoints / ".lock"):
                remove_leftovers(checkpoints)
    damaged = []
    for step in steps(checkpoints):
        folder = folder_of(checkpoints, step)
        wrong = check_manifest(folder, None, lambda count: None)
        if wrong is None:
            return step
        log.warning("checkpoint is damaged; the one before it is taken", folder=str(folder), because=wrong)
        damaged.append(f"{folder} ({wrong})")
    if damaged:
        raise TrainingError(f"No checkpoint is whole: {', '.join(damaged)}. Start again with another run folder.")
    return None


def state_of(folder: Path) -> TrainingState:
    """Of a checkpoint that is whole."""
    return TrainingState(**json.loads((folder / STATE).read_text()))


def restore(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's weights and moments into a model and an optimizer that were made as for a new run."""
    weights: dict[str, Any] = dict(load_file(folder / TRAINED))
    names = {_plain(name) for name, parameter in model.named_parameters() if parameter.requires_grad}
    if weights.keys() != names:
        raise TrainingError(
            f"{folder} holds other weights than this run trains ({len(weights.keys() ^ names)} names differ): it was made by "
            "another version of Jñāna or of transformers. Start with another run folder."
        )
    set_model_state_dict(model, weights, options=_options(strict=False))
    # The form; its states are the optimizer's own, and torch shards only what is new to it.
    moments: dict[str, Any] = {**get_optimizer_state_dict(model, optimizer), "state": {}}
    for key, value in load_file(folder / OPTIMIZER).items():
        name, part = key.rsplit("/", 1)
        moments["state"].setdefault(name, {})[part] = value
    set_optimizer_state_dict(model, optimizer, moments, options=_options())


def _flat(moments: Any) -> dict[str, torch.Tensor]:
    return {f"{name}/{part}": value for name, parts in moments["state"].items() for part, value in parts.items()}


def _options(**more: Any) -> StateDictOptions:
    return StateDictOptions(full_state_dict=True, cpu_offload=True, **more)


def _plain(name: str) -> str:
    """A parameter's name without what wrappers (DDP, torch.compile) put in front."""
    return name.replace("_orig_mod.", "").removeprefix("module.")


@contextlib.contextmanager
def _explained(checkpoints: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors has its own error, with the system's words
        if getattr(error, "errno", None) in NO_SPACE or "No space left" in str(error) or "File too large" in str(error):
            raise TrainingError(
                f"The disk with {checkpoints} is full: make room and give the same command again; it goes on from the last "
                "checkpoint, if there is one."
            ) from error
        raise TrainingError(f"Checkpoints cannot be kept in {checkpoints}: {error}.") from error
