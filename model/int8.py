"""A Llama in 8 bits on a CPU: faster than fp32, with answers that stay as good (docs/results/int8.md).

The stream between layers is rotated by an orthogonal matrix that is folded into the weights (QuaRot, Ashkboos et al. 2024,
https://arxiv.org/abs/2404.00456): exactly computed, nothing changes, but no channel is much louder than the others any more.
Then weights are rounded to 8 bits, with a scale for each output, and what they are multiplied with to 7 bits, with a scale
for each token: so a product comes out the same alone and in a crowd, and sums of whole numbers the same on every CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from model import levels
from model.levels import LEVELS, TINY, Rounded

FINE = frozenset({"q_proj", "k_proj", "v_proj", "down_proj"})
"""Layers whose activations need more than 7 bits, by measurement (docs/results/int8.md)."""
QKV, GATE_UP = ("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")
"""Layers that read the same."""
READERS = frozenset({*QKV, *GATE_UP})
WRITERS = frozenset({"o_proj", "down_proj"})
PROJECTIONS = READERS | WRITERS
"""Of a layer, by what they do with the stream."""
VARIANTS = (
    *("use_dora", "use_bdlora", "use_qalora", "lora_bias", "fan_in_fan_out"),
    *("alora_invocation_tokens", "arrow_config", "kasa_config", "velora_config", "monteclora_config"),
)
"""Of a LoraConfig: what is more than low-rank matrices."""


def is_supported(config: PreTrainedConfig) -> bool:
    """Whether this CPU and a language model of this configuration can do it."""
    is_plain = config.model_type == "llama" and config.hidden_act == "silu" and not (config.attention_bias or config.mlp_bias)
    return is_plain and levels.are_supported()


def takes(config: Any) -> bool:
    """Whether a LoRA of this LoraConfig can be rotated: low-rank matrices beside the layers' projections, and nothing else."""
    targets = config.target_modules
    extras = (config.modules_to_save, config.bias != "none", *(getattr(config, name, None) for name in VARIANTS))
    return isinstance(targets, set | list) and set(targets) <= PROJECTIONS and not any(extras)


class LowRank(NamedTuple):
    """LoRA (https://arxiv.org/abs/2106.09685) beside one layer: x @ down @ up is added to its product."""

    down: torch.Tensor
    """(in, rank)"""
    up: torch.Tensor
    """(rank, out), with the scaling."""


class Together:
    """Weights of linear layers without bias that read the same rows, rounded; multiplied in one go when the first is asked.

    LoRA beside them is in fp32 and computed here as well, down in one product for all of them: layer by layer, as PEFT does it,
    it took a quarter of the time of a pass.
    """

    def __init__(self, weights: Sequence[torch.Tensor], *, fine: bool) -> None:
        """`weights`: (out, in) fp32 each. `fine`: activations in two parts of 7 bits each, at half the speed."""
        self._fine = fine
        self._sizes = [len(weight) for weight in weights]
        self._rounded = Rounded(torch.cat(list(weights)))
        self._active: str | None = None
        self._loras: dict[str, tuple[torch.Tensor, Mapping[int, torch.Tensor]]] = {}
        """`down` of all layers, side by side, and `up` of each."""
        self._last: tuple[torch.Tensor | None, dict[int, torch.Tensor]] = (None, {})
        """What was read last, and its products that were not asked for yet."""

    def put(self, key: str, lora: Mapping[int, LowRank]) -> None:
        """Keep a LoRA, by the layers that it is beside, for when it is activated."""
        down = torch.cat([one.down for one in lora.values()], 1)
        self._loras[key] = down, {which: one.up.contiguous() for which, one in lora.items()}

    def take_out(self, key: str) -> None:
        """Let go of a LoRA, if it is there."""
        self._loras.pop(key, None)

    def activate(self, key: str | None) -> None:
        """Compute `product` with this LoRA from now on, if it is there; None: with none."""
        self._active, self._last = key, (None, {})

    def product(self, x: torch.Tensor, which: int) -> torch.Tensor:
        """(..., in) -> (..., out) fp32, of one of them."""
        read, products = self._last
        if read is not x or which not in products:
            loras = [] if self._active is None else [(self._active, slice(None))]
            together = self.multiply(x.reshape(-1, x.shape[-1]), loras).view(*x.shape[:-1], -1)
            products = dict(enumerate(together.split_with_sizes(self._sizes, -1)))
        product = products.pop(which)
        self._last = (x, products) if products else (None, {})
        return product

    def multiply(self, rows: torch.Tensor, loras: Iterable[tuple[str, slice]]) -> torch.Tensor:
        """(rows, in) -> (rows, all that they put out, side by side) fp32. `loras`: which rows are for which."""
        product = self._product(rows)
        for key, which_rows in loras:
            if key not in self._loras:
                continue
            down, ups = self._loras[key]
            parts = product[which_rows].split_with_sizes(self._sizes, -1)
            lows = (rows[which_rows] @ down).split_with_sizes([len(up) for up in ups.values()], -1)
            for low, (which, up) in zip(lows, ups.items(), strict=True):
                parts[which].addmm_(low, up)
        return product

    def _product(self, rows: torch.Tensor) -> torch.Tensor:
        scales = rows.abs().amax(-1, keepdim=True).clamp_min_(TINY).div_(_LEVELS)  # vector_norm(inf) takes ten times as long
        scaled = rows / scales
        coarse = scaled.round()
        if not self._fine:
            return self._rounded.multiply(coarse).mul_(scales)
        rest = scaled.sub_(coarse).mul_(_REST).round_()  # what rounding left, at most half a level
        product, of_rest = self._rounded.multiply(coarse, rest).chunk(2)
        return product.add_(of_rest, alpha=1 / (2 * LEVELS)).mul_(scales)


