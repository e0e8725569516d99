"""When it is our turn: one table for all platforms."""

from __future__ import annotations

from typing import Any

import pytest

from bot.calling import Heard, Quoted, is_for_us, with_quoted
from bot.chat.base import Incoming
from tests.bot.sending import ANN, HERE, file

PICTURE = file("photo.jpg", b"x")

CASES: list[tuple[str, bool, dict[str, Any], bool]] = [
    ("private", False, {}, True),
    ("group", True, {}, False),
    ("group, mentioned", True, {"mentioned": True}, True),
    ("group, reply to us", True, {"quoted": Quoted("hi", ours=True)}, True),
    ("group, reply to somebody", True, {"quoted": Quoted("hi")}, False),
    ("group, reply to somebody with a mention", True, {"quoted": Quoted("hi"), "mentioned": True}, True),
    ("group, command", True, {"command": True}, True),
    ("group, our thread", True, {"our_place": True}, True),
    ("private, a machine", False, {"from_machine": True}, False),
    ("group, a machine that mentions us", True, {"from_machine": True, "mentioned": True}, False),
]


@pytest.mark.parametrize("files", [(), (PICTURE,)], ids=["words", "picture"])
@pytest.mark.parametrize(("group", "how", "ours"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_is_our_turn(group: bool, how: dict[str, Any], ours: bool, files: tuple[Any, ...]) -> None:
    assert is_for_us(Heard(Incoming(HERE, ANN, "" if files else "hello", files, group=group), **how)) is ours


def test_the_replied_to_picture_comes_along() -> None:
    heard = Heard(Incoming(HERE, ANN, "what is it?", group=True), mentioned=True, quoted=Quoted("look", (PICTURE,)))
    incoming = with_quoted(heard)
    assert incoming.files == (PICTURE,)
    assert incoming.text == "> look\n\nwhat is it?"


def test_own_files_win_over_those_of_the_replied_to_message() -> None:
    own = file("own.jpg", b"y")
    assert with_quoted(Heard(Incoming(HERE, ANN, "?", (own,)), quoted=Quoted("", (PICTURE,)))).files == (own,)


def test_our_own_answer_is_remembered_and_not_quoted() -> None:
    assert with_quoted(Heard(Incoming(HERE, ANN, "why?"), quoted=Quoted("Because.", ours=True))).text == "why?"


def test_long_quotations_are_cut() -> None:
    assert len(with_quoted(Heard(Incoming(HERE, ANN, "?"), quoted=Quoted("x" * 9000))).text) < 2100
