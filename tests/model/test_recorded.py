"""Passes that are played from a recording write what they would have written. The GPU's part, that a graph does again what was
recorded, is stood in for by doing it again."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch

from model import recorded
from model.engine import Engine
from model.mind import Prompt
from model.packed import Piece
from model.recorded import Compute, Record, RecordedModel, Recording
from model.sampling import Sampling
from tests.model import tiny
from tests.model.test_batching import ANSWER, SmallMind, ask, mixed, text_of


class Recorder:
    """Does again what it was given."""

    def __init__(self) -> None:
        self.recorded = 0
        self.played = 0

    def __call__(self, compute: Compute) -> Compute:
        self.recorded += 1

        def play() -> torch.Tensor:
            self.played += 1
            return compute()

        return play


@pytest.fixture(params=["llama", "phi"])
def mind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SmallMind:
    monkeypatch.setattr(recorded, "RECORD_AT", 2)
    monkeypatch.setattr(recorded, "WIDTH_STEP", 32)
    return SmallMind(tiny.llama_config() if request.param == "llama" else tiny.phi_config())


@asynccontextmanager
async def engine_with(mind: SmallMind, record: Record) -> AsyncIterator[Engine]:
    small: Any = mind
    engine = Engine(small, record)
    try:
        yield engine
    finally:
        engine.close()


def expected(mind: SmallMind, prompts: Sequence[Prompt]) -> list[str]:
    return [text_of(mind.alone(prompt)) for prompt in prompts]


async def test_a_crowd_gets_the_answers_each_would_get_alone(mind: SmallMind) -> None:
    prompts, recorder = mixed(mind, 64), Recorder()

    async def come(at: int) -> str:
        await asyncio.sleep(at % 7 / 100)
        return await ask(engine, prompts[at])

    async with engine_with(mind, recorder) as engine:
        assert await asyncio.gather(*(come(at) for at in range(len(prompts)))) == expected(mind, prompts)
    assert recorder.played > recorder.recorded > 3


async def test_those_of_different_adapters_are_apart(mind: SmallMind) -> None:
    """Each has keys and values of its own."""

    class Other:
        writer = mind  # for its stop tokens
        lora = None

    adapters: list[Any] = [Other(), Other()]
    prompts, recorder = mixed(mind, 16), Recorder()
    asked = [replace(prompt, attached=adapters[at % 2]) for at, prompt in enumerate(prompts)]
    async with engine_with(mind, recorder) as engine:
        assert await asyncio.gather(*(ask(engine, one) for one in asked)) == expected(mind, prompts)
    assert recorder.played > recorder.recorded > 3


async def test_a_recording_that_computes_something_else_is_not_used(mind: SmallMind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what it says nor what it wrote into keys and values."""
    fill = Recording._fill

    def wrong(recording: Recording, *given: Any) -> None:
        fill(recording, *given)
        recording._embedded.neg_()

    monkeypatch.setattr(Recording, "_fill", wrong)
    prompts, recorder = mixed(mind, 6), Recorder()
    async with engine_with(mind, recorder) as engine:
        assert [await ask(engine, prompt) for prompt in prompts] == expected(mind, prompts)
    assert (recorder.recorded, recorder.played) == (1, 1)


@pytest.mark.parametrize("problem", [RuntimeError("operation not permitted"), torch.OutOfMemoryError("CUDA out of memory")])
async def test_what_cannot_be_recorded_is_computed_as_before(mind: SmallMind, problem: RuntimeError) -> None:
    def fails(compute: Compute) -> Compute:
        raise problem

    prompts = mixed(mind, 6)
    async with engine_with(mind, fails) as engine:
        assert [await ask(engine, prompt) for prompt in prompts] == expected(mind, prompts)


async def test_what_was_recorded_is_forgotten_when_keys_and_values_move(
    mind: SmallMind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "WIDTH_STEP", 1024)  # so that it writes alone in the same shape before and after
    first, short = mind.prompt(1), mind.prompt(2)
    text = ""
    async with engine_with(mind, Recorder()) as engine:
        async for token in engine.generate(first, Sampling(ANSWER)):
            text += token.text
            if token.tokens == 6:
                assert await ask(engine, short, max_tokens=2) == text_of(mind.alone(short, 2))
    assert text == text_of(mind.alone(first))


def test_keys_and_values_that_moved_are_let_go(mind: SmallMind) -> None:
    """On a GPU there may be no room for them twice."""
    model = RecordedModel(mind.model, Recorder())
    slots = model.slots()
    row = slots.take(8)
    with torch.inference_mode():
        model.forward(slots, [Piece(row, 0, 1)], model.embed(torch.tensor([1])))
    memory = weakref.ref(slots.memory)
    slots.give_back(row)
    assert memory() is None
