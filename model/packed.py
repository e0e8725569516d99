"""One forward pass over pieces of many conversations, laid one behind the other.

A step has the next token of every answer that is being written and parts of prompts that are still read, so linear layers,
which take nearly all the time, see no padding. Keys and values stay in slots, a row for each conversation (as in Orca,
Yu et al. 2022: batching at the level of iterations, with attention apart for each sequence).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from model.modeling import JnanaForConditionalGeneration
from model.threads import Threads

ATTENTION = "jnana_packed"
"""Name of the attention function below among transformers'."""

CAPACITY_STEP = 128
"""Tokens by which slots grow, at least: growing copies all of them."""
WIDTH_STEP = 64
"""Tokens by which what the next token of an answer looks at grows: those of about as many lie in one product."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of one conversation in a step: `count` of them, behind the `past` that are in slot `row` already."""

    row: int
    past: int
    count: int
    lora: str | None = None
    """Which LoRA reads it, in a model that `mixes` them."""

    @property
    def end(self) -> int:
        return self.past + self.count


class Span(NamedTuple):
    """Rows of slots that lie side by side, and how many tokens of each are looked at."""

    first: int
    end: int
    width: int


class Slots:
    """Keys and values of the conversations that are being answered: `rows` of them, `capacity` tokens each."""

    def __init__(self, config: Any, dtype: torch.dtype, device: torch.device) -> None:
        """`config`: a text model's."""
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._shape = (config.num_hidden_layers, 2, 0, heads, 0, width)
        self.memory = torch.zeros(self._shape, dtype=dtype, device=device)
        """(layers, keys and values, rows, heads, tokens, width). All of it finite: masked numbers are multiplied, too."""
        self._free: list[int] = []

    @property
    def bytes_per_token(self) -> int:
        layers, both, _, heads, _, width = self._shape
        size: int = layers * both * heads * width * self.memory.element_size()
        return size

    def bytes_of(self, rows: int, tokens: int) -> int:
        """What `rows` conversations of up to `tokens` need."""
        return doubled(rows) * _rounded(tokens) * self.bytes_per_token

    def bytes_with(self, rows: int, tokens: int) -> int:
        """What is taken once they are in: slots do not shrink before the last conversation is gone."""
        _, _, rows_now, _, capacity, _ = self.memory.shape
        return max(rows_now, doubled(rows)) * max(capacity, _rounded(tokens)) * self.bytes_per_token

    def take(self, tokens: int) -> int:
        """The lowest free row, with room for so many tokens."""
        layers, both, rows, heads, capacity, width = self.memory.shape
        if not self._free or tokens > capacity:
            wanted = rows if self._free else doubled(rows + 1)
            grown = self.memory.new_zeros(layers, both, wanted, heads, max(capacity, _rounded(tokens)), width)
            grown[:, :, :rows, :, :capacity] = self.memory
            self.memory = grown
            self._free += range(rows, wanted)
        self._free.sort(reverse=True)
        return self._free.pop()

    def give_back(self, row: int) -> None:
        self._free.append(row)
        if len(self._free) == self.memory.shape[2]:  # nobody is left: the next ones may be shorter
            self._free.clear()
            self.memory = self.memory.new_zeros(self._shape)

    def copy_out(self, row: int, tokens: int) -> torch.Tensor:
        """(layers, 2, heads, tokens, width): the first so many of a row."""
        return self.memory[:, :, row, :, :tokens].clone()

    def copy_in(self, row: int, kept: torch.Tensor, tokens: int) -> None:
        self.memory[:, :, row, :, :tokens] = kept[..., :tokens, :]


