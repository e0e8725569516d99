"""From messages to prompts: a tiny mind with a projector, and the real pocket one without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFont
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessorList,
    PhiForCausalLM,
    RepetitionPenaltyLogitsProcessor,
)

from model import sight
from model.adapters import Adapter, Card, Template
from model.attached import Attached
from model.lora import extract
from model.mind import HINT_TOKENS, Message, Mind, PromptTooLong
from model.modeling import JnanaForConditionalGeneration
from model.presets import PHI2, POCKET, Preset
from model.projector import Projector
from model.prompt import PromptWriter
from model.quantize import Needs, Placement, place
from model.sight import Eyes, Picture
from model.weights import PreparedWeights, WeightsError, prepare
from tests.model import tiny, tiny_home
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer


def nothing(what: str, done: int, total: int) -> None:
    """No progress."""


def picture(colour: str, digest: str | None = None) -> Picture:
    return Picture(digest or colour, lambda: Image.new("RGB", (80, 60), colour))


class CountingReader:
    """Reads the same line in every picture, and counts."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.reads = 0

    def read(self, image: Image.Image) -> tuple[str, ...]:
        self.reads += 1
        return self.lines


@pytest.fixture
def reader() -> CountingReader:
    return CountingReader("Open daily")


@pytest.fixture
def mind(reader: CountingReader) -> Mind:
    """phi-2's template and places on a tiny random Phi with a tiny tower and projector."""
    torch.manual_seed(0)
    preset = replace(PHI2, context_length=600)
    writer = PromptWriter(tokenizer(), preset, VOCABULARY_ROWS)
    phi = PhiForCausalLM(type(tiny.phi_config())(**{**tiny.PHI, "vocab_size": VOCABULARY_ROWS}))
    tower = AutoModel.from_config(tiny.lite_config()).eval()
    model = JnanaForConditionalGeneration.assemble(phi, tower, Projector(16, 32), image_token_index=writer.image_token_id)
    eyes = Eyes(model.model, hints=False, reader=reader)  # type: ignore[arg-type]
    default = Attached(writer, projector=model.model.multi_modal_projector)
    return Mind(preset, model, default, eyes, torch.device("cpu"))


def written(mind: Mind, *messages: Message) -> str:
    return str(mind.tokenizer.decode(mind.encode(messages, max_new_tokens=1).input_ids[0]))


def test_pictures_get_places_features_and_hints_in_order(mind: Mind) -> None:
    red, blue = picture("red"), picture("blue")
    prompt = mind.encode(
        [Message("user", (red, "what?")), Message("assistant", ("red",)), Message("user", (blue, "and?"))], max_new_tokens=1
    )
    assert int((prompt.input_ids == mind.model.config.image_token_index).sum()) == 98
    assert prompt.vision_features is not None
    assert prompt.vision_features.shape == (2, 49, 16)
    alone = mind.encode([Message("user", (blue,))], max_new_tokens=1).vision_features
    assert alone is not None
    assert torch.equal(prompt.vision_features[1], alone[0])
    answer = mind.model.generate(prompt.input_ids, vision_features=prompt.vision_features, max_new_tokens=3, do_sample=False)
    assert answer.shape[1] > prompt.input_ids.shape[1]


def test_hints_stay_in_the_history_and_are_reported_for_the_newest_message(mind: Mind) -> None:
    hint = 'There is text in the photo: "Open daily"'
    conversation = [Message("user", (picture("red"), "what?"))]
    assert mind.encode(conversation, max_new_tokens=1).hints == (hint,)
    conversation += [Message("assistant", ("A sign.",)), Message("user", ("Which colour?",))]
    assert mind.encode(conversation, max_new_tokens=1).hints == ()
    assert hint in written(mind, *conversation)


def test_a_follow_up_does_not_read_the_picture_again(mind: Mind, reader: CountingReader) -> None:
    conversation = [Message("user", (picture("red"), "what?"))]
    first = mind.encode(conversation, max_new_tokens=1)
    again = mind.encode([*conversation, Message("assistant", ("x",)), Message("user", ("y",))], max_new_tokens=1)
    assert reader.reads == 1
    assert first.timings["vision"] > 0
    assert again.timings == {"vision": 0.0, "ocr": 0.0}
    mind.encode([Message("user", (picture("red", "other bytes"),))], max_new_tokens=1)
    assert reader.reads == 2


