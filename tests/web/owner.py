"""The page's owner at work: fixtures and helpers for the tests of the Teaching page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from bot.chat.base import Sender
from bot.chat.web import WebPage
from bot.media import Media, MediaDecoder
from bot.retraining import Retrainings
from bot.settings import Settings
from bot.store import Store
from bot.store.records import ExampleState, StoredExample
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.retraining import FakeTrainer
from tests.web.browser import open_page
from tests.web.conftest import web_desk, web_page

ANN = Sender("a" * 64, "You")
ALL: tuple[ExampleState, ...] = ("new", "kept", "dropped")


@pytest.fixture
async def retrainings(
    store: Store, settings: Settings, trainer: FakeTrainer, client: ModelClient
) -> AsyncIterator[Retrainings]:
    retrainings = Retrainings(store, settings, trainer, client)
    yield retrainings
    await retrainings.close()


@pytest.fixture
async def page(turns: Turns, store: Store, settings: Settings, retrainings: Retrainings) -> AsyncIterator[WebPage]:
    page = web_page(turns, store, settings, desk=web_desk(turns, store, settings, retrainings))
    await page.start()
    yield page
    await page.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # it happens in a task of the page
            await asyncio.sleep(0.01)


async def picture(photo: Path) -> Media:
    return await MediaDecoder(at_once=1).decode(photo.name, await asyncio.to_thread(photo.read_bytes))


async def teach(store: Store, count: int, *pictures: Media, sender: Sender = ANN) -> None:
    await store.set_teaches("web", sender, True)
    for number in range(count):
        await store.teach("web", "web", sender, f"Whose badge is {number}?", f"The club {number}.", pictures)


async def panel(browser: Browser, page: WebPage) -> Page:
    visitor = await open_page(browser, page.url)
    await visitor.page.get_by_role("link", name="Teaching").click()
    await expect(visitor.page.locator("#jn-counts")).not_to_be_empty()
    return visitor.page


async def stored(store: Store) -> list[StoredExample]:
    return await store.examples("web", states=ALL, limit=99)
