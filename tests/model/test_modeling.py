"""The multimodal model on tiny random configurations, and the real projector's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from model.modeling import JnanaConfig, JnanaForConditionalGeneration
from model.projector import Projector
from tests.model import tiny

TEXTS = pytest.mark.parametrize("text", [tiny.phi_config, tiny.llama_config], ids=["phi", "llama"])
TOWERS = pytest.mark.parametrize("tower", [tiny.clip_config, tiny.lite_config], ids=["clip", "efficientnet-lite"])


def test_text_only_logits_equal_phis_bias_included() -> None:
    phi = PhiForCausalLM(tiny.phi_config()).eval()
    torch.nn.init.normal_(phi.lm_head.bias)
    tower = CLIPVisionModel(tiny.clip_config())
    model = JnanaForConditionalGeneration.assemble(phi, tower, Projector(24, 32), image_token_index=tiny.IMAGE_TOKEN_ID)
    ids = torch.randint(0, 100, (2, 9))
    assert torch.equal(model(input_ids=ids).logits, phi(ids).logits)


def test_phis_bias_survives_saving(tmp_path: Path) -> None:
    phi = PhiForCausalLM(tiny.phi_config()).eval()
    torch.nn.init.normal_(phi.lm_head.bias)
    JnanaForConditionalGeneration.assemble(phi, CLIPVisionModel(tiny.clip_config()), None).save_pretrained(tmp_path)
    loaded = JnanaForConditionalGeneration.from_pretrained(tmp_path)
    ids = torch.randint(0, 100, (1, 9))
    torch.testing.assert_close(loaded(input_ids=ids).logits, phi(ids).logits)


def test_head_has_a_bias_only_where_the_text_model_has_one() -> None:
    assert tiny.model(tiny.phi_config(), tiny.clip_config()).lm_head.bias is not None
    assert tiny.model(tiny.llama_config(), tiny.clip_config()).lm_head.bias is None


def test_tied_embeddings_stay_tied_and_are_stored_once(tmp_path: Path) -> None:
    text = LlamaForCausalLM(tiny.llama_config())
    tower = AutoModel.from_config(tiny.lite_config())
    JnanaForConditionalGeneration.assemble(text, tower, Projector(16, 32)).save_pretrained(tmp_path)
    loaded = JnanaForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.lm_head.weight is loaded.get_input_embeddings().weight
    ids = torch.randint(0, 100, (1, 9))
    torch.testing.assert_close(loaded(input_ids=ids).logits, text(ids).logits)


@TEXTS
@TOWERS
def test_save_load_generate_round_trip(text: Any, tower: Any, tmp_path: Path) -> None:
    model = tiny.model(text(), tower())
    model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is JnanaConfig
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert type(loaded) is JnanaForConditionalGeneration
    ids, pixels = tiny.prompt(2), torch.randn(2, 3, 224, 224)
    torch.testing.assert_close(
        loaded(input_ids=ids, pixel_values=pixels).logits, model(input_ids=ids, pixel_values=pixels).logits
    )
    before = model.generate(ids, pixel_values=pixels, max_new_tokens=6, do_sample=False)
    after = loaded.generate(ids, pixel_values=pixels, max_new_tokens=6, do_sample=False)
    assert before.shape[1] > ids.shape[1]
    assert torch.equal(before, after)


@TOWERS
def test_cached_features_equal_pixels(tower: Any) -> None:
    model = tiny.model(tiny.phi_config(), tower())
    ids, pixels = tiny.prompt(2), torch.randn(2, 3, 224, 224)
    features = model.model.vision_features(pixels)
    assert features.shape[:2] == (2, 49)
    assert torch.equal(model(input_ids=ids, vision_features=features).logits, model(input_ids=ids, pixel_values=pixels).logits)
    assert torch.equal(
        model.generate(ids, vision_features=features, max_new_tokens=6, do_sample=False),
        model.generate(ids, pixel_values=pixels, max_new_tokens=6, do_sample=False),
    )


def test_pictures_change_the_answer() -> None:
    model = tiny.model(tiny.phi_config(), tiny.clip_config())
    ids = tiny.prompt(1)
    one, other = (model(input_ids=ids, vision_features=torch.randn(1, 49, 24)).logits[0, -1] for _ in range(2))
    assert not torch.allclose(one, other)


def test_clip_gives_patches_of_the_chosen_layer_without_cls() -> None:
    model = tiny.model(tiny.phi_config(), tiny.clip_config())
    pixels = torch.randn(1, 3, 224, 224)
    hidden = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states
    assert torch.equal(model.model.vision_features(pixels), hidden[-2][:, 1:])


@TOWERS
def test_batch_of_pictures_equals_one_by_one(tower: Any) -> None:
    model = tiny.model(tiny.phi_config(), tower())
    pixels = torch.randn(3, 3, 224, 224)
    one_by_one = torch.cat([model.model.vision_features(pixels[index : index + 1]) for index in range(3)])
    torch.testing.assert_close(model.model.vision_features(pixels), one_by_one)
    ids = tiny.prompt(1).repeat(3, 1)
    together = model(input_ids=ids, pixel_values=pixels).logits
    apart = torch.cat([model(input_ids=ids[:1], pixel_values=pixels[index : index + 1]).logits for index in range(3)])
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("wrong", [lambda ids: ids[:, 1:], lambda ids: torch.cat([ids[:, :1], ids], 1)], ids=["48", "50"])
def test_wrong_number_of_placeholders_is_a_clear_error(wrong: Any) -> None:
    model = tiny.model(tiny.phi_config(), tiny.clip_config())
    with pytest.raises(ValueError, match=r"has (48|50) image placeholders, but its pictures make 49 tokens"):
        model(input_ids=wrong(tiny.prompt(1)), pixel_values=torch.randn(1, 3, 224, 224))


def test_without_a_projector_pictures_are_refused_and_text_works() -> None:
    text = LlamaForCausalLM(tiny.llama_config())
    model = JnanaForConditionalGeneration.assemble(text, AutoModel.from_config(tiny.lite_config()), None)
    assert model.model.multi_modal_projector is None
    assert model.generate(torch.randint(0, 100, (1, 4)), max_new_tokens=3).shape[1] > 4
    with pytest.raises(ValueError, match="no trained projector"):
        model(input_ids=tiny.prompt(1), pixel_values=torch.randn(1, 3, 224, 224))


def test_projector_is_the_residual_block_on_the_normalised_input() -> None:
    projector = Projector(6, 8)
    x = torch.randn(2, 3, 6)
    normalised = torch.nn.functional.layer_norm(projector.linear(x), (8,))
    first, second = projector.block[0], projector.block[2]
    assert isinstance(first, torch.nn.Linear)
    assert isinstance(second, torch.nn.Linear)
    expected = normalised + second(torch.nn.functional.gelu(first(normalised)))
    torch.testing.assert_close(projector(x), expected)


def test_phi2s_real_dimensions_give_a_projector_of_15_086_080_parameters() -> None:
    phi2 = PhiConfig(hidden_size=2560, intermediate_size=10240, num_hidden_layers=32, num_attention_heads=32, vocab_size=51200)
    clip = CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=32
    )
    with torch.device("meta"):
        model = JnanaForConditionalGeneration(JnanaConfig(text_config=phi2, vision_config=clip, image_token_index=50295))
    projector = model.model.multi_modal_projector
    assert projector is not None
    assert sum(parameter.numel() for parameter in projector.parameters()) == 15_086_080
    assert model.lm_head.weight.shape[0] == 51200


def test_generation_computes_logits_for_the_last_token_only() -> None:
    model = tiny.model(tiny.phi_config(), tiny.lite_config())
    seen: list[torch.Size] = []
    model.lm_head.register_forward_hook(lambda _module, _inputs, logits: seen.append(logits.shape))
    model.generate(torch.arange(1, 40)[None], max_new_tokens=2, do_sample=False)
    assert [shape[1] for shape in seen] == [1, 1]
