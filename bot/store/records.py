"""What the store hands out: plain values that stay valid when the transaction is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bot.chat.base import Address


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as the one who answers it needs it.

    `pending_files`: announced files that were not stored yet. `answered`: it has an answer, and another one is wanted.
    """

    turn_id: int
    conversation_id: int
    address: Address
    message_id: str
    text: str
    pending_files: int
    notices: tuple[str, ...]
    attempts: int
    answered: bool = False


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture in the attachments folder, ready for the model."""

    path: Path
    mime: str


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


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer with what is known about how it came about; timings in seconds by stage."""

    text: str
    stopped: bool = False
    truncated: bool = False
    preset: str = ""
    hints: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
