"""What the store hands out: plain values that stay valid when the transaction is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from bot.chat.base import Address, Task

ExampleState = Literal["new", "kept", "dropped"]
"""What an admin said about an example."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as the one who answers it needs it.

    `pending_files`: announced files that were not stored yet. `asker`: the person's id on the platform. `language`: the one
    to talk to them in, "" if unknown. `reply_ids`: messages that show the answer, from before a restart. `answered`: it has an
    answer, and another one is wanted. `community`: whose adapter answers.
    """

    turn_id: int
    conversation_id: int
    address: Address
    message_id: str
    text: str
    pending_files: int
    notices: tuple[str, ...]
    attempts: int
    asker: str = ""
    language: str = ""
    task: Task = "answer"
    reply_ids: tuple[str, ...] = ()
    answered: bool = False
    community: str = ""


@dataclass(frozen=True, slots=True)
class TurnPlace:
    """Where a turn was asked and answered. `asker` is the person's id on the platform. `pending_files`: still to arrive."""

    turn_id: int
    address: Address
    group: bool
    asker: str
    language: str
    message_id: str
    reply_ids: tuple[str, ...]
    text: str
    pending_files: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Manner:
    """How a conversation wants to be answered: `memory_turns` None and `persona` "" where nothing was chosen."""

    memory_turns: int | None = None
    persona: str = ""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture in the attachments folder, ready for the model."""

    path: Path
    mime: str


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A text file, as it goes into a prompt."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class StoredVoice:
    """A voice note in the attachments folder. `transcript` is None until it was listened to, "" when nobody speaks."""

    attachment_id: int
    name: str
    path: Path
    transcript: str | None
    language: str


@dataclass(frozen=True, slots=True)
class RememberedTurn:
    """A turn as it goes into a prompt. `answer` is None for the newest one and for one stopped before its first word."""

    speaker: str
    text: str
    transcripts: tuple[str, ...] = ()
    pictures: tuple[StoredPicture, ...] = ()
    answer: str | None = None
    documents: tuple[StoredDocument, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredExample:
    """What somebody taught. `conversation_id`: where it was said, None if it was not part of one. `teacher`: their name."""

    example_id: int
    conversation_id: int | None
    teacher_id: int
    teacher: str
    question: str
    answer: str
    pictures: tuple[StoredPicture, ...] = ()
    state: ExampleState = "new"


@dataclass(frozen=True, slots=True)
class Lessons:
    """Examples of a community: that may be learnt from, whose people have not said yes, and that no admin has looked at.
    `others`: of other communities that share theirs, to learn from as well."""

    usable: int
    waiting: int
    new: int
    others: int


@dataclass(frozen=True, slots=True)
class Shared:
    """Who lets other communities learn from the examples of one, by name, and since when."""

    by: str
    since: datetime


RunState = Literal["preparing", "queued", "running", "judged", "told", "failed", "cancelled", "used", "dropped"]
"""preparing: nothing can go on with it after a restart; judged: it has a verdict that nobody was told; told: an admin is to
decide."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A retraining. `folder`: its name below JNANA_HOME/retraining, and that of the adapter it makes. `start`: the adapter that
    it goes on from. `message_id`: of the message that shows how far it is; `by`: who wanted it, by name."""

    run_id: int
    folder: str
    start: str
    state: RunState
    community: str
    address: Address
    message_id: str
    by: str
    note: str
    language: str
    examples: tuple[int, ...]
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a community or for everywhere. `name`: "" for everybody's. `tried`: answers `percent` of a hundred
    conversations since `since`, of a community also beside everybody's; "" where nothing is tried."""

    name: str = ""
    tried: str = ""
    percent: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Thumbs:
    """How often people liked an adapter's answers, and how often not."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer with what is known about how it came about; timings in seconds by stage."""

    text: str
    stopped: bool = False
    truncated: bool = False
    preset: str = ""
    adapter: str = ""
    hints: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
