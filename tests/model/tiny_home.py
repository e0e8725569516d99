"""A data folder with a tiny phi2 in it, pulled from local folders, and adapters for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import AutoModelForCausalLM, CLIPVisionModel, PhiConfig, PhiForCausalLM, PreTrainedModel

from model.adapters import Adapter, Card, Source, Template
from model.lora import extract, put, read
from model.presets import END_OF_TURN, PHI2, PHI2_ADAPTER_TEMPLATE, Part
from model.projector import Projector
from model.weights import PreparedWeights, pull
from tests.model import tiny
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer

WIDTHS = (tiny.clip_config().hidden_size, tiny.PHI["hidden_size"])
TEMPLATE = Template(name="chat", text=PHI2_ADAPTER_TEMPLATE, end_of_turn=END_OF_TURN)


def nothing(what: str, done: int, total: int) -> None:
    """No progress."""


def local(root: Path, seed: int = 0, **text: int) -> dict[Part, Path]:
    """The three repositories of phi2, tiny."""
    torch.manual_seed(seed)
    folders: dict[Part, Path] = {"language": root / "language", "tower": root / "tower", "speech": root / "speech"}
    phi = PhiForCausalLM(PhiConfig(**{**tiny.PHI, "vocab_size": VOCABULARY_ROWS, **text}))
    nn.init.normal_(phi.lm_head.bias)
    phi.save_pretrained(folders["language"])
    tokenizer().save_pretrained(folders["language"])
    CLIPVisionModel(tiny.clip_config()).save_pretrained(folders["tower"])
    folders["speech"].mkdir()
    (folders["speech"] / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    for file in ("tokenizer.json", "vocabulary.json"):
        (folders["speech"] / file).write_text("{}")
    (folders["speech"] / "model.bin").write_bytes(b"ctranslate2")
    return folders


def prepared(root: Path, seed: int = 0, **text: int) -> PreparedWeights:
    """What is in `root`/home afterwards."""
    return pull(PHI2, root / "home", local(root / f"local{seed}", seed, **text), nothing)


def plain(weights: PreparedWeights) -> PreTrainedModel:
    text: PreTrainedModel = AutoModelForCausalLM.from_pretrained(weights.language, dtype=torch.float32)
    return text.eval()


def with_lora(text: PreTrainedModel, *, seed: int = 5, **changes: Any) -> PreTrainedModel:
    """LoRA that has learnt something, put into the model without its head, as training does it."""
    torch.manual_seed(seed)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "fc1", "dense"], "task_type": "CAUSAL_LM", **changes}
    )
    inject_adapter_in_model(config, text.base_model)
    for name, parameter in text.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.3)
    return text.eval()


def load_lora(text: PreTrainedModel, folder: Path) -> None:
    """An artefact's, into a text model with its head."""
    put(text, *read(folder), folder)


def projector(seed: int = 5) -> Projector:
    torch.manual_seed(seed + 1)
    return Projector(*WIDTHS)


def card(weights: PreparedWeights, **changes: Any) -> Card:
    return Card.describe(
        PHI2,
        weights,
        **{
            "precision": "fp32",
            "layer": -1,
            "fit": "pad",
            "name": "toy",
            "stage": "instruct",
            "template": TEMPLATE,
            "data": (Source(name="toys", licence="MIT"),),
            "metrics": {"loss": 1.5},
            **changes,
        },
    )


def adapter(target: Path, weights: PreparedWeights, *, seed: int = 5, **changes: Any) -> Adapter:
    """LoRA and projector."""
    lora = extract(with_lora(plain(weights), seed=seed).base_model)
    return Adapter.save(target, card(weights, **changes), projector=projector(seed).state_dict(), lora=lora)
