"""Whether a new adapter is better than the one it was made from: both in one mind, asked the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from model.attached import Attached
from model.mind import Mind
from model.weights import Progress
from training.config import Files
from training.data.captions import load_captions
from training.data.conversations import load_conversations
from training.data.records import Captioned, Conversation
from training.evaluate import chat
from training.evaluate.answerer import MindAnswerer
from training.evaluate.captions import noun_match
from training.evaluate.normalise import normalise
from training.retrain.keepsakes import Keepsakes

WORSE = 0.02
"""Of the questions that it must not forget, the part that may be answered worse than before. More may, if chance explains it:
some go from right to wrong with any training, and about as many the other way. One standard error of the difference is let
through: the square root of how many changed (McNemar 1947, https://doi.org/10.1007/BF02295996)."""
ROUNDING = 1e-9
"""Three questions of 150 are two of a hundred, and 139/150 - 136/150 is a little more than 0.02."""
CHAT_WORSE = 0.1
"""Nats a token by which what the old one says in plain chat may have become less likely."""
SHOWN = 8
"""Held-out questions whose answers are shown side by side."""
MAX_TOKENS = 64
HELD_OUT = "what was taught and held out"
"""The measure that must get better; the others must not get worse."""
QUESTION = "Describe this picture."
"""Of a drawing, as in training."""

T = TypeVar("T")


class Measured(BaseModel):
    """One measure of both."""

    name: str
    before: float
    after: float
    is_loss: bool
    """Lower is better, in nats a token; else it is a part of the questions, 0 to 1."""
    allowed: float = 0.0
    """By how much it may be worse."""
    worse: bool = False
    """Beyond that."""


class SideBySide(BaseModel):
    id: str
    """Of the example."""
    question: str
    pictures: list[str]
    wanted: str
    before: str
    after: str


class Verdict(BaseModel):
    """verdict.json of a retraining."""

    offered: bool
    reasons: list[str]
    """Why not; empty when it is offered."""
    measures: list[Measured]
    answers: list[SideBySide]


@dataclass(frozen=True)
class Questions:
    """What both are asked."""

    held_out: Mapping[str, Conversation]
    """By id."""
    keepsakes: Keepsakes


class Judge:
    """Blocking: minutes on a CPU."""

    def __init__(self, mind: Mind, before: Attached, after: Attached, progress: Progress) -> None:
        self._mind = mind
        self._both = (before, after)
        self._progress = progress
        self._answerer = MindAnswerer(mind)

    def judge(self, questions: Questions) -> Verdict:
        shapes = load_conversations([_llava(questions.keepsakes.vqa)], skip_bad=False)
        drawings = load_captions([Files(format="captions", file=questions.keepsakes.captions)], skip_bad=False)
        taught = [(talk.images, talk.messages[0].text, talk.messages[1].text) for talk in questions.held_out.values()]
        measures = [
            self._loss(HELD_OUT, taught),
            self._part("shapes", self._shapes, shapes),
            self._part("drawings", self._drawings, drawings),
        ]
        if self._both[1].without_picture is None:  # else the base answers, as it always did
            said = [((), question, self._chat(question)) for question in chat.QUESTIONS]
            measures.append(self._loss("plain chat", said, allowed=CHAT_WORSE))
        found = [(measure, _worse(measure)) for measure in measures]
        measures = [measure.model_copy(update={"worse": reason is not None}) for measure, reason in found]
        reasons = [reason for _, reason in found if reason is not None]
        answers = [self._side_by_side(name, talk) for name, talk in islice(questions.held_out.items(), SHOWN)]
        return Verdict(offered=not reasons, reasons=reasons, measures=measures, answers=answers)

    def close(self) -> None:
        self._answerer.close()

    def _asked(self, name: str, ask: Callable[[], T]) -> tuple[T, T]:
        """What both make of it."""
        found = []
        for at, attached in enumerate(self._both):
            self._progress(f"Judging {name}", at, len(self._both))
            self._mind.default = attached
            found.append(ask())
        self._progress(f"Judging {name}", len(self._both), len(self._both))
        return found[0], found[1]

    def _loss(self, name: str, asked: Sequence[tuple[Sequence[Path], str, str]], allowed: float = 0.0) -> Measured:
        before, after = self._asked(name, lambda: self._nats(asked))
        return Measured(name=name, before=before, after=after, is_loss=True, allowed=allowed)

    def _nats(self, asked: Sequence[tuple[Sequence[Path], str, str]]) -> float:
        """A token of the answers."""
        total = tokens = 0.0
        for pictures, question, answer in asked:
            likely, count = self._answerer.likelihood(pictures, question, answer)
            total -= likely
            tokens += count
        return total / tokens

    def _part(self, name: str, ask: Callable[[Sequence[T]], list[bool]], asked: Sequence[T]) -> Measured:
        return right(name, *self._asked(name, lambda: ask(asked)))

    def _shapes(self, talks: Sequence[Conversation]) -> list[bool]:
        asked = ((talk.images, talk.messages[0].text) for talk in talks)
        said = self._answerer.answers(asked, max_tokens=MAX_TOKENS)
        return [normalise(answer) == talk.messages[1].text for answer, talk in zip(said, talks, strict=True)]

    def _drawings(self, records: Sequence[Captioned]) -> list[bool]:
        said = self._answerer.answers((([record.image], QUESTION) for record in records), max_tokens=MAX_TOKENS)
        return [noun_match(answer, record.captions) > 0 for answer, record in zip(said, records, strict=True)]

    def _chat(self, question: str) -> str:
        self._mind.default = self._both[0]
        return self._answerer.answer([], question, max_tokens=chat.MAX_TOKENS)

    def _side_by_side(self, name: str, talk: Conversation) -> SideBySide:
        given = []
        for attached in self._both:
            self._mind.default = attached
            given.append(self._answerer.answer(talk.images, talk.messages[0].text, max_tokens=MAX_TOKENS))
        return SideBySide(
            id=name,
            question=talk.messages[0].text,
            pictures=[str(path) for path in talk.images],
            wanted=talk.messages[1].text,
            before=given[0],
            after=given[1],
        )


def right(name: str, before: Sequence[bool], after: Sequence[bool]) -> Measured:
    """What part of the same questions was answered rightly, and how many fewer are let through."""
    number = len(before)
    changed = sum(old != new for old, new in zip(before, after, strict=True))
    allowed = max(WORSE, math.sqrt(changed) / number)
    return Measured(name=name, before=sum(before) / number, after=sum(after) / number, is_loss=False, allowed=allowed)


def _worse(measure: Measured) -> str | None:
    """Why a measure speaks against the new one."""
    if measure.name == HELD_OUT:
        if measure.after < measure.before:
            return None
        return f"It did not learn what was held out: the loss went from {measure.before:.2f} to {measure.after:.2f}."
    lost = (measure.after - measure.before) * (1 if measure.is_loss else -1)
    if lost <= measure.allowed + ROUNDING:
        return None
    if measure.is_loss:
        return f"In {measure.name} it says other things: the loss went from {measure.before:.2f} to {measure.after:.2f}."
    return (
        f"It forgot {measure.name}: {measure.before:.0%} right before, {measure.after:.0%} now, "
        f"and {measure.allowed:.1%} less would be let through."
    )


def _llava(file: Path) -> Files:
    return Files(format="llava", file=file)
