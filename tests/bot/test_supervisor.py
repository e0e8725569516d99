"""The supervisor with real processes: started, watched, restarted, given up, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from bot import supervisor as module
from bot.errors import WorkerError
from bot.settings import Settings
from bot.supervisor import BROKEN, Supervisor
from bot.worker import ModelClient

SCRIPT = Path(__file__).with_name("fake_worker.py")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALTH_EVERY", 0.05)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(module, "STOP_GRACE", 0.5)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(tmp_path: Path, unused_port: int, said: list[str]) -> Callable[[str], Any]:
    @asynccontextmanager
    async def start(mode: str) -> AsyncIterator[Supervisor]:
        command = (sys.executable, str(SCRIPT), mode, str(tmp_path))
        supervisor = Supervisor(
            Settings(jnana_home=tmp_path, model_port=unused_port, model_api_key="key"), say=said.append, command=command
        )
        try:
            yield supervisor
        finally:
            await supervisor.stop()

    return start


def started(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("start-*"))]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # another process decides
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_worker_is_started_with_our_settings_and_stopped(
    supervise: Callable[[str], Any], tmp_path: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    async with supervise("serve") as supervisor:
        assert supervisor.status() == ("The model is being loaded", False)
        await supervisor.start()
        assert supervisor.status() == ("Ready", True)
        [process] = started(tmp_path)
        env = process["env"]
        assert (env["MODEL_PORT"], env["MODEL_HOST"], env["MODEL_API_KEY"]) == (str(unused_port), "127.0.0.1", "key")
        assert env["JNANA_PARENT_PID"] == str(os.getpid())
        assert "DISCORD_TOKEN" not in env
        assert process["sid"] == process["pid"]  # Ctrl-C in the terminal does not reach it
    assert not alive(process["pid"])


async def test_its_log_becomes_ours_and_its_lines_are_said(supervise: Callable[[str], Any], said: list[str]) -> None:
    with structlog.testing.capture_logs() as logged:
        async with supervise("serve") as supervisor:
            await supervisor.start()
    assert said == ["converting: 50 %"]
    assert {"event": "model loaded", "log_level": "warning", "seconds": 1.5, "source": "worker"} in logged


async def test_a_killed_worker_is_started_again(supervise: Callable[[str], Any], tmp_path: Path, unused_port: int) -> None:
    async with supervise("serve") as supervisor:
        await supervisor.start()
        os.kill(started(tmp_path)[0]["pid"], signal.SIGKILL)
        await eventually(lambda: len(started(tmp_path)) == 2)
        await eventually(supervisor._ready.is_set)
        client = ModelClient(f"http://127.0.0.1:{unused_port}")
        assert (await client.health())["status"] == "ready"
        await client.close()
        assert supervisor.failure() is None


async def test_one_crash_at_the_start_is_forgiven(supervise: Callable[[str], Any], tmp_path: Path) -> None:
    async with supervise("crash-once") as supervisor:
        await supervisor.start()
        assert len(started(tmp_path)) == 2


async def test_a_worker_that_only_crashes_is_not_waited_for_for_ever(supervise: Callable[[str], Any]) -> None:
    async with supervise("crash") as supervisor:
        with pytest.raises(WorkerError, match="crashed 3 times at its start: about to crash"):
            await supervisor.start()


async def test_a_worker_that_cannot_run_is_not_restarted(
    supervise: Callable[[str], Any], tmp_path: Path, said: list[str]
) -> None:
    async with supervise("bad-weights") as supervisor:
        with pytest.raises(WorkerError, match=r"cannot run: weights\.bin is damaged: run `jnana models pull`"):
            await supervisor.start()
        assert len(started(tmp_path)) == 1
        assert supervisor.failure() == BROKEN
        assert supervisor.status() == (BROKEN, False)


async def test_a_worker_that_hangs_is_killed_and_started_again(
    supervise: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HANGS_AFTER", 0.2)
    monkeypatch.setattr("bot.worker.HEALTH_TIMEOUT", 0.2)
    async with supervise("hang-once") as supervisor:
        await supervisor.start()
        (tmp_path / "hang").touch()
        await eventually(lambda: len(started(tmp_path)) == 2)
        await eventually(supervisor._ready.is_set)
        assert not alive(started(tmp_path)[0]["pid"])


async def test_a_worker_that_ignores_sigterm_is_killed(supervise: Callable[[str], Any], tmp_path: Path) -> None:
    async with supervise("stubborn") as supervisor:
        await supervisor.start()
    assert not alive(started(tmp_path)[0]["pid"])


async def test_a_taken_port_is_told_before_anything_is_started(
    supervise: Callable[[str], Any], tmp_path: Path, unused_port: int
) -> None:
    with socket.create_server(("127.0.0.1", unused_port)):
        async with supervise("serve") as supervisor:
            with pytest.raises(WorkerError, match=f"MODEL_PORT={unused_port}: another program uses this port"):
                await supervisor.start()
    assert started(tmp_path) == []
