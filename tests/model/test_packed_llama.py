"""A pass in 8 bits is the one of transformers' layers, to the last bit."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel

from model import int8, lora
from model.int8 import quantise
from model.modeling import JnanaForConditionalGeneration
from model.packed import PackedModel, Piece
from model.packed_llama import PackedLlama
from tests.model import tiny
from tests.model.test_int8 import language, put_in

pytestmark = pytest.mark.skipif(not int8.is_supported(tiny.llama_config()), reason="this CPU has no such operators")

STEPS = (
    [Piece(0, 0, 9), Piece(1, 0, 5)],
    [Piece(0, 9, 1), Piece(1, 5, 1), Piece(2, 0, 6)],
    [Piece(0, 10, 1), Piece(1, 6, 1), Piece(2, 6, 4)],
)


@pytest.mark.parametrize("key", [None, "one", "other"])
def test_it_is_the_pass_of_transformers_layers(key: str | None) -> None:
    text = language()
    rotation = quantise(text)
    for seed, name in enumerate(("one", "other")):
        put_in(text, rotation, seed=seed, key=name)
    model = JnanaForConditionalGeneration.assemble(text, AutoModel.from_config(tiny.lite_config()), None)
    lora.activate(lora.layers(model), key)
    assert PackedLlama.takes(model)
    plain, quick = PackedModel(model), PackedLlama(model)
    slots, others = plain.slots(), quick.slots()
    for memory in (slots, others):
        assert [memory.take(16) for _ in range(3)] == [0, 1, 2]
    with torch.inference_mode():
        for pieces in STEPS:
            embedded = quick.embed(torch.randint(0, 128, (sum(piece.count for piece in pieces),)))
            assert torch.equal(quick.forward(others, pieces, embedded), plain.forward(slots, pieces, embedded))
    assert torch.equal(others.memory, slots.memory)


def test_layers_that_were_not_rounded_are_left_to_transformers() -> None:
    assert not PackedLlama.takes(tiny.model(tiny.llama_config(), tiny.lite_config()))
