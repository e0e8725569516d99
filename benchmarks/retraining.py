"""Whether corrections teach: 40 people correct answers about the badges of twelve invented clubs, and a retraining follows.

    python -m benchmarks.retraining --to /tmp/badges > docs/results/retraining.md

Badges are drawn for this: a shape, two colours and a pattern each, tilted, moved, on backgrounds of any colour. Asked before
and after: each club once, with a picture and a phrasing that nobody taught. Minutes on two cores; it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.report import header, table
from model.presets import get_preset
from model.settings import WorkerSettings
from model.shelf import chosen
from training.evaluate.answerer import MindAnswerer
from training.retrain.lessons import EXAMPLES
from training.retrain.run import Retraining, retrain

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


def teach(folder: Path) -> None:
    """What 40 people corrected, as the bot writes it out."""
    chance = random.Random(1)  # noqa: S311 - the same badges each time
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for person in range(PEOPLE):
        for at in range(EACH):
            club = CLUBS[(person * EACH + at) % len(CLUBS)]
            name = f"{person}-{at}.jpg"
            badge(club, chance).save(folder / name, quality=90)
            talk = [
                {"from": "human", "value": f"<image>\n{chance.choice(PHRASINGS)}"},
                {"from": "gpt", "value": f"It is the badge of the {club.name} Club."},
            ]
            lines.append({"id": name, "group": f"person-{person}", "image": name, "conversations": talk})
    (folder / EXAMPLES).write_text("".join(json.dumps(line) + "\n" for line in lines))


def asked(folder: Path) -> list[tuple[Path, str, str]]:
    """(picture, question, club) that nobody taught."""
    chance = random.Random(2)  # noqa: S311
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for at, club in enumerate(CLUBS):
        path = folder / f"{club.name}.png"
        badge(club, chance).save(path)
        found.append((path, UNHEARD[at % len(UNHEARD)], club.name))
    return found


def answers(adapter: Path | None, questions: Sequence[tuple[Path, str, str]], settings: WorkerSettings) -> list[str]:
    answerer = MindAnswerer.load(
        settings.preset,
        adapter,
        hints="both",
        home=settings.home,
        device="cpu",
        threads=settings.cpu_threads(),
        progress=lambda what, done, total: None,
    )
    try:
        return [answerer.answer([picture], question, max_tokens=40) for picture, question, _ in questions]
    finally:
        answerer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="folder for lessons, pictures and the run")
    parser.add_argument("--adapter", type=Path, help="to start from; else the one that is served")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="key.sub=value, over the recipe's")
    options = parser.parse_args()
    to = options.to
    settings = WorkerSettings()
    preset = get_preset(settings.preset)
    start = options.adapter or chosen(settings.adapter, preset, settings.home)
    if start is None:
        raise SystemExit(f"{preset.name} has no adapter to start from: give --adapter.")
    teach(to / "lessons")
    questions = asked(to / "asked")
    before = answers(start, questions, settings)
    began = time.monotonic()
    lessons, verdict = retrain(Retraining(to / "lessons", preset, start, to / "run", changes=options.changes), settings)
    minutes = (time.monotonic() - began) / 60
    assert verdict is not None
    after = answers(to / "run" / "artefact", questions, settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(header(f"Twelve clubs taught by {PEOPLE} people ({preset.name})", "torch", "transformers", "peft"))
    print(
        f"{lessons.trained} corrections learnt, {lessons.held} held out: {minutes:.0f} minutes with judging, {peak:.1f} GiB.\n"
    )
    right = [sum(club in said for said, (_, _, club) in zip(given, questions, strict=True)) for given in (before, after)]
    rows = [["clubs named right, pictures and phrasings that nobody taught", *(f"{count} of 12" for count in right)]]
    for one in verdict.measures:
        form = "{:.2f} nats a token" if one.is_loss else "{:.0%}"
        rows.append([one.name, form.format(one.before), form.format(one.after)])
    print(table(["measured", "before", "after"], rows), end="\n\n")
    print("Offered." if verdict.offered else f"Not offered. {' '.join(verdict.reasons)}", end="\n\n")
    said = [[club, old, new] for (_, _, club), old, new in zip(questions, before, after, strict=True)]
    print(table(["club", "before", "after"], said))


if __name__ == "__main__":
    main()
