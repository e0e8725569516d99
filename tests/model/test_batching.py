"""Answers that are written together are those that each would get alone, whoever comes, goes or asks again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, PhiConfig

from model import batch
from model import engine as engines
from model.batch import Batch
from model.engine import Engine, OutOfMemory
from model.mind import Prompt
from model.modeling import JnanaConfig, JnanaForConditionalGeneration
from model.packed import PackedModel, Slots
from model.prefixes import MOST_OF_BUDGET, Prefixes
from model.presets import get_preset
from model.sampling import Chooser, Sampling
from model.writing import Writing
from tests.model import tiny

VOCABULARY = 256
PLACE = 200
"""Where pictures go."""
ANSWER = 24


class Signs:
    """A tokenizer whose tokens are a Chinese character each: random ones make a text that says which they were."""

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "".join(chr(0x4E00 + token) for token in ids)


class SmallMind:
    """The fields of a mind that the engine uses, around a small random model with a projector."""

    def __init__(self, text: LlamaConfig | PhiConfig) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        text.vocab_size = VOCABULARY
        config = JnanaConfig(text_config=text, vision_config=tiny.lite_config(), image_token_index=PLACE)
        self.model = JnanaForConditionalGeneration(config).eval()
        self.preset = get_preset("phi2")
        self.tokenizer = Signs()
        self.stop_token_ids = (VOCABULARY - 1,)
        self.device = torch.device("cpu")

    def switch_to(self, attached: None) -> None:
        """It has no adapters."""

    def prompt(self, seed: int, *, pictures: int = 0, words: int = 20, before: Prompt | None = None) -> Prompt:
        """`before`: what the conversation begins with."""
        chance = torch.Generator().manual_seed(seed)
        ids = [] if before is None else [before.input_ids[0]]
        features = [] if before is None or before.vision_features is None else [before.vision_features]
        for _ in range(pictures):
            ids += [torch.full((49,), PLACE), torch.randint(0, 190, (3,), generator=chance)]
            features.append(torch.randn(1, 49, 16, generator=chance))
        ids.append(torch.randint(0, 190, (words,), generator=chance))
        return Prompt(torch.cat(ids)[None], torch.cat(features) if features else None, ())

    def alone(self, prompt: Prompt, tokens: int = ANSWER) -> list[int]:
        """What plain `generate` answers."""
        with torch.inference_mode():
            written: Any = self.model.generate(
                prompt.input_ids,
                attention_mask=torch.ones_like(prompt.input_ids),
                max_new_tokens=tokens,
                do_sample=False,
                eos_token_id=list(self.stop_token_ids),
                pad_token_id=self.stop_token_ids[0],
                **({} if prompt.vision_features is None else {"vision_features": prompt.vision_features}),
            )
        ids: list[int] = written[0, prompt.input_ids.shape[1] :].tolist()
        return ids


@pytest.fixture(params=["llama", "phi"])
def mind(request: pytest.FixtureRequest) -> SmallMind:
    return SmallMind(tiny.llama_config() if request.param == "llama" else tiny.phi_config())


@pytest.fixture
async def engine(mind: SmallMind) -> AsyncIterator[Engine]:
    small: Any = mind
    engine = Engine(small)
    yield engine
    engine.close()


async def ask(engine: Engine, prompt: Prompt, **sampling: Any) -> str:
    tokens = [token.text async for token in engine.generate(prompt, Sampling(**{"max_tokens": ANSWER} | sampling))]
    return "".join(tokens)


def text_of(ids: list[int]) -> str:
    return Signs().decode([token for token in ids if token != VOCABULARY - 1])


def mixed(mind: SmallMind, count: int) -> list[Prompt]:
    """Texts, pictures and conversations that go on."""
    prompts: list[Prompt] = []
    for seed in range(count):
        before = prompts[seed - 3] if seed % 4 == 3 else None
        prompts.append(mind.prompt(seed, pictures=(seed % 3 == 1) + (seed % 5 == 4), words=1 + 7 * (seed % 9), before=before))
    return prompts


@pytest.mark.parametrize(("slots", "prompt_tokens"), [(16, 256), (5, 16), (3, 7), (1, 64)])
async def test_a_crowd_gets_the_answers_each_would_get_alone(
    mind: SmallMind, engine: Engine, monkeypatch: pytest.MonkeyPatch, slots: int, prompt_tokens: int
) -> None:
    monkeypatch.setattr(Engine, "slots", slots)
    monkeypatch.setattr(batch, "PROMPT_TOKENS", prompt_tokens)
    prompts = mixed(mind, 64 if slots == 16 else 20)
    chance = random.Random(slots)  # noqa: S311

    async def come(prompt: Prompt) -> str:
        await asyncio.sleep(chance.random() / 10)
        return await ask(engine, prompt)

    async def come_and_go(prompt: Prompt) -> None:
        await asyncio.sleep(chance.random() / 10)
        async with aclosing(engine.generate(prompt, Sampling(ANSWER))) as tokens:
            async for token in tokens:
                if token.tokens > 5:
                    return

    order = list(range(len(prompts)))
    chance.shuffle(order)
    async with asyncio.TaskGroup() as group:
        asked = {at: group.create_task(come(prompts[at])) for at in order}
        for at in order[::4]:
            group.create_task(come_and_go(prompts[at]))
    wrong = [at for at, prompt in enumerate(prompts) if asked[at].result() != text_of(mind.alone(prompt))]
    assert wrong == []


async def test_a_seeded_sample_is_the_same_alone_and_in_a_crowd(mind: SmallMind, engine: Engine) -> None:
    prompts = mixed(mind, 8)
    alone = [await ask(engine, prompt, temperature=1.0, seed=at) for at, prompt in enumerate(prompts)]
    together = await asyncio.gather(*(ask(engine, prompt, temperature=1.0, seed=at) for at, prompt in enumerate(prompts)))
    assert together == alone


async def test_a_follow_up_reads_only_what_is_new(mind: SmallMind, engine: Engine) -> None:
    read: list[int] = []
    text = mind.model.model.language_model
    forward = text.forward

    def count(*args: Any, step: Any = None, **options: Any) -> Any:
        if step is not None:
            read.append(len(step.rows))
        return forward(*args, step=step, **options)

    text.forward = count
    first = mind.prompt(1, pictures=1, words=30)
    answer = mind.alone(first)
    await ask(engine, first)
    read.clear()
    said = Prompt(torch.cat([first.input_ids, torch.tensor([answer])], 1), first.vision_features, ())
    again = mind.prompt(2, words=9, before=said)
    assert await ask(engine, again) == text_of(mind.alone(again))
    assert read[0] == 9 + 1  # the last token of an answer is never read while it is written
    read.clear()
    other = mind.prompt(1, pictures=1, words=30)
    changed = Prompt(other.input_ids, torch.flip(first.vision_features, [0, 1]), ())  # type: ignore[arg-type]
    assert await ask(engine, changed) == text_of(mind.alone(changed))
    assert read[0] == other.input_ids.shape[1]  # the same words about another picture


@pytest.mark.parametrize(("kept", "anew"), [(1000, 0), (49 + 3, 1), (49 + 3 + 20, 1), (20, 2)])
async def test_of_pictures_only_those_that_are_read_are_projected(
    mind: SmallMind, engine: Engine, kept: int, anew: int
) -> None:
    """`kept`: tokens of the conversation that there is room for; a picture of which only a part is, is projected."""
    projected: list[int] = []
    project = mind.model.model.project

    def count(features: torch.Tensor) -> Any:
        projected.append(len(features))
        return project(features)

    mind.model.model.project = count  # type: ignore[method-assign]
    engine._prefixes = Prefixes(int(kept / MOST_OF_BUDGET) * engine._packed.slots().bytes_per_token)
    first = mind.prompt(1, pictures=2, words=30)
    await ask(engine, first, max_tokens=1)
    projected.clear()
    again = mind.prompt(2, words=9, before=first)
    assert await ask(engine, again) == text_of(mind.alone(again))
    assert sum(projected[:-1]) == anew  # `alone` projects both


async def test_what_memory_has_no_room_for_waits_and_is_answered(
    mind: SmallMind, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = mixed(mind, 6)
    text = mind.model.model.language_model
    forward = text.forward
    most = 0

    def full(*args: Any, step: Any, **options: Any) -> Any:
        nonlocal most
        together = len(set(step.rows.tolist()))
        if together > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        most = max(most, together)
        return forward(*args, step=step, **options)

    with monkeypatch.context() as patch:
        patch.setattr(text, "forward", full)
        answers = await asyncio.gather(*(ask(engine, prompt) for prompt in prompts))
    assert most == 2
    assert answers == [text_of(mind.alone(prompt)) for prompt in prompts]


async def test_a_prompt_that_cannot_be_taken_in_is_nobody_elses_fault(mind: SmallMind, engine: Engine) -> None:
    prompts = mixed(mind, 4)
    broken = Prompt(prompts[0].input_ids, torch.randn(1, 49, 16), ())  # a picture without a place
    asked = [*prompts[:2], broken, *prompts[2:]]
    answers = await asyncio.gather(*(ask(engine, prompt) for prompt in asked), return_exceptions=True)
    assert isinstance(answers.pop(2), ValueError)
    assert answers == [text_of(mind.alone(prompt)) for prompt in prompts]


async def test_room_comes_back_after_memory_ran_out(mind: SmallMind, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    text = mind.model.model.language_model
    forward = text.forward
    together: list[int] = []

    def count(*args: Any, step: Any, **options: Any) -> Any:
        together.append(len(set(step.rows.tolist())))
        return forward(*args, step=step, **options)

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    async def most_at_once() -> int:
        together.clear()
        await asyncio.gather(*(ask(engine, prompt) for prompt in mixed(mind, 8)))
        return max(together)

    with monkeypatch.context() as patch:
        patch.setattr(text, "forward", full)
        with pytest.raises(OutOfMemory):
            await ask(engine, mind.prompt(1))
    monkeypatch.setattr(text, "forward", count)
    assert await most_at_once() == 1
    monkeypatch.setattr(engines, "MINUTE", 1e-9)
    assert await most_at_once() == 8


async def test_memory_that_runs_out_beside_answers_is_made_and_asked_for_once_more(engine: Engine) -> None:
    tried: list[int] = []

    def look(fits_at: int) -> str:
        tried.append(fits_at)
        if len(tried) < fits_at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "a picture"

    assert await engine.compute(look, 2) == "a picture"
    tried.clear()
    with pytest.raises(OutOfMemory):
        await engine.compute(look, 3)


async def test_what_goes_wrong_with_one_answer_is_nobody_elses_fault(
    mind: SmallMind, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seeded one cannot be written; another ends in the same pass."""
    choose = Chooser.choose

    def break_down(self: Chooser, logits: torch.Tensor) -> int:
        if self._random is not None:
            raise ValueError("no such token")
        return choose(self, logits)

    monkeypatch.setattr(Chooser, "choose", break_down)
    prompts = mixed(mind, 4)
    asked = [ask(engine, prompt, max_tokens=1) for prompt in prompts]
    broken = ask(engine, mind.prompt(9), temperature=1.0, seed=1)
    *answers, wrong = await asyncio.gather(*asked, broken, return_exceptions=True)
    assert isinstance(wrong, ValueError)
    assert answers == [text_of(mind.alone(prompt, 1)) for prompt in prompts]


