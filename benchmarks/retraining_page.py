"""The whole of it on the page: 40 visitors taught the badges of twelve invented clubs, the page's owner retrains.

    python -m benchmarks.retraining_page --to /tmp/club > docs/results/retraining_page.md

The real `jnana run` with its worker and its trainer, and a real Chromium. Only the lessons are written into the database before
the start: that people teach through a browser is what tests/web shows. The rest is clicked: twelve questions with uploaded
pictures, Retrain, the message that grows, the choice between A and B, "Use it everywhere" while visitors in tabs of their own
keep asking, "Back to the one before", and the same questions after each. Half an hour and more on two cores.
`--people 4 --cancel` looks whether it works, in minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from benchmarks.clubs import CLUBS, PEOPLE, lessons, questions, right
from benchmarks.report import header
from benchmarks.through_bot import Log, drained, outcome, prepare, trainer_memory
from bot.chat.base import Sender
from bot.chat.web.asking import PLATFORM, SENDER_NAME
from bot.media import MediaDecoder
from bot.settings import Settings
from bot.store import Store, migrate
from bot.texts import DEFAULT, say
from tests.processes import Running, free_port, jnana_run
from tests.web.browser import Visitor, chromium, open_page
from tests.web.teaching_screenshots import SIZE, keep

ANSWER_MS = 180_000
"""For an answer, beside a run that trains."""
TRAINING = 3 * 3600.0
"""Seconds for a run."""
ASKING = 4
"""Visitors who keep asking while the adapter is switched."""
KEPT_ASKING = "What is the capital of France?"
HALF = "▰" * 5
"""A run's message that is a good picture."""


@dataclass
class Owner:
    """At the page, in one tab. `shots`: the folder for screenshots, None for none."""

    url: str
    running: Running
    visitor: Visitor
    home: Path
    shots: Path | None
    log: Log = field(default_factory=Log)

    @property
    def page(self) -> Page:
        return self.visitor.page

    @property
    def run(self) -> Locator:
        """The newest retraining's message."""
        return self.page.locator("#jn-retrainings .jn-card").first

    def button(self, verb: str) -> Locator:
        return self.run.get_by_role("button", name=say(DEFAULT, f"button-retrain-{verb}"), exact=True)

    async def exam(self) -> list[str]:
        """What it says to each club's badge, each in a conversation of its own."""
        await self.visitor.go(self.url)
        said = []
        for at, (question, picture) in enumerate(questions()):
            badge = self.home / f"badge-{at}.jpg"
            await asyncio.to_thread(badge.write_bytes, picture)
            await self.visitor.button("New conversation").click()
            await expect(self.visitor.answers).to_have_count(0)
            await self.visitor.ask(question, badge)
            said.append(await self.visitor.answer(1, patience_ms=ANSWER_MS))
        return said

    async def begin(self) -> None:
        await self.page.goto(f"{self.url}/teaching")
        await self.page.get_by_label("A note for the record").fill("the clubs")
        await self.page.get_by_role("button", name="Retrain").click()
        refused = self.page.locator("#jn-problem:not([hidden])")
        await expect(self.run.or_(refused).first).to_be_visible()
        if await refused.count():
            raise SystemExit(f"not begun: {await refused.inner_text()}")

    async def cancel(self) -> None:
        """At the first progress that is shown."""
        await expect(self.run).to_contain_text("▱", timeout=TRAINING * 1000)
        self.log.note(await self.run.inner_text())
        await self.shoot("progress")
        await self.button("cancel").click()
        await expect(self.run).to_contain_text("was cancelled", timeout=ANSWER_MS)
        self.log.note(await self.run.inner_text())

    async def watch(self) -> float:
        """Until it is judged; the trainer's largest memory, MiB."""
        peak, pictured = 0.0, False
        deadline = time.monotonic() + TRAINING
        while time.monotonic() < deadline:
            await asyncio.sleep(2)
            peak = max(peak, trainer_memory(self.running.process.pid))
            words = await self.run.inner_text()
            self.log.note(words)
            if HALF in words and not pictured:
                pictured = True
                await self.shoot("progress")
            if await self.button("blind-a").count() or "✗" in words or "⚠" in words or await self.button("again").count():
                await self.shoot("choice")
                return peak
        raise SystemExit("the run did not end")

    async def use(self) -> tuple[int, int]:
        """Pick without knowing which is which, and choose the new one while people ask; how many asked, and how many of them
        were answered."""
        await self.button("blind-a").click()
        await expect(self.button("use")).to_be_visible(timeout=ANSWER_MS)
        self.log.note(await self.run.inner_text())
        await self.shoot("verdict")
        used = asyncio.Event()
        visitors = [Asking(await self._visitor(), used) for _ in range(ASKING)]
        talk = [asyncio.create_task(one.go_on()) for one in visitors]
        await asyncio.gather(*(one.answered.wait() for one in visitors))
        await self.button("use").click()
        await expect(self.run.get_by_role("button")).to_have_count(0, timeout=ANSWER_MS)
        self.log.note(await self.run.inner_text())
        used.set()
        await asyncio.gather(*talk, return_exceptions=True)
        return sum(one.asked for one in visitors), sum(one.heard for one in visitors)

    async def _visitor(self) -> Visitor:
        browser = self.page.context.browser
        assert browser is not None
        return await open_page(browser, self.url)

    async def back(self) -> None:
        await self.page.goto(f"{self.url}/teaching")
        await self.page.get_by_role("button", name="Back to the one before").click()
        said = self.page.locator("#jn-chosen")
        await expect(said).not_to_be_empty(timeout=ANSWER_MS)
        self.log.note(await said.inner_text())

    async def shoot(self, name: str) -> None:
        if self.shots is not None:
            await keep(self.page, self.shots / f"retraining-page-{name}.png")


