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
from tests.training.test_stages import train, trained
from training.base import Base
from training.config import Instruct
from training.data.features import FeatureCache
from training.mind_task import MindTask

WIDTH = 64
"""bitsandbytes quantises blocks of 64."""


def made(tmp_path: Path) -> Base:
    """The same one every time."""
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


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def task_on(base: Base, folder: Path, run: Instruct) -> MindTask:
    records = minds.conversations(minds.pictures(folder))
    return minds.task(run, base, FeatureCache(folder / "cache", 49, clip_config().hidden_size), records, records[:1])


def test_lora_learns_beside_weights_of_four_bits(tmp_path: Path) -> None:
    run = minds.instruct(quantize="nf4", lora={"rank": 2, "alpha": 4, "targets": ["q_proj", "fc1"]}, projector_lr=None)
    base = made(tmp_path)
    task = task_on(base, tmp_path, run)
    assert isinstance(base.model.model.language_model.layers[0].self_attn.q_proj, Linear4bit)
    task.module(**task.train.collate([0, 1]).inputs).backward()
    learning = {name: weight for name, weight in task.module.named_parameters() if weight.requires_grad}
    assert all(".lora_" in name and weight.dtype == torch.float32 for name, weight in learning.items())
    assert any(weight.grad.abs().sum() > 0 for weight in learning.values())


def test_a_resumed_run_on_four_bits_is_bit_for_bit_the_uninterrupted_one(tmp_path: Path) -> None:
    run = minds.instruct(quantize="nf4")
    tasks = []
    for folder, stop_after in (("whole", None), ("parts", 4), ("parts", None)):
        tasks.append(task_on(made(tmp_path), tmp_path, run))
        heard = train(tmp_path / folder, tasks[-1], run, stop_after)
    assert [figures.step for figures in heard.steps] == [5, 6]
    whole, _, again = (trained(task) for task in tasks)
    assert any(value.abs().sum() > 0 for name, value in whole.items() if "lora_B" in name)
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
