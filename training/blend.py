"""A part of the start mixed into what was trained: more of what was known comes back than goes of what was learnt.

WiSE-FT, https://arxiv.org/abs/2109.01903; measured in docs/results/retraining.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import load_file

from model import lora
from model.adapters import Adapter

Weights = Mapping[str, torch.Tensor]


def blended(
    projector: Weights, adapted: Weights, start: Adapter, part: float
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Projector and LoRA on the line from what was trained (0) to `start` (1), which has a projector."""
    assert start.projector is not None  # noqa: S101 - `load_base` asked for it
    return _mixed(projector, load_file(start.projector), part), _mixed(adapted, start_of_lora(adapted, start), part)


def start_of_lora(trained: Weights, start: Adapter) -> Weights:
    """LoRA that training went on from; of one that began anew B was zero, and A is no matter."""
    if start.lora is not None:
        return lora.read(start.folder)[1]
    return {name: torch.zeros_like(weight) if ".lora_B." in name else weight for name, weight in trained.items()}


def _mixed(trained: Weights, start: Weights, part: float) -> dict[str, torch.Tensor]:
    return {
        name: torch.lerp(weight.float(), start[name].to(weight.device, torch.float32), part).to(weight.dtype)
        for name, weight in trained.items()
    }
