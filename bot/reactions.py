"""Reactions: a thumb up or down at an answer counts as the buttons under it do, the same on every platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog

from bot.chat.base import Incoming, Sender
from bot.errors import JnanaError
from bot.store.records import TurnPlace

if TYPE_CHECKING:
    from bot.desk import Desk

THUMBS: dict[str, Literal[1, -1]] = {"👍": 1, "👎": -1}

VARIANTS = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff\ufe0f"
"""What may follow an emoji: skin tones (https://unicode.org/reports/tr51/#Emoji_Modifiers_Table) and "as a picture"."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reacted:
    """A person's emoji at a message, `before` and `after` they changed, as far as the platform tells.

    `chat_id`: whatever the thread. `thread_id`: where a thread has an id of its own, and its chat may not be known.
    `server_id`: the Discord server.
    """

    platform: str
    chat_id: str
    message_id: str
    sender: Sender
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    thread_id: str = ""
    server_id: str = ""


async def react(desk: Desk, reacted: Reacted) -> TurnPlace | None:
    """Rate an answer, or take that back. Nothing is said: whoever reacts sees their own reaction.

    Returns the turn that a person disliked in private and can be asked about. In a group everybody would read the question.
    """
    before, after = _thumbs(reacted.before), _thumbs(reacted.after)
    if before == after:
        return None
    try:
        return await _react(desk, reacted, before, after)
    except JnanaError as error:  # an answer that is not there yet, a store that fails: there is nowhere to say so
        log.info("reaction not counted", platform=reacted.platform, reason=error.sentence)
        return None


async def _react(
    desk: Desk, reacted: Reacted, before: Sequence[Literal[1, -1]], after: Sequence[Literal[1, -1]]
) -> TurnPlace | None:
    sender = reacted.sender
    found = await desk.store.place_of_reply(
        reacted.platform, reacted.message_id, chat_id=reacted.chat_id, thread_id=reacted.thread_id
    )
    if found is None:
        return None
    if desk.turns.access.is_denied(Incoming(found.address, sender, group=found.group, server_id=reacted.server_id)):
        return None
    given = [value for value in after if value not in before] or after
    if not given:
        for value in before:  # unless a button said something else since then
            await desk.store.unrate(found.turn_id, found.address, sender.platform_id, value)
        return None
    await desk.turns.rate(found.turn_id, found.address, sender, given[0])
    return found if given[0] == -1 and not found.group else None


def _thumbs(emoji: Sequence[str]) -> list[Literal[1, -1]]:
    plain = [one.rstrip(VARIANTS) for one in emoji]
    return [THUMBS[one] for one in plain if one in THUMBS]
