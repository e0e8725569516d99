"""Parameters and FLOPs, against the models themselves and torch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM, PhiConfig, PhiForCausalLM

from model.presets import PRESETS
from model.projector import Projector
from model.vision import EfficientNetLiteConfig, EfficientNetLiteModel
from training.config import Architecture
from training.flops import (
    CLIP_VIT_B32,
    EFFICIENTNET_LITE0,
    MINDS,
    PHI2,
    SMOLLM2_135M,
    LanguageShape,
    TowerShape,
    Work,
    forward_flops,
    projector_flops,
    training_flops,
)
from training.pretrain import phi_config

ROWS, LENGTH, LABELS = 2, 12, 7
TOKENS = ROWS * LENGTH
SIX = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")


def phi() -> PhiForCausalLM:
    config = PhiConfig(
        vocab_size=96, hidden_size=32, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
        attn_implementation="eager", resid_pdrop=0.0, embd_pdrop=0.0, tie_word_embeddings=False,
    )  # fmt: skip
    return PhiForCausalLM(config)


def llama() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
        attn_implementation="eager", tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def counted(model: Any, *, backward: bool, frozen: bool = False) -> int:
    """FLOPs of a pass over TOKENS, with LABELS places through the head."""
    model.train()
    inputs = torch.randn(ROWS, LENGTH, model.config.hidden_size, requires_grad=frozen)
    with FlopCounterMode(display=False) as counter:
        hidden = model.model(inputs_embeds=inputs, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden.reshape(TOKENS, -1)[:LABELS])
        if backward:
            logits.sum().backward()
    # Angles of the rotary embedding are a product too, of a thousandth of the whole.
    return counter.get_total_flops()


@pytest.fixture(params=[phi, llama], ids=["phi", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return request.param()


def test_forward_is_what_torch_counts(model: Any) -> None:
    shape = LanguageShape.of_config(model.config)
    assert forward_flops(shape, TOKENS, LENGTH, LABELS) == pytest.approx(counted(model, backward=False), rel=0.002)


def test_training_everything_is_three_forward_passes(model: Any) -> None:
    shape = LanguageShape.of_config(model.config)
    work = training_flops(shape, TOKENS, LENGTH, LABELS, frozen=False)
    # torch does not compute the gradient of what enters the first layer unless something in front learns.
    assert work.model == pytest.approx(counted(model, backward=True, frozen=True), rel=0.002)
    assert work.model == pytest.approx(3 * forward_flops(shape, TOKENS, LENGTH, LABELS))
    assert work.hardware == work.model


def test_a_frozen_model_behind_a_projector_has_no_gradients_of_weights(model: Any) -> None:
    model.requires_grad_(False)
    work = training_flops(LanguageShape.of_config(model.config), TOKENS, LENGTH, LABELS, frozen=True)
    assert work.model == pytest.approx(counted(model, backward=True, frozen=True), rel=0.002)


def test_lora_costs_its_own_matrices_three_times() -> None:
    torch.set_num_threads(1)
    model = phi()
    shape = LanguageShape.of_config(model.config)
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=4, target_modules=list(SIX)), model)
    lora = shape.lora_parameters(4, SIX)
    assert lora == sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    work = training_flops(shape, TOKENS, LENGTH, LABELS, frozen=True, lora=lora)
    assert work.model == pytest.approx(counted(model, backward=True, frozen=True), rel=0.002)


def test_checkpointing_is_work_of_the_hardware_only() -> None:
    torch.set_num_threads(1)
    model = phi()
    shape = LanguageShape.of_config(model.config)
    plain = training_flops(shape, TOKENS, LENGTH, LABELS, frozen=False)
    again = training_flops(shape, TOKENS, LENGTH, LABELS, frozen=False, checkpointing=True)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert again.model == plain.model
    # torch stops recomputing a layer at the last tensor that its backward pass needs, before the last product of the MLP.
    last = 2 * TOKENS * shape.layers * shape.hidden * shape.intermediate
    assert again.hardware - last == pytest.approx(counted(model, backward=True, frozen=True), rel=0.002)


def test_projector_is_what_torch_counts() -> None:
    torch.set_num_threads(1)
    mind = MINDS["pocket"]
    projector = Projector(mind.tower.width, mind.language.hidden)
    assert sum(parameter.numel() for parameter in projector.parameters()) == mind.projector
    with FlopCounterMode(display=False) as counter:
        projector(torch.randn(2, mind.tower.tokens, mind.tower.width)).sum().backward()
    assert projector_flops(mind, pictures=2) == Work(counter.get_total_flops(), counter.get_total_flops())


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_default_architecture_is_phi_2() -> None:
    with torch.device("meta"):
        model = PhiForCausalLM(phi_config(Architecture()))
    assert parameters(model) == PHI2.parameters == 2_779_683_840
    assert LanguageShape.of_config(model.config) == PHI2
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=64, target_modules=list(SIX)), model)
    learnt = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert learnt == PHI2.lora_parameters(64, SIX) == 94_371_840


def test_the_projector_of_phi2_is_the_originals() -> None:
    with torch.device("meta"):
        assert parameters(Projector(CLIP_VIT_B32.width, PHI2.hidden)) == MINDS["phi2"].projector == 15_086_080


def test_minds_are_the_presets() -> None:
    assert set(MINDS) == set(PRESETS)
    for name, mind in MINDS.items():
        assert mind.tower.tokens == PRESETS[name].image_tokens


def test_pocket_is_smollm2() -> None:
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        assert parameters(LlamaForCausalLM(config)) == SMOLLM2_135M.parameters == 134_515_008
    assert LanguageShape.of_config(config) == SMOLLM2_135M


def towers() -> list[tuple[TowerShape, nn.Module]]:
    clip = CLIPVisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        patch_size=32,
        attn_implementation="eager",
    )
    lite = EfficientNetLiteConfig(id2label={number: str(number) for number in range(1000)})
    with torch.device("meta"):
        return [(CLIP_VIT_B32, CLIPVisionModel(clip)), (EFFICIENTNET_LITE0, EfficientNetLiteModel(lite))]


@pytest.mark.parametrize(("shape", "tower"), towers(), ids=["clip", "efficientnet-lite"])
def test_looking_at_a_picture_is_what_torch_counts(shape: TowerShape, tower: nn.Module) -> None:
    assert parameters(tower) == shape.parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tower.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() == pytest.approx(shape.flops)
