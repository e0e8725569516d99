"""The checkpoint that the original Jñāna published, as an artefact of ours.

https://github.com/anilbhatt1/Jnana_phi2_multimodal_llm (app.py says what is in it): a PEFT adapter for phi-2, whose folder also
holds the whole embedding and head because the vocabulary had been resized, and two .pth files with the projector's parts.
"""

from __future__ import annotations

import pickle  # its exception only: nothing is unpickled here
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from model.adapters import LORA, Adapter, Card, Source, Template
from model.lora import PEFT_PREFIX, put, read_config
from model.presets import END_OF_TEXT, ORIGINAL_TEMPLATE, Preset
from model.projector import Projector
from model.weights import PreparedWeights, WeightsError

TOLERANCE = 2.0**-8
"""Largest `Imported.difference` that is let through: the rounding of bfloat16. The original never trained its embedding; a copy
through another precision is all that may have happened to it."""

DATA = (
    Source(
        name="COCO captions",
        licence="annotations CC BY 4.0; pictures: their owners', by Flickr's terms",
        url="https://cocodataset.org",
    ),
    Source(
        name="LLaVA-Instruct-150K",
        licence="CC BY 4.0 (until 2024 CC BY-NC 4.0), and OpenAI's terms of use",
        url="https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K",
    ),
)
RESIZED = ("embed_tokens.weight", "lm_head.weight", "lm_head.bias")
"""Ends of the names of what belongs to the resized vocabulary and not to LoRA."""


@dataclass(frozen=True)
class Imported:
    adapter: Adapter
    difference: float | None
    """Between the checkpoint's embedding and the base's: norm of the difference by norm of the row, of the row where that is
    largest (0 to infinity). None: the checkpoint had none."""
    rows: int
    """Of that embedding; it is left out."""


@dataclass(frozen=True)
class Checkpoint:
    """What was published, read."""

    folder: Path
    config: Any
    """peft's LoraConfig."""
    lora: dict[str, torch.Tensor]
    resized: dict[str, torch.Tensor]
    """What belongs to the resized vocabulary."""
    projector: Projector

    @classmethod
    def read(cls, folder: Path, projector_files: Sequence[Path]) -> Checkpoint:
        """The adapter in `folder` and the projector's .pth files, in whatever order.

        Raises WeightsError: files of another kind or size.
        """
        return cls(folder, *_read_lora(folder), read_projector(projector_files))


def import_original(
    checkpoint: Checkpoint, preset: Preset, weights: PreparedWeights, target: Path, *, name: str, force: bool
) -> Imported:
    """Write `target`, an artefact.

    Raises WeightsError: it does not fit; or, unless `force`, its embedding is not the base's.
    """
    folder, config, lora, resized = checkpoint.folder, checkpoint.config, checkpoint.lora, checkpoint.resized
    difference = _difference(resized, weights.language)
    if difference is not None and difference > TOLERANCE and not force:
        raise WeightsError(
            f"The embedding in {folder} differs from that in {weights.language} by up to {difference:.2%} of a row "
            f"(rounding explains {TOLERANCE:.2%}), so its LoRA belongs to another language model: pull the one it was trained "
            "on, or give --force to leave the embedding out all the same."
        )
    projector = checkpoint.projector
    skeleton = _skeleton(weights.language)
    _require_width(projector, weights, skeleton)
    put(skeleton, config, lora, folder)
    card = Card.describe(
        preset,
        weights,
        precision="nf4",
        layer=-1,
        fit="crop",
        name=name,
        stage="instruct",
        template=Template(name="original", text=ORIGINAL_TEMPLATE, end_of_turn=END_OF_TEXT),
        data=DATA,
    )
    adapter = Adapter.save(target, card, projector=projector.state_dict(), lora=(config, lora))
    return Imported(adapter, difference, max((len(tensor) for tensor in resized.values()), default=0))


