"""LoRA merged into the language model: a folder that loads anywhere, without peft, and the projector as an artefact for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from model.adapters import Adapter, BaseModelCard, Card, disk
from model.convert import quiet
from model.files import MANIFEST, appearing, sha256
from model.lora import read
from model.presets import Precision
from model.quantize import nf4
from model.weights import PreparedWeights, Progress, WeightsError, digest_of

LANGUAGE, ADAPTER = "language", "adapter"
"""Folders below the one that `merge` writes."""
FP32_BYTES = 4
"""Of a parameter."""
SHARD = "4GB"
"""Largest file of weights."""
WHAT, STEPS = "Merging", 4


@dataclass(frozen=True)
class Merged:
    """What `merge` wrote."""

    language: Path
    """In the hub's form, fp32: `jnana models pull PRESET --language-model` takes it."""
    adapter: Adapter | None
    """The projector, for that language model; None: there is none."""
    base: Precision
    """Of the weights that the LoRA was added to."""


def merge(adapter: Adapter, weights: PreparedWeights, target: Path, progress: Progress) -> Merged:
    """Add an adapter's LoRA, which must fit `weights`, to the language model, in fp32: W x + B A x becomes (W + B A) x.

    What was trained on NF4 is added to what NF4 leaves of the weights, not to the weights themselves: LoRA learnt to make
    good the difference. Blocking, minutes for phi-2; memory for two fp32 copies. Raises WeightsError.
    """
    if adapter.lora is None:
        raise WeightsError(f"The adapter {adapter.name} has no LoRA weights, only a projector: there is nothing to merge.")
    if target.exists():
        raise WeightsError(f"{target} is there already: name a new folder.")
    _need_space(weights.language, target)
    with disk(target), appearing(target) as folder, quiet():
        progress(WHAT, 0, STEPS)
        text = _as_the_adapter_knew_it(weights.language, adapter.card.base.precision)
        progress(WHAT, 1, STEPS)
        merged = _added(adapter, text)
        progress(WHAT, 2, STEPS)
        language = folder / LANGUAGE
        merged.save_pretrained(language, max_shard_size=SHARD)
        for file in _other_files(weights.language):
            shutil.copyfile(file, language / file.name)
        progress(WHAT, 3, STEPS)
        if adapter.projector is not None:
            Adapter.save(folder / ADAPTER, _card(adapter, language), projector=load_file(adapter.projector), lora=None)
    progress(WHAT, STEPS, STEPS)
    return Merged(target / LANGUAGE, Adapter.open(target / ADAPTER) if adapter.projector else None, adapter.card.base.precision)


def _as_the_adapter_knew_it(folder: Path, precision: Precision) -> PreTrainedModel:
    """The language model in fp32; weights that the adapter knew in 4 bits are rounded to what those 4 bits say."""
    if precision == "nf4":
        quantised = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **nf4(torch.device("cpu")))
        text: PreTrainedModel = quantised.dequantize().float()
    else:
        text = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    text.config.dtype = torch.float32
    return text


def _added(adapter: Adapter, text: PreTrainedModel) -> PreTrainedModel:
    config, _ = read(adapter.folder)
    try:
        with_lora = PeftModel.from_pretrained(text, str(adapter.folder), config=config)
        merged: PreTrainedModel = with_lora.merge_and_unload(safe_merge=True)
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsError(f"The LoRA weights in {adapter.folder} cannot be merged ({error}).") from error
    return merged


def _card(adapter: Adapter, language: Path) -> Card:
    digests = {file.name: sha256(file) for file in language.glob("*.safetensors")}
    base = adapter.card.base
    return adapter.card.model_copy(
        update={
            "name": f"{adapter.name[:57]}-merged",
            "created": datetime.now(UTC).replace(microsecond=0),
            "stage": "merged",
            "base": BaseModelCard(name=f"{base.name} + {adapter.name}", sha256=digest_of(digests), precision="fp32"),
            "parent": adapter.sha256,
            "metrics": {},
            "text_only": "adapter",  # it cannot be switched off any more
        }
    )


def _other_files(folder: Path) -> Iterator[Path]:
    """The tokenizer and what else belongs to a language model, besides weights and configuration."""
    ours = ("config.json", "generation_config.json", MANIFEST)
    for path in folder.iterdir():
        if path.suffix in (".json", ".txt", ".jinja") and path.name not in ours and "safetensors" not in path.name:
            yield path


def _need_space(language: Path, target: Path) -> None:
    needed = FP32_BYTES * sum(_parameters(file) for file in language.glob("*.safetensors"))
    parent = next(path for path in target.absolute().parents if path.exists())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise WeightsError(
            f"The disk of {parent} is too full: the merged model needs {needed / 1e6:.0f} MB, "
            f"and {free / 1e6:.0f} MB are free; make room or name a folder on another disk."
        )


def _parameters(file: Path) -> int:
    with safe_open(file, "pt") as weights:
        return sum(torch.Size(weights.get_slice(name).get_shape()).numel() for name in weights.keys())  # noqa: SIM118
