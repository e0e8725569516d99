"""LoRA merged into the language model: a folder that loads anywhere, without peft, and a projector artefact that fits it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from model.adapters import Adapter, Card, disk
from model.convert import quiet
from model.files import appearing, sha256
from model.mind import load_projector
from model.presets import Precision, Preset
from model.quantize import NF4, Placement
from model.weights import PreparedWeights, Progress, WeightsError

LANGUAGE, ADAPTER = "language", "adapter"
"""Folders below the one that `merge` writes."""
FP32_BYTES = 4
"""A parameter."""
SHARD = "4GB"
"""Largest file of weights: what every file system takes."""

WHAT, STEPS = "Merging", 3


@dataclass(frozen=True)
class Merged:
    """What `merge` wrote."""

    language: Path
    """In the hub's form, fp32: `jnana models pull PRESET --language-model` takes it."""
    adapter: Adapter | None
    """The projector, for that language model; None: the adapter has none."""
    base: Precision
    """What it was merged into: the weights as the adapter knew them."""


def merge(adapter: Adapter, preset: Preset, weights: PreparedWeights, target: Path, progress: Progress) -> Merged:
    """Add the LoRA to the weights, in fp32: y = W x + B A x becomes y = (W + B A) x, exact to rounding.

    What was trained on NF4 is merged into what NF4 makes of the weights, not into the weights themselves: LoRA learnt to
    make good the difference. Blocking, minutes. Raises WeightsError.
    """
    if adapter.lora is None:
        raise WeightsError(f"The adapter {adapter.name} has no LoRA weights, only a projector: there is nothing to merge.")
    _need_space(weights.language, target)
    precision = adapter.card.base.precision
    with disk(target), appearing(target) as folder, quiet():
        progress(WHAT, 0, STEPS)
        text = _full_width(weights.language, precision)
        progress(WHAT, 1, STEPS)
        merged = PeftModel.from_pretrained(text, str(adapter.folder)).merge_and_unload(safe_merge=True)
        progress(WHAT, 2, STEPS)
        language = folder / LANGUAGE
        merged.save_pretrained(language, max_shard_size=SHARD)
        for file in _tokenizer_files(weights.language):
            shutil.copyfile(file, language / file.name)
        if adapter.projector is not None:
            projector = load_projector(adapter.projector, weights.tower, merged)
            card = _card_for(adapter, language)
            Adapter.save(folder / ADAPTER, card, projector=projector, language=None)
    progress(WHAT, STEPS, STEPS)
    return Merged(target / LANGUAGE, Adapter.open(target / ADAPTER) if adapter.projector else None, precision)
