"""When it is our turn: decided once, for every platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.chat.base import Incoming, IncomingFile

QUOTED_LENGTH = 2000
"""Characters of the replied-to message that go along: a screenful."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """The message that a message replies to. `ours`: it is an answer, which is remembered anyway."""

    text: str = ""
    files: Sequence[IncomingFile] = ()
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as an adapter understood it.

    `mentioned`: the bot, by name, anywhere in the text or caption (and taken out of it). `our_place`: a thread or topic that
    belongs to the bot. `command`: one of ours was written. `from_machine`: bots, webhooks and the platform's own messages.
    `chat_admin`: may manage this chat. `community_admin`: all that people share what they teach in; on Discord the server, with
    channels that not everybody sees.
    """

    incoming: Incoming
    mentioned: bool = False
    our_place: bool = False
    command: bool = False
    from_machine: bool = False
    chat_admin: bool = False
    community_admin: bool = False
    quoted: Quoted | None = None


def is_for_us(heard: Heard) -> bool:
    """Private messages always; in groups when we are meant, and never because of a mere picture."""
    if heard.from_machine:
        return False
    if not heard.incoming.group or heard.command or heard.mentioned or heard.our_place:
        return True
    return heard.quoted is not None and heard.quoted.ours


def with_quoted(heard: Heard) -> Incoming:
    """The message together with what it replies to: somebody else's words as a quotation, and its files if it brings none."""
    incoming, quoted = heard.incoming, heard.quoted
    if quoted is None:
        return incoming
    files = incoming.files or (() if quoted.ours else quoted.files)
    text = incoming.text
    if quoted.text.strip() and not quoted.ours:
        cut = quoted.text.strip()
        cut = cut if len(cut) <= QUOTED_LENGTH else cut[:QUOTED_LENGTH] + "…"
        text = "\n".join(f"> {line}" for line in cut.splitlines()) + f"\n\n{text}"
    quotes = text != incoming.text or files is not incoming.files
    return replace(incoming, text=text.strip(), files=files, quotes=quotes)
