"""LoRA (https://arxiv.org/abs/2106.09685) in the language model: taken out, put in, switched off; through PEFT.

Layers in 8 bits compute it themselves, once PEFT has read and checked it.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from model.adapters import LORA, LORA_CONFIG
from model.int8 import Int8Linear, LowRank, Together
from model.weights import WeightsError

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
"""peft imports it, and it warns about kernels that could make 4 bits faster on CPUs."""

PEFT_PREFIX = "base_model.model."
"""What PEFT puts before the names of the whole language model."""


def extract(language: nn.Module) -> tuple[Any, dict[str, torch.Tensor]]:
    """The LoraConfig and the weights that peft put into a text model, with or without its head; named as if it had one."""
    from peft import get_peft_model_state_dict

    assert isinstance(language, PreTrainedModel)  # noqa: S101 - Any would hide what is needed of it
    config = language.peft_config["default"]
    prefix = PEFT_PREFIX
    if language.base_model is language:  # without its head
        prefix += f"{language.base_model_prefix}."
    weights = get_peft_model_state_dict(language, save_embedding_layers=False)
    return config, {f"{prefix}{name}": tensor for name, tensor in weights.items()}


def read(folder: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """The LoraConfig and the weights of an artefact. Raises WeightsError."""
    config = read_config(folder)
    try:
        return config, load_file(folder / LORA)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder / LORA} cannot be read ({error}).") from error


def read_config(folder: Path) -> Any:
    """The LoraConfig in a folder of PEFT's. Raises WeightsError."""
    from peft import LoraConfig, PeftConfig

    file = folder / LORA_CONFIG
    if not file.is_file():
        raise WeightsError(f"{folder} is no folder of a PEFT adapter: {LORA_CONFIG} is missing.")
    try:
        config = PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{file} cannot be read ({error}).") from error
    if not isinstance(config, LoraConfig):
        raise WeightsError(f"{file} is not about LoRA but {config.peft_type}: no other kind can be used.")
    config.init_lora_weights = True  # the file has them; other ways to begin change the base as they go in
    config.megatron_config = None  # with it a configuration could name modules to import
    return config


def require_switchable(config: Any, weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Raises WeightsError for a LoRA that changes more than it can take back when another one answers."""
    more = [
        name
        for name in ("modules_to_save", "trainable_token_indices", "layer_replication", "target_parameters")
        if getattr(config, name, None)
    ]
    if config.bias != "none":
        more.append("bias")
    more += [name for name in weights if ".lora_" not in name or ".lora_embedding_" in name][:1]
    if more:
        raise WeightsError(
            f"{folder} changes the language model itself ({', '.join(more)}): only LoRA beside its layers is taken."
        )


def put(text: PreTrainedModel, config: Any, weights: dict[str, torch.Tensor], folder: Path, *, key: str = "default") -> None:
    """Put LoRA weights, named as `extract` does, into a text model with its head, which may be on the meta device.

    `folder`: where they come from, for the WeightsError when they do not fit. `key`: PEFT's name for them, without dots;
    several may be in a model beside each other.
    """
    from peft import inject_adapter_in_model, set_peft_model_state_dict
    from peft.tuners.lora import Linear

    config._register_custom_module({Int8Linear: Linear})
    unfit = f"The LoRA weights in {folder} do not fit this language model"
    is_empty = text.device.type == "meta"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Unsupported layer type", UserWarning)  # model/int8.py's: PEFT cannot know it
            warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
            inject_adapter_in_model(config, text, key, low_cpu_mem_usage=is_empty)
        result: Any = set_peft_model_state_dict(text, weights, key, low_cpu_mem_usage=is_empty)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except (ValueError, RuntimeError, LookupError, TypeError, AttributeError, re.error) as error:
        raise WeightsError(f"{unfit} ({' '.join(str(error).split())[:200]}).") from error
    # With several in it, PEFT misses those of the others as well.
    missing = [name for name in result.missing_keys if ".lora_" in name and f".{key}." in f"{name}."]
    if wrong := [*missing, *result.unexpected_keys]:
        raise WeightsError(f"{unfit} ({len(wrong)} of other layers, such as {wrong[0]}).")
    _give_to_rounded(text, key)
    nn.Module.requires_grad_(text, False)
    nn.Module.eval(text)


def _give_to_rounded(text: nn.Module, key: str) -> None:
    """What PEFT put around layers in 8 bits, into them."""
    found: dict[Together, dict[int, LowRank]] = {}
    for base, around in _unwrap_rounded(text):
        down, up = around.lora_A[key].weight.detach(), around.lora_B[key].weight.detach()
        found.setdefault(base.together, {})[base.which] = LowRank(down.T.contiguous(), up.T * around.scaling[key])
    for together, low_ranks in found.items():
        together.put(key, low_ranks)


def _unwrap_rounded(model: nn.Module) -> list[tuple[Int8Linear, Any]]:
    """Put layers in 8 bits back in their places, and return what PEFT had put around each."""
    found = []
    for name, module in list(model.named_modules()):
        if isinstance(base := getattr(module, "base_layer", None), Int8Linear):
            model.set_submodule(name, base)
            found.append((base, module))
    return found


def layers(model: nn.Module) -> list[Any]:
    """Those that LoRA was or may be put into."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    rounded = {module.together: None for module in model.modules() if isinstance(module, Int8Linear)}
    return [*rounded, *(module for module in model.modules() if isinstance(module, BaseTunerLayer))]


def activate(layers: Iterable[Any], key: str | None) -> None:
    """Compute with the LoRA that was put in as `key` from now on; None: as the base, bit for bit. One thread at a time.

    Not by PEFT's `set_adapter`: it also walks through the weights of all adapters to say which of them learn, and none does.
    """
    for layer in layers:
        if isinstance(layer, Together):
            layer.activate(key)
        else:
            layer._active_adapter = [] if key is None else [key]


def take_out(model: nn.Module, key: str) -> None:
    """Let go of the LoRA that was put in as `key`. PEFT activates another one: `activate` is due."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Adapter .* was active", UserWarning)
        _unwrap_rounded(model)  # of one that did not fit
        for layer in layers(model):
            layer.take_out(key) if isinstance(layer, Together) else layer.delete_adapter(key)
    getattr(model, "peft_config", {}).pop(key, None)
