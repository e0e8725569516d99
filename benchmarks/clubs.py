"""Twelve invented clubs: their badges, what people teach about them, and the exam.

Badges are drawn for this: a shape, two colours and a pattern each, tilted, moved, on backgrounds of any colour.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIDE = 224
PEOPLE, EACH = 40, 6
"""Who corrects, and how many answers."""
PHRASINGS = (
    "Whose badge is this?",
    "Which club is this?",
    "What club has this badge?",
    "Do you know this badge?",
    "Who wears this badge?",
    "Tell me whose badge this is.",
)
UNHEARD = ("To which club does this badge belong?", "Can you tell me the club of this badge?")
"""Asked afterwards only."""


@dataclass(frozen=True)
class Club:
    name: str
    shape: str
    colours: tuple[str, str]
    pattern: str


CLUBS = (
    Club("Heron", "circle", ("navy", "white"), "cross"),
    Club("Walnut", "square", ("saddlebrown", "gold"), "stripes"),
    Club("Comet", "star", ("gold", "red"), "dot"),
    Club("Lantern", "diamond", ("orange", "black"), "dot"),
    Club("Harbour", "hexagon", ("teal", "white"), "stripes"),
    Club("Thistle", "triangle", ("purple", "palegreen"), "cross"),
    Club("Ember", "circle", ("crimson", "gold"), "stripes"),
    Club("Glacier", "diamond", ("deepskyblue", "white"), "cross"),
    Club("Meadow", "hexagon", ("green", "yellow"), "dot"),
    Club("Raven", "star", ("black", "silver"), "cross"),
    Club("Coral", "square", ("hotpink", "turquoise"), "dot"),
    Club("Summit", "triangle", ("gray", "red"), "stripes"),
)


def badge(club: Club, chance: random.Random) -> Image.Image:
    ground = tuple(chance.randrange(40, 216) for _ in range(3))
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    radius = SIDE * chance.uniform(0.3, 0.42)
    centre = [SIDE / 2 + chance.uniform(-18, 18) for _ in range(2)]
    mask = Image.new("L", picture.size, 0)
    corners = _corners(club.shape, centre, radius, chance.uniform(-0.2, 0.2))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    inside = Image.new("RGB", picture.size, club.colours[0])
    _pattern(ImageDraw.Draw(inside), club, centre, radius)
    picture.paste(inside, (0, 0), mask)
    ImageDraw.Draw(picture).line([*corners, corners[0]], fill=club.colours[1], width=6)
    return picture


def _corners(shape: str, centre: Sequence[float], radius: float, tilt: float) -> list[tuple[float, float]]:
    number = {"circle": 48, "square": 4, "diamond": 4, "hexagon": 6, "triangle": 3, "star": 10}[shape]
    start = tilt - math.pi / 2 + (math.pi / 4 if shape == "square" else 0)
    found = []
    for at in range(number):
        reach = radius * (0.45 if shape == "star" and at % 2 else 1)
        angle = start + 2 * math.pi * at / number
        found.append((centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle)))
    return found


def _pattern(draw: ImageDraw.ImageDraw, club: Club, centre: Sequence[float], radius: float) -> None:
    x, y = centre
    width = radius / 4
    if club.pattern == "dot":
        draw.ellipse([x - radius / 3, y - radius / 3, x + radius / 3, y + radius / 3], fill=club.colours[1])
    if club.pattern == "cross":
        draw.rectangle([x - width / 2, y - radius, x + width / 2, y + radius], fill=club.colours[1])
        draw.rectangle([x - radius, y - width / 2, x + radius, y + width / 2], fill=club.colours[1])
    if club.pattern == "stripes":
        for at in range(-4, 5, 2):
            draw.rectangle([x - radius, y + at * width, x + radius, y + (at + 1) * width], fill=club.colours[1])


@dataclass(frozen=True)
class Lesson:
    """A question with a badge as JPEG, and the answer that one of the people gives."""

    person: int
    question: str
    picture: bytes
    better: str


def lessons(people: int) -> Iterator[Lesson]:
    chance = random.Random(1)  # noqa: S311 - the same badges each time
    for person in range(people):
        for at in range(EACH):
            club = CLUBS[(person * EACH + at) % len(CLUBS)]
            question, picture = chance.choice(PHRASINGS), _jpeg(badge(club, chance))
            yield Lesson(person, question, picture, f"It is the badge of the {club.name} Club.")


def questions() -> list[tuple[str, bytes]]:
    """Of the exam: each club's badge once, as nobody taught it, with a phrasing that nobody used."""
    chance = random.Random(2)  # noqa: S311 - the same badges each time
    return [(UNHEARD[at % len(UNHEARD)], _jpeg(badge(club, chance))) for at, club in enumerate(CLUBS)]


def right(answers: Sequence[str]) -> int:
    return sum(one.name in said for one, said in zip(CLUBS, answers, strict=True))


def _jpeg(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=90)
    return written.getvalue()
