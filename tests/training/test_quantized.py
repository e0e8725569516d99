"""Stage 2 on a language model in 4 bits, which bitsandbytes computes on CPUs too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft.tuners.lora.bnb import Linear4bit
from transformers import AutoModelForCausalLM, CLIPVisionModel, PhiConfig, PhiForCausalLM

from model.modeling import JnanaForConditionalGeneration
from model.projector import Projector
from model.prompt import PromptWriter
from model.quantize import nf4
from model.vision import Preprocessing
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer
from tests.model.tiny import clip_config
from tests.training import minds
from training.base import Base
from training.data.features import FeatureCache

WIDTH = 64
"""bitsandbytes quantises blocks of 64."""


@pytest.fixture
def base(tmp_path: Path) -> Base:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY_ROWS, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2}
    PhiForCausalLM(PhiConfig(**sizes, num_attention_heads=4)).save_pretrained(tmp_path / "phi")
    text = AutoModelForCausalLM.from_pretrained(tmp_path / "phi", **nf4(torch.device("cpu")))
    tower = CLIPVisionModel(clip_config())
    writer = PromptWriter(tokenizer(), minds.PRESET, VOCABULARY_ROWS)
    projector = Projector(clip_config().hidden_size, WIDTH)
    model = JnanaForConditionalGeneration.assemble(text, tower, projector, image_token_index=writer.image_token_id)
    torch.nn.Module.requires_grad_(model, False)
    looks = Preprocessing.for_tower(tower.config)
    return Base(minds.PRESET, minds.Weights(), model, writer, looks, minds.Start())  # type: ignore[arg-type]


def test_lora_learns_beside_weights_of_four_bits(base: Base, tmp_path: Path) -> None:
    run = minds.instruct(quantize="nf4", lora={"rank": 2, "alpha": 4, "targets": ["q_proj", "fc1"]}, projector_lr=None)
    records = minds.conversations(minds.pictures(tmp_path))
    cache = FeatureCache(tmp_path / "cache", 49, clip_config().hidden_size)
    task = minds.task(run, base, cache, records, records[:1])
    assert isinstance(base.model.model.language_model.layers[0].self_attn.q_proj, Linear4bit)
    task.module(**task.train.collate([0, 1]).inputs).backward()
    learning = {name: weight for name, weight in task.module.named_parameters() if weight.requires_grad}
    assert all(".lora_" in name and weight.dtype == torch.float32 for name, weight in learning.items())
    assert any(weight.grad.abs().sum() > 0 for weight in learning.values())
