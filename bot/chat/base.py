"""What every chat platform shares: what a person sent, what happens while it is answered, and what is remembered.

An adapter turns its platform's message into `Incoming`, hands it to `TurnService.start` and shows the events of the
`RunningTurn` it gets back. Everything else (who may talk, what is remembered, when it is our turn) is decided once, in bot/.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

Task = Literal["answer", "transcribe"]


@dataclass(frozen=True, slots=True)
class Address:
    """The key of a conversation: where it takes place, never who takes part.

    On the web page `chat_id` is the browser (a hash of its cookie) and `thread_id` the conversation.
    """

    platform: str
    chat_id: str
    thread_id: str = ""


WEB = "web"
"""The page's name as a platform."""


def community(address: Address, server_id: str) -> str:
    """Whose adapter answers here, and may learn from what is taught here: a Discord server's, a chat's, the page's. Examples
    leave it only if its admins share them."""
    if server_id:
        return f"{address.platform}:server:{server_id}"
    return address.platform if address.platform == WEB else f"{address.platform}:chat:{address.chat_id}"


@dataclass(frozen=True, slots=True)
class Sender:
    """A person as the platform knows them. `language`: their client's, as a BCP 47 tag, "" where the platform does not say.
    `roles`: ids of the roles that the server gave them."""

    platform_id: str
    name: str
    language: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file that came with a message.

    `size` is what the platform announces, in bytes, so that a file beyond the limit is refused before `fetch` is called.
    `name` is only shown to people: what the file is gets decided by its content. `limit`: the most bytes that the platform
    hands out, where that is less than we take.
    """

    name: str
    size: int | None
    fetch: Callable[[], Awaitable[bytes]]
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message of a person.

    `message_id` is the platform's own id ("" where it has none). `server_id`: the Discord server. `task`: "transcribe" wants
    to know what is said in the recordings, and nothing else. `quotes`: words or files of somebody else are among these.
    """

    address: Address
    sender: Sender
    text: str = ""
    files: Sequence[IncomingFile] = ()
    group: bool = False
    message_id: str = ""
    server_id: str = ""
    task: Task = "answer"
    quotes: bool = False


# --- What happens during a turn, in this order: (Queued | Transcribed | Notice)* (Delta | Restarted)* then one final event ---


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn waits; `position` 1 is next."""

    position: int


@dataclass(frozen=True, slots=True)
class Transcribed:
    """What was heard in a voice note, shown to the person before the answer."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence about what was left out ("notes.svg: SVG drawings are not supported yet."); the turn goes on."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The worker died and the answer begins again: forget the deltas shown so far."""


@dataclass(frozen=True, slots=True)
class Delta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole answer, already stored. `stopped`: the person ended it early. `truncated`: it reached the length limit."""

    text: str
    stopped: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn could not be answered. `sentence` is for the person, `request_id` finds the line in the owner's log.
    `postponed`: a restart is under way, and the turn goes on after it."""

    sentence: str
    request_id: str
    postponed: bool = False


TurnEvent = Queued | Transcribed | Notice | Restarted | Delta | Finished | Failed


class RunningTurn(Protocol):
    """A turn that was accepted and stored. It runs on, and its answer is stored, even when nobody reads the events."""

    @property
    def turn_id(self) -> int: ...

    @property
    def request_id(self) -> str: ...

    def events(self) -> AsyncIterator[TurnEvent]:
        """All events from the start of the turn, then live until the final one. May be iterated by several readers."""
        ...


class TurnService(Protocol):
    """The one path of a turn. Methods that name a person check that the person may do it (`NotAllowed`)."""

    async def start(self, incoming: Incoming) -> RunningTurn:
        """Store what was sent and begin to answer. Raises `bot.errors.TurnError` (with a sentence) for input that is refused
        outright: empty message, text too long, too many files, queue full."""
        ...

    async def regenerate(self, turn_id: int, address: Address) -> RunningTurn:
        """Answer the turn again; the new answer replaces the old one in the conversation (the old one is kept in the store)."""
        ...

    def running(self, address: Address) -> Sequence[RunningTurn]:
        """Turns of this conversation that are queued or being answered now, oldest first (a reloaded page joins them)."""
        ...

    async def stop(self, turn_id: int, address: Address) -> bool:
        """End a queued or running turn; what was written so far becomes the answer. False if it had already ended."""
        ...

    async def rate(self, turn_id: int, address: Address, sender: Sender, value: Literal[-1, 0, 1]) -> None:
        """Thumb up, down, or (0) taken back. One rating a person and answer."""
        ...

    async def reset(self, address: Address) -> None:
        """/reset: what was said so far no longer goes into prompts. Nothing is deleted."""
        ...


# --- What is remembered, as adapters show it ---


@dataclass(frozen=True, slots=True)
class AttachmentView:
    """A stored file. `path` is on the bot's own disk; `name` is for people only."""

    attachment_id: int
    kind: Literal["picture", "voice", "text"]
    name: str
    mime: str
    path: Path


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn as it stands in the store.

    `answer`: the current one, None while there is none. `truncated`: it reached the length limit.
    `failure`: why it could not be answered, or, beside an answer, why there is no other one.
    """

    turn_id: int
    sender_name: str
    text: str
    attachments: tuple[AttachmentView, ...]
    transcripts: tuple[str, ...]
    notices: tuple[str, ...]
    answer: str | None
    truncated: bool
    state: Literal["received", "running", "finished", "stopped", "failed"]
    failure: str | None
    rating: int
    created_at: datetime
    task: Task = "answer"


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A line of the list of conversations: titled by its first words."""

    address: Address
    title: str
    updated_at: datetime


class History(Protocol):
    """The reads an adapter needs. Everything is asked for by address, so nobody sees another's conversation."""

    async def turns(self, address: Address, *, limit: int = 100) -> list[TurnView]:
        """The newest `limit` turns, oldest first (also those before a reset)."""
        ...

    async def conversations(self, platform: str, chat_id: str, *, limit: int = 50) -> list[ConversationView]:
        """Conversations of one chat (on the web page: of one browser), newest first."""
        ...

    async def attachment(self, attachment_id: int, platform: str, chat_id: str) -> AttachmentView | None:
        """A stored file, only if it belongs to that chat."""
        ...
