"""Merged is unmerged: in fp32 to rounding, and what was trained on 4 bits onto what 4 bits leave."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from model.adapters import Adapter, check
from model.merge import merge
from model.presets import PHI2
from model.quantize import nf4
from model.weights import PreparedWeights, WeightsError, pull
from tests.model import tiny_home
from tests.model.test_adapters import load
from tests.model.tiny_home import nothing

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> PreparedWeights:
    return tiny_home.prepared(tmp_path_factory.mktemp("weights"))


def read(folder: Path) -> PreTrainedModel:
    text: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder)
    return text.eval()


def ids() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randint(0, 250, (2, 11))


def test_merged_equals_unmerged_in_fp32(weights: PreparedWeights, tmp_path: Path) -> None:
    toy = tiny_home.adapter(tmp_path / "toy", weights)
    unmerged = tiny_home.plain(weights)
    tiny_home.load_lora(unmerged, toy.folder)
    merged = read(merge(toy, weights, tmp_path / "merged", nothing).language)
    assert merged.dtype == torch.float32
    torch.testing.assert_close(merged(ids()).logits, unmerged(ids()).logits, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(merged(ids()).logits, tiny_home.plain(weights)(ids()).logits, atol=1e-2)


def test_merged_from_4_bits_equals_the_adapter_on_4_bits(tmp_path: Path) -> None:
    weights = tiny_home.prepared(tmp_path, hidden_size=64, intermediate_size=128)  # bitsandbytes takes blocks of 64
    toy = tiny_home.adapter(tmp_path / "toy", weights, precision="nf4")
    on_4_bits = AutoModelForCausalLM.from_pretrained(weights.language, **nf4(torch.device("cpu")))
    tiny_home.load_lora(on_4_bits, toy.folder)
    full = tiny_home.plain(weights)
    tiny_home.load_lora(full, toy.folder)
    done = merge(toy, weights, tmp_path / "merged", nothing)
    merged = read(done.language)
    off = (merged(ids()).logits - on_4_bits(ids()).logits.float()).abs().max()
    assert off < 0.05  # bfloat16 against fp32
    assert off < (merged(ids()).logits - full(ids()).logits).abs().max() / 2  # into the full weights it would be another
    assert done.base == "nf4"


def test_pull_takes_the_merged_model_and_its_projector_fits(weights: PreparedWeights, tmp_path: Path) -> None:
    toy = tiny_home.adapter(tmp_path / "toy", weights, precision="nf4", text_only="base")
    done = merge(toy, weights, tmp_path / "merged", nothing)
    assert done.adapter
    folders = tiny_home.local(tmp_path / "local") | {"language": done.language}
    pulled = pull(PHI2, tmp_path / "home", folders, nothing)
    assert check(done.adapter, PHI2, pulled, "fp32") == []
    assert (done.adapter.lora, done.adapter.card.parent, done.adapter.card.text_only) == (None, toy.sha256, "adapter")
    assert load(pulled, done.adapter.folder).default.projector is not None
    assert len(check(done.adapter, PHI2, weights, "fp32")) == 1


def test_what_cannot_be_merged_is_refused(weights: PreparedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Adapter.save(tmp_path / "alone", tiny_home.card(weights), projector=tiny_home.projector().state_dict(), lora=None)
    with pytest.raises(WeightsError, match="nothing to merge"):
        merge(alone, weights, tmp_path / "merged", nothing)
    toy = tiny_home.adapter(tmp_path / "toy", weights)
    with pytest.raises(WeightsError, match="is there already"):
        merge(toy, weights, tmp_path, nothing)
    monkeypatch.setattr("model.merge.FP32_BYTES", 10**15)
    with pytest.raises(WeightsError, match="too full: the merged model needs"):
        merge(toy, weights, tmp_path / "merged", nothing)
    assert not (tmp_path / "merged").exists()
