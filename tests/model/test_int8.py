"""8 bits change an answer by rounding only, and by the same whoever else is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch.nn.functional import cosine_similarity
from transformers import LlamaConfig, LlamaForCausalLM

from model import int8, lora
from model.int8 import Rotation, quantise, rounded
from model.presets import PHI2, POCKET
from model.projector import Projector
from model.quantize import Needs, place
from model.weights import PreparedWeights, WeightsError
from tests.model import tiny

pytestmark = pytest.mark.skipif(not int8.is_supported(tiny.llama_config()), reason="this CPU has no such operators")


EVERYWHERE = sorted(int8.PROJECTIONS)
IDS = torch.arange(40)[None]


def language(*, tied: bool = True) -> LlamaForCausalLM:
    """Random, with norms that have something to say."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        initializer_range=0.1,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(torch.rand_like(weight) + 0.5)
    return model


def with_lora(model: LlamaForCausalLM, *, seed: int = 1, **options: Any) -> LlamaForCausalLM:
    """One that has learnt something, through PEFT. `options`: of its LoraConfig."""
    torch.manual_seed(seed)
    options = {"r": 4, "target_modules": EVERYWHERE, **options}
    inject_adapter_in_model(LoraConfig(init_lora_weights=False, **options), model)
    return model


def put_in(model: LlamaForCausalLM, rotation: Rotation | None, *, seed: int = 1, key: str = "learnt", **options: Any) -> None:
    """A LoRA that has learnt something. `options`: as above."""
    config, weights = lora.extract(with_lora(language(), seed=seed, **options))
    lora.put(model, config, rotation.of_lora(weights) if rotation else weights, Path("learnt"), key=key)


def logits(model: LlamaForCausalLM, key: str | None = None, **inputs: torch.Tensor) -> torch.Tensor:
    lora.activate(lora.layers(model), key)
    with torch.inference_mode():
        found: torch.Tensor = model(**inputs or {"input_ids": IDS}).logits
    return found


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("key", ["learnt", None])
def test_only_rounding_changes(tied: bool, key: str | None) -> None:
    plain, rounded = language(tied=tied), language(tied=tied)
    put_in(plain, None)
    put_in(rounded, quantise(rounded))
    before, after = logits(plain, key), logits(rounded, key)
    assert after.dtype == torch.float32
    assert cosine_similarity(before, after, dim=-1).min() > 0.99
    assert not torch.equal(before, after)


def test_adapters_beside_each_other_make_the_differences_they_make_in_fp32() -> None:
    plain, rounded = language(), language()
    rotation = quantise(rounded)
    for seed, key in enumerate(("one", "other")):
        put_in(plain, None, seed=seed, key=key)
        put_in(rounded, rotation, seed=seed, key=key)
    for key in ("one", "other"):
        before = logits(plain, key) - logits(plain)
        after = logits(rounded, key) - logits(rounded)
        assert cosine_similarity(before, after, dim=-1).median() > 0.95
    alone = logits(rounded, "other")
    lora.take_out(rounded, "one")
    assert torch.equal(logits(rounded, "other"), alone)
    assert torch.equal(logits(rounded, "one"), logits(rounded)), "nothing of it is left"


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["k_proj", "up_proj"]},
        {"target_modules": ["q_proj", "v_proj", "down_proj"], "use_rslora": True},
        {"rank_pattern": {"k_proj": 2, "gate_proj": 8}, "alpha_pattern": {"v_proj": 32}},
        {"layers_to_transform": [1]},
    ],
    ids=str,
)
def test_a_lora_beside_some_layers_changes_what_it_changes_in_fp32(options: dict[str, Any]) -> None:
    plain, rounded = language(), language()
    put_in(plain, None, **options)
    put_in(rounded, quantise(rounded), **options)
    before = logits(plain, "learnt") - logits(plain)
    after = logits(rounded, "learnt") - logits(rounded)
    assert cosine_similarity(before, after, dim=-1).median() > 0.95


def test_one_that_is_refused_leaves_the_way_free_for_one_beside_fewer_layers() -> None:
    model = language()
    rotation = quantise(model)
    few: dict[str, Any] = {"target_modules": ["q_proj", "v_proj"]}
    put_in(model, rotation, key="before", **few)
    before = logits(model, "before")
    config, weights = lora.extract(with_lora(language()))
    config.r = 7
    with pytest.raises(WeightsError, match="do not fit"):
        lora.put(model, config, rotation.of_lora(weights), Path("unfit"), key="unfit")
    lora.take_out(model, "unfit")
    put_in(model, rotation, key="after", **few)
    assert torch.equal(logits(model, "after"), before)
    assert torch.equal(logits(model, "before"), before)


def test_pictures_are_rotated_with_the_language() -> None:
    plain, rounded = language(), language()
    projector = Projector(8, 96).eval()
    features = torch.randn(1, 5, 8)
    with torch.inference_mode():
        before = logits(plain, inputs_embeds=projector(features))
        projector.rotation = quantise(rounded).matrix
        after = logits(rounded, inputs_embeds=projector(features))
    assert cosine_similarity(before, after, dim=-1).min() > 0.99


