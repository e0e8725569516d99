"""Long answers: pages that fit, lose nothing, and stay what they are while the text grows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chat.pages import split, utf16_length

PIECES = st.sampled_from(["a ", "word", "\n", "\n\n", "```\n", "```py\n", "~~~\n", "😀", "é. ", "x" * 40, "- item\n"])
TEXTS = st.lists(PIECES, max_size=120).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(20, 90))
def test_pages_fit_and_lose_no_words(text: str, limit: int) -> None:
    for length in (len, utf16_length):
        pages = split(text, limit, length)
        assert all(length(page) <= limit for page in pages)
        for sign in "wx😀é":
            assert sum(page.count(sign) for page in pages) == text.count(sign)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, st.integers(30, 90))
def test_earlier_pages_stay_while_the_answer_grows(begun: str, more: str, limit: int) -> None:
    before, after = split(begun, limit), split(begun + more, limit)
    if len(before) > 2:
        assert after[: len(before) - 2] == before[:-2]


def test_code_is_closed_and_opened_again() -> None:
    code = "\n".join(f"print({number})" for number in range(40))
    pages = split(f"Look:\n\n```python\n{code}\n```\n\nDone.", 200)
    assert len(pages) > 2
    assert all(page.count("```") % 2 == 0 for page in pages)
    assert all(page.startswith("```python\n") for page in pages[1:-1])
    assert pages[-1].endswith("Done.")


def test_paragraphs_are_kept_together() -> None:
    first, second = "one " * 20, "two " * 20
    assert split(f"{first}\n\n{second}", 130) == [first.strip(), second.strip()]


def test_nothing_is_no_page() -> None:
    assert split("\n \n", 100) == []


def test_utf16_counts_as_telegram_does() -> None:
    assert utf16_length("a😀") == 3
