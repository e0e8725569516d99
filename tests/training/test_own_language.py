"""A language model of stage 0 in place of a preset's own: what does not suit is told before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import PhiConfig

from model.files import write_manifest
from model.weights import PreparedWeights
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer
from tests.model.tiny import PHI
from tests.training import minds
from tests.training.made_run import ALIGN, info
from training import base
from training.card import metadata, model_card
from training.config import Align
from training.errors import TrainingError
from training.history import read
from training.runs import RunFolder


@pytest.fixture(autouse=True)
def _no_preset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(base, "prepare", lambda preset, home, progress: PreparedWeights(tmp_path, tmp_path, tmp_path))


def language(folder: Path, **changes: Any) -> Path:
    """All of an artefact that is read before the weights; its tokenizer has no chat template, as phi-2's."""
    plain = tokenizer()
    plain.chat_template = None
    plain.save_pretrained(folder)
    PhiConfig(**{**PHI, "vocab_size": VOCABULARY_ROWS, "max_position_embeddings": 256, **changes}).save_pretrained(folder)
    write_manifest(folder, {}, lambda count: None)
    return folder


def load(run: Align) -> None:
    base.load_writer(run, Path(), lambda what, done, total: None)


def test_it_takes_the_place_of_the_presets_own(tmp_path: Path) -> None:
    folder = language(tmp_path / "own")
    preset, weights, writer = base.load_writer(minds.align(language=folder), Path(), lambda what, done, total: None)
    assert preset.components["language"].title == str(folder)
    assert (weights.language, weights.tower) == (folder, tmp_path)
    assert writer.image_token_id is not None


def test_what_does_not_suit_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"short has 128 positions, and max_length is 200: lower it"):
        load(minds.align(language=language(tmp_path / "short", max_position_embeddings=128)))
    with pytest.raises(TrainingError, match=r"narrow does not suit phi2 \(.* do not fit into the 200 rows"):
        load(minds.align(language=language(tmp_path / "narrow", vocab_size=200)))
    with pytest.raises(TrainingError, match=r"own has no chat template, and pocket has none"):
        load(minds.align(language=language(tmp_path / "own"), model="pocket"))
    (tmp_path / "own" / "config.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"own cannot be used \(config.json was changed\)"):
        load(minds.align(language=tmp_path / "own"))


def test_the_model_card_does_not_name_the_presets(tmp_path: Path) -> None:
    values = {**ALIGN, "model": "phi2"}
    RunFolder.create(tmp_path / "usual", Align.model_validate(values), info()).close()
    assert metadata(read(tmp_path / "usual"))["base_model"] == "microsoft/phi-2"
    RunFolder.create(tmp_path / "own", Align.model_validate({**values, "language": "runs/zero/artefact"}), info()).close()
    assert "base_model" not in metadata(read(tmp_path / "own"))
    card = model_card(read(tmp_path / "own"))
    assert "microsoft/phi-2" not in card
    assert "runs/zero/artefact" in card
