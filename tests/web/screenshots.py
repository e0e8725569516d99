"""Take the pictures of the README from a running bot: `python -m tests.web.screenshots http://127.0.0.1:7860 docs/images`.

Asks about the example photo, a follow-up and the example voice note, on a desktop and on a phone.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from PIL import Image

from bot.chat.web.page import ASSETS
from tests.web.browser import DESKTOP, PATIENCE_MS, PHONE, chromium, open_page

COLOURS = 256  # a palette is enough for a page and keeps each picture below 300 KB


async def take(url: str, folder: Path) -> None:
    async with chromium() as browser:
        for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
            visitor = await open_page(browser, url, size=size)
            await visitor.ask("What is in this photo?", ASSETS / "example.jpg")
            await visitor.answer(1, patience_ms=PATIENCE_MS)
            await visitor.ask("Write a short poem about it.")
            await visitor.answer(2, patience_ms=PATIENCE_MS)
            if name == "desktop":
                await visitor.ask("", ASSETS / "example.ogg")
                await visitor.answer(3, patience_ms=PATIENCE_MS)
            await visitor.page.mouse.move(0, 0)
            await asyncio.sleep(1)  # scrolling and fading come to rest
            path = folder / f"web-{name}.png"
            await visitor.page.screenshot(path=path)
            await asyncio.to_thread(shrink, path)


def shrink(path: Path) -> None:
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1], Path(sys.argv[2])))
