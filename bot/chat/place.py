# ruff: noqa: N818  # names say what happened; PlaceError is what is caught
"""Where an answer is shown: what Discord and Telegram each do in their own way, and how it goes wrong on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.chat.base import Address


@dataclass(frozen=True, slots=True)
class Button:
    """`action` comes back when it is pressed, also after a restart: a verb and a turn ("again:17"), at most 64 bytes."""

    action: str
    label: str


class PlaceError(Exception):
    """The platform did not do what was asked. Adapters raise these instead of their library's errors."""


class Flooded(PlaceError):
    """Too much in a short time: the platform takes nothing for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"flood control for {seconds:g} s")
        self.seconds = seconds


class Hiccup(PlaceError):
    """A server error or a broken connection: the same may well work in a moment."""


class Gone(PlaceError):
    """The message that should be edited was deleted."""


class Shut(PlaceError):
    """Blocked, kicked, or without the permission to write; nothing can be said here until somebody changes that."""


class Refused(PlaceError):
    """The platform will never take this; trying again does not help."""


class Place(Protocol):
    """A chat (and thread) with the message that is answered. One a turn.

    Texts are Markdown; the adapter renders it in the platform's own way, and as plain text if the platform refuses that.
    Nothing said here may ping anybody. All methods raise `PlaceError`.
    """

    @property
    def address(self) -> Address: ...

    @property
    def clock(self) -> float:
        """Seconds between two edits of an answer that grows."""
        ...

    @property
    def limit(self) -> int:
        """The longest message, in the platform's own units (see `length`)."""
        ...

    @property
    def busy_seconds(self) -> float:
        """How often `busy` has to be repeated to stay visible."""
        ...

    def length(self, text: str) -> int:
        """Length of `text` as the platform counts."""
        ...

    async def acknowledge(self) -> None:
        """Show at once that the message was seen (a reaction)."""
        ...

    async def busy(self) -> None:
        """Show that an answer is on its way (typing); lasts some seconds."""
        ...

    async def send(self, text: str, buttons: Sequence[Button] = ()) -> str:
        """Answer with a new message; its id. The message that is answered may be gone by now: that is no error."""
        ...

    async def edit(self, message_id: str, text: str, buttons: Sequence[Button] = ()) -> str | None:
        """Change a message of ours. That it is the same already is no error. Returns its id if it has a new one now: the chat
        moved, and the message was sent again."""
        ...

    async def delete(self, message_id: str) -> None:
        """Take a message of ours back. That it is gone already is no error."""
        ...

    async def send_file(self, name: str, data: bytes, text: str) -> bool:
        """Hand a file to the person alone: in a private chat, or where only they see it. False if they cannot be reached so."""
        ...

    async def send_picture(self, name: str, data: bytes, text: str) -> None:
        """Show a PNG in the chat, with a line of text below it."""
        ...
