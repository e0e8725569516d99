"""From the browser to the real model and back: `jnana run` with the pocket weights, as a newcomer has it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import skimage
from playwright.async_api import expect

from tests.processes import ROOT, Running, free_port, jnana_run
from tests.web.browser import PATIENCE_MS, Visitor, chromium, needs_chromium, open_page
from tests.web.conftest import spoken

__all__ = ["spoken"]  # a fixture, shared with tests/web

pytestmark = [needs_chromium, pytest.mark.chromium, pytest.mark.pocket]

CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
STARTS_WITHIN = 240  # seconds, on a busy machine; not a claim


@pytest.fixture(scope="module")
def env(pocket_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A data folder of its own with the weights that all tests share."""
    home = tmp_path_factory.mktemp("end to end") / "home"
    home.mkdir()
    (home / "models").symlink_to(pocket_home / "models")
    ports = {"WEB_PORT": str(free_port()), "MODEL_PORT": str(free_port())}
    return {**os.environ, **ports, "JNANA_HOME": str(home), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def run(env: dict[str, str]) -> Iterator[Running]:
    with jnana_run(env, limit=STARTS_WITHIN) as running:
        running.until("^ready:")
        yield running


@pytest.fixture
async def visitor(run: Running, env: dict[str, str]) -> AsyncIterator[Visitor]:
    async with chromium() as browser:
        yield await open_page(browser, f"http://127.0.0.1:{env['WEB_PORT']}")


async def test_photo_is_named_and_a_follow_up_knows_it(visitor: Visitor) -> None:
    await visitor.ask("What is in this photo?", CAT)
    assert re.search(r"\bcat\b", await visitor.answer(1, patience_ms=PATIENCE_MS), re.IGNORECASE)
    await visitor.ask("Which animal did I show you?")
    assert re.search(r"\b(cat|mau)\b", await visitor.answer(2, patience_ms=PATIENCE_MS), re.IGNORECASE)
    await visitor.reload()
    await expect(visitor.answers).to_have_count(2)
    await expect(visitor.questions.first.locator("img")).to_be_visible()


async def test_voice_note_from_the_microphone_is_written_down_and_answered(
    run: Running, env: dict[str, str], spoken: Path
) -> None:
    async with chromium(microphone=spoken) as browser:
        visitor = await open_page(browser, f"http://127.0.0.1:{env['WEB_PORT']}")
        await visitor.record(8)
        await visitor.box.press("Enter")
        assert await visitor.answer(1, patience_ms=PATIENCE_MS)
        await expect(visitor.questions.last.locator(".jn-heard")).not_to_be_empty()


async def test_answer_can_be_stopped_and_the_next_question_works(visitor: Visitor) -> None:
    await visitor.ask("Tell me a very long story about a lighthouse keeper.")
    await expect(visitor.answers.first).to_contain_text(" ", timeout=PATIENCE_MS)
    await visitor.button("Stop answering").click()
    stopped = await visitor.answer(1)
    await visitor.ask("What is the capital of France?")
    assert "Paris" in await visitor.answer(2, patience_ms=PATIENCE_MS)
    assert (await visitor.answers.first.inner_text()).strip() == stopped


async def test_worker_killed_in_the_middle_costs_one_retry(visitor: Visitor, run: Running) -> None:
    await visitor.ask("Count from one to twenty in words.")
    await expect(visitor.answers.first).to_contain_text(" ", timeout=PATIENCE_MS)
    os.kill(run.worker_pid(), signal.SIGKILL)
    assert await visitor.answer(1, patience_ms=PATIENCE_MS)
    await expect(visitor.problem).to_have_count(0)


async def test_conversation_survives_a_restart(env: dict[str, str], run: Running) -> None:
    async with chromium() as browser:
        visitor = await open_page(browser, f"http://127.0.0.1:{env['WEB_PORT']}")
        await visitor.ask("What is the capital of France?")
        answer = await visitor.answer(1, patience_ms=PATIENCE_MS)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0
        with jnana_run(env, limit=STARTS_WITHIN) as again:
            again.until("^ready:")
            await visitor.reload()
            assert (await visitor.answers.last.inner_text()).strip() == answer