def test_a_picture_is_decoded_and_read_once_though_it_is_opened_before_it_is_looked_at(
    mind: Mind, reader: CountingReader
) -> None:
    decoded: list[int] = []

    def load() -> Image.Image:
        decoded.append(1)
        return Image.new("RGB", (80, 60), "red")

    seen = Picture("red", load)
    conversation = [Message("user", (seen, "what?"))]
    expected = mind.encode([Message("user", (picture("red", "same"), "what?"))], max_new_tokens=1).vision_features
    assert not mind.has_seen(seen, mind.default)
    mind.open(seen, mind.default)
    assert set(mind.look(seen, mind.default)) == {"vision", "ocr"}
    assert mind.has_seen(seen, mind.default)
    prompt = mind.encode(conversation, max_new_tokens=1)
    assert (len(decoded), reader.reads) == (1, 2)
    assert prompt.timings == {"vision": 0.0, "ocr": 0.0}
    assert prompt.vision_features is not None
    assert expected is not None
    assert torch.equal(prompt.vision_features, expected)


def test_a_picture_that_several_ask_about_is_opened_once(mind: Mind, reader: CountingReader) -> None:
    mind.open(picture("red"), mind.default)
    mind.open(picture("red"), mind.default)  # a second one who waited for the thread
    mind.look(picture("red"), mind.default)
    mind.open(picture("red"), mind.default)
    assert reader.reads == 1
    assert not mind._eyes._opened


def test_pictures_that_were_opened_and_given_up_are_let_go(mind: Mind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "AHEAD", 2)
    for digest in "abc":
        mind.open(picture("red", digest), mind.default)
    assert set(mind._eyes._opened) == {"b", "c"}


def test_memory_of_pictures_is_bounded_and_forgets_the_least_used(
    mind: Mind, reader: CountingReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "REMEMBERED", 2)
    for digest in ("a", "b", "a", "c", "a"):  # c takes b's place
        mind.encode([Message("user", (picture("red", digest),))], max_new_tokens=1)
    assert reader.reads == 3
    mind.encode([Message("user", (picture("red", "b"),))], max_new_tokens=1)
    assert reader.reads == 4


def test_several_pictures_of_a_message_are_told_apart(mind: Mind) -> None:
    text = written(mind, Message("user", (picture("red"), picture("blue"), "which?")))
    assert 'text in the first photo: "Open daily"\nThere is text in the second photo' in text


def test_a_picture_alone_asks_what_it_is(mind: Mind) -> None:
    assert written(mind, Message("user", (picture("red"),))).endswith("What is in this photo?\nOutput:")


def test_speakers_are_named(mind: Mind) -> None:
    assert "Instruct: Ada: hello\n" in written(mind, Message("user", ("hello",), name="Ada"))


def test_a_text_that_cannot_fit_is_not_counted(mind: Mind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PromptWriter, "text_ids", lambda *_: pytest.fail("it was counted"))
    (count,) = mind.count_tokens(["x" * 10_000_000])
    assert count > mind.context_length


def test_hints_never_cost_more_than_promised(mind: Mind, reader: CountingReader) -> None:
    reader.lines = ("字" * 5000,)
    bare = len(mind.encode([Message("user", ("What is in this photo?",))], max_new_tokens=1).input_ids[0])
    with_picture = len(mind.encode([Message("user", (picture("red"),))], max_new_tokens=1).input_ids[0])
    assert with_picture - bare <= mind.picture_tokens == HINT_TOKENS + 49


def test_a_conversation_that_does_not_fit_says_by_how_much(mind: Mind) -> None:
    with pytest.raises(PromptTooLong) as raised:
        mind.encode([Message("user", ("x" * 590,))], max_new_tokens=20)
    assert raised.value.limit == 580
    assert raised.value.tokens > 590
    mind.encode([Message("user", ("x" * 500,))], max_new_tokens=20)