def read_projector(files: Sequence[Path]) -> Projector:
    """The projector out of state dicts of its parts: the linear layer, and the block of norm and two linear layers.

    What is what is told by shapes and, between the two layers of the block, by their order in the file, which is that in which
    they were defined. Raises WeightsError.
    """
    modules = [module for file in files for module in _modules(file)]
    norms = [module for module in modules if module["weight"].ndim == 1]
    square = [module for module in modules if module["weight"].ndim == 2 and _is_square(module)]
    others = [module for module in modules if module["weight"].ndim == 2 and not _is_square(module)]
    if (len(norms), len(square), len(others)) != (1, 2, 1):
        found = ", ".join("x".join(map(str, module["weight"].shape)) for module in modules)
        names = " and ".join(str(file) for file in files)
        raise WeightsError(
            f"{names} should hold one linear layer, one norm and two linear layers of the same width, and hold weights of the "
            f"shapes {found or 'nothing'}: give the linear layer's file and the block's."
        )
    parts = {"linear": others[0], "norm": norms[0], "block.0": square[0], "block.2": square[1]}
    try:
        return Projector.of({f"{part}.{key}": tensor for part, module in parts.items() for key, tensor in module.items()})
    except RuntimeError as error:
        raise WeightsError(f"The parts of the projector in {files[0]} do not fit each other.") from error


def _modules(file: Path) -> list[dict[str, torch.Tensor]]:
    """Weight and bias of each layer in a file, in its order, fp32."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in _state_dict(file).items():
        layer, _, key = name.rpartition(".")
        layers.setdefault(layer, {})[key] = tensor.detach().float()
    for layer, tensors in layers.items():
        if tensors.keys() != {"weight", "bias"}:
            raise WeightsError(f"{file} is no part of a projector: {layer or 'its layer'} has {', '.join(tensors)}.")
    return list(layers.values())


def _state_dict(file: Path) -> Mapping[str, torch.Tensor]:
    try:
        loaded: Any = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"There is no file {file}.") from None
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(
            f"{file} does not hold plain weights (a state dict): whole modules are code, which is not run here; "
            "save its state_dict() where it was made."
        ) from error
    if isinstance(loaded, Mapping) and len(loaded) and all(isinstance(value, torch.Tensor) for value in loaded.values()):
        return loaded
    raise WeightsError(f"{file} does not hold a state dict, but {type(loaded).__name__}.")


def _is_square(module: Mapping[str, torch.Tensor]) -> bool:
    return module["weight"].shape[0] == module["weight"].shape[1]


def _read_lora(folder: Path) -> tuple[Any, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The adapter's configuration, its LoRA weights, and what belongs to the resized vocabulary."""
    config = read_config(folder)
    try:
        tensors = load_file(folder / LORA) if (folder / LORA).is_file() else _state_dict(folder / "adapter_model.bin")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder / LORA} cannot be read ({error}).") from error
    config.modules_to_save = None
    resized = {name: tensor for name, tensor in tensors.items() if name.endswith(RESIZED)}
    return config, {name: tensor for name, tensor in tensors.items() if name not in resized}, resized


def _difference(resized: Mapping[str, torch.Tensor], language: Path) -> float | None:
    """See Imported.difference. Raises WeightsError when the base has fewer rows, or none of that name."""
    largest = None
    for name, tensor in resized.items():
        own = name.removeprefix(PEFT_PREFIX).replace("modules_to_save.", "")
        rows = _rows_of(language, own, len(tensor))
        if rows.shape != tensor.shape:
            raise WeightsError(
                f"The checkpoint's {own} has the shape {tuple(tensor.shape)}, which is no part of that in {language}."
            )
        wanted, found = (one.float().reshape(-1, one.shape[-1]) for one in (rows, tensor))
        relative = (found - wanted).norm(dim=1) / wanted.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        largest = max(float(relative.max()), largest or 0.0)
    return largest


def _rows_of(language: Path, name: str, count: int) -> torch.Tensor:
    """The first rows of a tensor of the language model, read alone."""
    for file in sorted(language.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            if name in weights.keys():  # noqa: SIM118
                rows: torch.Tensor = weights.get_slice(name)[:count]
                return rows
    raise WeightsError(f"{language} has no {name}, which the checkpoint brings: it is of another kind of language model.")


def _skeleton(language: Path) -> PreTrainedModel:
    """The language model without any weights."""
    with torch.device("meta"):
        text: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(language, local_files_only=True))
    return text


def _require_width(projector: Projector, weights: PreparedWeights, text: PreTrainedModel) -> None:
    tower = AutoConfig.from_pretrained(weights.tower, local_files_only=True)
    expected = (getattr(tower, "vision_config", tower).hidden_size, text.config.hidden_size)
    found = (projector.linear.in_features, projector.linear.out_features)
    if found != expected:
        raise WeightsError(
            f"The projector goes from {found[0]} to {found[1]}, and this preset's networks need {expected[0]} to {expected[1]}."
        )