async def test_an_adapter_that_cannot_be_switched_to_hangs_nobody(
    mind: SmallMind, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no such adapter")

    with monkeypatch.context() as patch:
        patch.setattr(mind, "switch_to", broken)
        with pytest.raises(RuntimeError, match="no such adapter"):
            await ask(engine, mind.prompt(1))
    assert await ask(engine, mind.prompt(1)) == text_of(mind.alone(mind.prompt(1)))


async def test_memory_that_runs_out_while_keeping_costs_no_answer(
    mind: SmallMind, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Slots, "copy_out", full)
    prompts = mixed(mind, 3)
    assert [await ask(engine, prompt) for prompt in prompts] == [text_of(mind.alone(prompt)) for prompt in prompts]


def test_slots_count_what_they_hold_already(mind: SmallMind) -> None:
    slots = PackedModel(mind.model).slots()
    rows = [slots.take(10) for _ in range(4)]
    for row in rows[1:]:
        slots.give_back(row)
    assert slots.bytes_with(2, 1000) == 4 * 1024 * slots.bytes_per_token  # four rows grow with the long one
    slots.take(1000)
    assert slots.memory.nbytes == slots.bytes_with(2, 10)


def test_a_short_question_is_read_without_the_long_one_beside_it(mind: SmallMind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PROMPT_TOKENS", 16)
    ours = Batch(PackedModel(mind.model), Prefixes(0))

    def ask(seed: int, words: int) -> Writing:
        given: Any = mind
        ours.waiting.append(Writing(given, mind.prompt(seed, words=words), Sampling(ANSWER), lambda token: None))
        ours.admit()
        return ours.running[-1]

    with torch.inference_mode():
        long = ask(1, 100)
        list(ours.step())
        assert long.past == 16
        short = ask(2, 6)
        list(ours.step())
        assert (short.past, long.past) == (6, 16), "its first word needs no other reading"
        another = ask(3, 6)
        list(ours.step())
        assert (another.past, long.past) == (6, 26), "but many short ones do not keep the long one waiting"


def test_a_long_prompt_is_read_although_short_ones_never_end(mind: SmallMind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PROMPT_TOKENS", 16)
    ours = Batch(PackedModel(mind.model), Prefixes(0))

    def ask(seed: int, words: int) -> Writing:
        given: Any = mind
        ours.waiting.append(Writing(given, mind.prompt(seed, words=words), Sampling(1), lambda token: None))
        ours.admit()
        return ours.running[-1]

    with torch.inference_mode():
        long = ask(1, 60)
        for seed in range(2, 22):
            ask(seed, 16)
            for ended, _ in ours.step():
                ours.evict(ended)
    assert long.past == 60 or long not in ours.running
