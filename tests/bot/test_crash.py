"""A worker killed with SIGKILL in the middle of an answer: the supervisor, the client and the turn together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bot.chat.base import Delta, Finished, Restarted
from bot.settings import Settings
from bot.store import Store
from bot.supervisor import Supervisor
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.sending import HERE, events_of, message

ROOT = Path(__file__).parents[2]


async def test_the_turn_is_answered_after_the_worker_was_killed(
    store: Store, settings: Settings, tmp_path: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = settings.model_copy(update={"model_port": unused_port})
    supervisor = Supervisor(settings, command=(sys.executable, "-m", "tests.bot.dying_worker", str(tmp_path)))
    client = ModelClient(f"http://127.0.0.1:{unused_port}", failure=supervisor.failure)
    turns = Turns(store, client, settings)
    try:
        await supervisor.start()
        turn = await turns.start(message("Hi"))
        async for event in turn.events():
            if event == Delta("Half"):
                os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
                break
        async with asyncio.timeout(60):
            assert await events_of(turn) == [Delta("Half"), Restarted(), Delta("ok"), Finished("ok")]
        assert (await store.turns(HERE))[0].answer == "ok"
    finally:
        await turns.drain(0)
        await supervisor.stop()
        await client.close()