@pytest.mark.parametrize("fine", [True, False])
def test_a_token_comes_out_the_same_alone_and_in_a_crowd(fine: bool) -> None:
    torch.manual_seed(0)
    (layer,) = rounded([torch.randn(64, 96)], fine=fine)
    crowd = torch.randn(33, 96) * torch.logspace(-3, 3, 33)[:, None]
    together = layer(crowd)
    for size in (1, 2, 8, 17):
        for start in range(0, 33 - size, size):
            assert torch.equal(layer(crowd[start : start + size]), together[start : start + size])


@pytest.mark.parametrize(("fine", "error"), [(True, 0.01), (False, 0.02)])
def test_a_product_is_near_the_exact_one(fine: bool, error: float) -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(64, 96), torch.randn(2, 7, 96)
    exact = x @ weight.T
    assert (rounded([weight], fine=fine)[0](x) - exact).norm() < error * exact.norm()
    loudest = torch.full((1, 96), 1.0)  # the largest sums there are, which 16 bits must hold
    assert torch.allclose(rounded([loudest], fine=fine)[0](loudest), loudest @ loudest.T)


@pytest.mark.parametrize("fine", [True, False])
def test_layers_that_read_the_same_give_what_each_gives_alone_in_any_order(fine: bool) -> None:
    torch.manual_seed(0)
    weights = [torch.randn(size, 96) for size in (64, 32, 32)]
    alone = [rounded([weight], fine=fine)[0] for weight in weights]
    together = rounded(weights, fine=fine)
    one, other = torch.randn(1, 5, 96), torch.randn(1, 5, 96)
    for which, x in ((0, one), (1, one), (0, other), (2, one), (2, other), (2, other), (1, one), (0, one)):
        assert torch.equal(together[which](x), alone[which](x))


def test_rows_of_zeros_stay_zeros() -> None:
    assert rounded([torch.zeros(4, 8)], fine=False)[0](torch.zeros(2, 8)).eq(0).all()


def prepared(tmp_path: Path, config: Any) -> PreparedWeights:
    config.save_pretrained(tmp_path)
    return PreparedWeights(tmp_path, tmp_path, tmp_path)


def test_pocket_takes_8_bits_on_a_cpu_unless_told_otherwise(tmp_path: Path) -> None:
    weights = prepared(tmp_path, tiny.llama_config())
    assert place(POCKET, weights, "cpu", precision="auto", needs=None).precision == "int8"
    assert place(POCKET, weights, "cpu", precision="auto", needs=Needs("fp32", is_plain=True)).precision == "int8"
    assert place(POCKET, weights, "cpu", precision="fp32", needs=None).precision == "fp32"


@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True},
        {"lora_bias": True},
        {"alora_invocation_tokens": [1]},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": "all-linear"},
    ],
    ids=str,
)
def test_a_lora_that_cannot_be_rotated_keeps_fp32(tmp_path: Path, options: dict[str, Any]) -> None:
    weights = prepared(tmp_path, tiny.llama_config())
    assert int8.takes(LoraConfig(target_modules=["q_proj", "down_proj"]))
    assert not int8.takes(LoraConfig(**{"target_modules": ["q_proj"], **options}))
    needs = Needs("fp32", is_plain=False)
    assert place(POCKET, weights, "cpu", precision="auto", needs=needs).precision == "fp32"
    with pytest.raises(WeightsError, match="plain LoRA"):
        place(POCKET, weights, "cpu", precision="int8", needs=needs)


def test_phi2_takes_what_its_adapter_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = prepared(tmp_path, tiny.phi_config())
    assert place(PHI2, weights, "cpu", precision="auto", needs=Needs("nf4", is_plain=True)).precision == "nf4"
    assert place(PHI2, weights, "cpu", precision="auto", needs=Needs("bf16", is_plain=True)).precision == "fp32"
    monkeypatch.setattr("model.quantize._free", lambda where: 2**30)
    with pytest.raises(WeightsError, match="trained on the language model at full width"):
        place(PHI2, weights, "cpu", precision="auto", needs=Needs("bf16", is_plain=True))
    with pytest.raises(WeightsError, match="MODEL_PRECISION=int8 is for pocket"):
        place(PHI2, weights, "cpu", precision="int8", needs=None)


@pytest.mark.parametrize(("gigabytes", "precision"), [(32, "fp32"), (8, "nf4")])
def test_phi2_takes_4_bits_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gigabytes: int, precision: str
) -> None:
    monkeypatch.setattr("model.quantize._free", lambda where: gigabytes * 2**30)
    weights = prepared(tmp_path, tiny.phi_config())
    assert place(PHI2, weights, "cpu", precision="auto", needs=None).precision == precision