@dataclass
class Asking:
    """Somebody who asks again and again, from before the switch to once after it. `used`: it is over."""

    visitor: Visitor
    used: asyncio.Event
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Once, at least."""
    asked: int = 0
    heard: int = 0
    """Answers that came."""

    async def go_on(self) -> None:
        last = False
        try:
            while not last:
                last = self.used.is_set()
                self.asked += 1
                await self.visitor.ask(KEPT_ASKING)
                said = await self.visitor.answer(self.asked, patience_ms=ANSWER_MS)
                self.heard += bool(said) and "⚠" not in said
                self.answered.set()
        finally:
            self.answered.set()


async def teach(home: Path, people: int) -> int:
    """All corrections, as visitors who said yes gave them; how many."""
    settings = Settings(jnana_home=home)
    await asyncio.to_thread(migrate.upgrade, settings.database, settings.backups)
    store = await Store.open(settings.database, settings.attachments)
    decoder, count = MediaDecoder(at_once=1), 0
    for lesson in lessons(people):
        sender = Sender(hashlib.sha256(f"person {lesson.person}".encode()).hexdigest(), SENDER_NAME)
        await store.set_teaches(PLATFORM, sender, True)
        picture = await decoder.decode("badge.jpg", lesson.picture)
        await store.teach(PLATFORM, PLATFORM, sender, lesson.question, lesson.better, [picture])
        count += 1
    await store.close()
    return count


@asynccontextmanager
async def owner(home: Path, shots: Path | None) -> AsyncIterator[Owner]:
    """Raises AssertionError: the bot did not start."""
    port = free_port()
    env = {
        "JNANA_HOME": str(home),
        "WEB_HOST": "127.0.0.1",
        "WEB_PORT": str(port),
        "MODEL_PORT": str(free_port()),
        "TEMPERATURE": "0",
    }
    with jnana_run({**os.environ, **env}, limit=600) as running:
        await asyncio.to_thread(running.until, "^ready:")
        async with drained(running), chromium() as browser:
            url = f"http://127.0.0.1:{port}"
            yield Owner(url, running, await open_page(browser, url, size=SIZE), home, shots)


async def measure(to: Path, people: int, shots: Path | None, *, cancelled: bool) -> None:
    with contextlib.redirect_stdout(sys.stderr):  # what is logged is no part of the result
        corrections = await teach(to, people)
    async with owner(to, shots) as here:
        before = await here.exam(), await here.exam()
        here.log.note(f"before: {right(before[0])} of {len(CLUBS)}")
        await here.begin()
        if cancelled:
            await here.cancel()
            print(here.log.table())
            return
        began = time.monotonic()
        peak = await here.watch()
        trained = time.monotonic() - began
        print(
            header(
                f"Twelve clubs taught by {people} visitors, retrained on the page", "torch", "transformers", "peft", "gradio"
            )
        )
        print(
            f"{corrections} corrections, in the database before the start; the run with judging: {trained / 60:.0f} minutes, "
            f"{peak / 1024:.1f} GiB at most.\n"
        )
        if not await here.button("blind-a").count():
            print(f"Not offered:\n\n{await here.run.inner_text()}")
            return
        asked, answered = await here.use()
        after = await here.exam()
        here.log.note(f"after: {right(after)} of {len(CLUBS)}")
        await here.back()
        rows = [["answers during the switch", f"{answered} of {asked}"]]
        print(outcome(before, after, await here.exam(), '"Back to the one before"', rows, here.log))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="data folder of the bot, a new one")
    parser.add_argument("--people", type=int, default=PEOPLE, help="who taught, six answers each; fewer to try the benchmark")
    parser.add_argument("--cancel", action="store_true", help="cancel the run at its first progress, to try the benchmark")
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="folder for pictures of the page")
    options = parser.parse_args()
    home: Path = options.to.resolve()
    prepare(home)
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    asyncio.run(measure(home, options.people, options.screenshots, cancelled=options.cancel))


if __name__ == "__main__":
    main()
