"""The whole of it through chat: 40 people on a Discord server teach the badges of twelve invented clubs, an admin retrains.

    python -m benchmarks.retraining_chat --to /tmp/club > docs/results/retraining_chat.md

The real `jnana run` with its worker and its trainer, and the loopback Discord. Everything is a message, a button or a form:
questions with pictures, 👎, better answers, consent, `/retrain`, the choice between A and B, `/adapters back`. The badges are
those of benchmarks/clubs.py; what is asked before and after shows pictures and phrasings that nobody taught. People keep
asking while the adapter is switched. Half an hour and more on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.clubs import CLUBS, PEOPLE, Lesson, lessons, questions, right
from benchmarks.report import header
from benchmarks.through_bot import Log, drained, outcome, prepare, trainer_memory
from tests.platforms.discord.channel import Channel
from tests.platforms.discord.model import Message
from tests.platforms.discord.running import action, verbs
from tests.platforms.discord.server import DiscordServer, User
from tests.processes import Running, free_port, jnana_run

ROOMS = 4
"""Channels in which people teach at the same time."""
ANSWER = 180.0
"""Seconds for an answer, beside a run that trains."""
TRAINING = 3 * 3600.0
"""Seconds for a run."""
KEPT_ASKING = "What is the capital of France?"


@dataclass
class Club:
    """A Discord server with the bot on it."""

    server: DiscordServer
    running: Running
    admin: User
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        self.guild = self.server.guild("clubs")
        self.office = self.guild.channel("office")
        self._numbers = itertools.count()

    async def ask(self, room: Channel, person: User, words: str, picture: bytes | None = None) -> Message:
        """A question, and its answer once it has ended."""
        before = len(room.bot_messages())
        files = [("badge.jpg", picture, "image/jpeg")] if picture else []
        await room.say(person, f"{self.server.bot.mention} {words}", files=files)

        def ended() -> Message | None:
            said = room.bot_messages()[before:]
            return said[-1] if said and "again" in verbs(said[-1]) else None

        return await self.server.until(ended, ANSWER)

    async def correct(self, room: Channel, person: User, answer: Message, better: str) -> None:
        """👎, the form, and the consent that is asked for once."""
        bad = await room.press(person, answer, action(answer, "bad"))
        await self.server.until(lambda: bad.modal, ANSWER)
        sent = await self.server.submit_modal(person, bad, {"text": better})
        thanks = await self.server.until(lambda: sent.answers, ANSWER)
        if "teaching-yes" in verbs(thanks[0]):
            await room.press(person, thanks[0], action(thanks[0], "teaching-yes"))
            await self.server.until(lambda: "may be used" in thanks[0].content, ANSWER)

    async def exam(self) -> list[str]:
        """What it says to each club's badge, each in a conversation of its own."""
        room_name, said = f"exam-{next(self._numbers)}", []
        for at, (question, picture) in enumerate(questions()):
            answer = await self.ask(self.guild.channel(f"{room_name}-{at}"), self.admin, question, picture)
            said.append(answer.content)
        return said

    async def command(self, name: str, options: dict[str, object] | None = None) -> str:
        """What the admin is told."""
        command = await self.office.slash(self.admin, name, options)
        told = await self.server.until(lambda: command.answers, ANSWER)
        return told[0].content


@asynccontextmanager
async def club(home: Path) -> AsyncIterator[Club]:
    """Raises AssertionError: the bot did not start."""
    async with DiscordServer() as server:
        admin = server.user("Ada")
        env = {
            "JNANA_HOME": str(home),
            "DISCORD_TOKEN": server.token,
            "DISCORD_API_URL": server.api,
            "DISCORD_GATEWAY_URL": server.gateway,
            "ADMINS": f"discord:person:{admin.id}",
            "WEB_ENABLED": "false",
            "MODEL_PORT": str(free_port()),
            "MESSAGES_PER_MINUTE": "0",
            "TEMPERATURE": "0",
        }
        with jnana_run({**os.environ, **env}, limit=600) as running:
            await asyncio.to_thread(running.until, "^ready:")
            await server.until(lambda: server.connected, 60)
            async with drained(running):
                yield Club(server, running, admin)


