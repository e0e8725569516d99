"""Tokens are those of plain `generate`, and text grows by whole characters until something ends it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.detokenize import Detokenizer, StopStrings
from model.engine import Engine
from model.mind import Message, Prompt
from model.sampling import Sampling
from model.writing import Token, Writing
from tests.model.fake_mind import FakeMind, byte_tokenizer

TOKENIZER = byte_tokenizer()


@pytest.fixture
async def engine() -> AsyncIterator[tuple[Engine, FakeMind]]:
    mind: Any = FakeMind()
    engine = Engine(mind)
    yield engine, mind
    engine.close()


def prompt(mind: FakeMind, text: str = "hello") -> Prompt:
    return mind.encode([Message("user", (text,))], max_new_tokens=1)


async def answer(engine: Engine, asked: Prompt, **sampling: Any) -> tuple[str, Token]:
    tokens = [token async for token in engine.generate(asked, Sampling(**{"max_tokens": 30, **sampling}))]
    return "".join(token.text for token in tokens), tokens[-1]


async def test_greedy_tokens_are_those_of_plain_generate(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    asked = prompt(mind)
    plain: Any = mind.model.generate(
        asked.input_ids,
        attention_mask=torch.ones_like(asked.input_ids),
        max_new_tokens=30,
        do_sample=False,
        repetition_penalty=mind.preset.repetition_penalty,
        eos_token_id=list(mind.stop_token_ids),
        pad_token_id=mind.stop_token_ids[0],
    )
    text, last = await answer(own, asked)
    assert last.tokens == plain.shape[-1] - asked.input_ids.shape[-1]
    assert text == mind.tokenizer.decode(plain[0, asked.input_ids.shape[-1] :], skip_special_tokens=True).rstrip("\ufffd")


async def test_a_seed_decides_the_sample_and_leaves_others_random_numbers_alone(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    before = torch.random.get_rng_state()
    first, _ = await answer(own, prompt(mind), temperature=1.0, seed=3)
    torch.manual_seed(99)
    torch.random.set_rng_state(before)
    second, _ = await answer(own, prompt(mind), temperature=1.0, seed=3)
    other, _ = await answer(own, prompt(mind), temperature=1.0, seed=4)
    assert first == second != other
    assert torch.equal(torch.random.get_rng_state(), before)


async def test_top_p_leaves_only_the_likeliest_tokens(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    greedy, _ = await answer(own, prompt(mind))
    narrow, _ = await answer(own, prompt(mind), temperature=2.0, top_p=1e-6)
    assert narrow == greedy


async def test_a_character_of_several_tokens_comes_in_one_piece(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    mind.say("é🎈世")
    pieces = [token.text async for token in own.generate(prompt(mind), Sampling(30))]
    assert [piece for piece in pieces if piece] == ["é", "🎈", "世"]
    text, last = await answer(own, prompt(mind), max_tokens=4)  # the balloon's last bytes are cut off
    assert (text, last.finish_reason) == ("é", "length")


async def test_special_tokens_end_the_answer_and_never_show(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    mind.say("done")
    text, last = await answer(own, prompt(mind))
    assert (text, last.finish_reason, last.tokens) == ("done", "stop", 5)


async def test_a_stop_string_ends_generation_at_once(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    mind.say("yes\n\nUser: and now something long")
    text, last = await answer(own, prompt(mind), stop=("User:",))
    assert (text, last.finish_reason, last.tokens) == ("yes\n\n", "stop", 10)


async def test_closing_ends_generation_within_a_token_and_the_next_answer_starts(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    forwards = 0
    text = mind.model.model.language_model
    forward = text.forward

    def count(*args: Any, **options: Any) -> Any:
        nonlocal forwards
        forwards += 1
        return forward(*args, **options)

    mind.say("x" * 400)
    text.forward = count
    async with aclosing(own.generate(prompt(mind), Sampling(300))) as tokens:
        async for _ in tokens:
            mind.model.go.clear()
            break
        asyncio.get_running_loop().call_later(0.05, mind.model.go.set)
    ended = forwards
    assert ended < 300
    text, _ = await answer(own, prompt(mind), max_tokens=3)
    assert text == "xxx"
    assert forwards == ended + 3


async def test_a_defect_in_the_model_reaches_who_asked(engine: tuple[Engine, FakeMind]) -> None:
    own, mind = engine
    text = mind.model.model.language_model
    forward = text.forward

    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError("out of memory")

    text.forward = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        await answer(own, prompt(mind))
    text.forward = forward
    assert (await answer(own, prompt(mind)))[1].finish_reason


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd")))
def test_pieces_join_to_the_text(text: str) -> None:
    """But for the replacement character, which stands for a character that is not whole yet, and is waited for."""
    detokenizer = Detokenizer(TOKENIZER)
    pieces = [detokenizer.push(token) for token in TOKENIZER.encode(text, add_special_tokens=False)]
    assert "".join(pieces) == text


def test_bytes_that_are_no_text_do_not_hold_up_what_follows() -> None:
    stray = TOKENIZER.encode("世", add_special_tokens=False)[1:2]
    detokenizer = Detokenizer(TOKENIZER)
    after = TOKENIZER.encode("ok", add_special_tokens=False)
    assert "".join(detokenizer.push(token) for token in [*stray, *after]) == "\ufffdok"
    torn = Detokenizer(TOKENIZER)
    balloons = TOKENIZER.encode("🎈🎈🎈", add_special_tokens=False)
    assert "".join(torn.push(token) for token in [*stray * 8, *balloons]).endswith("\ufffd🎈🎈🎈")
    rambling = Detokenizer(TOKENIZER)
    assert "".join(rambling.push(token) for token in stray * 100) != ""


@given(st.lists(st.text("abS", max_size=4)), st.lists(st.text("abS", min_size=1, max_size=4), max_size=3))
def test_text_is_cut_before_the_first_stop_string_however_it_is_split(pieces: list[str], stops: list[str]) -> None:
    text = "".join(pieces)
    stop_strings = StopStrings(stops)
    shown, stopped = "", False
    for piece in pieces:
        more, stopped = stop_strings.push(piece)
        shown += more
        if stopped:
            break
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    assert stopped == bool(found)
    if not stopped:
        assert shown + stop_strings.flush() == text
    else:
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)


async def test_an_answers_memory_is_free_at_its_end_and_not_when_garbage_is_collected(
    engine: tuple[Engine, FakeMind], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, mind = engine
    made: weakref.WeakSet[Writing] = weakref.WeakSet()

    class Watched(Writing):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.add(self)

    monkeypatch.setattr("model.engine.Writing", Watched)
    gc.disable()
    try:
        await answer(own, prompt(mind))
        async with aclosing(own.generate(prompt(mind), Sampling(max_tokens=2000))) as pieces:
            async for _ in pieces:
                break
        await own.compute(lambda: None)  # its thread is done with both
        assert not list(made)
    finally:
        gc.enable()


async def test_work_for_somebody_who_has_gone_is_not_done(engine: tuple[Engine, FakeMind]) -> None:
    own, _ = engine
    began, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def slow() -> None:
        began.set()
        go_on.wait(10)

    first = asyncio.create_task(own.compute(slow))
    await asyncio.to_thread(began.wait, 10)
    second = asyncio.create_task(own.compute(done.append, "second"))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    go_on.set()
    await first
    await own.compute(done.append, "third")
    assert done == ["third"]
