"""Whether the GPU has room for a retraining: asked before anything of it is loaded, for the worker and others may hold it."""

from __future__ import annotations

import gc

import torch

from model.presets import Preset
from model.quantize import OVER_WEIGHTS
from training.config import Instruct
from training.errors import NoRoom
from training.memory import CONTEXT, NF4_BITS, memory, total

GPU = "cuda"


def require_room(configuration: Instruct, preset: Preset, device: str) -> None:
    """`device`: of the mind as it is served, as MODEL_DEVICE has it; training takes the first GPU. Raises NoRoom."""
    needed = {GPU: total(memory(configuration))}
    if device != "cpu":  # it looks at pictures before, and is judged after: never both at once
        where = device if device.startswith(GPU) else GPU
        needed[where] = max(needed.get(where, 0.0), served(configuration, preset))
    for where, size in needed.items():
        free = torch.cuda.mem_get_info(where)[0]
        if size > free:
            raise NoRoom(
                f"Training needs about {size / 1e9:.1f} GB of the GPU's memory, and {free / 1e9:.1f} GB are free: stop what "
                "else uses it, or let the assistant answer on the CPU (MODEL_DEVICE=cpu)."
            )


def served(configuration: Instruct, preset: Preset) -> float:
    """Bytes that the mind takes on a GPU when it is loaded as it is served, without its speech model."""
    language = float(preset.components["language"].size)  # as loaded: 16 bits of phi-2, 32 of the small one
    if configuration.quantize is not None:
        language *= NF4_BITS / 16
    return language * OVER_WEIGHTS[GPU] + preset.components["tower"].size + CONTEXT


def release() -> None:
    """Give back what a mind took of the GPU: networks hold themselves in cycles."""
    gc.collect()
    torch.cuda.empty_cache()  # nothing where no GPU was used
