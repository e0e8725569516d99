"""What stages 1 and 2 start from, loaded from folders like those of a preset."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPVisionModel, PhiConfig, PhiForCausalLM

from model.projector import Projector
from model.prompt import PromptWriter
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer
from tests.model.tiny import PHI, clip_config
from tests.training import minds
from training.base import load_base
from training.data.features import FeatureCache

WIDTH = 64
"""bitsandbytes quantises blocks of 64."""
CPU = torch.device("cpu")


def nothing(what: str, done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset's folders, and the projector of a stage 1."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {**PHI, "vocab_size": VOCABULARY_ROWS, "hidden_size": WIDTH, "intermediate_size": WIDTH}
    PhiForCausalLM(PhiConfig(**sizes)).save_pretrained(tmp_path / "language")
    CLIPVisionModel(clip_config()).save_pretrained(tmp_path / "tower")
    save_file(Projector(clip_config().hidden_size, WIDTH).state_dict(), tmp_path / "projector.safetensors")
    folders = SimpleNamespace(language=tmp_path / "language", tower=tmp_path / "tower", sha256=minds.Weights().sha256)
    writer = PromptWriter(tokenizer(), minds.PRESET, VOCABULARY_ROWS)
    monkeypatch.setattr("training.base.load_writer", lambda *run: (minds.PRESET, folders, writer))
    card = SimpleNamespace(tower=SimpleNamespace(layer=-1, fit="preset"))
    start = SimpleNamespace(projector=tmp_path / "projector.safetensors", lora=None, card=card, sha256="start")
    monkeypatch.setattr("training.base.open_fitting", lambda *start_of: start)


def test_all_of_a_base_is_on_the_device_that_it_was_asked_for(tmp_path: Path) -> None:
    """The meta device stands for a GPU."""
    start = tmp_path / "start"
    for run in (minds.align(projector_init="torch_default"), minds.align(start=start), minds.instruct(start=start)):
        base = load_base(run, tmp_path, torch.device("meta"), nothing)
        assert {weight.device.type for weight in base.model.parameters()} == {"meta"}


def test_four_bits_learn_after_a_validation_what_they_learn_before(tmp_path: Path) -> None:
    """Also on a CPU with bf16 units, where bitsandbytes has a product of its own for eval mode."""
    lora = {"rank": 2, "alpha": 4, "targets": ["q_proj", "fc1"]}
    run = minds.instruct(quantize="nf4", start=tmp_path / "start", lora=lora)
    base = load_base(run, tmp_path, CPU, nothing)
    records = minds.conversations(minds.pictures(tmp_path))
    task = minds.task(run, base, FeatureCache(tmp_path / "cache", 49, clip_config().hidden_size), records, records[:1])
    inputs = task.train.collate([0, 1]).inputs
    gradients = []
    for _ in range(2):
        task.module.zero_grad()
        task.module(**inputs).backward()
        gradients.append([weight.grad.clone() for weight in task.module.parameters() if weight.requires_grad])
        task.module.eval()
        with torch.no_grad():
            task.module(**inputs)
        task.module.train()
    assert all(torch.equal(before, after) for before, after in zip(*gradients, strict=True))
    assert any(gradient.abs().sum() > 0 for gradient in gradients[0])
