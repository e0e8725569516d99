"""The mind that stages 1 and 2 start from: a preset's language model, tower and template, and a projector to train."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from model import lora
from model.adapters import Adapter, Card, Source, Template, open_fitting
from model.convert import quiet
from model.files import MANIFEST, check_manifest, sha256
from model.mind import load_tower
from model.modeling import JnanaForConditionalGeneration
from model.presets import ORIGINAL_TEMPLATE, Component, Precision, Preset, get_preset
from model.projector import Projector
from model.prompt import PromptWriter, Turn
from model.quantize import nf4
from model.vision import Preprocessing
from model.weights import PreparedWeights, Progress, prepare
from training.blend import Weights, blended
from training.config import Align, Instruct, Weigh
from training.data.features import FeatureCache
from training.errors import TrainingError
from training.examples import Example, MindExamples
from training.task import Facts


@dataclass(frozen=True)
class Base:
    """A mind to train on, frozen and in eval mode: dropout in a frozen model would only be noise."""

    preset: Preset
    weights: PreparedWeights
    model: JnanaForConditionalGeneration
    writer: PromptWriter
    preprocess: Preprocessing
    start: Adapter | None = None
    """What training goes on from."""

    @property
    def projector(self) -> Projector:
        projector: Projector | None = self.model.model.multi_modal_projector
        assert projector is not None  # noqa: S101 - `load_base` always gives one
        return projector

    @property
    def identity(self) -> str:
        """Of everything frozen, and of what training goes on from: a run does not go on with others."""
        start = self.start.sha256 if self.start is not None else ""
        parts = (self.weights.sha256("language"), self.weights.sha256("tower"), start, self.writer.chat_template)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def cache(self, folder: Path) -> FeatureCache:
        """Where features of this tower, layer, fit and number of tokens are kept below `folder`."""
        tower = sha256(self.weights.tower / MANIFEST)[:16]
        looks = self.model.model.vision_tower
        dtype = str(looks.dtype).removeprefix("torch.")
        name = f"{tower}-layer{self.model.config.vision_feature_layer}-{self.preprocess.fit}-{dtype}-{self.preset.image_tokens}"
        return FeatureCache(folder / name, self.preset.image_tokens, self.model.model.vision_tower.config.hidden_size)

    def examples(
        self, run: Align | Instruct, made: Sequence[Example], cache: FeatureCache, weigh: Weigh = "labels"
    ) -> MindExamples:
        """As the loop reads them. Checkpointing computes layers again without a cache, so nothing is shared with it."""
        share = not run.gradient_checkpointing
        return MindExamples(made, cache, image_token=self.writer.image_token_id, share_prefix=share, weigh=weigh)

    @torch.inference_mode()
    def look(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Features of pictures, (pictures, tokens, tower width)."""
        tower = self.model.model.vision_tower
        features: torch.Tensor = self.model.model.vision_features(self.preprocess(pictures).to(tower.device, tower.dtype))
        return features


def load_base(run: Align | Instruct, home: Path, device: torch.device, progress: Progress) -> Base:
    """Load what `run` starts from. Blocking, seconds to minutes.

    Raises WeightsError when the preset's weights are not there, TrainingError when `start` does not fit them or is missing.
    """
    preset, weights, writer = load_writer(run, home, progress)
    start = open_fitting(run.start, preset, weights, precision_of(run)) if run.start is not None else None
    if isinstance(run, Instruct) and (start is None or start.projector is None):
        raise TrainingError("Stage 2 needs a trained projector: --set start=RUN/artefact of a stage 1.")
    if start is not None:
        _require_same_looks(run, start)
    dtype = torch.bfloat16 if run.precision == "bf16" else torch.float32
    with quiet():
        quantised = isinstance(run, Instruct) and run.quantize is not None
        how = nf4(device) if quantised else {"dtype": dtype, "device_map": {"": device}}
        text = AutoModelForCausalLM.from_pretrained(weights.language, local_files_only=True, **how)
        tower = load_tower(weights.tower, device, dtype)
    projector = _projector(run, start, tower, text).to(device)
    model = JnanaForConditionalGeneration.assemble(
        text, tower, projector, image_token_index=writer.image_token_id, vision_feature_layer=run.pictures.layer
    )
    if device.type == "cpu" and dtype == torch.bfloat16:
        # The backward pass of torch's fused attention goes round the CPU's bf16 units: a step takes a quarter longer.
        model.model.language_model.set_attn_implementation("eager")
    nn.Module.requires_grad_(model, False)
    _without_dropout(text)
    _without_repacking(text)
    if run.gradient_checkpointing:
        text.activation_checkpointing_enable({"use_reentrant": False})
    model.generation_config.eos_token_id = list(writer.stop_token_ids)
    return Base(preset, weights, model, writer, Preprocessing.for_tower(tower.config, run.pictures.fit), start)


def _require_same_looks(run: Align | Instruct, start: Adapter) -> None:
    """A projector reads one layer of one kind of squares. Raises TrainingError: this run shows it others."""
    tower, wanted = start.card.tower, run.pictures
    if (tower.layer, tower.fit) != (wanted.layer, wanted.fit):
        raise TrainingError(
            f"{start.folder} was trained on layer {tower.layer} with fit {tower.fit}, and this run looks at layer "
            f"{wanted.layer} with fit {wanted.fit}: --set pictures.layer={tower.layer} --set pictures.fit={tower.fit}."
        )


