"""An artefact with its weights in fp16, to be passed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from model import lora
from model.adapters import Adapter
from model.weights import WeightsError


def halve(adapter: Adapter, target: Path) -> Adapter:
    """Half as large as in fp32; it differs by a 2,000th of each weight at most, and its parent is the one it was made of.

    Raises WeightsError: a weight is no number, or too large for fp16.
    """
    projector = load_file(adapter.projector) if adapter.projector is not None else None
    added = lora.read(adapter.folder) if adapter.lora is not None else None
    wrong = [*_not_in_fp16(projector or {}), *_not_in_fp16(added[1] if added else {})]
    if wrong:
        raise WeightsError(f"{adapter.folder} cannot be stored in fp16: {wrong[0]} is too large or no number.")
    card = adapter.card.model_copy(update={"parent": adapter.sha256})
    return Adapter.save(target, card, projector=projector, lora=added, dtype=torch.float16)


def _not_in_fp16(weights: Mapping[str, torch.Tensor]) -> Iterator[str]:
    return (name for name, tensor in weights.items() if not tensor.half().isfinite().all())
