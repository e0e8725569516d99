"""A tiny mind to train: random phi, CLIP and tokenizer of bytes, everything around them real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import CLIPVisionModel, PhiConfig, PhiForCausalLM

from model.modeling import JnanaForConditionalGeneration
from model.presets import ORIGINAL_TEMPLATE, PHI2
from model.projector import Projector
from model.prompt import PromptWriter
from model.vision import Preprocessing
from model.weights import Progress
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer
from tests.model.tiny import PHI, clip_config
from training import align as stage_one
from training import instruct as stage_two
from training.base import Base
from training.config import Align, Files, Instruct
from training.data.features import FeatureCache
from training.data.loading import pictures_of
from training.data.records import Captioned, Conversation, Origin, Said
from training.mind_task import MindTask

PRESET = replace(PHI2, chat_template=PHI2.adapter_template)
COMMON: dict[str, Any] = {
    "model": "phi2",
    "max_length": 200,
    "data": {"train": [{"format": "captions", "file": "a"}], "validation": [{"format": "captions", "file": "b"}]},
    "steps": 6,
    "batch": {"size": 4, "micro": 2},
    "optimizer": {"lr": 1e-2, "warmup_steps": 1},
    "checkpoints": {"every": 100},
    "validation": {"every": 100, "samples": 1},
}


class Weights:
    """Of a preset that lies nowhere."""

    def sha256(self, part: str) -> str:
        return part


@dataclass(frozen=True)
class Start:
    """The artefact of a stage 1 whose projector is in the model already."""

    projector: Path = Path("projector.safetensors")
    lora: None = None
    sha256: str = "start"


def align(**changes: Any) -> Align:
    return Align.model_validate({"stage": "align", "template": "chat", **COMMON, **changes})


def instruct(**changes: Any) -> Instruct:
    lora = {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ["q_proj", "fc1"]}
    data = {key: [{"format": "llava", "file": key}] for key in ("train", "validation")}
    return Instruct.model_validate(
        {"stage": "instruct", "template": "chat", **COMMON, "data": data, "lora": lora, "projector_lr": 1e-3, **changes}
    )


def base(template: str = "chat") -> Base:
    preset = replace(PRESET, chat_template=ORIGINAL_TEMPLATE) if template == "original" else PRESET
    torch.manual_seed(0)
    text = PhiForCausalLM(PhiConfig(**{**PHI, "vocab_size": VOCABULARY_ROWS}))
    tower = CLIPVisionModel(clip_config())
    writer = PromptWriter(tokenizer(), preset, VOCABULARY_ROWS)
    projector = Projector(clip_config().hidden_size, PHI["hidden_size"])
    model = JnanaForConditionalGeneration.assemble(text, tower, projector, image_token_index=writer.image_token_id)
    nn.Module.requires_grad_(model, False)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.generation_config.eos_token_id = list(writer.stop_token_ids)
    return Base(preset, Weights(), model, writer, Preprocessing.for_tower(tower.config), Start())  # type: ignore[arg-type]


def pictures(folder: Path, count: int = 6) -> list[Path]:
    paths = []
    for number in range(count):
        paths.append(folder / f"{number}.png")
        Image.new("RGB", (20 + number, 20), (40 * number, 255 - 40 * number, 90)).save(paths[-1])
    return paths


def captioned(paths: Sequence[Path]) -> list[Captioned]:
    words = ("a cat.", "two dogs run", "red", "a very long caption of a house", "no", "sky above")
    return [Captioned(Origin(Path("captions.jsonl"), at + 1), path, (words[at % len(words)],)) for at, path in enumerate(paths)]


def conversations(paths: Sequence[Path]) -> list[Conversation]:
    made = []
    for at, path in enumerate(paths):
        messages = (
            Said("user", "What?", 1),
            Said("assistant", f"Thing {at}."),
            Said("user", "Sure?"),
            Said("assistant", "Yes."),
        )
        made.append(Conversation(Origin(Path("talk.json"), at + 1), (path,), messages))
    made.append(Conversation(Origin(Path("talk.json"), 99), (), (Said("user", "Hi"), Said("assistant", "Hello."))))
    return made


def source(stage: str, file: Path, paths: Sequence[Path], **settings: Any) -> Files:
    """A file with a record a picture, for a stage."""
    talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A thing."}]
    told = {"caption": "A thing."} if stage == "align" else {"conversations": talk}
    file.write_text("".join(json.dumps({"image": str(path), **told}) + "\n" for path in paths))
    return Files(format="captions" if stage == "align" else "llava", file=file, **settings)


def task(
    run: Align | Instruct,
    base: Base,
    cache: FeatureCache,
    train: Sequence[Any],
    validation: Sequence[Any],
    progress: Progress = lambda what, done, total: None,
) -> MindTask:
    """The stage's task, once all pictures are in the cache."""
    assert not cache.fill([path for record in [*train, *validation] for path in pictures_of(record)], base.look)
    if isinstance(run, Align):
        return stage_one.build(run, base, cache, train, validation, "data", progress)
    return stage_two.build(run, base, cache, train, validation, "data", progress)
