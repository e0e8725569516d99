"""In which precision a preset runs where: phi-2 in bf16 or 4 bits by what is free, pocket in 8 bits on CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import torch
from transformers import AutoConfig, BitsAndBytesConfig, PreTrainedConfig

from model import int8, lora
from model.adapters import Adapter
from model.machine import available_memory
from model.presets import Precision, Preset
from model.weights import PreparedWeights, WeightsError

OVER_WEIGHTS = {"cuda": 1.5, "cpu": 1.1}
"""Times its weights that a large model needs of what is free at full width: for keys, values, and what is computed."""


@dataclass(frozen=True)
class Placement:
    """Where and how the networks are loaded; `language` are arguments of `from_pretrained`."""

    device: torch.device
    dtype: torch.dtype
    """Of the tower and the projector, and of what is computed with the language model's 4-bit weights."""
    language: dict[str, Any]
    precision: Precision
    """Of the language model's weights; int8 is made of fp32 once they are loaded."""


def nf4(device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a language model in 4 bits (https://arxiv.org/abs/2305.14314)."""
    quantised = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
    )
    return {"quantization_config": quantised, "dtype": torch.bfloat16, "device_map": {"": device}}


@dataclass(frozen=True)
class Needs:
    """What a LoRA asks of the language model that it is put into."""

    trained_in: Precision
    is_plain: bool
    """Nothing but what can be rotated with int8's language model."""

    @classmethod
    def of(cls, adapter: Adapter | None) -> Needs | None:
        """Those of an adapter's LoRA; None without one. Raises WeightsError when its configuration cannot be read."""
        if adapter is None or adapter.lora is None:
            return None
        return cls(adapter.card.base.precision, int8.takes(lora.read_config(adapter.folder)))


def place(preset: Preset, weights: PreparedWeights, device: str, *, precision: str, needs: Needs | None) -> Placement:
    """Decide where and how the networks run.

    `device`: auto, cpu, cuda, cuda:N or mps. `precision`: auto or one of Precision. `needs`: those of the LoRA that will be
    loaded. Raises WeightsError when the machine cannot do what is asked for.
    """
    where = _device(preset, device)
    if precision == "auto":
        precision = _best(preset, weights, where, needs)
    if precision == "nf4" and not _has_nf4(where):
        raise WeightsError(f"MODEL_PRECISION=nf4 needs bitsandbytes, which there is not for {where} here: set it to auto.")
    if precision == "nf4":
        return Placement(where, torch.bfloat16, nf4(where), "nf4")
    if precision == "int8" and not (where.type == "cpu" and int8.is_supported(_config(weights))):
        raise WeightsError(
            f"MODEL_PRECISION=int8 is for pocket on an x86 CPU with AVX2, and not for {preset.name} on {where} here: set auto."
        )
    if precision == "int8" and needs is not None and not needs.is_plain:
        raise WeightsError("MODEL_PRECISION=int8 takes plain LoRA beside the layers' projections only: set it to fp32.")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return Placement(where, dtype, {"dtype": dtype}, cast(Precision, precision))


def _best(preset: Preset, weights: PreparedWeights, where: torch.device, needs: Needs | None) -> Precision:
    """What the LoRA was trained on; else what fits, and of that the fastest. Raises WeightsError when nothing fits."""
    if needs is not None and needs.trained_in == "nf4" and _has_nf4(where):
        return "nf4"
    if preset.needs_cuda:  # large: full width or 4 bits
        full: Precision = "bf16" if where.type == "cuda" else "fp32"
        size = preset.components["language"].size * (1 if full == "bf16" else 2)  # 16 bits on disk
        fits = _free(where) >= size * OVER_WEIGHTS.get(where.type, 1.0)
        if needs is None and not fits and _has_nf4(where):
            return "nf4"
        if needs is not None and needs.trained_in != "nf4" and not fits:
            raise WeightsError(
                f"The adapter was trained on the language model at full width, which needs {size / 1e9:.0f} GB and more "
                f"on {where}: set MODEL_ADAPTER to one that was trained on 4 bits, or to none."
            )
        return full
    # CPUs without bf16 units multiply bf16 four times slower than fp32 (docs/results); small models fit in fp32 anywhere.
    takes_int8 = where.type == "cpu" and int8.is_supported(_config(weights)) and (needs is None or needs.is_plain)
    return "int8" if takes_int8 else "fp32"


def _has_nf4(where: torch.device) -> bool:
    """Whether bitsandbytes is there, which has no macOS version (pyproject.toml)."""
    return where.type != "mps" and find_spec("bitsandbytes") is not None


def _free(where: torch.device) -> int:
    """Bytes of a GPU that nobody has taken; of a machine, all of them."""
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)[0]
    return available_memory()


def _config(weights: PreparedWeights) -> PreTrainedConfig:
    config: PreTrainedConfig = AutoConfig.from_pretrained(weights.language, local_files_only=True)
    return config


def _device(preset: Preset, device: str) -> torch.device:
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
    return where
