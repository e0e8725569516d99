"""What every format is read into, and how a bad record is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record stands."""

    file: Path
    number: int
    """Counted from 1: the line of a .jsonl or text file, the place in a .json list, the row of a table."""

    def __str__(self) -> str:
        return f"{self.file}, record {self.number}"


@dataclass(frozen=True, slots=True)
class Captioned:
    """One picture and what people wrote under it, at least one text. Stage 1."""

    origin: Origin
    image: Path
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation, as it was written, stripped."""

    role: Literal["system", "user", "assistant"]
    text: str
    pictures: int = 0
    """How many of the conversation's pictures come with this message, in order."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages that end with an answer, and their pictures. Stage 2."""

    origin: Origin
    images: tuple[Path, ...]
    messages: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be trained on, and why, in one sentence."""

    origin: Origin
    reason: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.reason}"