def test_tokens_are_counted_as_text(mind: Mind) -> None:
    assert mind.count_tokens(["", "abc", "<image>"]) == [0, 3, 7]


def test_phi2_needs_a_gpu_unless_the_owner_insists(tmp_path: Path) -> None:
    weights = PreparedWeights(tmp_path, tmp_path, tmp_path)

    def placed(preset: Preset, device: str) -> Placement:
        return place(preset, weights, device, precision="auto", needs=Needs("nf4", is_plain=True))

    if torch.cuda.is_available():
        assert placed(PHI2, "auto").language["quantization_config"].bnb_4bit_quant_type == "nf4"
        return
    with pytest.raises(WeightsError, match="needs an NVIDIA GPU and none was found"):
        placed(PHI2, "auto")
    with pytest.raises(WeightsError, match="MODEL_DEVICE=cuda was asked for"):
        placed(POCKET, "cuda")
    assert placed(PHI2, "cpu").device.type == "cpu"


# The real pocket


@pytest.fixture(scope="module")
def pocket(pocket_home: Path) -> Mind:
    weights = prepare(POCKET, pocket_home, nothing)
    return Mind.load(POCKET, weights, device="cpu", threads=1, hints=True, ocr=True, progress=nothing)


def photo(name: str) -> Picture:
    return Picture(name, lambda: Image.fromarray(getattr(skimage.data, name)()).convert("RGB"))


def answer(mind: Mind, *messages: Message) -> str:
    """Greedy, with the preset's penalty on the answer, as the engine does it."""
    prompt = mind.encode(messages, max_new_tokens=40)
    length = prompt.input_ids.shape[1]
    penalty = RepetitionPenaltyLogitsProcessor(mind.preset.repetition_penalty, prompt_ignore_length=length)
    with torch.inference_mode():
        ids: Any = mind.model.generate(
            prompt.input_ids,
            attention_mask=torch.ones_like(prompt.input_ids),
            max_new_tokens=40,
            do_sample=False,
            logits_processor=LogitsProcessorList([penalty]),
        )
    return str(mind.tokenizer.decode(ids[0, length:], skip_special_tokens=True))


@pytest.mark.pocket
@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("chelsea", lambda text: "cat" in text),
        ("coffee", lambda text: "coffee" in text or "espresso" in text),
        ("rocket", lambda text: "rocket" in text),
        ("camera", lambda text: "tripod" in text or "camera" in text),
    ],
)
def test_pocket_names_what_is_in_a_photo(name: str, right: Callable[[str], bool], pocket: Mind) -> None:
    said = answer(pocket, Message("user", (photo(name), "What is in this photo?")))
    assert right(said.lower()), said


@pytest.mark.pocket
def test_pocket_says_when_it_does_not_know(pocket: Mind) -> None:
    noise = Picture("noise", lambda: Image.effect_noise((300, 300), 60).convert("RGB"))
    prompt = pocket.encode([Message("user", (noise, "What is this?"))], max_new_tokens=40)
    assert "unclear" in prompt.hints[0]


@pytest.mark.pocket
def test_pocket_reads_a_sign(pocket: Mind) -> None:
    image = Image.new("RGB", (640, 300), (30, 90, 50))
    ImageDraw.Draw(image).text((40, 110), "Pool closed today", fill="white", font=ImageFont.load_default(48))
    said = answer(pocket, Message("user", (Picture("sign", lambda: image), "What does the sign say?")))
    assert "Pool closed" in said


@pytest.mark.pocket
def test_pocket_remembers_the_photo_in_a_follow_up(pocket: Mind) -> None:
    asked = Message("user", (photo("chelsea"), "What is in this photo?"))
    said = answer(pocket, asked)
    assert "cat" in answer(pocket, asked, Message("assistant", (said,)), Message("user", ("What animal is it?",))).lower()


@pytest.mark.pocket
def test_pocket_chats_and_mentions_no_photos(pocket: Mind) -> None:
    assert "Paris" in answer(pocket, Message("user", ("What is the capital of France?",)))
    prompt = pocket.encode([Message("user", ("hello",))], max_new_tokens=1)
    assert "photo" not in str(pocket.tokenizer.decode(prompt.input_ids[0]))
    assert prompt.hints == ()
    assert prompt.vision_features is None


