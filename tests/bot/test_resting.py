"""A worker that rests, with real processes: it ends, nobody starts it meanwhile, and it is back however the rest ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot import supervisor as module
from bot.rest import rests_until
from bot.supervisor import Supervisor
from bot.texts import Text, text
from tests.bot.test_supervisor import _hurry, alive, eventually, said, started, supervise

__all__ = ["_hurry", "said", "supervise"]  # fixtures

SEVEN = datetime(2026, 3, 1, 7, tzinfo=UTC)
RESTS = text("model-rests", time="07:00 UTC")
Supervise = Callable[[str], AbstractAsyncContextManager[Supervisor]]


def processes(folder: Path) -> list[bool]:
    """Whether each one that was started is there."""
    return [alive(process["pid"]) for process in started(folder)]


async def test_a_resting_worker_is_gone_says_so_and_comes_back(supervise: Supervise, tmp_path: Path) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.start()
        home = supervisor._settings.jnana_home
        assert rests_until(home) is None
        async with supervisor.resting(SEVEN):
            assert rests_until(home) == SEVEN
            assert processes(tmp_path) == [False]
            assert supervisor.failure() == RESTS
            assert supervisor.status() == (text("status-rests", time="07:00 UTC"), False)
        assert (supervisor.failure(), rests_until(home)) == (None, None)
        assert supervisor.status() == ("The model is being loaded", False)
        await supervisor.start()
        assert processes(tmp_path) == [False, True]
        assert supervisor.status() == ("Ready", True)
        assert supervisor._crashes == 0


async def test_who_waits_for_the_first_start_goes_on_waiting(supervise: Supervise, tmp_path: Path) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.launch()
        waits = asyncio.create_task(supervisor.start())
        async with supervisor.resting(SEVEN):
            await asyncio.sleep(0)
            assert not waits.done()
        await waits
        assert supervisor.status() == ("Ready", True)


async def test_running_answers_end_first_and_nobody_may_ask_meanwhile(supervise: Supervise, tmp_path: Path) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.start()
        (tmp_path / "busy").touch()
        at_rest = asyncio.Event()

        async def rest() -> None:
            async with supervisor.resting(SEVEN):
                at_rest.set()

        resting = asyncio.create_task(rest())
        await eventually(lambda: supervisor.failure() == RESTS)
        await asyncio.sleep(10 * module.HEALTH_EVERY)
        assert (at_rest.is_set(), processes(tmp_path)) == (False, [True])
        (tmp_path / "busy").unlink()
        await at_rest.wait()
        await resting
        assert processes(tmp_path)[0] is False


async def test_an_answer_that_does_not_end_is_not_waited_for_for_ever(
    supervise: Supervise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWERS_END", 0.2)
    async with supervise("serve") as supervisor:
        await supervisor.start()
        (tmp_path / "busy").touch()
        async with supervisor.resting(SEVEN):
            assert processes(tmp_path) == [False]


@pytest.mark.parametrize("when", ["answers end", "at rest"])
async def test_a_cancelled_rest_gives_the_worker_back(supervise: Supervise, tmp_path: Path, when: str) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.start()
        if when == "answers end":
            (tmp_path / "busy").touch()
        at_rest = asyncio.Event()

        async def rest() -> None:
            async with supervisor.resting(SEVEN):
                at_rest.set()
                await asyncio.Event().wait()

        resting = asyncio.create_task(rest())
        await eventually(lambda: at_rest.is_set() if when == "at rest" else supervisor.failure() == RESTS)
        resting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resting
        assert supervisor.failure() is None
        await eventually(lambda: processes(tmp_path)[-1] and supervisor.status() == ("Ready", True))
        assert len(processes(tmp_path)) == (2 if when == "at rest" else 1)


async def test_a_rest_that_fails_gives_the_worker_back(supervise: Supervise, tmp_path: Path) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.start()
        with pytest.raises(ZeroDivisionError):
            async with supervisor.resting(SEVEN):
                raise ZeroDivisionError
        await supervisor.start()
        assert processes(tmp_path) == [False, True]


async def test_a_worker_that_crashed_before_its_rest_is_not_started_in_it(
    supervise: Supervise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.start()
        os.kill(started(tmp_path)[0]["pid"], signal.SIGKILL)
        await eventually(lambda: supervisor._crashes == 1)
        async with supervisor.resting(SEVEN):
            await asyncio.sleep(20 * module.FIRST_PAUSE)
            assert not any(processes(tmp_path))
        await supervisor.start()
        assert processes(tmp_path)[-1]


async def test_a_bot_that_stops_while_the_worker_rests_starts_none(supervise: Supervise, tmp_path: Path) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.start()
        async with supervisor.resting(SEVEN):
            await supervisor.stop()
        await asyncio.sleep(10 * module.HEALTH_EVERY)
        assert processes(tmp_path) == [False]


async def test_a_port_that_was_lent_to_somebody_meanwhile_is_waited_for(supervise: Supervise, tmp_path: Path) -> None:
    async with supervise("port-lent") as supervisor:
        await supervisor.start()
        async with supervisor.resting(SEVEN):
            pass
        await eventually(lambda: supervisor.status() == ("Ready", True))
        assert len(started(tmp_path)) == 3


def test_the_sentence_says_when_it_is_over_in_everybodys_language() -> None:
    assert isinstance(RESTS, Text)
    assert "07:00 UTC" in RESTS.to("ru")
