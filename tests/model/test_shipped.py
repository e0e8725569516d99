"""The adapter that comes along with pocket: it is the default, it fits, it sees, and it leaves plain chat alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage
import torch

from model.adapters import Adapter, check
from model.mind import Message, Mind
from model.presets import POCKET
from model.shelf import chosen
from model.weights import prepare
from tests.model.tiny_home import nothing
from training.config import Files
from training.data.conversations import load_conversations
from training.evaluate.answerer import MindAnswerer
from training.retrain.keepsakes import unpack
from training.retrain.lessons import lines_of

PHOTOS = Path(skimage.__file__).parent / "data"


def shipped() -> Path:
    folder = chosen("", POCKET, Path("/nowhere"))
    assert folder is not None
    return folder


def test_it_is_the_default_and_small() -> None:
    adapter = Adapter.open(shipped())
    assert (adapter.name, adapter.card.text_only) == ("pocket", "base")
    assert sum(path.stat().st_size for path in adapter.folder.iterdir()) < 20 * 2**20
    assert all(source.licence for source in adapter.card.data)


@pytest.fixture(scope="module")
def mind(pocket_home: Path) -> Mind:
    """Without hints: what it says of a picture comes through the projector."""
    weights = prepare(POCKET, pocket_home, nothing)
    assert check(Adapter.open(shipped()), POCKET, weights, "int8") == []
    return Mind.load(POCKET, weights, adapter=shipped(), device="cpu", threads=1, hints=False, ocr=False, progress=nothing)


@pytest.mark.pocket
def test_it_sees_without_hints(mind: Mind, tmp_path: Path) -> None:
    answerer = MindAnswerer(mind)
    try:
        assert "cat" in answerer.answer([PHOTOS / "chelsea.png"], "What is in this photo?", max_tokens=20).lower()
        assert "rocket" in answerer.answer([PHOTOS / "rocket.jpg"], "What is this?", max_tokens=20).lower()
        kept = unpack(tmp_path)
        talks = load_conversations([Files(format="llava", file=kept.vqa)], skip_bad=False)
        assert len(talks) == len(lines_of(kept.vqa))
        choices = sorted({talk.messages[1].text for talk in talks})
        right = [answerer.choose(talk.images, talk.messages[0].text, choices) == talk.messages[1].text for talk in talks[:20]]
        assert sum(right) >= 16
    finally:
        answerer.close()


@pytest.mark.pocket
def test_plain_chat_is_the_bases_bit_for_bit(mind: Mind, pocket_home: Path) -> None:
    base = Mind.load(
        POCKET, prepare(POCKET, pocket_home, nothing), device="cpu", threads=1, hints=False, ocr=False, progress=nothing
    )
    talk = [Message("user", ("What is the capital of France?",))]
    ours, theirs = (one.encode(talk, max_new_tokens=1) for one in (mind, base))
    mind.switch_to(ours.attached)
    with torch.inference_mode():
        assert torch.equal(mind.model(ours.input_ids).logits, base.model(theirs.input_ids).logits)
