"""A loaded mind: messages with pictures go in, token ids for the language model come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPVisionModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from model import int8, lora
from model.adapters import Adapter, require_fit
from model.attached import Attached, Attachments
from model.convert import quiet
from model.hints import photo_line, text_line
from model.modeling import JnanaForConditionalGeneration
from model.ocr import Reader
from model.presets import Precision, Preset
from model.prompt import Placeholder, PromptWriter, Turn, spoken
from model.quantize import Needs, place
from model.sight import Eyes, Gaze, Picture, Sight
from model.threads import apart
from model.weights import PreparedWeights, Progress, WeightsError

log = structlog.get_logger(__name__)

HINT_TOKENS = 160
"""Most tokens the hints of one picture may take; longer ones (text in the picture) are cut."""
MOST_CHARACTERS_PER_TOKEN = 64
"""More characters than this for every token of the context cannot fit, and are not even counted. English has 4."""
QUESTION = "What is in this photo?"
"""What a picture without any words asks."""
LOADING, LOAD_STEPS = "Loading the model", 4
"""What progress is called, and its steps: language model, vision tower, reader, speech model."""
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Message:
    """One message of a conversation. `name` is the speaker's, given in group chats only."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Picture, ...]
    name: str | None = None


@dataclass(frozen=True)
class Prompt:
    """What `generate` needs, and what people are shown of how it came about."""

    input_ids: torch.Tensor
    """(1, T) int64, on the mind's device."""
    vision_features: torch.Tensor | None
    """(pictures, tokens, tower width), before the projector; None when the prompt holds no image placeholders."""
    hints: tuple[str, ...]
    """Hint lines of the newest message's pictures."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds spent in `vision` and `ocr`."""
    attached: Attached | None = None
    """Who answers; None: the networks as they are."""


