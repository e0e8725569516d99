"""Which messages go into the prompt: a token budget, filled from the newest message backwards.

A pure function over what the store remembers (`compose`), and `recall`, which asks the model what things cost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bot.errors import PromptTooLong
from bot.store.records import RememberedTurn, StoredPicture
from bot.texts import text

PICTURE_QUESTION = "Describe what you see."
"""Asked of a picture that comes without words."""

PICTURE_LEFT_OUT = "[a picture was here that is no longer remembered]"
"""Stands for a picture that no longer fits, so that the model does not invent what is talked about."""

STOPPED_ANSWER = "All right."
"""Stands for an answer that was stopped before its first word. Without one a small model answers the old question, too."""

MESSAGE_TOKENS = 8
"""Upper bound of what a chat template adds to one message: SmolLM2's and ChatML's `<|im_start|>role\\n…<|im_end|>\\n` is 5."""

BYTES_PER_TOKEN = 3
"""For servers that cannot count. English has about 4 bytes a token, most other writing fewer; more tokens are the safe side."""

PROMPT_PICTURES = 10
"""Pictures of a prompt, as many as one message may bring (media.MAX_FILES); our worker refuses more than 16."""

KEPT = 3 / 4
"""Part of the room for the past that is filled when something has to be left out: what follows can stand behind it."""

SPEAKER_LENGTH = 40
"""Characters of a name in a group chat; platforms allow 32 (Discord) to 128 (Telegram)."""


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message for the model; pictures come before the text."""

    role: Literal["system", "user", "assistant"]
    text: str
    pictures: tuple[StoredPicture, ...] = ()


@dataclass(frozen=True, slots=True)
class Costs:
    """Tokens by text, tokens of a picture, and how many the whole prompt may have."""

    tokens: dict[str, int]
    picture: int
    limit: int

    def of(self, message: PromptMessage) -> int:
        return self.tokens[message.text] + len(message.pictures) * self.picture + MESSAGE_TOKENS


def estimate_tokens(text: str) -> int:
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def compose(system: str, turns: Sequence[RememberedTurn], costs: Costs, *, group: bool) -> list[PromptMessage]:
    """The prompt for the last of `turns`: the system prompt, then as much of the past as fits, roles alternating.

    The past has no holes: the first turn whose text does not fit ends it. A picture that does not fit is left out with a
    mark, and so are all pictures before it. What no longer fits goes a quarter at a time: the prompts between begin alike,
    and a worker that kept what it read of the last one reads only what is new.

    Raises:
        PromptTooLong: the newest message alone is over the limit.
    """
    head = [PromptMessage("system", system)] if system else []
    past = _Past(turns, costs, room=costs.limit - sum(map(costs.of, head)), group=group)
    newest = past.asked[-1]
    if (left := past.room - costs.of(newest)) < 0:
        raise PromptTooLong(
            text("pictures-too-long" if newest.pictures else "message-too-long", tokens=costs.limit - left, limit=costs.limit)
        )
    window = _Window(0, 0)
    for at in range(len(turns)):  # as it went, so that what was left out then is left out now
        if not past.fits(window, at):
            window = past.cut(at)
    said = [message for at in range(window.start, len(turns) - 1) for message in past.turn(at, window)]
    return [*head, *said, newest]


@dataclass(frozen=True, slots=True)
class _Window:
    """What is remembered: turns from `start` on, and the pictures of those from `seeing` on."""

    start: int
    seeing: int


class _Past:
    """A conversation's turns as messages, and what fits of them into `room` tokens."""

    def __init__(self, turns: Sequence[RememberedTurn], costs: Costs, *, room: int, group: bool) -> None:
        self.room = room
        self.asked = [user_message(turn, group=group) for turn in turns]
        self._answered = [PromptMessage("assistant", turn.answer or STOPPED_ANSWER) for turn in turns]
        self._cost = costs.of

    def turn(self, at: int, window: _Window) -> tuple[PromptMessage, PromptMessage]:
        asked = self.asked[at]
        return asked if at >= window.seeing else without_pictures(asked), self._answered[at]

    def fits(self, window: _Window, newest: int) -> bool:
        """Whether that much can stand before this turn."""
        messages = [message for at in range(window.start, newest) for message in self.turn(at, window)] + [self.asked[newest]]
        pictures = sum(len(message.pictures) for message in messages)
        return sum(map(self._cost, messages)) <= self.room and pictures <= PROMPT_PICTURES

    def cut(self, newest: int) -> _Window:
        """What is remembered before this turn when not all can be: KEPT of the room that it leaves."""
        left = (self.room - self._cost(self.asked[newest])) * KEPT
        pictures_left = PROMPT_PICTURES - len(self.asked[newest].pictures)
        window = _Window(newest, newest)
        while window.start > 0:
            at, pictures = window.start - 1, len(self.asked[window.start - 1].pictures)
            blind = _Window(at, window.seeing)
            seeing = _Window(at, at) if window.seeing == window.start and pictures <= pictures_left else blind
            needed = {wider: sum(map(self._cost, self.turn(at, wider))) for wider in (seeing, blind)}
            fitting = [wider for wider, tokens in needed.items() if tokens <= left]
            if not fitting:
                break
            window = fitting[0]
            left -= needed[window]
            pictures_left -= pictures if window.seeing == at else 0
        return window


async def recall(
    system: str,
    turns: Sequence[RememberedTurn],
    *,
    group: bool,
    limit: int,
    picture_tokens: int,
    count: Callable[[Sequence[str]], Awaitable[list[int]]],
) -> list[PromptMessage]:
    """`compose` with every text counted by the model, in one request."""
    asked = [user_message(turn, group=group) for turn in turns]
    texts = {system, STOPPED_ANSWER, *(message.text for message in asked), *(turn.answer for turn in turns if turn.answer)}
    texts |= {without_pictures(message).text for message in asked}
    ordered = sorted(texts)
    tokens = dict(zip(ordered, await count(ordered), strict=True))
    return compose(system, turns, Costs(tokens, picture_tokens, limit), group=group)


def user_message(turn: RememberedTurn, *, group: bool) -> PromptMessage:
    """What a person sent, as one message: text files, voice notes by transcript, then the text; the name in front in a group
    chat."""
    documents = (f"{document.name}:\n{fenced(document.text)}" for document in turn.documents)
    words = "\n\n".join(part for part in (*documents, *turn.transcripts, turn.text) if part)
    if not words and turn.pictures:
        words = PICTURE_QUESTION
    return PromptMessage("user", f"{speaker(turn.speaker)}: {words}" if group else words, turn.pictures)


def fenced(document: str) -> str:
    """Marked as a quotation by a fence that does not occur in it."""
    longest = max((len(run) for run in re.findall("`{3,}", document)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{document.rstrip()}\n{fence}"


def without_pictures(message: PromptMessage) -> PromptMessage:
    if not message.pictures:
        return message
    marks = "\n".join([PICTURE_LEFT_OUT] * len(message.pictures))
    return replace(message, text=f"{marks}\n{message.text}", pictures=())


def speaker(name: str) -> str:
    """A name that cannot pass for another speaker's line: one line, no colon."""
    printable = "".join(character if character.isprintable() and character != ":" else " " for character in name)
    return " ".join(printable.split())[:SPEAKER_LENGTH].strip() or "Somebody"