_LEVELS, _REST = torch.tensor(float(LEVELS)), torch.tensor(2.0 * LEVELS)
"""Numbers as tensors: torch makes one of a Python number each time, which takes longer than dividing a row by it."""


class Int8Linear(nn.Module):
    """A linear layer without bias, rounded: one of those that read the same."""

    def __init__(self, together: Together, which: int, weight: torch.Tensor) -> None:
        """`weight`: its own, (out, in), for its shape."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight = torch.empty(0)  # PEFT looks here for device and type of what it puts beside
        self.together, self.which = together, which

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out) fp32."""
        return self.together.product(x, self.which)


def rounded(weights: Sequence[torch.Tensor], *, fine: bool) -> list[Int8Linear]:
    """Layers of these weights, (out, in) fp32 each, that read the same; `fine` as Together takes it."""
    together = Together(weights, fine=fine)
    return [Int8Linear(together, which, weight) for which, weight in enumerate(weights)]


@dataclass(frozen=True)
class Rotation:
    """What a Llama's stream was multiplied with, and so has to be everything that reads or writes it."""

    matrix: torch.Tensor
    """(hidden, hidden) fp32, orthogonal. Soft tokens are multiplied with it as well."""
    gains: Sequence[tuple[torch.Tensor, torch.Tensor]]
    """(hidden,) fp32 each: of every layer's two norms, which layers behind them have taken over."""

    def of_lora(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """LoRA weights, named as model.lora.extract does, for the rotated model."""
        return {name: self._rotated(name, weight) for name, weight in weights.items()}

    def _rotated(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        *before, projection, side, _ = name.split(".")
        of_attention, of_mlp = self.gains[int(before[before.index("layers") + 1])]
        if side == "lora_A" and projection in READERS:
            gain = of_mlp if projection in ("gate_proj", "up_proj") else of_attention
            return weight.float() * gain @ self.matrix
        if side == "lora_B" and projection in WRITERS:
            return self.matrix.T @ weight.float()
        return weight.float()


def quantise(text: PreTrainedModel) -> Rotation:
    """Rotate and round a Llama with its head, in place. Blocking, seconds. LoRA is put in afterwards, rotated, and in fp32."""
    model: Any = text
    rotation = _orthogonal(text.config.hidden_size)
    embedding = model.get_input_embeddings().weight.detach()
    rows, width = embedding.shape
    head = nn.Linear(width, rows, bias=False, device="meta")
    head.weight = model.lm_head.weight  # where it is tied to the embedding, it is its own from here on
    model.get_input_embeddings().weight = _frozen(embedding.double() @ rotation)
    gains = []
    for layer in model.base_model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        gains.append((layer.input_layernorm.weight.detach().clone(), layer.post_attention_layernorm.weight.detach().clone()))
        _rotate_inputs(layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj), rotation)
        _rotate_inputs(layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj), rotation)
        for writer in (attention.o_proj, mlp.down_proj):
            writer.weight = _frozen(rotation.T @ writer.weight.detach().double())
        for parent, names in ((attention, QKV), (attention, ("o_proj",)), (mlp, GATE_UP), (mlp, ("down_proj",))):
            weights = [getattr(parent, name).weight.detach() for name in names]
            for name, linear in zip(names, rounded(weights, fine=names[0] in FINE), strict=True):
                setattr(parent, name, linear)
    _rotate_inputs(model.base_model.norm, (head,), rotation)
    (model.lm_head,) = rounded([head.weight], fine=False)
    return Rotation(rotation.float(), gains)


def _orthogonal(size: int) -> torch.Tensor:
    """A random orthogonal matrix (size, size), fp64, always the same one."""
    random = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotation: torch.Tensor = torch.linalg.qr(random).Q
    return rotation


def _rotate_inputs(norm: Any, linears: Iterable[Any], rotation: torch.Tensor) -> None:
    """Let layers read the rotated stream, and multiply with the gain of the norm before them, which was for the other one."""
    gain = norm.weight.detach().double()
    for linear in linears:
        linear.weight = _frozen(linear.weight.detach().double() * gain @ rotation)
    norm.weight = _frozen(torch.ones_like(gain))


def _frozen(weight: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(weight.float(), requires_grad=False)