def save_adapter(base: Base, run: Align | Instruct, folder: Path, facts: Facts) -> None:
    """What was trained, as an artefact. Raises WeightsError."""
    learnt = base.start.card.data if base.start is not None else ()  # by the adapter that it goes on from
    sources = (*learnt, *(Source(name=name, licence=licence) for name, licence in facts.sources))
    card = Card.describe(
        base.preset,
        base.weights,
        precision=precision_of(run),
        layer=run.pictures.layer,
        fit=run.pictures.fit,
        name=facts.name,
        stage=run.stage,
        template=Template(name=run.template, text=base.writer.chat_template, end_of_turn=_end_of_turn(base.writer)),
        data=tuple(dict.fromkeys(sources)),
        metrics=facts.metrics,
        parent=base.start.sha256 if base.start is not None else None,
        text_only=run.text_only if isinstance(run, Instruct) else "base",
    )
    projector: Weights = base.projector.state_dict()
    adapted: tuple[Any, Weights] | None = None
    if isinstance(run, Instruct):
        config, weights = lora.extract(base.model.model.language_model)
        if run.keep_start and base.start is not None:
            projector, weights = blended(projector, weights, base.start, run.keep_start)
        adapted = config, weights
    Adapter.save(folder, card, projector=projector, lora=adapted)


def _end_of_turn(writer: PromptWriter) -> str:
    """The token that ends an answer in the template, by name."""
    ids, _ = writer.example([Turn("user", ("?",)), Turn("assistant", ("!",))])
    return str(writer.tokenizer.convert_ids_to_tokens(ids[-1]))


def precision_of(run: Align | Instruct) -> Precision:
    """Of the language model that the run trains on."""
    return "nf4" if isinstance(run, Instruct) and run.quantize else run.computes_in


def load_writer(run: Align | Instruct, home: Path, progress: Progress) -> tuple[Preset, PreparedWeights, PromptWriter]:
    """What writes the prompts of a run, without the networks.

    Raises WeightsError, and TrainingError when `language` does not suit the run.
    """
    preset = _for_training(get_preset(run.model), run.template)
    weights = prepare(preset, home, progress)
    if run.language is not None:
        preset, weights = _with_language(preset, weights, run.language)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(weights.language, local_files_only=True)
        config = AutoConfig.from_pretrained(weights.language, local_files_only=True)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise TrainingError(f"The tokenizer in {weights.language} is of an old kind: pull the preset again.")
    if run.max_length > config.max_position_embeddings:
        raise TrainingError(
            f"The language model in {weights.language} has {config.max_position_embeddings:,} positions, and max_length is "
            f"{run.max_length:,}: lower it."
        )
    if not (preset.chat_template or tokenizer.chat_template):
        raise TrainingError(
            f"The tokenizer in {weights.language} has no chat template, and {preset.name} has none of its own: train stage 0 "
            "with the preset's tokenizer."
        )
    try:
        return preset, weights, PromptWriter(tokenizer, preset, config.vocab_size)
    except ValueError as error:  # a preset's own tokenizer always fits
        raise TrainingError(
            f"The tokenizer in {weights.language} does not suit {preset.name} ({error}): train stage 0 with the preset's own."
        ) from error


def _with_language(preset: Preset, weights: PreparedWeights, folder: Path) -> tuple[Preset, PreparedWeights]:
    """The preset with another language model. An artefact made on it says so, and is loaded only where that model is."""
    if (wrong := check_manifest(folder, None, lambda count: None)) is not None:
        raise TrainingError(f"The language model in {folder} cannot be used ({wrong}): give the artefact of a stage 0.")
    own = Component(title=str(folder), source="stage 0", licence="see its run", size=0)
    return replace(preset, components={**preset.components, "language": own}), replace(weights, language=folder)


def _for_training(preset: Preset, template: str) -> Preset:
    """With the template that adapters bring along; the word on photos is for models that only read hints."""
    text = ORIGINAL_TEMPLATE if template == "original" else preset.adapter_template or preset.chat_template
    return replace(preset, chat_template=text, photo_prompt=None)


def _without_dropout(text: PreTrainedModel) -> None:
    """A frozen model's dropout is only noise (phi-2 has it, the original left it on), and checkpointing needs train mode."""
    for module in text.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            setattr(module, "attention_dropout", 0.0)  # noqa: B010 - nn.Module's own types know tensors only


def _without_repacking(text: PreTrainedModel) -> None:
    """bitsandbytes (0.50.2) lays 4-bit weights out anew in eval mode, for a product that CPUs with bf16 units compute without
    a gradient: after the first validation nothing would be learnt any more."""
    for module in text.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 - nn.Module's own types know tensors only


def _projector(run: Align | Instruct, start: Adapter | None, tower: PreTrainedModel, text: PreTrainedModel) -> Projector:
    """fp32, whatever the frozen networks are in."""
    torch.manual_seed(run.seed)
    projector = Projector(tower.config.hidden_size, text.config.hidden_size)
    if start is not None and start.projector is not None:
        projector.load_state_dict(load_file(start.projector))
    elif isinstance(run, Align) and run.projector_init != "torch_default":
        # Soft tokens as loud as words: at LayerNorm's own gain of 1 they drown SmolLM2's embeddings (0.136 rms) from the start.
        embeddings: torch.Tensor = text.get_input_embeddings().weight.detach().float()  # type: ignore[operator]
        nn.init.constant_(projector.norm.weight, float(embeddings.square().mean().sqrt()))
    return projector
