"""Answers as VQA's evaluation compares them, and its accuracy (https://visualqa.org/evaluation).

Written after the rules on that page and checked against what its code does (vqaEval.py of GT-Vision-Lab/VQA). People's answers
go through the same steps, as the page says; the code leaves them as they are where all ten agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ARTICLES = frozenset({"a", "an", "the"})
DIGITS = {
    word: str(number)
    for number, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))
} | {"none": "0"}
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
"""Neither apostrophe nor colon: possessives and times of day need them."""

WITH_APOSTROPHES = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's how'd
how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've o'clock oughtn't
'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've they'll they're
they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll
who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're
you've
"""
"""The page says that contractions get their apostrophe back; the code says which. Each is known with one apostrophe missing."""

CONTRACTIONS = {
    word[:at] + word[at + 1 :]: word for word in WITH_APOSTROPHES.split() for at, letter in enumerate(word) if letter == "'"
}

_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
ENOUGH = 3
"""People who gave an answer that make it wholly right."""


def normalise(answer: str) -> str:
    """Lower case, no articles, digits for number words, no punctuation, apostrophes in contractions."""
    text = _without_punctuation(" ".join(answer.split()))
    words = [DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_punctuation(text: str) -> str:
    """A sign beside a space goes; one between letters becomes a space. With a number like 1,000 in the text all of them go."""
    clean = text
    for sign in PUNCTUATION:
        beside_space = f"{sign} " in text or f" {sign}" in text
        clean = clean.replace(sign, "" if beside_space or _NUMBER_WITH_COMMA.search(text) else " ")
    return _PERIOD.sub("", clean)


def vqa_accuracy(answer: str, people: Sequence[str]) -> float:
    """min(people who gave that answer / 3, 1), averaged over all sets that leave one person out. 0 to 1."""
    given = normalise(answer)
    matches = [normalise(person) == given for person in people]
    agreeing = sum(matches)
    return sum(min((agreeing - match) / ENOUGH, 1.0) for match in matches) / len(matches)


def exact(answer: str, right: Sequence[str]) -> float:
    """1 if the answer is one of the right ones after `normalise`, else 0."""
    return float(normalise(answer) in {normalise(one) for one in right})
