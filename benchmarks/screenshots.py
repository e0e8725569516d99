"""The pictures of the page in README.md and docs/running.md, made anew.

    python -m benchmarks.screenshots

Starts `jnana run` on warm weights, asks in Chromium about the page's example photo, for a poem, and by voice, and writes what a
desktop and a phone show into docs/images/.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from playwright.async_api import Browser

from benchmarks.memory import STARTS_WITHIN
from bot.chat.web.page import ASSETS
from bot.settings import load_settings
from tests.processes import free_port, jnana_run
from tests.web.browser import DESKTOP, PATIENCE_MS, PHONE, chromium, open_page

TO = Path(__file__).parents[1] / "docs" / "images"
PHOTO, POEM = ("What is in this photo?", ASSETS / "example.jpg"), ("Write a short poem about it.",)
VOICE = ("", ASSETS / "example.ogg")
SHOWN = {"web-desktop.png": (DESKTOP, (PHOTO, POEM, VOICE)), "web-phone.png": (PHONE, (PHOTO, POEM))}


async def show(browser: Browser, url: str, name: str) -> None:
    size, asked = SHOWN[name]
    visitor = await open_page(browser, url, size=size)
    for number, (text, *files) in enumerate(asked, 1):
        await visitor.ask(text, *files)
        print(name, text, await visitor.answer(number, patience_ms=PATIENCE_MS), sep="\n  ")
    await visitor.page.screenshot(path=TO / name)


async def show_all(url: str) -> None:
    async with chromium() as browser:
        for name in SHOWN:
            await show(browser, url, name)


def main() -> None:
    home, port = load_settings(Path(os.devnull)).jnana_home, free_port()
    env = {**os.environ, "JNANA_HOME": str(home), "WEB_PORT": str(port), "MODEL_PORT": str(free_port())}
    with jnana_run(env, limit=STARTS_WITHIN) as running:
        running.until("^ready:")
        asyncio.run(show_all(f"http://127.0.0.1:{port}"))


if __name__ == "__main__":
    main()
