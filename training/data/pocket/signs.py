"""Words that stand in pictures: the line that quotes them, and questions about them.

People send photographs of signs and pages, and what was read in them is served as a line of text. Without examples an adapter
would answer "A sign." to "What does it say?", which the base model answers from the line.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from model.hints import text_line

QUESTIONS = (
    "What does it say?",
    "What does the sign say?",
    "What is written there?",
    "Read the text in this photo.",
    "What text is in the photo?",
    "Can you read the words?",
)
NOTHING = "I see no text in this photo."
QUOTED = 12
"""Words of a text that are quoted where nobody asked for it."""
LINES = (3, 6)
"""Forms that make a page."""

FORMS = (
    "{WORD}",
    "{WORD} {OTHER}",
    "THE {WORD} {OTHER}",
    "{Word} & {Other}",
    "{Word} shop\n{number} {Other} Street",
    "NO {WORD}",
    "{Word} {small}.{cents}\nTotal {number}.{cents}",
    "Platform {small}",
    "Room {number}",
    "Open {small}:00 to 1{small}:30",
    "Please mind the {word}",
    "{Word}: the {other} of the year {year}",
    "{number} {WORD}",
)
"""Lines of a sign, a label or a page; the words are out of captions."""


def sign(words: Sequence[str], chance: random.Random) -> str:
    """Some lines of text, as a reader of pictures gives them."""
    word, other = chance.choice(words), chance.choice(words)
    return chance.choice(FORMS).format(
        word=word,
        other=other,
        Word=word.capitalize(),
        Other=other.capitalize(),
        WORD=word.upper(),
        OTHER=other.upper(),
        small=chance.randint(1, 9),
        number=chance.randint(10, 999),
        cents=chance.randint(10, 99),
        year=chance.randint(1900, 2030),
    )


def page(words: Sequence[str], chance: random.Random) -> str:
    """Text and nothing else."""
    return "\n".join(sign(words, chance) for _ in range(chance.randint(*LINES)))


def told(answer: str, text: str | None, *, shown: bool = True) -> str:
    """What a picture shows, the text in it included. `shown`: it shows something besides."""
    if text is None:
        return answer
    words = text.split()
    quoted = " ".join(words[:QUOTED]) + (" ..." if len(words) > QUOTED else "")
    return f'{answer} The text in it says "{quoted}".' if shown else f'The photo shows text: "{quoted}".'


def line_of(text: str, *, also: bool) -> str:
    """As it is served. `also`: behind a line about the picture."""
    line = text_line(text.split("\n"), also=also)
    assert line is not None  # noqa: S101 - every form has words
    return line


def reading(text: str | None, chance: random.Random) -> tuple[str, str]:
    """A question about the text, None if there is none, and its answer."""
    question = chance.choice(QUESTIONS)
    return question, NOTHING if text is None else f'It says "{" ".join(text.split())}".'
