"""A pass is computed by as many threads as were fastest when that was measured, and answers stay what they are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from model import mind, threads, worker
from model.engine import Engine
from model.presets import POCKET
from model.settings import WorkerSettings
from model.threads import Threads, apart
from model.weights import PreparedWeights, WeightsError
from tests.model import tiny
from tests.model.test_batching import SmallMind, ask, mixed, text_of


@pytest.fixture(autouse=True)
def one_afterwards() -> Iterator[None]:
    """Other tests of this process compute with one."""
    yield
    torch.set_num_threads(1)


COMPUTED_APART = """
import os, time
import torch
from model.threads import apart

torch.set_num_threads(3)
before = len(os.listdir("/proc/self/task"))
inside = apart(lambda: [torch.zeros(1_000_000).exp(), len(os.listdir("/proc/self/task"))][1])()
end = time.monotonic() + 20
while len(os.listdir("/proc/self/task")) > before and time.monotonic() < end:
    time.sleep(0.01)
print(inside - before, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="Linux tells threads there")
def test_what_was_computed_apart_leaves_no_team_of_threads() -> None:
    done = subprocess.run([sys.executable, "-c", COMPUTED_APART], capture_output=True, text=True, check=True)
    inside, left = map(int, done.stdout.split())
    assert inside > 1, "it was computed by several"
    assert left == 0


def test_what_is_wrong_apart_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)()


def test_a_mind_is_loaded_in_a_thread_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[threading.Thread] = []

    def place(*_: Any, **__: Any) -> Any:
        loaded.append(threading.current_thread())
        raise WeightsError("far enough")

    monkeypatch.setattr(mind, "place", place)
    nowhere = PreparedWeights(Path(), Path(), Path())
    with pytest.raises(WeightsError, match="far enough"):
        mind.Mind.load(
            POCKET,
            nowhere,
            adapter=None,
            device="cpu",
            precision="fp32",
            threads=1,
            hints=False,
            ocr=False,
            progress=lambda *_: None,
        )
    assert [thread.is_alive() for thread in loaded] == [False]


def test_photos_are_opened_with_one_thread() -> None:
    torch.get_num_threads()  # this thread is known to torch
    torch.set_num_threads(3)
    opening = worker.Worker(WorkerSettings())
    try:
        opening._open_thread.submit(int).result()
        torch.set_num_threads(3)  # as the engine does after every pass
        assert opening._open_thread.submit(torch.get_num_threads).result() == 1
        assert torch.get_num_threads() == 3
    finally:
        opening.close()


class Machine:
    """A writing takes as long here as `takes` says of (answers, threads), by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: Callable[[int, int], float]) -> None:
        self.writings = 0
        self._now = 0.0
        self._takes = takes
        monkeypatch.setattr(threads.time, "perf_counter", lambda: self._now)

    def write(self, answers: int, count: int) -> None:
        self.writings += 1
        self._now += self._takes(answers, count)


def test_each_size_gets_what_is_fastest_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, lambda answers, count: 0.001 * (answers / count + 3 * (count - 1)))
    chosen = Threads.measured(machine.write, 4)
    assert chosen.best == {1: 1, 4: 1, 16: 2, 32: 4, 128: 4}
    assert [chosen.for_pass(tokens) for tokens in (1, 3, 5, 16, 17, 300)] == [1, 1, 2, 2, 4, 4]


def test_short_prompts_are_read_with_one_thread_where_more_are_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, lambda tokens, count: 0.001 * (tokens / count + 100 * (count - 1)))
    chosen = Threads.measured(machine.write, 2)
    assert [chosen.for_pass(tokens) for tokens in (1, 20, 100, 129, 300)] == [1, 1, 1, 2, 2]


def test_a_single_slow_writing_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    writings = iter(range(1000))
    machine = Machine(monkeypatch, lambda answers, count: 0.1 if next(writings) == 1 and count == 1 else 0.001 * count)
    assert Threads.measured(machine.write, 2).best == dict.fromkeys(threads.SIZES, 1)


def test_where_writing_takes_seconds_only_one_answer_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, lambda answers, count: 3.0 * count)
    chosen = Threads.measured(machine.write, 2)
    assert chosen.best == {1: 1}
    assert chosen.for_pass(2) == 2
    assert machine.writings == 1 + 2


def test_with_one_thread_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, lambda answers, count: 1.0)
    assert Threads.measured(machine.write, 1).for_pass(1) == 1
    assert machine.writings == 0


async def test_answers_are_written_with_few_threads_and_prompts_read_with_all() -> None:
    small: Any = SmallMind(tiny.llama_config())
    torch.set_num_threads(3)
    seen: list[tuple[int, int]] = []
    passed: list[int] = []
    text = small.model.model.language_model
    text.register_forward_pre_hook(lambda _, __, given: passed.append(given["inputs_embeds"].shape[1]), with_kwargs=True)
    small.model.lm_head.register_forward_pre_hook(lambda _, __: seen.append((passed[-1], torch.get_num_threads())))
    engine = Engine(small)
    engine._packed.threads = Threads(3, {1: 1, 16: 2})
    try:
        await ask(engine, small.prompt(1))
        await asyncio.gather(*(ask(engine, small.prompt(seed)) for seed in range(2, 6)))
        counts = await engine.compute(torch.get_num_threads)
    finally:
        engine.close()
    assert {(1, 1), (4, 2), (20, 3)} <= set(seen)
    assert all(used == (1 if tokens == 1 else 2 if tokens <= 16 else 3) for tokens, used in seen)
    assert counts == 3  # pictures are looked at with all


@pytest.mark.parametrize("config", [tiny.llama_config, tiny.phi_config])
def test_what_was_measured_is_used_and_answers_are_the_same(config: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    small: Any = SmallMind(config())
    prompts = mixed(small, 16)
    alone = [text_of(small.alone(prompt)) for prompt in prompts]
    torch.set_num_threads(2)
    passes: list[int] = []
    text = small.model.model.language_model
    text.register_forward_pre_hook(lambda _, __, given: passes.append(given["inputs_embeds"].shape[1]), with_kwargs=True)
    tried: list[tuple[int, int]] = []

    def measured(write: Callable[[int, int], object], most: int, sizes: Sequence[int]) -> Threads:
        for size in sizes:
            for count in (1, most):
                write(size, count)
                tried.append((size, count))
        return Threads(most, {1: 1, 4: 2, 16: 1})

    monkeypatch.setattr(Threads, "measured", measured)
    engine = Engine(small)

    async def everybody() -> list[str]:
        return await asyncio.gather(*(ask(engine, prompt) for prompt in prompts))

    try:
        engine.choose_threads(2)
        practised = list(passes)
        assert asyncio.run(everybody()) == alone
    finally:
        engine.close()
    assert tried == [(size, count) for size in threads.SIZES for count in (1, 2)]
    for size in (32, 128):  # each prompt is another one, so it is read, but for a word or two with which others began
        assert sum(size - 3 < tokens <= size for tokens in practised) == 2
