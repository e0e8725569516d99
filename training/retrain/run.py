"""From a folder of lessons to an adapter and a verdict.

RUN/data/           the data set: what was taught, what is held out, what is replayed
RUN/retrain.yaml    the recipe, a configuration of stage 2
RUN/ (the rest)     a run of stage 2 (training/runs.py); it goes on where it was
RUN/verdict.json    training.retrain.judge.Verdict
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from model.adapters import Adapter
from model.mind import Mind
from model.presets import Preset
from model.progress import progress
from model.settings import WorkerSettings
from model.weights import Progress, WeightsError, prepare
from training.config import Files, dump
from training.data.conversations import load_conversations
from training.errors import TrainingError
from training.metrics import FINISHED
from training.retrain.judge import Judge, Questions, Verdict
from training.retrain.keepsakes import Keepsakes, unpack
from training.retrain.lessons import Lessons, lines_of, make, write_lines
from training.retrain.recipe import learnt, recipe, times
from training.retrain.room import release, require_room
from training.retrain.served import as_served, encoded, seen_by, with_own_answers
from training.runs import ARTEFACT, write_whole
from training.stages import train

DATA, RECIPE, VERDICT = "data", "retrain.yaml", "verdict.json"
OWN = "replay-own.jsonl"
"""Beside what is replayed, in the folder of keepsakes."""
KEEPSAKES_LICENCE = "MIT (easy-VQA), public domain (Openclipart), Apache-2.0 (Noto Color Emoji)"


@dataclass(frozen=True)
class Retraining:
    """One, as it is asked for. `start`: the adapter that is in use."""

    lessons: Path
    preset: Preset
    start: Path
    folder: Path
    images: Path | None = None
    """Folder of the lessons' pictures; None: the lessons' own."""
    changes: Sequence[str] = ()


def retrain(asked: Retraining, settings: WorkerSettings) -> tuple[Lessons, Verdict | None]:
    """Train and judge; what was done before a stop is not done again. Blocking: minutes to hours.

    Returns the data set, and the verdict, None if training was stopped. Raises TrainingError, and of these NoRoom before
    anything is loaded onto a GPU that others hold.
    """
    start = _start(asked.start)
    lessons = make(asked.lessons, asked.folder / DATA, images=asked.images, text_only=start.card.text_only)
    keepsakes = unpack(asked.folder / DATA / "keepsakes")
    learns = partial(recipe, asked.preset, start, lessons, on_gpu=torch.cuda.is_available(), threads=settings.threads)
    if torch.cuda.is_available():
        require_room(learns([learnt(lessons, lessons.train)]), asked.preset, settings.device)
    with progress() as bars:
        train_files = _as_served(asked, start, settings, lessons, keepsakes, bars)
    release()
    write_whole(asked.folder / RECIPE, dump(learns(train_files)))
    features = asked.folder / DATA / "features"  # of people's pictures: they go with the rest of this folder
    how = train("instruct", str(asked.folder / RECIPE), asked.changes, asked.folder, skip_bad=False, features=features)
    if how != FINISHED:
        return lessons, None
    release()
    with progress() as bars:
        verdict = _judged(asked, start, settings, lessons, keepsakes, bars)
    write_whole(asked.folder / VERDICT, verdict.model_dump_json(indent=1) + "\n")
    return lessons, verdict


def _start(folder: Path) -> Adapter:
    try:
        start = Adapter.open(folder)
    except WeightsError as error:
        raise TrainingError(str(error)) from error
    if start.projector is None:
        raise TrainingError(f"The adapter {start.name} has no projector: retraining goes on from one that sees.")
    return start


@contextmanager
def _mind(asked: Retraining, start: Adapter, settings: WorkerSettings, bars: Progress) -> Iterator[Mind]:
    """As it is served."""
    try:
        yield Mind.load(
            asked.preset,
            prepare(asked.preset, settings.home, bars),
            adapter=start.folder,
            device=settings.device,
            precision=settings.precision,
            threads=settings.cpu_threads(),
            hints=settings.hints,
            ocr=settings.ocr,
            progress=bars,
        )
    except WeightsError as error:
        raise TrainingError(str(error)) from error


def _as_served(
    asked: Retraining, start: Adapter, settings: WorkerSettings, lessons: Lessons, keepsakes: Keepsakes, bars: Progress
) -> list[Files]:
    """What is trained on: the lessons, and what is replayed with the start's own answers, each as it is, and once more as it is
    served."""
    taught = learnt(lessons, lessons.train)
    given = Files(format="llava", file=keepsakes.replay, licence=KEEPSAKES_LICENCE)
    own = given.model_copy(update={"file": keepsakes.replay.with_name(OWN)})
    served = {source: source.model_copy(update={"file": _beside(source.file)}) for source in (taught, own)}
    if not all(target.file.exists() for target in served.values()):
        with _mind(asked, start, settings, bars) as mind:
            looked = partial(bars, "Looking at pictures")
            if not served[taught].file.exists():
                write_lines(served[taught].file, as_served(seen_by(mind, taught, looked)))
            replayed = with_own_answers(mind, list(seen_by(mind, given, looked)))
            write_lines(own.file, (one.record for one in replayed))
            write_lines(served[own].file, as_served(replayed))
    both = [[file for file in pair if file.file.stat().st_size] for pair in served.items()]
    often = times(*(sum(len(lines_of(file.file)) for file in files) for files in both))
    return [file.model_copy(update={"times": count}) for files, count in zip(both, often, strict=True) for file in files]


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.stem}-as-served{file.suffix}")


def _judged(
    asked: Retraining, start: Adapter, settings: WorkerSettings, lessons: Lessons, keepsakes: Keepsakes, bars: Progress
) -> Verdict:
    held_out = load_conversations([learnt(lessons, lessons.held_out)], skip_bad=False)
    with _mind(asked, start, settings, bars) as mind:
        names = [str(json.loads(line)["id"]) for line in lines_of(lessons.held_out)]
        fitting = {names[talk.origin.number - 1]: talk for talk in held_out if encoded(mind, talk) is not None}
        if not fitting:
            raise TrainingError("Nothing that was held out fits into the context: there is nothing to judge by.")
        judge = Judge(mind, mind.default, mind.attach(Adapter.open(asked.folder / ARTEFACT)), bars)
        try:
            return judge.judge(Questions(fitting, keepsakes))
        finally:
            judge.close()
