"""Adapters in a mind: beside each other while it works, chosen for each answer, taken out again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path

import structlog
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from model import int8, lora
from model.adapters import Adapter, require_fit
from model.modeling import JnanaForConditionalGeneration
from model.presets import Preset
from model.projector import Projector
from model.prompt import PromptWriter
from model.quantize import Placement
from model.shelf import NONE
from model.sight import Gaze
from model.weights import PreparedWeights, WeightsError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class Attached:
    """An adapter that is in a mind, or the plain base. What one has read, no other can go on with."""

    writer: PromptWriter
    name: str = NONE
    lora: str | None = None
    """PEFT's key of it."""
    projector: Projector | None = None
    gaze: Gaze = Gaze()  # noqa: RUF009 - frozen
    without_picture: Attached | None = None
    """Who answers conversations without a picture; None: itself."""


class Attachments:
    """The networks of a mind, and what is put into them. One thread at a time."""

    def __init__(
        self,
        model: JnanaForConditionalGeneration,
        plain: Attached,
        *,
        preset: Preset,
        weights: PreparedWeights,
        placement: Placement,
        text: PreTrainedModel,
        rotation: int8.Rotation | None,
    ) -> None:
        """`text`: the language model inside `model`, with its head. `rotation`: it was quantised by model/int8.py."""
        self._model = model
        self._plain = plain
        self._preset = preset
        self._weights = weights
        self._placement = placement
        self._text = text
        self._rotation = rotation
        self._keys = (f"lora{number}" for number in count())

    def attach(self, adapter: Adapter) -> Attached:
        """Put an adapter in. Blocking: up to seconds. Raises WeightsError when it does not fit, torch's OutOfMemoryError; then
        the others answer as before."""
        require_fit(adapter, self._preset, self._weights, self._placement.precision)
        try:
            return self._attach(adapter)
        except (WeightsError, torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except (OSError, ValueError, LookupError, AttributeError, RuntimeError, SafetensorError) as error:
            log.exception("adapter_unfit", folder=str(adapter.folder))
            raise WeightsError(
                f"The adapter {adapter.name} ({adapter.folder}) cannot be loaded ({type(error).__name__}; the log says more)."
            ) from error

    def _attach(self, adapter: Adapter) -> Attached:
        card = adapter.card
        return Attached(
            writer=PromptWriter(self._tokenizer, card.served(self._preset), self._text.config.vocab_size),
            name=card.name,
            projector=self._projector(adapter.projector) if adapter.projector else None,
            lora=self._put(adapter.folder) if adapter.lora else None,
            gaze=Gaze(card.tower.layer, card.tower.fit),
            without_picture=self._plain if card.text_only == "base" else None,
        )

    def detach(self, attached: Attached) -> None:
        """Take it out. Nobody may be answered with it any more."""
        if attached.lora is not None:
            lora.take_out(self._text, attached.lora)

    @property
    def _tokenizer(self) -> PreTrainedTokenizerFast:
        return self._plain.writer.tokenizer

    def _put(self, folder: Path) -> str:
        config, weights = lora.read(folder)
        lora.require_switchable(config, weights, folder)
        if self._rotation is not None:
            if not int8.takes(config):
                raise WeightsError(f"{folder} is not plain LoRA, which alone goes with 8 bits: set MODEL_PRECISION=fp32.")
            weights = self._rotation.of_lora(weights)
        key = next(self._keys)
        try:
            lora.put(self._text, config, weights, folder, key=key)
        except BaseException:
            lora.take_out(self._text, key)
            raise
        self._model.lm_head = self._text.get_output_embeddings()
        return key

    def _projector(self, file: Path) -> Projector:
        tower = self._model.model.vision_tower.config
        projector = Projector(tower.hidden_size, self._text.config.hidden_size)
        try:
            projector.load_state_dict(load_file(file))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise WeightsError(f"The projector {file} does not fit this preset's tower and language model.") from error
        if self._rotation is not None:
            projector.rotation = self._rotation.matrix
        return projector.to(self._placement.device, self._placement.dtype).eval().requires_grad_(False)
