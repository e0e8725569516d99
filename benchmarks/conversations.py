"""200 conversations at once in one bot: our own time, the platforms' clocks, and memory over many turns.

    python -m benchmarks.conversations > docs/results/conversations.md

A real `jnana run` on both platforms: 50 private chats and 50 channels on the loopback Discord, 50 private chats and 50 groups
on the loopback Telegram. The platforms are in this process, the fake worker is in one of its own, and all three share the
machine's cores. First every conversation asks one question, answered at a pace at which answers grow on the screen: the
questions spread over ten seconds, then all at the same instant. Then everybody asks again as soon as they have an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.report import header, resident, table
from benchmarks.timed_model import ModelProcess, Shape, timed_model
from bot.chat.discord.place import CLOCK as DISCORD_CLOCK
from bot.chat.telegram.place import GROUP_CLOCK, PRIVATE_CLOCK
from tests.platforms.discord.server import DiscordServer
from tests.platforms.telegram.server import TelegramServer
from tests.processes import Running, jnana_run

TALK = Shape(24, 0.25)
"""Answers of six seconds: they grow several times."""
SHORT = Shape(2, 0.0)
SPREAD = 10.0
"""Seconds over which the questions of a round are spread."""
ROUNDS = 3
PATIENCE = 180.0
"""Seconds; an answer that takes longer has failed."""
MARKS = (0, 200, 1000, 2000, 5000, 10_000, 15_000, 20_000)
"""Turns after which the memory is looked at."""
CLOCKS = {
    "Discord private": DISCORD_CLOCK,
    "Discord channel": DISCORD_CLOCK,
    "Telegram private": PRIVATE_CLOCK,
    "Telegram group": GROUP_CLOCK,
}
MESSAGES = re.compile(r"/channels/(\d+)/messages(/\d+)?")


@dataclass
class Turn:
    """One question. `writes`: when the answer was sent or edited before it had ended; `final`: when its end came."""

    kind: str
    number: int
    sent: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    writes: list[float] = field(default_factory=list)
    final: float = 0.0
    failed: bool = False

    def shown(self, at: float, buttons: str) -> None:
        if "again:" not in buttons:
            self.writes.append(at)
        elif not self.final:
            self.final, self.failed = at, "good:" not in buttons
            self.done.set()


class Calls(list[Any]):
    """Stands where a server writes the bot's requests down; hands them on instead of keeping them."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        super().__init__()
        self._tell = tell

    def append(self, call: Any) -> None:
        self._tell(call)


class Talk(NamedTuple):
    """A conversation: where it is, and how its person says something there."""

    kind: str
    place: tuple[str, int]
    say: Callable[[str], Awaitable[object]]


class Crowd:
    """Everybody who talks to the bot."""

    def __init__(self, discord: DiscordServer, telegram: TelegramServer, each: int) -> None:
        """`each`: conversations of every one of the four kinds."""
        discord.calls = Calls(self._discord_call)
        telegram.calls = Calls(self._telegram_call)
        self.talks: list[Talk] = []
        self._open: dict[tuple[str, int], Turn] = {}
        self._numbers = itertools.count(1)
        guild = discord.guild("home")
        for index in range(each):
            self._add_discord(discord, guild.channel(f"c{index}"), index)
            self._add_telegram(telegram, index)

    def _add_discord(self, server: DiscordServer, channel: Any, index: int) -> None:
        ann, bo = server.user(f"Ann{index}"), server.user(f"Bo{index}")
        private, name = server.dm(ann), f"<@{server.bot.id}>"
        self.talks.append(Talk("Discord private", ("discord", private.id), lambda text: private.say(ann, text)))
        self.talks.append(Talk("Discord channel", ("discord", channel.id), lambda text: channel.say(bo, f"{name} {text}")))

    def _add_telegram(self, server: TelegramServer, index: int) -> None:
        private, group, bo = server.private(name=f"Ann{index}"), server.group(f"g{index}"), server.person(f"Bo{index}")
        name = f"@{server.bot.username}"
        self.talks.append(Talk("Telegram private", ("telegram", private.id), lambda text: private.say(private.owner, text)))
        self.talks.append(Talk("Telegram group", ("telegram", group.id), lambda text: group.say(bo, f"{name} {text}")))

    async def ask(self, talk: Talk) -> Turn:
        """A question and its whole answer."""
        number = next(self._numbers)
        turn = self._open[talk.place] = Turn(talk.kind, number, time.monotonic())
        await talk.say(f"#{number}# What do you say?")
        await asyncio.wait_for(turn.done.wait(), PATIENCE)
        return turn

    async def ask_all(self, seconds: float) -> list[Turn]:
        """Every conversation once, the beginnings spread over so many seconds."""

        async def later(talk: Talk, pause: float) -> Turn:
            await asyncio.sleep(pause)
            return await self.ask(talk)

        step = seconds / len(self.talks)
        return await asyncio.gather(*(later(talk, index * step) for index, talk in enumerate(self.talks)))

    def _discord_call(self, call: Any) -> None:
        found = MESSAGES.fullmatch(call.path)
        if found and call.method in ("POST", "PATCH"):
            self._open[("discord", int(found[1]))].shown(call.at, str(call.json.get("components")))

    def _telegram_call(self, call: Any) -> None:
        if call.method in ("sendMessage", "editMessageText"):
            self._open[("telegram", int(call.params["chat_id"]))].shown(call.at, str(call.params.get("reply_markup")))


