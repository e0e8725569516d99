"""A pass in 8 bits is the one of transformers' layers, to the last bit, and may be for several adapters at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity
from transformers import AutoModel, LlamaConfig, LlamaForCausalLM

from model import int8, lora
from model.attached import Attached
from model.engine import Engine
from model.int8 import quantise
from model.mind import Prompt
from model.modeling import JnanaForConditionalGeneration
from model.packed import PackedModel, Piece
from model.packed_llama import PackedLlama
from tests.model import tiny
from tests.model.test_batching import SmallMind, ask
from tests.model.test_int8 import language, put_in

pytestmark = pytest.mark.skipif(not int8.is_supported(tiny.llama_config()), reason="this CPU has no such operators")

KEYS = (None, "one", "other")
STEPS = (
    [Piece(0, 0, 9), Piece(1, 0, 5)],
    [Piece(0, 9, 1), Piece(1, 5, 1), Piece(2, 0, 6)],
    [Piece(0, 10, 1), Piece(1, 6, 1), Piece(2, 6, 4)],
)


def assembled(text: LlamaForCausalLM) -> JnanaForConditionalGeneration:
    return JnanaForConditionalGeneration.assemble(text, AutoModel.from_config(tiny.lite_config()), None)


@pytest.fixture
def packed() -> PackedLlama:
    """With two LoRAs, which came after it was at work."""
    text = language()
    rotation = quantise(text)
    packed = PackedLlama(assembled(text))
    for seed, name in enumerate(("one", "other")):
        put_in(text, rotation, seed=seed, key=name)
    return packed


def with_rows(packed: PackedModel) -> Any:
    slots = packed.slots()
    assert [slots.take(16) for _ in range(3)] == [0, 1, 2]
    return slots


def some(packed: PackedModel, tokens: int) -> torch.Tensor:
    return packed.embed(torch.randint(0, 128, (tokens,)))


@torch.inference_mode()
@pytest.mark.parametrize("key", KEYS)
def test_it_is_the_pass_of_transformers_layers(packed: PackedLlama, key: str | None) -> None:
    plain = PackedModel(packed._model)
    lora.activate(lora.layers(packed._model), key)
    slots, others = with_rows(plain), with_rows(packed)
    for pieces in STEPS:
        embedded = some(packed, sum(piece.count for piece in pieces))
        theirs = plain.forward(slots, pieces, embedded)
        assert torch.equal(packed.forward(others, [replace(piece, lora=key) for piece in pieces], embedded), theirs)
    assert torch.equal(others.memory, slots.memory)


@torch.inference_mode()
@pytest.mark.parametrize("keys", [("one", "one", None), (None, "one", "other"), ("other", None, "one")])
def test_each_lora_reads_what_is_for_it(packed: PackedLlama, keys: tuple[str | None, ...]) -> None:
    together, alone = with_rows(packed), with_rows(packed)
    for pieces in STEPS:
        pieces = [replace(piece, lora=keys[piece.row]) for piece in pieces]
        embedded = [some(packed, piece.count) for piece in pieces]
        each = [packed.forward(alone, [piece], vectors) for piece, vectors in zip(pieces, embedded, strict=True)]
        found = packed.forward(together, pieces, torch.cat(embedded))
        # Not to the last bit: how fp32 adds up depends on how many rows there are, and a level of 8 bits on that.
        assert cosine_similarity(found, torch.cat(each), dim=-1).min() > 0.99


@torch.inference_mode()
def test_next_tokens_are_the_same_to_the_last_bit_alone_and_beside_longer_and_shorter_ones() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=128, hidden_size=192, intermediate_size=512, num_hidden_layers=3, num_attention_heads=3)
    text = LlamaForCausalLM(config).eval()
    quantise(text)
    packed = PackedLlama(assembled(text))
    lengths = [12, 30, 61, 64, 65, 190, 31, 500, *range(100, 130, 3)]
    slots = packed.slots()
    rows = [slots.take(max(lengths) + 1) for _ in lengths]
    slots.memory.normal_()
    pieces = [Piece(row, length, 1) for row, length in zip(rows, lengths, strict=True)]
    embedded = some(packed, len(pieces))
    alone = torch.cat([packed.forward(slots, [piece], embedded[at : at + 1]) for at, piece in enumerate(pieces)])
    for which in (slice(None), slice(3, 9), slice(None, None, 2)):
        assert torch.equal(packed.forward(slots, pieces[which], embedded[which]), alone[which])


def test_layers_that_were_not_rounded_are_left_to_transformers() -> None:
    assert not PackedLlama.takes(tiny.model(tiny.llama_config(), tiny.lite_config()))


class RoundedMind(SmallMind):
    """With a model in 8 bits."""

    def __init__(self, model: JnanaForConditionalGeneration) -> None:
        super().__init__(tiny.llama_config())
        self.model = model

    def for_lora(self, key: str | None, seed: int) -> Prompt:
        writer: Any = SimpleNamespace(stop_token_ids=())
        return replace(self.prompt(seed, words=6 + seed), attached=Attached(writer, lora=key))

    def prompt(self, seed: int, **options: Any) -> Prompt:
        prompt = super().prompt(seed, **options)
        return replace(prompt, input_ids=prompt.input_ids % 128)  # of which there are in its vocabulary


async def test_answers_with_different_adapters_share_passes(packed: PackedLlama) -> None:
    mind: Any = RoundedMind(packed._model)
    prompts = [mind.for_lora(KEYS[at % 3], at) for at in range(6)]
    engine = Engine(mind)
    try:
        alone = [await ask(engine, prompt, max_tokens=2) for prompt in prompts]
        passes: list[int] = []
        mind.model.lm_head.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
        engine._prefixes.clear()
        assert isinstance(engine._packed, PackedLlama)
        answers = await asyncio.gather(*(ask(engine, prompt) for prompt in prompts))
    finally:
        engine.close()
    assert [answer[:2] for answer in answers] == alone
    assert max(passes) == len(prompts)
