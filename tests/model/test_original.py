"""The original's published checkpoint, made here at a tiny width: PEFT's folder with a resized embedding, two .pth files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from model import lora, original
from model.adapters import Adapter
from model.mind import Message, Mind
from model.original import Imported
from model.presets import PHI2
from model.weights import PreparedWeights, WeightsError
from tests.model import tiny_home
from tests.model.test_adapters import WITH_PHOTO, load

torch.set_num_threads(1)
ROWS = 290
"""Of the resized vocabulary: fewer than the base has."""
SIX = ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]


class Block(nn.Module):
    """Named as in the original's app.py."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pre_norm = nn.LayerNorm(width)
        self.proj = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pre_norm(x)
        added: torch.Tensor = x + self.proj(x)
        return added


@dataclass
class Checkpoint:
    folder: Path
    linear: Path
    block: Path
    text: Any
    """The original's language model: PEFT around a resized phi."""
    project: Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> PreparedWeights:
    return tiny_home.prepared(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def checkpoint(weights: PreparedWeights, tmp_path: Path) -> Checkpoint:
    torch.manual_seed(7)
    text: Any = tiny_home.plain(weights)
    text.resize_token_embeddings(ROWS)
    text = get_peft_model(text, LoraConfig(r=4, lora_alpha=16, target_modules=SIX, task_type="CAUSAL_LM"))
    for name, parameter in text.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.2)
    folder = tmp_path / "published"
    text.save_pretrained(folder, save_embedding_layers=True)
    vision, width = tiny_home.WIDTHS
    linear, block = nn.Linear(vision, width), Block(width)
    nn.init.normal_(block.pre_norm.weight)
    torch.save(linear.state_dict(), tmp_path / "ll.pth")
    torch.save(block.state_dict(), tmp_path / "projmodel.pth")
    return Checkpoint(folder, tmp_path / "ll.pth", tmp_path / "projmodel.pth", text.eval(), lambda x: block(linear(x)))


def take(checkpoint: Checkpoint, weights: PreparedWeights, target: Path, *files: Path, force: bool = False) -> Imported:
    chosen = files or (checkpoint.linear, checkpoint.block)
    read = original.Checkpoint.read(checkpoint.folder, chosen)
    return original.import_original(read, PHI2, weights, target, name="original", force=force)


def test_the_imported_mind_computes_what_the_original_did(
    checkpoint: Checkpoint, weights: PreparedWeights, tmp_path: Path
) -> None:
    done = take(checkpoint, weights, tmp_path / "original")
    assert (done.difference, done.rows) == (0.0, ROWS)
    names = load_file(tmp_path / "original" / "adapter_model.safetensors")
    assert all("lora_" in name for name in names)
    assert len(names) == 2 * len(SIX) * 2
    card = done.adapter.card
    assert (card.base.precision, card.tower.layer, card.tower.fit, card.template.name) == ("nf4", -1, "crop", "original")

    mind = on_full_width(done.adapter, weights, tmp_path)
    prompt = mind.encode(WITH_PHOTO, max_new_tokens=1)
    assert mind.tokenizer.decode(prompt.input_ids[0]) == f"{'<image>' * 49}caption image:What is this?end of question:"
    assert prompt.vision_features is not None
    embed = checkpoint.text.get_input_embeddings()
    words = embed(prompt.input_ids[:, 49:])
    theirs = checkpoint.text(inputs_embeds=torch.cat([checkpoint.project(prompt.vision_features), words], 1)).logits
    ours = mind.model(input_ids=prompt.input_ids, vision_features=prompt.vision_features).logits
    torch.testing.assert_close(ours[..., :ROWS], theirs, rtol=1e-5, atol=1e-5)


def on_full_width(adapter: Adapter, weights: PreparedWeights, tmp_path: Path) -> Mind:
    """Loaded in fp32, which an adapter from 4 bits refuses, so that numbers can be compared."""
    full = tmp_path / "full"
    text = tiny_home.plain(weights)
    tiny_home.load_lora(text, adapter.folder)
    assert adapter.projector
    base = adapter.card.base.model_copy(update={"precision": "fp32"})
    card = adapter.card.model_copy(update={"base": base})
    Adapter.save(full, card, projector=load_file(adapter.projector), lora=lora.extract(text))
    return load(weights, full)


