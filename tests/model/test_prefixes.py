"""What is kept for follow-up questions stays within its budget, and no conversation costs the others theirs."""

from __future__ import annotations

import numpy as np
import torch

from model.prefixes import Keys, Prefixes

READER = object()
TOKEN = 4 * 2 * 3 * 8
"""Bytes of a token below."""


def keys(conversation: int, tokens: int) -> Keys:
    return np.arange(tokens) + 1000 * conversation


def memory(tokens: int) -> torch.Tensor:
    return torch.zeros(1, 2, 3, tokens, 8)


def common(prefixes: Prefixes, conversation: int, tokens: int) -> int:
    return prefixes.longest(READER, keys(conversation, tokens + 1))[1]


def test_the_one_used_longest_ago_makes_room() -> None:
    prefixes = Prefixes(30 * TOKEN)
    for conversation in (1, 2, 3):
        prefixes.keep(READER, keys(conversation, 10), memory(10))
    assert common(prefixes, 1, 10) == 10
    prefixes.keep(READER, keys(4, 10), memory(10))
    assert [common(prefixes, conversation, 10) for conversation in (1, 2, 3, 4)] == [10, 0, 10, 10]
    assert prefixes.bytes == 30 * TOKEN


def test_a_long_conversation_keeps_its_beginning_and_leaves_others_theirs() -> None:
    """It grew from turn to turn, until all of it would have pushed out everything, itself included."""
    prefixes = Prefixes(40 * TOKEN)
    prefixes.keep(READER, keys(1, 15), memory(15))
    for length in (10, 19, 30, 100):
        prefixes.keep(READER, keys(2, length), memory(length))
        assert prefixes.bytes <= 40 * TOKEN
    assert common(prefixes, 1, 15) == 15
    assert common(prefixes, 2, 100) == 20


def test_without_a_budget_nothing_is_kept() -> None:
    prefixes = Prefixes(0)
    prefixes.keep(READER, keys(1, 10), memory(10))
    assert common(prefixes, 1, 10) == 0