class Step:
    """What layers need to know of a pass, made once for all of them."""

    def __init__(
        self,
        memory: torch.Tensor,
        rows: torch.Tensor,
        positions: torch.Tensor,
        spans: Sequence[Span],
        pieces: Sequence[Piece],
        loras: Sequence[tuple[str, slice]] = (),
    ) -> None:
        """`memory`: of the slots. `rows`, `positions`: (tokens,) of each token's slot and of each in its conversation.
        `pieces`: those of more than one token; they come last. All others lie in `spans`, which ascend. `loras`: which tokens
        each reads."""
        self._memory = memory
        self.loras = loras
        self.rows, self.positions = rows, positions
        self._pieces = pieces
        self._singles = rows[: len(rows) - sum(piece.count for piece in pieces)]
        self._spans = spans
        ends = torch.ones(spans[-1].end if spans else 0, dtype=torch.int64, device=rows.device)
        ends[self._singles] = positions[: len(self._singles)] + 1  # rows between that do not take part see one token
        self._span_masks = [_of_span(ends[first:end], width, memory) for first, end, width in spans]
        self._masks = [_of_piece(piece, memory) if piece.past else None for piece in pieces]

    @classmethod
    def of(cls, slots: Slots, pieces: Sequence[Piece]) -> Step:
        """`pieces`: in the order of their tokens; those of one token come first."""
        memory = slots.memory
        rows = torch.tensor([piece.row for piece in pieces for _ in range(piece.count)], device=memory.device)
        positions = [at for piece in pieces for at in range(piece.past, piece.end)]
        singles = [piece for piece in pieces if piece.count == 1]
        several = pieces[len(singles) :]
        spans = _spans(singles, apart=memory.device.type == "cpu")
        return cls(memory, rows, torch.tensor(positions, device=memory.device), spans, several, _by_lora(pieces))

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        """(1, heads, tokens, width) each, keys and values with heads of their own -> (1, tokens, heads, width)."""
        keys, values = self._memory[layer]
        keys[self.rows, :, self.positions] = key[0].transpose(0, 1)
        values[self.rows, :, self.positions] = value[0].transpose(0, 1)
        said = []
        at = len(self._singles)
        if at:
            said.append(self._attend_singles(query[0, :, :at], keys, values, scale))
        for piece, mask in zip(self._pieces, self._masks, strict=True):
            end = at + piece.count
            of_row = keys[piece.row, :, None, : piece.end], values[piece.row, :, None, : piece.end]
            said.append(_attend_piece(query[0, :, at:end], *of_row, mask, scale))
            at = end
        return torch.cat(said)[None]

    def _attend_singles(self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float) -> torch.Tensor:
        """Answers' next tokens, span by span, over the rows as they lie: copying the ones that take part would cost more."""
        heads, count, width = query.shape
        groups = (keys.shape[1], heads // keys.shape[1], width)  # heads that share keys are as good as more queries
        asked = query.new_zeros(self._spans[-1].end, *groups)
        asked[self._singles] = query.transpose(0, 1).reshape(count, *groups)
        seen = torch.empty_like(asked)
        for (first, end, until), mask in zip(self._spans, self._span_masks, strict=True):
            seen[first:end] = scaled_dot_product_attention(
                asked[first:end], keys[first:end, :, :until], values[first:end, :, :until], attn_mask=mask, scale=scale
            )
        return seen[self._singles].reshape(count, heads, width)


def _spans(singles: Sequence[Piece], *, apart: bool) -> list[Span]:
    """Spans that these lie in. `apart`: conversations of other lengths in other ones, so that a short one neither waits for a
    long one's tokens nor sums up in another order beside it; a GPU takes one command for all."""
    if not apart:
        return [Span(0, max(each.row for each in singles) + 1, max(each.end for each in singles))] if singles else []
    spans: list[Span] = []
    for piece in sorted(singles, key=attrgetter("row")):
        width = -(-piece.end // WIDTH_STEP) * WIDTH_STEP
        if spans and spans[-1].end == piece.row and spans[-1].width == width:
            spans[-1] = spans[-1]._replace(end=piece.row + 1)
        else:
            spans.append(Span(piece.row, piece.row + 1, width))
    return spans


def _attend_piece(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> torch.Tensor:
    """(heads, count, width); keys and values (their own heads, 1, tokens, width) -> (count, heads, width).

    Heads that share keys are a batch of their own, which sees them without a copy for each.
    """
    heads, count, width = query.shape
    grouped = query.view(len(keys), heads // len(keys), count, width)
    keys, values = (part.expand(-1, grouped.shape[1], -1, -1) for part in (keys, values))
    seen = scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, is_causal=mask is None, scale=scale)
    return seen.flatten(0, 1).transpose(0, 1)


def _by_lora(pieces: Sequence[Piece]) -> list[tuple[str, slice]]:
    """Which tokens each LoRA reads, where pieces lie one behind the other."""
    found, at = [], 0
    for lora, group in groupby(pieces, attrgetter("lora")):
        end = at + sum(piece.count for piece in group)
        if lora is not None:
            found.append((lora, slice(at, end)))
        at = end
    return found


def _of_span(ends: torch.Tensor, width: int, memory: torch.Tensor) -> torch.Tensor:
    """(rows, 1, 1, width): each sees the tokens before its end."""
    return _added((torch.arange(width, device=ends.device) >= ends[:, None])[:, None, None], memory)


def _of_piece(piece: Piece, memory: torch.Tensor) -> torch.Tensor:
    """(count, tokens): each of its tokens sees those before it."""
    return _added(torch.ones(piece.count, piece.end, dtype=torch.bool, device=memory.device).triu(piece.past + 1), memory)


def _added(unseen: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """What is added to scores: made once for all layers, where sdpa would make it of true and false in each."""
    return torch.zeros(unseen.shape, dtype=memory.dtype, device=memory.device).masked_fill_(unseen, -torch.inf)


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    step: Step | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface; without a `step` it is sdpa."""
    if step is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return step.attend(cast(int, module.layer_idx), query, key, value, options["scaling"]), None


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class PackedModel:
    """A mind's language model for steps."""

    mixes = False
    """Whether a pass may be for answers of several adapters; else each has passes of its own."""

    def __init__(self, model: JnanaForConditionalGeneration) -> None:
        self._model = model
        self._text = model.model.language_model
        self._text.set_attn_implementation(ATTENTION)
        self._embed = self._text.get_input_embeddings()
        self._no_mask = torch.empty(1, 1, 1, 1, device=self._embed.weight.device)  # four dimensions are taken for ready-made
        self.threads: Threads | None = None
        """None: as many as torch was told."""

    def slots(self) -> Slots:
        weight = self._embed.weight
        return Slots(self._text.config, weight.dtype, weight.device)

    def embed(self, ids: torch.Tensor, vision_features: torch.Tensor | None = None) -> torch.Tensor:
        """(T,) ids -> (T, hidden), pictures in their places. `vision_features`: (pictures, tokens, tower width)."""
        embedded: torch.Tensor = self._embed(ids)
        if vision_features is not None:
            pictures = torch.cat(list(self._model.model.project(vision_features).pooler_output))
            embedded[ids == self._model.config.image_token_index] = pictures.to(embedded.dtype)
        return embedded

    def forward(self, slots: Slots, pieces: Sequence[Piece], embedded: torch.Tensor) -> torch.Tensor:
        """Logits behind the last token of each piece: (tokens, hidden) -> (pieces, vocabulary) fp32."""
        ends = torch.tensor([piece.count for piece in pieces], device=embedded.device).cumsum(0) - 1
        return self.compute(Step.of(slots, pieces), embedded, ends)

    def compute(self, step: Step, embedded: torch.Tensor, ends: torch.Tensor | slice) -> torch.Tensor:
        """The same, with what is told to a GPU told already. `ends`: which tokens' logits."""
        with self.threads.computing(len(embedded)) if self.threads else nullcontext():
            logits: torch.Tensor = self._model.lm_head(self.hidden(step, embedded)[ends]).float()
        return logits

    def hidden(self, step: Step, embedded: torch.Tensor) -> torch.Tensor:
        """What the head reads: (tokens, hidden) each."""
        found: torch.Tensor = self._text(
            inputs_embeds=embedded[None],
            position_ids=step.positions[None],
            attention_mask=self._no_mask,
            use_cache=False,
            step=step,
        ).last_hidden_state[0]
        return found


def doubled(rows: int) -> int:
    """The power of two that is not less: growing copies everything, so it happens seldom."""
    return 1 << (rows - 1).bit_length() if rows else 0


def _rounded(tokens: int) -> int:
    return -(-tokens // CAPACITY_STEP) * CAPACITY_STEP
