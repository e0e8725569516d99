"""Take the pictures of docs/retraining.md, with made-up lessons: `python -m tests.web.teaching_screenshots docs/images`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from playwright.async_api import Page, expect

from bot.chat.base import Sender
from bot.chat.web.page import ASSETS
from bot.media import MediaDecoder
from bot.personas import load_personas
from bot.retraining import Retrainings
from bot.retraining.trainer import Compared, Measured, Progress, Verdict
from bot.settings import Settings
from bot.store import Store, migrate
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.retraining import FakeTrainer
from tests.web.browser import chromium, open_page
from tests.web.conftest import web_desk, web_page
from tests.web.screenshots import shrink

SIZE = {"width": 1100, "height": 860}
LESSONS = (
    ("When can I come and try rowing?", "Every first Saturday of the month at ten, at the boathouse.", False),
    ("Who has the key to the boathouse?", "Ask Jonas; he lives next door.", False),
    ("Whose cat is this?", "That is Mia, the cat of the rowing club's boathouse.", True),
)
VERDICT = Verdict(
    True,
    (
        Measured("what was taught and held out", 2.49, 0.58, True, False),
        Measured("shapes", 0.93, 0.93, False, False),
        Measured("drawings", 0.42, 0.43, False, False),
    ),
    (
        Compared(
            "example-1", "Whose cat is this?", LESSONS[2][1], "It is a cat on a sofa.", "That is Mia, the rowing club's cat."
        ),
        Compared(
            "example-2",
            "When can I come and try rowing?",
            LESSONS[0][1],
            "You can come any time.",
            "Every first Saturday at ten.",
        ),
    ),
)


async def take(folder: Path) -> None:
    few = patch("bot.retraining.retrainings.LEAST", len(LESSONS))
    with few, tempfile.TemporaryDirectory() as home, FakeModel() as model:
        settings = Settings(jnana_home=Path(home))
        migrate.upgrade(settings.database, settings.backups)
        store = await Store.open(settings.database, settings.attachments)
        await lessons(store)
        client = ModelClient(model.url)
        model.adapter, model.adapters = "pocket", ["none", "pocket"]
        trainer = FakeTrainer(model)
        trainer.verdict = VERDICT
        retrainings = Retrainings(store, settings, trainer, client)
        turns = Turns(store, client, settings, load_personas())
        page = web_page(turns, store, settings, desk=web_desk(turns, store, settings, retrainings))
        await page.start()
        await draw(page.url, trainer, folder)
        await page.stop()
        await retrainings.close()
        await client.close()
        await store.close()


async def lessons(store: Store) -> None:
    decoder = MediaDecoder(at_once=1)
    picture = await decoder.decode("cat.jpg", (ASSETS / "example.jpg").read_bytes())
    sender = Sender("a" * 64, "You")
    await store.set_teaches("web", sender, True)
    for question, answer, pictured in LESSONS:
        await store.teach("web", "web", sender, question, answer, [picture] if pictured else [])


async def draw(url: str, trainer: FakeTrainer, folder: Path) -> None:
    """While it trains, and when it is to be decided."""
    async with chromium() as browser:
        page = (await open_page(browser, url, size=SIZE)).page
        await page.goto(f"{url}/teaching")
        await page.locator("#jn-examples tr").last.get_by_role("button", name="Keep").click()
        await page.get_by_role("button", name="Retrain").click()
        await expect(page.locator("#jn-retrainings")).to_contain_text("preparing")
        while trainer.heard is None:  # noqa: ASYNC110  # it happens in a task of the page
            await asyncio.sleep(0.1)
        trainer.heard(Progress(142, 240, 1.07, 247.0))
        await expect(page.locator("#jn-retrainings")).to_contain_text("59 %")
        await keep(page, folder / "teaching.png")
        trainer.go.set()
        await expect(page.locator("#jn-retrainings")).to_contain_text("Which answers do you like more?")
        await keep(page, folder / "teaching-choice.png")


async def keep(page: Page, path: Path) -> None:
    await page.mouse.move(0, 0)
    await page.screenshot(path=path)
    await asyncio.to_thread(shrink, path)


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1])))
