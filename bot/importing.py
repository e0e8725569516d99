"""`/teach import`: an admin's file of conversations becomes examples of their chat or server."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from bot import conversations
from bot.answering import fetch
from bot.chat.base import IncomingFile, Sender
from bot.conversations import Lesson, Opened
from bot.errors import MediaRefused, TurnError, WrongExample
from bot.media import MAX_FILE_BYTES, Media, MediaDecoder, clean_name
from bot.store import Store
from bot.teaching import Said, Teaching
from bot.texts import say, text

MAX_IMPORT_BYTES = MAX_FILE_BYTES
"""Of the file that is sent: as of every other one. Telegram hands out 20 MB."""

MAX_TAKEN = 1_000
"""Examples taken at once, pictures at about a tenth of a second each: Discord waits for an answer for 15 minutes. The same
file sent again goes on behind them."""

FEW = 5
"""Bad records that the answer itself names; it has to fit into a message of any platform."""

LIST_NAME = "import.txt"


@dataclass(slots=True)
class Outcome:
    """`known`: had already. `left`: beyond `MAX_TAKEN`. `bad`: a line each, with the record's number and the reason."""

    taken: int = 0
    known: int = 0
    left: int = 0
    bad: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """What the admin is told, and the list of all bad records where that names only a few."""

    said: Said
    all_bad: bytes = b""


class Importing:
    def __init__(self, store: Store, teaching: Teaching) -> None:
        self._store = store
        self._teaching = teaching
        self._decoder = MediaDecoder(at_once=1)
        self._one = asyncio.Lock()
        """Held for an import: one file in memory, and nobody else who adds what this one has just looked for."""

    async def run(self, here: str, platform: str, sender: Sender, file: IncomingFile, language: str) -> Told:
        """Take what can be used of a file. `here`: whose examples they become.

        Raises WrongExample and MediaRefused: the file cannot be used as a whole.
        """
        async with self._one:
            opened = await self._open(file)
            outcome = Outcome()
            known = await self._store.contents(here, platform, sender.platform_id)
            for number, record in opened.records:
                try:
                    if not isinstance(record, Lesson):
                        raise WrongExample(record)
                    await self._take(opened, record, here, platform, sender, known, outcome)
                except TurnError as error:
                    outcome.bad.append(say(language, "import-record", number=number, reason=error.told(language)))
        return await self._told(outcome, platform, sender, language)

    async def _open(self, file: IncomingFile) -> Opened:
        data = await fetch(file)
        if len(data) > MAX_IMPORT_BYTES:
            size, limit = f"{len(data) / 2**20:.0f}", MAX_IMPORT_BYTES // 2**20
            raise MediaRefused(text("file-too-large", name=clean_name(file.name), size=size, limit=limit))
        return await asyncio.to_thread(conversations.read, file.name, data)

    async def _take(
        self,
        opened: Opened,
        lesson: Lesson,
        here: str,
        platform: str,
        sender: Sender,
        known: set[tuple[str, str, tuple[str, ...]]],
        outcome: Outcome,
    ) -> None:
        """Raises MediaRefused."""
        if outcome.taken == MAX_TAKEN:
            outcome.left += 1
            return
        pictures = [await self._picture(opened, path) for path in lesson.pictures]
        content = lesson.question, lesson.answer, tuple(hashlib.sha256(picture.data).hexdigest() for picture in pictures)
        if content in known:
            outcome.known += 1
            return
        # An admin chose them: nobody needs to look each of them through again.
        await self._store.teach(here, platform, sender, lesson.question, lesson.answer, pictures, state="kept")
        known.add(content)
        outcome.taken += 1

    async def _picture(self, opened: Opened, path: str) -> Media:
        media = await self._decoder.decode(path, await asyncio.to_thread(opened.picture, path))
        if media.kind != "picture":
            raise MediaRefused(text("teach-pictures-only", name=media.name))
        return media

    async def _told(self, outcome: Outcome, platform: str, sender: Sender, language: str) -> Told:
        bad = outcome.bad
        words = say(language, "import-done", taken=outcome.taken, known=outcome.known, bad=len(bad))
        if outcome.left:
            words += " " + say(language, "import-left", left=outcome.left, limit=MAX_TAKEN)
        if bad:
            words += "\n\n" + "\n".join([*bad[:FEW], *(["…"] if len(bad) > FEW else [])])
        said = await self._teaching.thanks(platform, sender, language, words) if outcome.taken else Said(words)
        return Told(said, "".join(f"{line}\n" for line in bad).encode() if len(bad) > FEW else b"")
