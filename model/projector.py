"""From the vision tower's space into the language model's: a linear map and one residual block."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class Projector(nn.Module):
    """Linear(vision -> hidden), LayerNorm, then x + Linear-GELU-Linear on the *normalised* x.

    The residual block is LLaVA's `SimpleResBlock` (multimodal_projector/builder.py there); the original Jñāna used it
    after a linear layer. 768 -> 2560 gives 15,086,080 parameters.
    """

    def __init__(self, vision_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(vision_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.rotation: torch.Tensor | None = None
        """(hidden_size, hidden_size), for a language model that was rotated (model/int8.py)."""
        self.block = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size))

    @classmethod
    def of(cls, weights: Mapping[str, torch.Tensor]) -> Projector:
        """As wide as `weights` (a state dict) are. Raises KeyError or RuntimeError when they are no projector's."""
        hidden_size, vision_size = weights["linear.weight"].shape
        projector = cls(vision_size, hidden_size)
        projector.load_state_dict(weights)
        return projector

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(..., vision_size) -> (..., hidden_size)."""
        normalised: torch.Tensor = self.norm(self.linear(features))
        residual: torch.Tensor = self.block(normalised)
        tokens = normalised + residual
        return tokens if self.rotation is None else tokens @ self.rotation
