"""Whether corrections teach: 40 people correct answers about the badges of twelve invented clubs, and a retraining follows.

    python -m benchmarks.retraining --to /tmp/badges > docs/results/retraining.md

The badges are those of benchmarks/clubs.py. Asked before and after: each club once, with a picture and a phrasing that nobody
taught, as it is and as a question in a group reaches the mind: behind a name. Minutes on two cores; it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clubs import CLUBS, EACH, PEOPLE, lessons, questions, right
from benchmarks.report import header, table
from model.presets import get_preset
from model.settings import WorkerSettings
from model.shelf import chosen
from training.evaluate.answerer import MindAnswerer
from training.retrain.lessons import EXAMPLES
from training.retrain.run import Retraining, retrain

ASKER = "Ada"
"""Who asks in a group; not one of those in training/retrain/served.py."""


def teach(folder: Path) -> None:
    """What 40 people corrected, as the bot writes it out."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for at, lesson in enumerate(lessons(PEOPLE)):
        name = f"{lesson.person}-{at % EACH}.jpg"
        (folder / name).write_bytes(lesson.picture)
        talk = [{"from": "human", "value": f"<image>\n{lesson.question}"}, {"from": "gpt", "value": lesson.better}]
        lines.append({"id": name, "group": f"person-{lesson.person}", "image": name, "conversations": talk})
    (folder / EXAMPLES).write_text("".join(json.dumps(line) + "\n" for line in lines))


def asked(folder: Path) -> list[tuple[Path, str, str]]:
    """(picture, question, club) that nobody taught."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for club, (question, picture) in zip(CLUBS, questions(), strict=True):
        path = folder / f"{club.name}.jpg"
        path.write_bytes(picture)
        found.append((path, question, club.name))
    return found


def answers(adapter: Path | None, exam: Sequence[tuple[Path, str, str]], settings: WorkerSettings) -> list[list[str]]:
    """To the questions as they are, and to the same in a group."""
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
        return [
            [answerer.answer([picture], before + question, max_tokens=40) for picture, question, _ in exam]
            for before in ("", f"{ASKER}: ")
        ]
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
    exam = asked(to / "asked")
    before = answers(start, exam, settings)
    began = time.monotonic()
    data, verdict = retrain(Retraining(to / "lessons", preset, start, to / "run", changes=options.changes), settings)
    minutes = (time.monotonic() - began) / 60
    assert verdict is not None
    after = answers(to / "run" / "artefact", exam, settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(header(f"Twelve clubs taught by {PEOPLE} people ({preset.name})", "torch", "transformers", "peft"))
    print(f"{data.trained} corrections learnt, {data.held} held out: {minutes:.0f} minutes with judging, {peak:.1f} GiB.\n")
    rows = []
    for where, old, new in zip(("", ", in a group"), before, after, strict=True):
        counts = (f"{right(given)} of {len(CLUBS)}" for given in (old, new))
        rows.append([f"clubs named right, pictures and phrasings that nobody taught{where}", *counts])
    for one in verdict.measures:
        form = "{:.2f} nats a token" if one.is_loss else "{:.0%}"
        rows.append([one.name, form.format(one.before), form.format(one.after)])
    print(table(["measured", "before", "after"], rows), end="\n\n")
    print("Offered." if verdict.offered else f"Not offered. {' '.join(verdict.reasons)}", end="\n\n")
    said = [[one.name, *words] for one, *words in zip(CLUBS, *before, *after, strict=True)]
    print(table(["club", "before", "in a group", "after", "in a group"], said))


if __name__ == "__main__":
    main()
