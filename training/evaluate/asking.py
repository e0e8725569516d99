"""Asks all questions, keeps every answer, and says how long it will take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import mode

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.evaluate.answerer import Answerer
from training.evaluate.kept import Kept
from training.evaluate.measures import Measure
from training.evaluate.questions import Question

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""
GREY, GREY_SIDE = (128, 128, 128), 224
Advance = Callable[[], None]


def ask(
    answerer: Answerer,
    questions: Sequence[Question],
    kept: Kept,
    *,
    who: str,
    text: Callable[[Question], str],
    max_tokens: int,
    choices: Sequence[str] = (),
    blindfold: Sequence[Path] | None = None,
) -> list[str]:
    """An answer to each question; those in `kept` are not asked again.

    `choices`: the likeliest of them is taken; none: what the answerer writes. `blindfold`: pictures shown instead.
    """
    answers: list[str] = []
    by_text: dict[str, str] = {}  # blindfolded, nothing but the words can make a difference
    new = sum(kept.get(who, question.id) is None for question in questions)
    with _progress(who, len(questions), len(questions) - new) as advance:
        for question in questions:
            words = text(question)
            answer = kept.get(who, question.id)
            if answer is None:
                pictures = question.pictures if blindfold is None else blindfold
                if blindfold is not None and words in by_text:
                    answer = by_text[words]
                elif choices:
                    answer = answerer.choose(pictures, words, choices)
                else:
                    answer = answerer.answer(pictures, words, max_tokens=max_tokens)
                kept.add(who, question.id, answer)
                advance()
            by_text[words] = answer
            answers.append(answer)
    return answers


def loss(
    answerer: Answerer,
    questions: Sequence[Question],
    kept: Kept,
    *,
    who: str,
    text: Callable[[Question], str],
    blindfold: Sequence[Path] | None = None,
) -> Measure:
    """Nats a token of the right answers (of several, the most frequent one), teacher-forced; kept as answers are."""
    total, tokens, name = 0.0, 0, f"loss of {who}"
    new = sum(kept.get(name, question.id) is None for question in questions)
    with _progress(name, len(questions), len(questions) - new) as advance:
        for question in questions:
            found = kept.get(name, question.id)
            if found is None:
                pictures = question.pictures if blindfold is None else blindfold
                likely, count = answerer.likelihood(pictures, text(question), mode(question.answers))
                found = f"{likely:.6g} {count}"
                kept.add(name, question.id, found)
                advance()
            likelihood, length = found.split()
            total, tokens = total - float(likelihood), tokens + int(length)
    return Measure(total / max(tokens, 1), len(questions))


def grey_picture(folder: Path) -> Path:
    """A picture of nothing, for minds that answer questions without a picture with something else than their adapter."""
    path = folder / "grey.png"
    Image.new("RGB", (GREY_SIDE, GREY_SIDE), GREY).save(path)
    return path


@contextlib.contextmanager
def _progress(what: str, total: int, done: int) -> Iterator[Advance]:
    """A bar on a terminal, a line every LINE_SECONDS elsewhere; both on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, what, total, done)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(what, total=total, completed=done)
        yield lambda: bars.advance(bar)


class _Lines:
    def __init__(self, console: Console, what: str, total: int, done: int) -> None:
        self._console, self._what, self._total, self._done = console, what, total, done
        self._new = 0
        self._began = self._said = time.monotonic()

    def __call__(self) -> None:
        self._new += 1
        now = time.monotonic()
        if now - self._said < LINE_SECONDS:
            return
        self._said = now
        answered = self._done + self._new
        left = timedelta(seconds=round((now - self._began) / self._new * (self._total - answered)))
        self._console.print(f"{self._what}: {answered:,} of {self._total:,} answered, {left} left", highlight=False)
