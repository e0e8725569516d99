"""What the benchmark of a retraining on the page clicks, against a model and a trainer that are fakes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from benchmarks.clubs import CLUBS
from benchmarks.retraining_page import Owner
from bot.chat.web import WebPage
from bot.retraining.trainer import Progress
from bot.store import Store
from tests.bot.conftest import client, empty_database, model, settings, store, turns
from tests.bot.fake_model import FakeModel
from tests.bot.retraining import FakeTrainer, trainer
from tests.web.browser import needs_chromium, open_page
from tests.web.conftest import browser
from tests.web.owner import page, retrainings, teach, until

__all__ = ["browser", "client", "empty_database", "model", "page", "retrainings", "settings", "store", "trainer", "turns"]

pytestmark = [needs_chromium, pytest.mark.chromium]


@pytest.fixture
async def owner(browser: Browser, page: WebPage, store: Store, tmp_path: Path) -> Owner:
    await teach(store, 3)
    running: Any = SimpleNamespace(process=SimpleNamespace(pid=os.getpid()))
    return Owner(page.url, running, await open_page(browser, page.url), tmp_path, tmp_path)


async def progress(trainer: FakeTrainer, step: int) -> None:
    await until(lambda: trainer.heard is not None)
    assert trainer.heard is not None
    trainer.heard(Progress(step, 60, 0.75, 240.0))


async def test_it_is_cancelled_at_the_first_progress(owner: Owner, trainer: FakeTrainer, store: Store) -> None:
    await owner.begin()
    await progress(trainer, 6)
    await owner.cancel()
    assert "10 %, loss 0.75" in owner.log.seen[0][1]
    assert "was cancelled" in owner.log.seen[1][1]
    assert (owner.home / "retraining-page-progress.png").exists()
    assert len(await store.runs(("cancelled",))) == 1


async def test_it_is_asked_judged_used_and_taken_back(owner: Owner, trainer: FakeTrainer, model: FakeModel) -> None:
    assert await owner.exam() == ["ok"] * len(CLUBS)
    assert all(chat["messages"][-1]["content"][0]["type"] == "image_url" for chat in model.chats)
    await owner.begin()
    await progress(trainer, 45)
    watching = asyncio.create_task(owner.watch())
    await expect(owner.run).to_contain_text("75 %")
    trainer.go.set()
    await watching
    await owner.use()
    assert model.adapter == trainer.running[0].name
    await owner.back()
    assert model.adapter == "first"
