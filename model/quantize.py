"""In which precision a preset runs where: NF4 on CUDA for phi-2, fp32 on CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from model.presets import Precision, Preset
from model.weights import WeightsError


@dataclass(frozen=True)
class Placement:
    """Where and how the networks are loaded; `language` are arguments of `from_pretrained`."""

    device: torch.device
    dtype: torch.dtype
    """Of the tower and the projector, and of what is computed with the language model's 4-bit weights."""
    language: dict[str, Any]

    @property
    def precision(self) -> Precision:
        """Of the language model's weights."""
        if "quantization_config" in self.language:
            return "nf4"
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"


def nf4(device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a language model in 4 bits (https://arxiv.org/abs/2305.14314)."""
    quantised = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
    )
    return {"quantization_config": quantised, "dtype": torch.bfloat16, "device_map": {"": device}}


def place(preset: Preset, device: str) -> Placement:
    """Decide for `device`: auto, cpu, cuda, cuda:N or mps. Raises WeightsError when the machine cannot do what is asked for."""
    has_cuda = torch.cuda.is_available()
    if device == "auto":
        if preset.needs_cuda and not has_cuda:
            raise WeightsError(
                f"The preset {preset.name} needs an NVIDIA GPU and none was found: use MODEL_PRESET=pocket, "
                "or MODEL_DEVICE=cpu if minutes per answer are fine."
            )
        device = "cuda" if has_cuda else "cpu"
    if device.startswith("cuda") and not has_cuda:
        raise WeightsError(f"MODEL_DEVICE={device} was asked for, and no NVIDIA GPU was found: set MODEL_DEVICE=cpu.")
    where = torch.device(device)
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise WeightsError(f"MODEL_DEVICE={device}: this machine has {torch.cuda.device_count()} GPU(s), counted from 0.")
    if where.type == "mps" and not torch.backends.mps.is_available():
        raise WeightsError("MODEL_DEVICE=mps was asked for, and this is no Mac with Metal: set MODEL_DEVICE=cpu.")
    if where.type == "cuda" and preset.needs_cuda:
        return Placement(where, torch.bfloat16, nf4(where))
    # CPUs without bf16 units multiply bf16 four times slower than fp32 (docs/results); small models fit in fp32 anywhere.
    return Placement(where, torch.float32, {"dtype": torch.float32})
