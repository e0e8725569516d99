"""Everything of the loopback Telegram but HTTP: its people, chats and files, and what the bot has set."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from PIL import Image

from tests.platforms.telegram.chat import Chat
from tests.platforms.telegram.faults import bad
from tests.platforms.telegram.messages import Person, Press, StoredFile
from tests.platforms.telegram.text import Json
from tests.platforms.telegram.updates import Updates

T = TypeVar("T")
DOWNLOAD_LIMIT = 20 * 1024 * 1024
FIRST_USER, FIRST_SUPERGROUP, FIRST_GROUP = 5_000_001, -1_002_000_000_001, -4_000_001
LOOK_AGAIN_S = 0.05  # `until` may watch things that the server knows nothing of


@dataclass
class Call:
    """One request of the bot; `error` is the refusal's description."""

    at: float
    method: str
    params: dict[str, Any]
    error: str | None = None
    done: bool = field(default=False, repr=False)


class World:
    """What tests drive and look at; the methods of the Bot API change it."""

    def __init__(self, *, username: str = "jnana_bot", reads_all: bool = True) -> None:
        """`reads_all`: false is Telegram's privacy mode, in which the bot misses most of what groups say."""
        self.bot = Person(123456, "Jñāna", username, is_bot=True)
        self.reads_all = reads_all
        self.token = f"{self.bot.id}:loopback-token"
        self.download_limit = DOWNLOAD_LIMIT
        self.chats: dict[int, Chat] = {}
        self.people: dict[int, Person] = {}
        self.files: dict[str, StoredFile] = {}
        self.presses: dict[str, Press] = {}
        self.calls: list[Call] = []
        self.commands: dict[tuple[str, str], list[Json]] = {}  # by scope ("default", "chat:5" …) and language
        self.profile: dict[tuple[str, str], str] = {}  # by method ("setMyDescription" …) and language
        self.updates = Updates()
        self._changed = asyncio.Event()
        self._user_ids = itertools.count(FIRST_USER)
        self._supergroup_ids = itertools.count(FIRST_SUPERGROUP, -1)
        self._group_ids = itertools.count(FIRST_GROUP, -1)
        self._serial = itertools.count(1)
        self._message_ids: defaultdict[int, itertools.count[int]] = defaultdict(lambda: itertools.count(1))

    # People and chats

    def person(
        self,
        name: str,
        id: int | None = None,  # noqa: A002 - as Telegram calls it
        username: str | None = None,
        language_code: str | None = "en",
    ) -> Person:
        person = Person(next(self._user_ids) if id is None else id, name, username, language_code)
        self.people[person.id] = person
        return person

    def private(
        self, user_id: int | None = None, name: str = "Ann", language_code: str | None = "en", username: str | None = None
    ) -> Chat:
        """A private chat that its person has started; the person is `chat.owner`."""
        return self._keep(Chat(self, self.person(name, user_id, username, language_code)))

    def group(
        self,
        title: str = "Friends",
        id: int | None = None,  # noqa: A002
        *,
        forum: bool = False,
        basic: bool = False,
        owner: Person | None = None,
    ) -> Chat:
        """A supergroup, or a `basic` group, which can be upgraded to one; the bot is a member."""
        ids = self._group_ids if basic else self._supergroup_ids
        kind = "group" if basic else "supergroup"
        return self._keep(
            Chat(self, owner or self.person("Olga"), next(ids) if id is None else id, kind=kind, title=title, forum=forum)
        )

    def _keep(self, chat: Chat) -> Chat:
        self.chats[chat.id] = chat
        self._changed.set()
        return chat

    def next_message_id(self, chat: Chat) -> int:
        """Supergroups count for themselves; all other chats of a bot share one counter."""
        return next(self._message_ids[chat.id if chat.kind == "supergroup" else 0])

    def serial(self) -> int:
        return next(self._serial)

    # Files

    def store(self, data: bytes, folder: str, name: str, size: int | None = None) -> StoredFile:
        number = self.serial()
        path = f"{folder}/file_{number}{name[name.rfind('.') :] if '.' in name else ''}"
        file = StoredFile(f"AgAC-loopback-{number}", f"AQAD{number}", path, data, len(data) if size is None else size)
        self.files[file.id] = file
        return file

    def store_photo(self, data: bytes, size: int | None = None) -> tuple[StoredFile, list[Json]]:
        """The picture, and its sizes from a thumbnail up, as a message lists them."""
        try:
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                image.thumbnail((90, 90))
                small = io.BytesIO()
                image.convert("RGB").save(small, "JPEG")
        except OSError as error:
            raise bad("IMAGE_PROCESS_FAILED") from error
        thumbnail = self.store(small.getvalue(), "thumbnails", "photo.jpg")
        file = self.store(data, "photos", "photo.jpg", size)
        return file, [
            thumbnail.json() | {"width": image.width, "height": image.height},
            file.json() | {"width": width, "height": height},
        ]

    # Watching

    def calls_of(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def notice(self) -> None:
        """Wakes `until`."""
        self._changed.set()

    async def until(self, predicate: Callable[[], T], timeout: float = 10) -> T:  # noqa: ASYNC109 - a test says how long
        """Waits until the predicate holds and returns its value; else fails with all that was said."""
        end = time.monotonic() + timeout
        while not (value := predicate()):
            if time.monotonic() >= end:
                raise AssertionError(f"not within {timeout} s\n{self.dump()}")
            self._changed.clear()
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return value

    def dump(self) -> str:
        """The chats and the last calls, for people to read."""
        lines = []
        for chat in self.chats.values():
            lines.append(f"[{chat.kind} {chat.id} {chat.title or chat.owner.name}]")
            for message in chat.messages:
                marks = " (deleted)" * message.deleted + f" ({len(message.edits)} edits)" * bool(message.edits)
                lines.append(f"  {message.id} {message.sender.name}: {message.text!r} {[*message.content]}{marks}")
        lines.append("Last calls:")
        lines += [f"  {call.method} {str(call.params)[:200]} -> {call.error or 'ok'}" for call in self.calls[-30:]]
        return "\n".join(lines)