@pytest.mark.pocket
def test_pocket_makes_no_image_places_without_a_projector(pocket: Mind) -> None:
    prompt = pocket.encode([Message("user", (photo("chelsea"), "?"))], max_new_tokens=1)
    assert prompt.vision_features is None
    assert pocket.model.model.multi_modal_projector is None
    assert pocket.picture_tokens == HINT_TOKENS + 18


@pytest.mark.pocket
def test_hints_and_reading_can_be_switched_off(pocket_home: Path) -> None:
    weights = prepare(POCKET, pocket_home, nothing)
    blind = Mind.load(POCKET, weights, device="cpu", threads=1, hints=False, ocr=False, progress=nothing)
    assert blind.encode([Message("user", (photo("chelsea"), "?"))], max_new_tokens=1).hints == ()


@pytest.fixture(scope="module")
def trained(pocket_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Mind:
    """With an adapter as stage 2 makes it, full of noise."""
    weights = prepare(POCKET, pocket_home, nothing)
    text = AutoModelForCausalLM.from_pretrained(weights.language)
    chat = Template(name="chat", text=str(pocket_template(weights)), end_of_turn="<|im_end|>")
    card = Card.describe(
        POCKET,
        weights,
        precision="bf16",
        layer=-1,
        fit="preset",
        name="noise",
        stage="instruct",
        template=chat,
        text_only="base",
    )
    lora = extract(tiny_home.with_lora(text, target_modules=["q_proj", "down_proj"]).base_model)
    folder = tmp_path_factory.mktemp("adapters") / "noise"
    Adapter.save(folder, card, projector=Projector(1280, 576).state_dict(), lora=lora)
    return Mind.load(POCKET, weights, adapter=folder, device="cpu", threads=1, hints=True, ocr=False, progress=nothing)


def pocket_template(weights: PreparedWeights) -> Any:
    return AutoTokenizer.from_pretrained(weights.language).chat_template


@pytest.mark.pocket
def test_pocket_with_an_adapter_makes_places_and_keeps_hints(trained: Mind) -> None:
    prompt = trained.encode([Message("user", (photo("chelsea"), "? <empty_output>"))], max_new_tokens=1)
    assert int((prompt.input_ids == trained.model.config.image_token_index).sum()) == 18
    assert prompt.vision_features is not None
    assert prompt.vision_features.shape == (1, 18, 1280)
    assert prompt.attached is trained.default
    assert "cat" in prompt.hints[0]
    assert trained.picture_tokens == HINT_TOKENS + 18


@pytest.mark.pocket
def test_pocket_chats_bit_for_bit_as_without_its_adapter(trained: Mind, pocket: Mind) -> None:
    talk = [Message("user", ("What is the capital of France?",))]
    with_adapter, without = (mind.encode(talk, max_new_tokens=1) for mind in (trained, pocket))
    assert with_adapter.attached is trained.plain
    assert torch.equal(with_adapter.input_ids, without.input_ids)
    with torch.inference_mode():
        expected = pocket.model(without.input_ids).logits
        assert not torch.allclose(trained.model(with_adapter.input_ids).logits, expected)
        trained.switch_to(trained.plain)
        assert torch.equal(trained.model(with_adapter.input_ids).logits, expected)
        trained.switch_to(trained.default)


@pytest.mark.pocket
def test_a_projector_of_another_model_is_refused(pocket_home: Path, tmp_path: Path) -> None:
    weights = prepare(POCKET, pocket_home, nothing)
    chat = Template(name="chat", text=str(pocket_template(weights)), end_of_turn="<|im_end|>")
    card = Card.describe(POCKET, weights, precision="fp32", layer=-1, fit="preset", name="small", stage="align", template=chat)
    Adapter.save(tmp_path / "small", card, projector=Projector(8, 8).state_dict(), lora=None)
    with pytest.raises(WeightsError, match="does not fit this preset's tower"):
        Mind.load(
            POCKET, weights, adapter=tmp_path / "small", device="cpu", threads=1, hints=False, ocr=False, progress=nothing
        )
