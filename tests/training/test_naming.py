"""A projector that begins with what the tower's classifier knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity
from transformers import AutoModel, CLIPVisionModel

from model.projector import Projector
from tests.model import tiny
from tests.model.test_prompt import tokenizer
from training import naming
from training.data.features import FeatureCache
from training.errors import TrainingError
from training.naming import fit_to_names

PICTURES, HIDDEN = 30, 32


def nothing(what: str, done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureCache:
    torch.set_num_threads(1)
    monkeypatch.setattr(naming, "STEPS", 300)
    monkeypatch.setattr(naming, "PICTURES", 64)
    rng = np.random.default_rng(0)
    paths = []
    for at in range(PICTURES):
        paths.append(tmp_path / f"{at}.npy")
        np.save(paths[-1], rng.standard_normal((4, 16)).astype(np.float16))
    cache = FeatureCache(tmp_path / "cache", 4, 16)
    assert cache.fill(paths, lambda pictures: torch.empty(0)) == {}
    return cache


def test_cells_say_the_name_of_what_is_seen_in_them(cache: FeatureCache) -> None:
    torch.manual_seed(0)
    tower = AutoModel.from_config(tiny.lite_config())
    tower.config.id2label = {0: "a hound", 1: "spoon (cutlery)", 2: "tench"}
    torch.nn.init.normal_(tower.classifier.weight, std=2.0)
    words = tokenizer()
    embeddings = torch.randn(300, HIDDEN)
    fitted = []
    for _ in range(2):
        torch.manual_seed(1)
        projector = Projector(16, HIDDEN)
        fit_to_names(projector, tower, embeddings, words, cache, dict.fromkeys(range(PICTURES), "hound"), 1, nothing)
        fitted.append(projector)
    cells = cache.read(range(PICTURES)).flatten(0, 1)
    seen = tower.classifier(cells).argmax(-1)
    names = [
        embeddings[words(f" {name}", add_special_tokens=False)["input_ids"]].mean(0) for name in ("a hound", "spoon", "tench")
    ]
    directions = torch.stack(names) - torch.stack(names).mean(0)
    with torch.no_grad():
        said = cosine_similarity(fitted[0](cells)[:, None], directions[None], dim=-1).argmax(-1)
    assert (said == seen).float().mean() > 0.9
    assert all(torch.equal(one, other) for one, other in zip(fitted[0].parameters(), fitted[1].parameters(), strict=True))
    assert all(weight.grad is None for weight in fitted[0].parameters())


def test_the_mean_says_the_caption_where_the_classifier_sees_nothing(cache: FeatureCache) -> None:
    torch.manual_seed(0)
    config = tiny.lite_config()
    config.summary = True
    tower = AutoModel.from_config(config)
    torch.nn.init.zeros_(tower.classifier.weight)
    words = tokenizer()
    embeddings = torch.randn(300, HIDDEN)
    projector = Projector(16, HIDDEN)
    captions = {row: "a hound" if row % 2 else "spoon" for row in range(PICTURES)}
    fit_to_names(projector, tower, embeddings, words, cache, captions, 1, nothing)
    hound, spoon = (
        embeddings[words(f" {text}", add_special_tokens=False)["input_ids"]].mean(0) for text in ("a hound", "spoon")
    )
    with torch.no_grad():
        likeness = cosine_similarity(projector(cache.read(range(PICTURES))[:, 1]), (hound - spoon)[None], dim=1)
    assert all((likeness > 0) == (torch.arange(PICTURES) % 2 == 1))


def test_what_learns_on_a_gpu_meets_the_tower_there(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device stands for one: a product of its tensors with the CPU's fails."""
    monkeypatch.setattr(naming, "STEPS", 2)
    monkeypatch.setattr(torch.Tensor, "__float__", lambda number: 1.0)  # its numbers are nowhere
    tower = AutoModel.from_config(tiny.lite_config())
    captions = dict.fromkeys(range(PICTURES), "hound")
    projector = Projector(16, HIDDEN).to("meta")
    fit_to_names(projector, tower, torch.randn(300, HIDDEN, device="meta"), tokenizer(), cache, captions, 1, nothing)
    assert projector.linear.weight.device.type == "meta"


def test_a_tower_without_a_classifier_is_told(cache: FeatureCache) -> None:
    tower = CLIPVisionModel(tiny.clip_config())
    with pytest.raises(TrainingError, match="names needs a tower with a classifier"):
        fit_to_names(Projector(24, HIDDEN), tower, torch.randn(300, HIDDEN), tokenizer(), cache, {0: "a hound"}, 1, nothing)
