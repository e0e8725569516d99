"""A part of the start mixed into what was trained: more of what was known comes back than goes of what was learnt.

WiSE-FT, https://arxiv.org/abs/2109.01903; measured in docs/results/retraining.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from model import lora
from model.adapters import Adapter


def blended(trained: Mapping[str, torch.Tensor], start: Mapping[str, torch.Tensor], part: float) -> dict[str, torch.Tensor]:
    """On the line from `trained` (0) to `start` (1), weight by weight."""
    return {
        name: torch.lerp(weight.float(), start[name].to(weight.device, torch.float32), part).to(weight.dtype)
        for name, weight in trained.items()
    }


def start_of_lora(trained: Mapping[str, torch.Tensor], start: Adapter) -> Mapping[str, torch.Tensor]:
    """LoRA that training went on from; of one that began anew B was zero, and A is no matter."""
    if start.lora is not None:
        return lora.read(start.folder)[1]
    return {name: torch.zeros_like(weight) if ".lora_B." in name else weight for name, weight in trained.items()}
