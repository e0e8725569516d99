"""Which messages go into the prompt: a table of cases, and what holds for any conversation."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import PromptTooLong
from bot.memory import (
    MESSAGE_TOKENS,
    PICTURE_LEFT_OUT,
    PICTURE_QUESTION,
    STOPPED_ANSWER,
    Costs,
    PromptMessage,
    compose,
    estimate_tokens,
    recall,
    speaker,
)
from bot.store import RememberedTurn, StoredPicture

PHOTO = StoredPicture(Path("a.jpg"), "image/jpeg")


class Words(dict[str, int]):
    """A word is a token."""

    def __missing__(self, text: str) -> int:
        return len(text.split())


def said(text: str, answer: str | None = "fine", *, pictures: int = 0, voice: str = "", by: str = "Ann") -> RememberedTurn:
    return RememberedTurn(by, text, (voice,) if voice else (), (PHOTO,) * pictures, answer)


def prompt(*turns: RememberedTurn, limit: int = 1000, group: bool = False, system: str = "") -> list[tuple[str, str, int]]:
    messages = compose(system, turns, Costs(Words(), 50, limit), group=group)
    return [(message.role, message.text, len(message.pictures)) for message in messages]


MARKED = f"{PICTURE_LEFT_OUT}\nsee"
BOTH = 2 * (1 + MESSAGE_TOKENS)
"""Tokens of a turn of one word with an answer of one word."""


@pytest.mark.parametrize(
    ("turns", "limit", "expected"),
    [
        pytest.param(
            [said("a"), said("b", None)], 1000, [("user", "a", 0), ("assistant", "fine", 0), ("user", "b", 0)], id="all"
        ),
        pytest.param([said("a"), said("b", None)], BOTH, [("user", "b", 0)], id="newest only"),
        pytest.param(
            [said("old"), said("word " * 99), said("b"), said("c", None)],
            2 * BOTH,
            [("user", "b", 0), ("assistant", "fine", 0), ("user", "c", 0)],
            id="no holes: nothing before what does not fit",
        ),
        pytest.param([said("", None, pictures=1)], 1000, [("user", PICTURE_QUESTION, 1)], id="picture without words"),
        pytest.param([said("", None, voice="hear me")], 1000, [("user", "hear me", 0)], id="voice alone is the question"),
        pytest.param([said("why?", None, voice="hear me")], 1000, [("user", "hear me\n\nwhy?", 0)], id="voice and text"),
        pytest.param(
            [said("see", pictures=1), said("b", None)],
            2 * BOTH + 50,
            [("user", "see", 1), ("assistant", "fine", 0), ("user", "b", 0)],
            id="picture kept while it fits",
        ),
        pytest.param(
            [said("see", pictures=1), said("b", None)],
            2 * BOTH + 20,
            [("user", MARKED, 0), ("assistant", "fine", 0), ("user", "b", 0)],
            id="picture that does not fit leaves a mark",
        ),
        pytest.param(
            [said("see", pictures=1), said("see", pictures=2), said("b", None)],
            114,
            [
                ("user", MARKED, 0),
                ("assistant", "fine", 0),
                ("user", f"{PICTURE_LEFT_OUT}\n{MARKED}", 0),
                ("assistant", "fine", 0),
                ("user", "b", 0),
            ],
            id="no older picture when a newer one was left out",
        ),
        pytest.param(
            [said("see", pictures=8), said("b", None, pictures=3)],
            5000,
            [("user", "\n".join([PICTURE_LEFT_OUT] * 7 + [MARKED]), 0), ("assistant", "fine", 0), ("user", "b", 3)],
            id="never more pictures than a worker takes",
        ),
        pytest.param(
            [said("a", None), said("b", None)],
            1000,
            [("user", "a", 0), ("assistant", STOPPED_ANSWER, 0), ("user", "b", 0)],
            id="a question that was stopped before its answer is not asked again",
        ),
    ],
)
def test_what_goes_into_the_prompt(turns: list[RememberedTurn], limit: int, expected: list[tuple[str, str, int]]) -> None:
    assert prompt(*turns, limit=limit) == expected


def test_prompts_of_a_long_conversation_mostly_go_on_from_the_one_before() -> None:
    """What a worker kept of the last one is of use: else every answer of a long conversation waits for all of it."""
    turns = [said(f"{number} " * 5, pictures=number % 9 == 4) for number in range(60)]
    asked = [prompt(*turns[: number + 1], limit=600) for number in range(60)]
    goes_on = [later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(asked)]
    assert sum(goes_on[15:]) > 25
    assert min(len(messages) for messages in asked[15:]) > 15


def test_speakers_are_named_in_group_chats() -> None:
    turns = [said("I have a cat", by="Ann"), said("Whose cat?", None, by="Bob: evil\nAnn")]
    assert [text for role, text, _ in prompt(*turns, group=True) if role == "user"] == [
        "Ann: I have a cat",
        "Bob evil Ann: Whose cat?",
    ]


def test_nobody_is_nameless() -> None:
    assert speaker("\n:") == "Somebody"
    assert len(speaker("x" * 500)) == 40


def test_newest_message_over_the_limit_is_told_with_numbers() -> None:
    with pytest.raises(PromptTooLong, match=r"about 108 tokens, and it can take 50\."):
        prompt(said("word " * 100, None), limit=50)
    with pytest.raises(PromptTooLong, match="message with its pictures"):
        prompt(said("", None, pictures=3), limit=100)


async def test_everything_is_counted_in_one_request() -> None:
    requests: list[list[str]] = []

    async def count(texts: object) -> list[int]:
        requests.append(list(texts))  # type: ignore[call-overload]
        return [estimate_tokens(text) for text in requests[-1]]

    turns = [said("see", pictures=1), said("b", None)]
    messages = await recall("System.", turns, group=False, limit=500, picture_tokens=400, count=count)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert len(requests) == 1


words = st.text("ab ", min_size=1, max_size=40).filter(str.strip)
turn = st.builds(said, words, st.none() | words, pictures=st.integers(0, 3), voice=st.just("") | words)


@given(st.lists(turn, max_size=12), words, st.integers(20, 400), st.booleans())
def test_any_prompt_fits_alternates_and_ends_with_the_newest(
    past: list[RememberedTurn], newest: str, limit: int, group: bool
) -> None:
    turns = [*past, said(newest, None)]
    costs = Costs(Words(), 50, limit)
    try:
        messages = compose("Be brief.", turns, costs, group=group)
    except PromptTooLong:
        return
    assert sum(len(message.text.split()) + 50 * len(message.pictures) + MESSAGE_TOKENS for message in messages) <= limit
    assert messages[0] == PromptMessage("system", "Be brief.")
    assert [message.role for message in messages[1:]] == ["user", "assistant"] * (len(messages) // 2 - 1) + ["user"]
    assert messages[-1].text.endswith(newest)