async def teach(here: Club) -> int:
    """All corrections; how many."""
    rooms: list[list[tuple[User, Lesson]]] = [[] for _ in range(ROOMS)]
    users = [here.server.user(f"Person {person}") for person in range(PEOPLE)]
    for lesson in lessons(PEOPLE):
        rooms[lesson.person % ROOMS].append((users[lesson.person], lesson))

    async def in_room(number: int) -> None:
        room = here.guild.channel(f"room-{number}")
        for at, (user, lesson) in enumerate(rooms[number]):
            answer = await here.ask(room, user, lesson.question, lesson.picture)
            await here.correct(room, user, answer, lesson.better)
            if at % 10 == 9:
                here.log.note(f"room {number}: {at + 1} of {len(rooms[number])} corrected")

    await asyncio.gather(*(in_room(number) for number in range(ROOMS)))
    return sum(len(room) for room in rooms)


async def retrain(here: Club) -> tuple[Message, float]:
    """The message of the run once it is judged, and the trainer's largest memory, MiB."""
    await here.office.slash(here.admin, "retrain", {"note": "the clubs"})
    peak = 0.0
    deadline = time.monotonic() + TRAINING
    while time.monotonic() < deadline:
        await asyncio.sleep(2)
        peak = max(peak, trainer_memory(here.running.process.pid))
        for message in here.office.bot_messages():
            here.log.note(message.content)
            if offered(message) or "✗" in message.content or "⚠" in message.content:
                return message, peak
    raise SystemExit("the run did not end")


def offered(message: Message) -> bool:
    """With the blind choice first or, where no held-out question may be shown (they were asked in other channels), without."""
    return not {"retrain-blind-a", "retrain-use"}.isdisjoint(verbs(message))


async def use(here: Club, message: Message) -> tuple[int, int]:
    """Choose the new one while people ask; how many asked, and how many of them were answered."""
    room, person = [here.guild.channel(f"talk-{number}") for number in range(ROOMS)], here.server.user("Bob")
    talk = [asyncio.create_task(here.ask(one, person, KEPT_ASKING)) for one in room]
    if "retrain-blind-a" in verbs(message):
        await here.office.press(here.admin, message, action(message, "retrain-blind-a"))
        await here.server.until(lambda: "retrain-use" in verbs(message), ANSWER)
    here.log.note(message.content)
    await here.office.press(here.admin, message, action(message, "retrain-use"))
    talk += [asyncio.create_task(here.ask(here.guild.channel(f"late-{at}"), person, KEPT_ASKING)) for at in range(ROOMS)]
    await here.server.until(lambda: not verbs(message), ANSWER)
    here.log.note(message.content)
    answers = await asyncio.gather(*talk, return_exceptions=True)
    return len(talk), sum(isinstance(one, Message) and "⚠" not in one.content for one in answers)


async def measure(to: Path) -> None:
    async with club(to) as here:
        before = await here.exam(), await here.exam()
        here.log.note(f"before: {right(before[0])} of {len(CLUBS)}")
        corrections = await teach(here)
        taught = time.monotonic() - here.log.began
        began = time.monotonic()
        message, peak = await retrain(here)
        trained = time.monotonic() - began
        print(header(f"Twelve clubs taught through chat by {PEOPLE} people", "torch", "transformers", "peft", "discord.py"))
        print(
            f"{corrections} corrections in {taught / 60:.0f} minutes; the run with judging: {trained / 60:.0f} minutes, "
            f"{peak / 1024:.1f} GiB at most.\n"
        )
        if not offered(message):
            print(f"Not offered:\n\n{message.content}")
            return
        asked, answered = await use(here, message)
        after = await here.exam()
        here.log.note(f"after: {right(after)} of {len(CLUBS)}")
        back = await here.command("adapters", {"adapter": "back"})
        here.log.note(back)
        again = await here.exam()
        rows = [["answers during the switch", f"{answered} of {asked}"]]
        print(outcome(before, after, again, "`/adapters back`", rows, here.log))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="data folder of the bot, a new one")
    home: Path = parser.parse_args().to.resolve()
    prepare(home)
    asyncio.run(measure(home))


if __name__ == "__main__":
    main()
