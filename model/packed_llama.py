"""A pass of a Llama in 8 bits (model/int8.py): what transformers' layers compute, bit for bit, in fewer operations.

For one token of pocket that is thousands of them, and each costs microseconds however little it computes: queries, keys and
values come out of one product and are turned together, and so do both halves of the MLP.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import silu

from model.int8 import Int8Linear
from model.modeling import JnanaForConditionalGeneration
from model.packed import PackedModel, Step


class PackedLlama(PackedModel):
    """A mind's language model for steps, if it was rounded."""

    mixes = True

    def __init__(self, model: JnanaForConditionalGeneration) -> None:
        super().__init__(model)
        config: Any = self._text.config
        self._epsilon = config.rms_norm_eps
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._layers = [_Layer(layer) for layer in self._text.layers]

    @staticmethod
    def takes(model: nn.Module) -> bool:
        """Whether its layers are those of model.int8.quantise."""
        return any(isinstance(module, Int8Linear) for module in model.modules())

    def hidden(self, step: Step, embedded: torch.Tensor) -> torch.Tensor:
        cos, sin = self._turns(step, embedded)
        stream = embedded
        for number, layer in enumerate(self._layers):
            said = self._attend(step, number, layer.qkv.multiply(self._normalised(stream), step.loras), cos, sin)
            stream = stream + layer.o.multiply(said, step.loras)
            gate, up = layer.gate_up.multiply(self._normalised(stream), step.loras).chunk(2, -1)
            stream = stream + layer.down.multiply(silu(gate).mul_(up), step.loras)
        return self._normalised(stream)

    def _normalised(self, stream: torch.Tensor) -> torch.Tensor:
        """RMSNorm (https://arxiv.org/abs/1910.07467); layers behind it have taken over its gain."""
        return stream * (stream * stream).mean(-1, keepdim=True).add_(self._epsilon).rsqrt_()

    def _turns(self, step: Step, embedded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of rotary embeddings, (tokens, 1, width); the sines with the sign of the half they are for."""
        cos, sin = self._text.rotary_emb(embedded, step.positions[None])
        sin = sin[0, :, None].clone()
        sin[..., : sin.shape[-1] // 2].neg_()
        return cos[0, :, None], sin

    def _attend(self, step: Step, layer: int, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """(tokens, width of queries, keys and values) -> (tokens, width of queries)."""
        tokens, width = len(qkv), cos.shape[-1]
        heads = qkv.view(tokens, -1, width)
        turned, value = heads.split_with_sizes([self._heads + self._key_heads, self._key_heads], 1)
        first, second = turned.chunk(2, -1)
        turned = (turned * cos).add_(torch.cat((second, first), -1).mul_(sin))
        query, key = turned.split_with_sizes([self._heads, self._key_heads], 1)
        query, key, value = (part.transpose(0, 1)[None] for part in (query, key, value))
        return step.attend(layer, query, key, value, width**-0.5).view(tokens, -1)


class _Layer:
    """Products of one, by what they read."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv, self.o = attention.q_proj.together, attention.o_proj.together
        self.gate_up, self.down = mlp.gate_proj.together, mlp.down_proj.together
