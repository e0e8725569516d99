"""Resident memory of the bot and of its worker, as people use the page.

    python -m benchmarks.memory > docs/results/memory.md

Starts `jnana run` on warm weights and talks to it in Chromium: a photo with a question, a voice note, a follow-up, several
times over. The bot never loads torch; the aim for it is 300 MB at most.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from benchmarks.report import header, resident, table
from bot.chat.web.page import ASSETS
from bot.settings import load_settings
from tests.processes import Running, free_port, jnana_run
from tests.web.browser import PATIENCE_MS, Visitor, chromium, open_page

ROUNDS = 5
STARTS_WITHIN = 240  # seconds; a start that takes longer has failed


async def one_round(visitor: Visitor, number: int) -> None:
    for place, (text, *files) in enumerate(
        (("What is in this photo?", ASSETS / "example.jpg"), ("", ASSETS / "example.ogg"), ("Tell me more about it.",))
    ):
        await visitor.ask(text, *files)
        await visitor.answer(3 * number + place + 1, patience_ms=PATIENCE_MS)


def row(what: str, running: Running) -> list[str]:
    return [what, *(f"{resident(pid):,.0f} MiB" for pid in (running.process.pid, running.worker_pid()))]


async def measure(running: Running, url: str) -> list[list[str]]:
    rows = [row("ready", running)]
    async with chromium() as browser:
        visitor = await open_page(browser, url)
        for number in range(ROUNDS):
            await one_round(visitor, number)
            if number in (0, ROUNDS - 1):
                rows.append(row(f"after {number + 1} x (photo, voice note, follow-up)", running))
            print(f"{number + 1} of {ROUNDS}", file=sys.stderr)
    return rows


def main() -> None:
    home = load_settings(Path(os.devnull)).jnana_home
    port = free_port()
    env = {**os.environ, "JNANA_HOME": str(home), "WEB_PORT": str(port), "MODEL_PORT": str(free_port())}
    with jnana_run(env, limit=STARTS_WITHIN) as running:
        running.until("^ready:")
        rows = asyncio.run(measure(running, f"http://127.0.0.1:{port}"))
    print(header("Memory of bot and worker", "gradio", "torch", "transformers"))
    print("`VmRSS` of each process.\n")
    print(table(["when", "bot", "worker"], rows))


if __name__ == "__main__":
    main()
