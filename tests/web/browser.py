"""What a person does with the page, in a real browser. Used here and by the end-to-end tests with the real model.

async with chromium() as browser:
    visitor = await open_page(browser, page.url)
    await visitor.ask("What is in this photo?", photo)
    assert "cat" in await visitor.answer()
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright, expect

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing (apt-get install chromium)")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
WAIT_MS = 30_000  # far more than anything takes, even on a busy machine
PATIENCE_MS = 240_000  # for answers of the real model on one busy core

expect.set_options(timeout=WAIT_MS)


@asynccontextmanager
async def chromium(microphone: Path | None = None) -> AsyncIterator[Browser]:
    """A browser. What its microphone hears is the sound of the WAV file `microphone`, again and again."""
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    if microphone:
        arguments += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


async def open_page(
    browser: Browser | BrowserContext, url: str, *, size: dict[str, int] | None = None, dark: bool = False
) -> Visitor:
    """Open the page and wait until it can be used. Given a browser: as a new person; given a context: in another tab."""
    if isinstance(browser, Browser):
        browser = await browser.new_context(
            viewport=size or DESKTOP, color_scheme="dark" if dark else "light", permissions=["microphone"]
        )
        browser.set_default_timeout(WAIT_MS)
    visitor = Visitor(await browser.new_page())
    await visitor.go(url)
    return visitor


class Visitor:
    """A person in front of one tab. `requests` are the addresses that the tab asked for, `blocked` those that the page's
    content security policy kept in, `errors` what scripts threw."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.blocked: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.blocked.append(request.url) if request.failure == "csp" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    @property
    def box(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    @property
    def questions(self) -> Locator:
        return self.page.get_by_test_id("user")

    @property
    def answers(self) -> Locator:
        return self.page.get_by_test_id("bot")

    @property
    def conversations(self) -> Locator:
        return self.page.locator("#jn-list a")

    @property
    def problem(self) -> Locator:
        return self.page.locator("#jn-problem [role=alert]")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def strangers(self) -> set[str]:
        """Hosts other than the bot's that were asked for anything."""
        asked = {urlsplit(address) for address in set(self.requests) - set(self.blocked)}
        return {str(address.hostname) for address in asked if address.scheme not in ("blob", "data")} - {"127.0.0.1"}

    async def go(self, url: str) -> None:
        await self.page.goto(url)
        await self.ready()

    async def reload(self) -> None:
        await self.page.reload()
        await self.ready()

    async def ready(self) -> None:
        """Until the page shows a conversation, or invites to begin one."""
        await expect(self.box).to_be_editable()
        await expect(self.page.locator("#jn-welcome, #jn-chat").first).to_be_visible()
        await expect(self.page).to_have_url(re.compile(r"[?&]c="))

    async def attach(self, *files: Path) -> None:
        await self.page.set_input_files("#jn-box input[type=file]", files)
        await expect(self.page.locator("#jn-box .thumbnail-item")).to_have_count(len(files))

    async def ask(self, text: str = "", *files: Path) -> None:
        if files:
            await self.attach(*files)
        await self.box.fill(text)
        await self.box.press("Enter")

    async def answer(self, number: int | None = None, *, patience_ms: float = WAIT_MS) -> str:
        """The text of an answer (counted from 1; None: the last) when nothing is being answered any more."""
        if number is not None:
            await expect(self.answers).to_have_count(number, timeout=patience_ms)
        else:
            await expect(self.answers.first).to_be_visible()
        await expect(self.page.locator(".jn-waiting")).to_have_count(0, timeout=patience_ms)
        await expect(self.button("Stop answering")).to_have_count(0, timeout=patience_ms)
        return (await self.answers.last.inner_text()).strip()

    async def record(self, seconds: float) -> None:
        """Record a voice note with the microphone, into the message box."""
        await self.button("Record a voice note").click()
        stop = self.button("Stop recording")
        await stop.wait_for()
        await asyncio.sleep(seconds)
        await stop.click()
        await self.button("Use this recording").click()
        await expect(self.page.locator("#jn-box .thumbnail-item")).to_have_count(1)
