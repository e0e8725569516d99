"""A loaded mind: messages with pictures go in, token ids for the language model come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog
import torch
from safetensors.torch import load_file
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
from model.convert import quiet
from model.hints import photo_line, text_line
from model.modeling import JnanaForConditionalGeneration
from model.ocr import Reader
from model.presets import Precision, Preset
from model.projector import Projector
from model.prompt import Placeholder, PromptWriter, Turn, spoken
from model.quantize import Needs, Placement, place
from model.sight import Eyes, Picture, Sight
from model.weights import PreparedWeights, Progress, WeightsError

log = structlog.get_logger(__name__)

HINT_TOKENS = 160
"""Most tokens the hints of one picture may take; longer ones (text in the picture) are cut."""
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
    adapted: bool = True
    """False: the base answers, with the adapter off."""


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
        writer: PromptWriter,
        eyes: Eyes,
        device: torch.device,
        *,
        precision: Precision = "fp32",
        adapter: str | None = None,
        base_writer: PromptWriter | None = None,
    ) -> None:
        """`adapter`: name of the one that is loaded. `base_writer`: for conversations without a picture, when the base is to
        answer those; None: the adapter answers them, too."""
        self.preset = preset
        self.model = model
        self.device = device
        self.precision = precision
        self.adapter = adapter
        self.tokenizer = writer.tokenizer
        self.stop_token_ids = writer.stop_token_ids
        self.context_length = preset.context_length
        self.has_projector = model.config.has_projector
        self.picture_tokens = HINT_TOKENS + (preset.image_tokens if self.has_projector else 0)
        """Upper bound of what one picture adds to a prompt: placeholders and hint text, tokens."""
        self._writer = writer
        self._base_writer = base_writer
        self._eyes = eyes

    @classmethod
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
        """Load a prepared preset, and the artefact `adapter` onto it. Blocking, seconds.

        `device`, `precision`: as `place` takes them. `threads`: torch's and onnxruntime's, at least 1.

        Raises WeightsError when the machine cannot run the preset, or the adapter does not fit.
        """
        torch.set_num_threads(threads)
        artefact = Adapter.open(adapter) if adapter else None
        card = artefact.card if artefact else None
        placement = place(preset, weights, device, precision=precision, needs=Needs.of(artefact))
        progress(LOADING, 0, LOAD_STEPS)
        if artefact:
            require_fit(artefact, preset, weights, placement.precision)
        with quiet():
            tokenizer = load_tokenizer(weights.language)
            text = AutoModelForCausalLM.from_pretrained(weights.language, local_files_only=True, **placement.language)
            if artefact and artefact.lora:
                lora.load(text, artefact.folder)
            rows = text.config.vocab_size
            writer = PromptWriter(tokenizer, card.served(preset) if card else preset, rows)
            base_writer = PromptWriter(tokenizer, preset, rows) if card and card.text_only == "base" else None
            progress(LOADING, 1, LOAD_STEPS)
            tower = load_tower(weights.tower, placement.device, placement.dtype)
            file = artefact.projector if artefact else None
            projector = _load_projector(file, tower, text, placement) if file else None
        if placement.precision == "int8":
            rotation = int8.quantise(text)
            if projector:
                projector.rotation = rotation
        progress(LOADING, 2, LOAD_STEPS)
        reader = Reader(threads) if ocr else None
        model = JnanaForConditionalGeneration.assemble(
            text if "device_map" in placement.language else _moved(text, placement.device),
            tower,
            projector,
            **({} if writer.image_token_id is None else {"image_token_index": writer.image_token_id}),
            **({"vision_feature_layer": card.tower.layer} if card else {}),
        )
        model.generation_config.eos_token_id = list(writer.stop_token_ids)
        eyes = Eyes(model.model, hints=hints, reader=reader, fit=card.tower.fit if card else "preset")
        return cls(
            preset,
            model,
            writer,
            eyes,
            placement.device,
            precision=placement.precision,
            adapter=card.name if card else None,
            base_writer=base_writer,
        )

    def read_ahead(self, messages: Sequence[Message]) -> float:
        """Read the text in new pictures, on any thread, before `encode` is called. Blocking, seconds; returns how many."""
        return sum(self._eyes.read(part) for message in messages for part in message.parts if isinstance(part, Picture))

    def encode(self, messages: Sequence[Message], *, max_new_tokens: int) -> Prompt:
        """Turn a conversation into a prompt that ends where the answer begins. Blocking; call it in a thread.

        Raises PromptTooLong when prompt and answer do not fit into `context_length`.
        """
        timings = {"vision": 0.0, "ocr": 0.0}
        features: list[torch.Tensor] = []
        hints: tuple[str, ...] = ()
        turns = []
        seen = any(isinstance(part, Picture) for message in messages for part in message.parts)
        writer = self._writer if seen or self._base_writer is None else self._base_writer
        for message in messages:
            sights = [self._eyes.look(part, timings) for part in message.parts if isinstance(part, Picture)]
            if message.role == "user":
                hints = self._hints(sights)
            if self.has_projector:
                features += [sight.features for sight in sights if sight.features is not None]
            turns.append(self._turn(message, len(sights), self._hints(sights)))
        ids = writer.write(turns)
        limit = self.context_length - max_new_tokens
        if len(ids) > limit:
            raise PromptTooLong(len(ids), limit)
        return Prompt(
            input_ids=torch.tensor([ids], dtype=torch.int64, device=self.device),
            vision_features=torch.stack(features) if features else None,
            hints=hints,
            timings=timings,
            adapted=writer is self._writer,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens each text costs inside a message."""
        return [len(self._writer.text_ids(text)) for text in texts]

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer as the model writes it, with what ends it: to ask how likely that answer is."""
        return self._writer.answer_ids(text)

    def _turn(self, message: Message, pictures: int, hints: Sequence[str]) -> Turn:
        """A message for the template: placeholders first, as in the original, then hints, then the words."""
        words = " ".join(part.strip() for part in message.parts if isinstance(part, str) and part.strip())
        if not pictures:
            return Turn(message.role, (spoken(message.name, words),))
        places = [Placeholder()] * (pictures if self.has_projector else 0)
        text = "\n".join([*hints, spoken(message.name, words or QUESTION)])
        return Turn(message.role, (*places, text), pictures)

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
        ids = self._writer.text_ids(line)
        limit = HINT_TOKENS * 2 // 3
        if len(ids) <= limit:
            return line
        shorter = str(self._writer.tokenizer.decode(ids[: limit - 4]))
        return shorter.rstrip("\ufffd") + ' ..."'


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


def _load_projector(file: Path, tower: PreTrainedModel, text: PreTrainedModel, placement: Placement) -> Projector:
    projector = Projector(tower.config.hidden_size, text.config.hidden_size)
    try:
        projector.load_state_dict(load_file(file))
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"The projector {file} does not fit this preset's tower and language model.") from error
    return projector.to(placement.device, placement.dtype).eval()