class PromptTooLong(ValueError):  # noqa: N818 - the name of the condition reads better than ...Error where it is caught
    """The conversation and the asked-for answer do not fit into the context."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"The conversation is {tokens} tokens long, and the model reads at most {limit}.")
        self.tokens = tokens
        self.limit = limit


class Mind:
    """A language model with its tokenizer, its eyes and its reading glasses, on one device."""

    def __init__(
        self,
        preset: Preset,
        model: JnanaForConditionalGeneration,
        default: Attached,
        eyes: Eyes,
        device: torch.device,
        *,
        precision: Precision = "fp32",
        attachments: Attachments | None = None,
    ) -> None:
        """`default`: who answers until there is another. `attachments`: puts adapters in; None: nothing can."""
        self.preset = preset
        self.model = model
        self.default = self.plain = default
        self.device = device
        self.precision = precision
        self.tokenizer = default.writer.tokenizer
        self.context_length = preset.context_length
        self.picture_tokens = HINT_TOKENS + preset.image_tokens
        """Upper bound of what one picture adds to a prompt: placeholders and hint text, tokens."""
        self._eyes = eyes
        self._attachments = attachments
        self._active: Attached | None = None
        self._layers = lora.layers(model)
        self.switch_to(default)

    @classmethod
    @apart
    def load(
        cls,
        preset: Preset,
        weights: PreparedWeights,
        *,
        adapter: Path | None = None,
        device: str,
        precision: str = "auto",
        threads: int,
        hints: bool,
        ocr: bool,
        progress: Progress,
    ) -> Mind:
        """Load a prepared preset, and the artefact `adapter` into it. Blocking, seconds.

        `device`, `precision`: as `place` takes them. `threads`: torch's and onnxruntime's, at least 1.

        Raises WeightsError when the machine cannot run the preset, or the adapter does not fit.
        """
        torch.set_num_threads(threads)
        artefact = Adapter.open(adapter) if adapter else None
        placement = place(preset, weights, device, precision=precision, needs=Needs.of(artefact))
        progress(LOADING, 0, LOAD_STEPS)
        if artefact:
            require_fit(artefact, preset, weights, placement.precision)  # before seconds go into loading
        with quiet():
            tokenizer = load_tokenizer(weights.language)
            text = AutoModelForCausalLM.from_pretrained(weights.language, local_files_only=True, **placement.language)
            plain = Attached(PromptWriter(tokenizer, preset, text.config.vocab_size))
            progress(LOADING, 1, LOAD_STEPS)
            tower = load_tower(weights.tower, placement.device, placement.dtype)
        rotation = int8.quantise(text) if placement.precision == "int8" else None
        progress(LOADING, 2, LOAD_STEPS)
        image_token = plain.writer.image_token_id
        model = JnanaForConditionalGeneration.assemble(
            text if "device_map" in placement.language else _moved(text, placement.device),
            tower,
            None,
            **({} if image_token is None else {"image_token_index": image_token}),
        )
        attachments = Attachments(
            model, plain, preset=preset, weights=weights, placement=placement, text=text, rotation=rotation
        )
        eyes = Eyes(model.model, hints=hints, reader=Reader(threads) if ocr else None)
        mind = cls(preset, model, plain, eyes, placement.device, precision=placement.precision, attachments=attachments)
        if artefact:
            mind.default = mind.attach(artefact)
            mind.switch_to(mind.default)
        model.generation_config.eos_token_id = list(mind.stop_token_ids)
        return mind

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer of the default."""
        return self.default.writer.stop_token_ids

    def attach(self, adapter: Adapter) -> Attached:
        """Put an adapter in beside those that are in. Blocking, up to seconds; between passes. Raises WeightsError."""
        assert self._attachments is not None  # noqa: S101 - of a mind that was made by hand, for a test
        try:
            return self._attachments.attach(adapter)
        finally:
            self._changed()

    def detach(self, attached: Attached) -> None:
        """Take an adapter out, with which nobody is answered any more. Between passes."""
        assert self._attachments is not None  # noqa: S101
        self._attachments.detach(attached)
        self._changed()

    def _changed(self) -> None:
        """PEFT may have made another one active, and wraps layers when they are first meant."""
        self._layers = lora.layers(self.model)
        self._active = None

    def switch_to(self, attached: Attached | None) -> None:
        """Compute with this adapter from now on; None: as it is. Between passes."""
        if attached is not None and attached is not self._active:
            self.model.model.multi_modal_projector = attached.projector
            lora.activate(self._layers, attached.lora)
            self._active = attached

    def has_seen(self, picture: Picture, attached: Attached) -> bool:
        """Whether `look` and `encode` need no time for it."""
        return self._eyes.has_seen(picture, _gaze(attached))

    def open(self, picture: Picture, attached: Attached) -> None:
        """Decode a picture and read the text in it, on any thread, before `look` or `encode` is called. Blocking, seconds."""
        self._eyes.open(picture, _gaze(attached))

    def look(self, picture: Picture, attached: Attached) -> dict[str, float]:
        """Look at a picture before `encode` is called, which looks at all of a conversation's at once. Between passes.
        Returns seconds: `vision` and `ocr`."""
        timings = {"vision": 0.0, "ocr": 0.0}
        self._eyes.look(picture, timings, _gaze(attached))
        return timings

    def encode(self, messages: Sequence[Message], *, max_new_tokens: int, attached: Attached | None = None) -> Prompt:
        """Turn a conversation into a prompt that ends where the answer begins. Blocking; call it in a thread.

        `attached`: who is to answer; None: the default. Raises PromptTooLong when prompt and answer do not fit into
        `context_length`.
        """
        seen = any(isinstance(part, Picture) for message in messages for part in message.parts)
        attached = attached or self.default
        if not seen:
            attached = attached.without_picture or attached
        gaze = _gaze(attached)
        timings = {"vision": 0.0, "ocr": 0.0}
        features: list[torch.Tensor] = []
        hints: tuple[str, ...] = ()
        turns = []
        for message in messages:
            sights = [self._eyes.look(part, timings, gaze) for part in message.parts if isinstance(part, Picture)]
            of_message = self._hints(sights)
            if message.role == "user":
                hints = of_message
            features += [sight.features for sight in sights if sight.features is not None]
            turns.append(_turn(message, len(sights), of_message, has_places=gaze is not None))
        ids = attached.writer.write(turns)
        limit = self.context_length - max_new_tokens
        if len(ids) > limit:
            raise PromptTooLong(len(ids), limit)
        return Prompt(
            input_ids=torch.tensor([ids], dtype=torch.int64, device=self.device),
            vision_features=torch.stack(features) if features else None,
            hints=hints,
            timings=timings,
            attached=attached,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens each text costs inside a message; of one that cannot fit anyway at least so many."""
        return [self._count(text) for text in texts]

    def _count(self, text: str) -> int:
        if len(text) > self.context_length * MOST_CHARACTERS_PER_TOKEN:
            return len(text) // MOST_CHARACTERS_PER_TOKEN
        return len(self.default.writer.text_ids(text))

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer as the default writes it, with what ends it: to ask how likely that answer is."""
        return self.default.writer.answer_ids(text)

    def _hints(self, sights: Sequence[Sight]) -> tuple[str, ...]:
        lines = []
        for index, sight in enumerate(sights):
            which = "photo" if len(sights) == 1 else f"{ORDINALS[index]} photo" if index < len(ORDINALS) else "next photo"
            seen = sight.recognition
            # Of a page of text, "unclear" says nothing and keeps the model from its words.
            if seen is not None and (seen.names or not sight.text):
                lines.append(photo_line(seen, f"The {which}"))
            if (text := text_line(sight.text, f"the {which}", also=seen is not None and bool(seen.names))) is not None:
                lines.append(self._cut(text))
        return tuple(lines)

    def _cut(self, line: str) -> str:
        """A line that keeps the promise of `picture_tokens`; a third of HINT_TOKENS is left for the line beside it."""
        ids = self.default.writer.text_ids(line)
        limit = HINT_TOKENS * 2 // 3
        if len(ids) <= limit:
            return line
        shorter = str(self.tokenizer.decode(ids[: limit - 4]))
        return shorter.rstrip("\ufffd") + ' ..."'


def _gaze(attached: Attached) -> Gaze | None:
    """How it wants to look at pictures; None: it has no projector."""
    return attached.gaze if attached.projector is not None else None


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a prepared language model. Raises WeightsError."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise WeightsError(f"The tokenizer in {folder} is of an old kind: pull the preset again.")
    return tokenizer


def load_tower(folder: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The vision tower of a prepared preset, in eval mode."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    # A CLIP folder holds the text tower too, and AutoModel would load both.
    loader = CLIPVisionModel if config.model_type.startswith("clip") else AutoModel
    tower: PreTrainedModel = loader.from_pretrained(folder, local_files_only=True, dtype=dtype)
    return _moved(tower, device)


def _moved(model: PreTrainedModel, device: torch.device) -> PreTrainedModel:
    nn.Module.to(model, device)  # PreTrainedModel's own methods are untyped
    nn.Module.eval(model)
    return model


def _turn(message: Message, pictures: int, hints: Sequence[str], *, has_places: bool) -> Turn:
    """A message for the template: placeholders first, as in the original, then hints, then the words."""
    words = " ".join(part.strip() for part in message.parts if isinstance(part, str) and part.strip())
    if not pictures:
        return Turn(message.role, (spoken(message.name, words),))
    places = [Placeholder()] * (pictures if has_places else 0)
    text = "\n".join([*hints, spoken(message.name, words or QUESTION)])
    return Turn(message.role, (*places, text), pictures)