def test_served_single_turn_with_earlier_turns_in_front(
    checkpoint: Checkpoint, weights: PreparedWeights, tmp_path: Path
) -> None:
    mind = on_full_width(take(checkpoint, weights, tmp_path / "original").adapter, weights, tmp_path)
    talk = [*WITH_PHOTO, Message("assistant", ("A cat.",)), Message("user", ("Sure?",))]
    text = str(mind.tokenizer.decode(mind.encode(talk, max_new_tokens=1).input_ids[0]))
    assert text.endswith("caption image:What is this?end of question:A cat.<|endoftext|>Sure?end of question:")


def test_pickled_weights_and_files_in_another_order_do_as_well(
    checkpoint: Checkpoint, weights: PreparedWeights, tmp_path: Path
) -> None:
    expected = take(checkpoint, weights, tmp_path / "one").adapter
    tensors = load_file(checkpoint.folder / "adapter_model.safetensors")
    (checkpoint.folder / "adapter_model.safetensors").unlink()
    torch.save(tensors, checkpoint.folder / "adapter_model.bin")
    again = take(checkpoint, weights, tmp_path / "two", checkpoint.block, checkpoint.linear).adapter
    for file in ("adapter_model.safetensors", "projector.safetensors"):
        assert (again.folder / file).read_bytes() == (expected.folder / file).read_bytes()


def resized(checkpoint: Checkpoint, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    file = checkpoint.folder / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


EMBEDDING = "base_model.model.model.embed_tokens.weight"


def test_an_embedding_that_was_rounded_is_the_bases(checkpoint: Checkpoint, weights: PreparedWeights, tmp_path: Path) -> None:
    resized(checkpoint, lambda tensors: tensors.update({EMBEDDING: tensors[EMBEDDING].bfloat16()}))
    assert 0 < (take(checkpoint, weights, tmp_path / "original").difference or 0) < 2**-8


def test_another_embedding_is_refused_unless_forced(checkpoint: Checkpoint, weights: PreparedWeights, tmp_path: Path) -> None:
    def one_row(tensors: dict[str, torch.Tensor]) -> None:
        tensors[EMBEDDING][17] *= 1.05

    resized(checkpoint, one_row)
    with pytest.raises(WeightsError, match=r"differs from that in .* by up to 5\.00% of a row .* or give --force"):
        take(checkpoint, weights, tmp_path / "original")
    assert not (tmp_path / "original").exists()
    assert take(checkpoint, weights, tmp_path / "original", force=True).difference == pytest.approx(0.05, rel=1e-3)


def test_more_rows_than_the_base_has_are_refused(checkpoint: Checkpoint, weights: PreparedWeights, tmp_path: Path) -> None:
    resized(checkpoint, lambda tensors: tensors.update({EMBEDDING: torch.ones(400, 32)}))
    with pytest.raises(WeightsError, match=r"embed_tokens.weight has the shape \(400, 32\), which is no part of that in"):
        take(checkpoint, weights, tmp_path / "original")


def wider(checkpoint: Checkpoint) -> None:
    for file, module in ((checkpoint.linear, nn.Linear(tiny_home.WIDTHS[0], 40)), (checkpoint.block, Block(40))):
        torch.save(module.state_dict(), file)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda c: shutil.rmtree(c.folder), "adapter_config.json is missing"),
        (lambda c: (c.folder / "adapter_model.safetensors").unlink(), "There is no file .*adapter_model.bin"),
        (lambda c: (c.folder / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "not about LoRA but"),
        (lambda c: (c.folder / "adapter_model.safetensors").write_bytes(b"x"), "cannot be read"),
        (lambda c: c.linear.unlink(), "There is no file .*ll.pth"),
        (lambda c: torch.save(Block(8), c.block), "does not hold plain weights .*save its state_dict"),
        (lambda c: c.block.write_bytes(b"nothing"), "does not hold plain weights"),
        (lambda c: torch.save({"step": 3}, c.block), "does not hold a state dict"),
        (lambda c: torch.save(nn.Linear(24, 32).state_dict(), c.block), "should hold one linear layer.*32x24, 32x24"),
        (lambda c: torch.save(nn.Linear(24, 32, bias=False).state_dict(), c.linear), "no part of a projector"),
        (wider, "goes from 24 to 40, and this preset's networks need 24 to 32"),
        (lambda c: resized(c, lambda tensors: tensors.popitem()), "do not fit this language model"),
    ],
)
def test_other_files_are_refused_with_a_sentence(
    harm: Callable[[Checkpoint], Any], said: str, checkpoint: Checkpoint, weights: PreparedWeights, tmp_path: Path
) -> None:
    harm(checkpoint)
    with pytest.raises(WeightsError, match=said):
        take(checkpoint, weights, tmp_path / "original")
    assert not (tmp_path / "original").exists()