class Load:
    """How busy the processes were, in shares of one core, and how late this process's loop was."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._began = time.monotonic()
        self._before = {name: processor_time(pid) for name, pid in pids.items()}
        self._late: list[float] = []
        self._watch = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            self._late.append(time.monotonic() - due)

    def row(self, name: str) -> list[str]:
        self._watch.cancel()
        took = time.monotonic() - self._began
        shares = [(processor_time(pid) - self._before[one]) / took for one, pid in self._pids.items()]
        return [name, f"{took:.0f} s", *(f"{share:.0%}" for share in shares), milliseconds(self._late, 0.99)]


def processor_time(pid: int) -> float:
    """Seconds that a process has had so far, its threads included (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def at_share(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    return sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]


def milliseconds(values: Sequence[float], share: float) -> str:
    return f"{at_share(values, share) * 1000:,.0f} ms" if values else "none"


def time_rows(name: str, turns: Sequence[Turn], model: ModelProcess) -> list[list[str]]:
    """Our own time, by platform."""
    times = model.take()
    rows = []
    for platform in ("Discord", "Telegram"):
        mine = [turn for turn in turns if turn.kind.startswith(platform) and not turn.failed]
        before = [times.asked[turn.number] - turn.sent for turn in mine]
        after = [turn.final - times.ended[turn.number] for turn in mine]
        shown = [milliseconds(values, share) for values in (before, after) for share in (0.5, 0.99)]
        rows.append([name, platform, str(len(mine)), *shown])
    return rows


def clock_rows(turns: Sequence[Turn]) -> list[list[str]]:
    """How far apart the writes of growing answers came, against the platforms' clocks."""
    rows = []
    for kind, clock in CLOCKS.items():
        gaps = [b - a for turn in turns if turn.kind == kind for a, b in itertools.pairwise(turn.writes)]
        under = sum(gap < clock for gap in gaps)
        shown = [f"{min(gaps):.3f} s", f"{statistics.median(gaps):.3f} s"] if gaps else ["none", "none"]
        rows.append([kind, f"{clock:.0f} s", str(len(gaps)), *shown, str(under)])
    return rows


async def many_turns(crowd: Crowd, count: int, limit: float, pid: int) -> tuple[list[list[str]], int]:
    """Everybody asks as soon as they are answered; memory rows, and the turns that failed."""
    began = time.monotonic()
    begun, done, failed = itertools.count(), 0, 0
    rows = []

    def note() -> None:
        rows.append([f"{done:,}", f"{time.monotonic() - began:.0f} s", f"{resident(pid):.0f} MiB"])

    async def go_on(talk: Talk) -> None:
        nonlocal done, failed
        while time.monotonic() - began < limit and next(begun) < count:
            failed += (await crowd.ask(talk)).failed
            done += 1
            if done in MARKS:
                note()
                print(rows[-1], file=sys.stderr)

    note()
    await asyncio.gather(*(go_on(talk) for talk in crowd.talks))
    if done not in MARKS:
        note()
    return rows, failed


@asynccontextmanager
async def bot_of(
    discord: DiscordServer, telegram: TelegramServer, model: ModelProcess, logged: Counter[str]
) -> AsyncIterator[Running]:
    """A bot that is on both platforms. Its log is read and counted by level."""
    with tempfile.TemporaryDirectory() as home:
        own = {
            "JNANA_HOME": home,
            "WEB_ENABLED": "false",
            "MODEL_URL": model.url,
            "DISCORD_TOKEN": discord.token,
            "DISCORD_API_URL": discord.api,
            "DISCORD_GATEWAY_URL": discord.gateway,
            "TELEGRAM_TOKEN": telegram.token,
            "TELEGRAM_API_URL": telegram.url,
            "MESSAGES_PER_MINUTE": "0",
            "GUEST_PER_MINUTE": "0",
            "LOG_FORMAT": "json",
        }
        with jnana_run({**os.environ, **own}) as running:
            for _ in range(3):
                await asyncio.to_thread(running.until, "^(ready|Discord|Telegram): ")
            thread = threading.Thread(target=count_levels, args=(running, logged), daemon=True)
            thread.start()
            yield running
            running.process.terminate()
            await asyncio.to_thread(thread.join, 30)


def count_levels(running: Running, logged: Counter[str]) -> None:
    assert running.process.stdout is not None
    for line in running.process.stdout:
        found = re.search(r'"level": ?"(\w+)"', line)
        logged[found[1] if found else "none"] += 1
        if found and found[1] not in ("info", "debug") and logged[found[1]] <= 5:
            print(line, end="", file=sys.stderr)


async def measure(options: argparse.Namespace) -> None:
    logged: Counter[str] = Counter()
    load_before = os.getloadavg()[0]
    with timed_model() as model:
        async with DiscordServer() as discord, TelegramServer() as telegram:
            crowd = Crowd(discord, telegram, options.each)
            async with bot_of(discord, telegram, model, logged) as running:
                pids = {"bot": running.process.pid, "platforms": os.getpid(), "model": model.pid}
                model.answer_in(SHORT)
                await crowd.ask_all(SPREAD)  # warms up: connections, imports
                model.take()
                model.answer_in(TALK)
                times, loads, all_turns = [], [], []
                for name, seconds in ((f"spread over {SPREAD:.0f} s", SPREAD), ("at the same instant", 0.0)):
                    load = Load(pids)
                    turns = [turn for _ in range(options.rounds) for turn in await crowd.ask_all(seconds)]
                    loads.append(load.row(name))
                    times += time_rows(name, turns, model)
                    all_turns += turns
                    print(times[-2:], loads[-1], file=sys.stderr)
                model.answer_in(SHORT)
                load = Load(pids)
                memory, failed = await many_turns(crowd, options.turns, options.minutes * 60, running.process.pid)
                loads.append(load.row("as fast as possible"))
    failed += sum(turn.failed for turn in all_turns)
    count = len(crowd.talks)
    print(header(f"{count} conversations at once", "discord.py", "python-telegram-bot", "openai", "aiohttp"))
    print(
        f"Load of the machine (1 minute) when it began: {load_before:.1f}. Failed answers: {failed}. Logged: {dict(logged)}.\n"
    )
    print("## Our own time\n")
    print(
        f"{options.rounds} rounds of {count} questions, answers of {TALK.pieces} tokens, {TALK.pause} s apart. Before: from "
        "the platform sending the question to the model being asked. After: from the model's last token to the whole "
        "answer, with its buttons, arriving at the platform.\n"
    )
    print(table(["questions", "platform", "turns", "before p50", "before p99", "after p50", "after p99"], times))
    print("\n## Clocks\n\nBetween two writes of one answer while it grows, as they arrive; the last write need not wait.\n")
    print(table(["where", "clock", "pairs of writes", "least", "median", "under the clock"], clock_rows(all_turns)))
    print(f"\n## Memory\n\nEverybody asks again as soon as they are answered ({SHORT.pieces} tokens); `VmRSS` of the bot.\n")
    print(table(["turns", "after", "bot"], memory))
    print("\n## Who was busy\n\nShares of one core, and how late the platforms' event loop was: it delays the figures above.\n")
    print(table(["questions", "took", "bot", "platforms", "model", "platforms late, p99"], loads))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=50, help="conversations of each of the four kinds")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--turns", type=int, default=20_000, help="turns over which memory is looked at")
    parser.add_argument("--minutes", type=float, default=8.0, help="most minutes for these turns")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
