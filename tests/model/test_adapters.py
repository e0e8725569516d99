"""The adapter artefact: written whole, refused where it does not fit, and loaded so that it answers as it was trained."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file

from model.adapters import Adapter, Template, check, open_fitting
from model.engine import Engine
from model.files import write_manifest
from model.lora import extract
from model.mind import Message, Mind, Prompt
from model.presets import ORIGINAL_TEMPLATE, PHI2, POCKET
from model.sampling import Sampling
from model.sight import Picture
from model.weights import PreparedWeights, WeightsError
from tests.model import tiny_home
from tests.model.tiny_home import nothing

torch.set_num_threads(1)
PHOTO = Picture("digest", lambda: Image.linear_gradient("L").resize((90, 40)).convert("RGB"))
WITH_PHOTO = [Message("user", (PHOTO, "What is this?"))]
TEXT = [Message("user", ("Hello, you",))]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> PreparedWeights:
    return tiny_home.prepared(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def toy(weights: PreparedWeights, tmp_path: Path) -> Adapter:
    return tiny_home.adapter(tmp_path / "toy", weights)


def load(weights: PreparedWeights, adapter: Path | None) -> Mind:
    return Mind.load(
        PHI2, weights, adapter=adapter, device="cpu", precision="fp32", threads=1, hints=False, ocr=False, progress=nothing
    )


def logits(mind: Mind, prompt: Prompt) -> torch.Tensor:
    with torch.inference_mode():
        output: torch.Tensor = mind.model(input_ids=prompt.input_ids, vision_features=prompt.vision_features).logits
    return output


async def answer(mind: Mind, messages: list[Message]) -> tuple[str, int]:
    engine = Engine(mind)
    prompt = mind.encode(messages, max_new_tokens=12)
    try:
        tokens = [token async for token in engine.generate(prompt, Sampling(max_tokens=12))]
    finally:
        engine.close()
    return "".join(token.text for token in tokens), tokens[-1].tokens


# --- on disk ---


def test_what_was_saved_is_read_again(toy: Adapter, weights: PreparedWeights) -> None:
    again = Adapter.open(toy.folder)
    assert again == toy
    assert (again.card.metrics, again.card.data[0].licence) == ({"loss": 1.5}, "MIT")
    assert again.card.base.sha256 == weights.sha256("language")
    assert again.sha256 == toy.sha256
    assert not list(toy.folder.parent.glob(".*"))


def test_peft_itself_loads_it_onto_the_plain_base(toy: Adapter, weights: PreparedWeights) -> None:
    ids = torch.randint(0, 250, (2, 9))
    trained = tiny_home.with_lora(tiny_home.plain(weights))
    ours = PeftModel.from_pretrained(tiny_home.plain(weights), str(toy.folder)).eval()
    assert torch.equal(ours(ids).logits, trained(ids).logits)
    assert not torch.allclose(ours(ids).logits, tiny_home.plain(weights)(ids).logits)
    assert all("lora_" in name for name in load_file(toy.folder / "adapter_model.safetensors"))


def test_dora_and_rslora_come_back_as_they_were(weights: PreparedWeights, tmp_path: Path) -> None:
    trained = tiny_home.with_lora(tiny_home.plain(weights), use_dora=True, use_rslora=True)
    saved = Adapter.save(tmp_path / "dora", tiny_home.card(weights), projector=None, lora=extract(trained.base_model))
    targets = json.loads((saved.folder / "adapter_config.json").read_text())["target_modules"]
    assert targets == sorted(targets)  # so that the same training makes the same files
    mind = load(weights, saved.folder)
    ids = torch.randint(0, 250, (1, 9))
    torch.testing.assert_close(mind.model(input_ids=ids).logits, trained(ids).logits)


def test_weights_can_be_stored_in_half(weights: PreparedWeights, tmp_path: Path) -> None:
    half = Adapter.save(
        tmp_path / "half", tiny_home.card(weights), projector=tiny_home.projector().state_dict(), lora=None, dtype=torch.float16
    )
    assert half.projector
    assert {tensor.dtype for tensor in load_file(half.projector).values()} == {torch.float16}
    assert load(weights, half.folder).model.model.multi_modal_projector.linear.weight.dtype == torch.float32


def test_a_write_that_fails_leaves_the_old_one(toy: Adapter, weights: PreparedWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("model.adapters.write_manifest", full)
    before = toy.sha256
    with pytest.raises(WeightsError, match="The disk is full"):
        tiny_home.adapter(toy.folder, weights, name="other")
    assert Adapter.open(toy.folder).sha256 == before


def reseal(folder: Path) -> None:
    """A manifest that says that all is well."""
    (folder / "manifest.json").unlink()
    write_manifest(folder, {}, lambda count: None)


def change_card(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(values | changes))
    reseal(folder)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "card.json").unlink(), "is no adapter: card.json is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "its manifest is missing"),
        (lambda folder: (folder / "projector.safetensors").write_bytes(b"x"), "projector.safetensors was changed"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "adapter_config.json is missing"),
        (lambda folder: (folder / "extra.py").write_text("x"), "extra.py does not belong there"),
        (lambda folder: change_card(folder, format=2), "written by another version of Jñāna: update"),
        (lambda folder: change_card(folder, name="../up"), "damaged \\(card.json: name\\)"),
        (lambda folder: change_card(folder, name="none"), "damaged \\(card.json: name\\)"),
        (lambda folder: (folder / "card.json").write_text("{"), "cannot be read"),
    ],
)
def test_a_damaged_one_is_refused_with_a_sentence(harm: Callable[[Path], Any], said: str, toy: Adapter) -> None:
    harm(toy.folder)
    with pytest.raises(WeightsError, match=said):
        Adapter.open(toy.folder)


def test_one_with_nothing_in_it_is_refused(toy: Adapter) -> None:
    for file in ("projector.safetensors", "adapter_model.safetensors"):
        (toy.folder / file).unlink()
    reseal(toy.folder)
    with pytest.raises(WeightsError, match="neither a projector nor LoRA"):
        Adapter.open(toy.folder)


# --- what it fits ---


def test_what_fits_has_nothing_against_it(toy: Adapter, weights: PreparedWeights) -> None:
    assert check(toy, PHI2, weights, "fp32") == []
    assert check(toy, PHI2, weights, "bf16") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": "nf4"}, "trained on the language model in 4 bits .nf4., and here it runs in full width .fp32."),
        ({"layer": -5}, "layer -5 of the vision tower, and here the tower has 3"),
        ({"template": Template(name="x", text="{% for %}", end_of_turn="<|endoftext|>")}, "template 'x' is not valid Jinja"),
        ({"template": Template(name="x", text="x", end_of_turn="</s>")}, "end with </s>, which is no special token of phi-2"),
    ],
)
def test_what_does_not_fit_is_told(changes: Any, said: str, weights: PreparedWeights, tmp_path: Path) -> None:
    changed = tiny_home.adapter(tmp_path / "changed", weights, **changes)
    (sentence,) = check(changed, PHI2, weights, "fp32")
    assert re.search(said, sentence), sentence
    with pytest.raises(WeightsError, match=said):
        load(weights, changed.folder)


def test_other_weights_are_told_with_what_is_there(toy: Adapter, weights: PreparedWeights, tmp_path: Path) -> None:
    other = tiny_home.prepared(tmp_path, seed=1)
    base, tower = check(toy, PHI2, other, "fp32")
    assert (
        f"language model phi-2 (weights {weights.sha256('language')[:12]}), and here is phi-2 ({other.sha256('language')[:12]})"
        in base
    )
    assert "vision tower CLIP ViT-B/32" in tower
    with pytest.raises(WeightsError, match=r"(?s)toy .* cannot be used here\..*language model.*vision tower"):
        open_fitting(toy.folder, PHI2, other, "fp32")


def test_another_preset_and_number_of_tokens_are_told(toy: Adapter, weights: PreparedWeights) -> None:
    assert (
        "set MODEL_PRESET=phi2"
        in check(toy, replace(POCKET, image_tokens=49, spare_tokens=PHI2.spare_tokens), weights, "fp32")[0]
    )
    assert check(toy, replace(PHI2, image_tokens=16), weights, "fp32") == [
        "Its pictures are 49 tokens, and those of phi2 are 16."
    ]


def test_a_projector_alone_fits_any_precision(weights: PreparedWeights, tmp_path: Path) -> None:
    alone = Adapter.save(tmp_path / "alone", tiny_home.card(weights), projector=tiny_home.projector().state_dict(), lora=None)
    assert check(alone, PHI2, weights, "nf4") == []


def test_lora_of_other_layers_is_refused(weights: PreparedWeights, toy: Adapter) -> None:
    config = json.loads((toy.folder / "adapter_config.json").read_text())
    (toy.folder / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["fc2"]}))
    reseal(toy.folder)
    with pytest.raises(WeightsError, match="do not fit this language model"):
        load(weights, toy.folder)


# --- loaded ---


def test_a_mind_with_it_answers_as_it_was_trained(toy: Adapter, weights: PreparedWeights) -> None:
    mind = load(weights, toy.folder)
    assert mind.default.name == "toy"
    prompt = mind.encode(WITH_PHOTO, max_new_tokens=1)
    assert prompt.vision_features is not None
    expected = load(weights, None)
    expected.model.model.multi_modal_projector = tiny_home.projector()
    tiny_home.with_lora(expected.model.model.language_model)
    assert torch.equal(logits(mind, prompt), logits(expected, prompt))


def test_its_layer_and_fit_are_what_the_projector_reads(weights: PreparedWeights, tmp_path: Path) -> None:
    seen = []
    for number, look in enumerate(({"layer": -1, "fit": "pad"}, {"layer": -2, "fit": "pad"}, {"layer": -1, "fit": "crop"})):
        made = tiny_home.adapter(tmp_path / str(number), weights, **look)
        features = load(weights, made.folder).encode(WITH_PHOTO, max_new_tokens=1).vision_features
        assert features is not None
        seen.append(features)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_its_template_and_end_of_turn_are_used(toy: Adapter, weights: PreparedWeights) -> None:
    mind = load(weights, toy.folder)
    talk = [*TEXT, Message("assistant", ("Hi.",)), Message("user", ("What?",))]
    ids = mind.encode(talk, max_new_tokens=1).input_ids[0]
    assert mind.tokenizer.decode(ids) == "Instruct: Hello, you\nOutput: Hi.<|end_of_turn|>\nInstruct: What?\nOutput:"
    assert mind.tokenizer.convert_tokens_to_ids("<|end_of_turn|>") in mind.stop_token_ids


def test_the_originals_template_has_pictures_in_front(weights: PreparedWeights, tmp_path: Path) -> None:
    template = Template(name="original", text=ORIGINAL_TEMPLATE, end_of_turn="<|endoftext|>")
    mind = load(weights, tiny_home.adapter(tmp_path / "original", weights, template=template).folder)
    talk = [
        Message("system", ("Be kind.",)),
        *WITH_PHOTO,
        Message("assistant", ("A cat.",)),
        Message("user", ("end of question:",)),
    ]
    ids = mind.encode(talk, max_new_tokens=1).input_ids[0]
    assert mind.tokenizer.decode(ids) == (
        f"{'<image>' * 49}caption image:What is this?end of question:A cat.<|endoftext|>end of question:end of question:"
    )


@pytest.mark.parametrize("text_only", ["base", "adapter"])
async def test_without_a_picture_the_base_answers_if_the_card_says_so(
    text_only: str, weights: PreparedWeights, tmp_path: Path
) -> None:
    base = load(weights, None)
    mind = load(weights, tiny_home.adapter(tmp_path / "toy", weights, text_only=text_only).folder)
    before = await answer(base, TEXT)
    with_photo = await answer(mind, WITH_PHOTO)
    after = await answer(mind, TEXT)
    assert (after == before) == (text_only == "base")
    assert await answer(mind, WITH_PHOTO) == with_photo  # on again
    prompt = mind.encode(TEXT, max_new_tokens=1)
    assert (prompt.attached is mind.default) == (text_only == "adapter")
    follow_up = [*WITH_PHOTO, Message("assistant", ("A cat.",)), *TEXT]
    assert mind.encode(follow_up, max_new_tokens=1).attached is mind.default


def test_the_base_is_the_base_bit_for_bit(weights: PreparedWeights, tmp_path: Path) -> None:
    base = load(weights, None)
    mind = load(weights, tiny_home.adapter(tmp_path / "toy", weights, text_only="base").folder)
    ours, theirs = mind.encode(TEXT, max_new_tokens=1), base.encode(TEXT, max_new_tokens=1)
    assert torch.equal(ours.input_ids, theirs.input_ids)
    mind.switch_to(mind.plain)
    assert torch.equal(logits(mind, ours), logits(base, theirs))
    mind.switch_to(mind.default)
    assert not torch.allclose(logits(mind, ours), logits(base, theirs))


def test_a_copy_is_the_same_artefact(toy: Adapter, tmp_path: Path) -> None:
    shutil.copytree(toy.folder, tmp_path / "copy")
    assert Adapter.open(tmp_path / "copy").sha256 == toy.sha256
