"""Whether a new adapter is better than the one it was made from: both in one mind, asked the same."""

from __future__ import annotations

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
from training.data.records import Conversation
from training.evaluate import chat
from training.evaluate.answerer import MindAnswerer
from training.evaluate.captions import noun_match
from training.retrain.keepsakes import Keepsakes

WORSE = 0.02
"""Of the questions that it must not forget, the part that may be answered worse than before."""
CHAT_WORSE = 0.1
"""Nats a token by which what the old one says in plain chat may have become less likely."""
SHOWN = 8
"""Held-out questions whose answers are shown side by side."""
MAX_TOKENS = 64
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
    worse: bool = False
    """Beyond what is let through."""


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
        measures = [
            self._measured("what was taught and held out", self._held_out_loss, [*questions.held_out.values()], is_loss=True),
            self._measured("shapes", self._shapes, load_conversations([_llava(questions.keepsakes.vqa)], skip_bad=False)),
            self._measured("drawings", self._drawings, questions.keepsakes.captions),
        ]
        if self._both[1].without_picture is None:  # else the base answers, as it always did
            said = [self._chat(question) for question in chat.QUESTIONS]
            measures.append(self._measured("plain chat", self._chat_loss, said, is_loss=True))
        found = [(measure, _worse(measure)) for measure in measures]
        measures = [measure.model_copy(update={"worse": reason is not None}) for measure, reason in found]
        reasons = [reason for _, reason in found if reason is not None]
        answers = [self._side_by_side(name, talk) for name, talk in islice(questions.held_out.items(), SHOWN)]
        return Verdict(offered=not reasons, reasons=reasons, measures=measures, answers=answers)

    def close(self) -> None:
        self._answerer.close()

    def _measured(self, name: str, ask: Callable[[T], float], asked: T, *, is_loss: bool = False) -> Measured:
        found = []
        for at, attached in enumerate(self._both):
            self._progress(f"Judging {name}", at, len(self._both))
            self._mind.default = attached
            found.append(ask(asked))
        self._progress(f"Judging {name}", len(self._both), len(self._both))
        return Measured(name=name, before=found[0], after=found[1], is_loss=is_loss)

    def _held_out_loss(self, talks: Sequence[Conversation]) -> float:
        return self._loss([(talk.images, talk.messages[0].text, talk.messages[1].text) for talk in talks])

    def _chat_loss(self, said: Sequence[tuple[str, str]]) -> float:
        return self._loss([((), question, answer) for question, answer in said])

    def _loss(self, asked: Sequence[tuple[Sequence[Path], str, str]]) -> float:
        """Nats a token of the answers."""
        total = tokens = 0.0
        for pictures, question, answer in asked:
            likely, count = self._answerer.likelihood(pictures, question, answer)
            total -= likely
            tokens += count
        return total / tokens

    def _shapes(self, talks: Sequence[Conversation]) -> float:
        choices = sorted({talk.messages[1].text for talk in talks})
        right = [self._answerer.choose(talk.images, talk.messages[0].text, choices) == talk.messages[1].text for talk in talks]
        return sum(right) / len(right)

    def _drawings(self, file: Path) -> float:
        records = load_captions([Files(format="captions", file=file)], skip_bad=False)
        named = [
            noun_match(self._answerer.answer([record.image], QUESTION, max_tokens=MAX_TOKENS), record.captions)
            for record in records
        ]
        return sum(named) / len(named)

    def _chat(self, question: str) -> tuple[str, str]:
        self._mind.default = self._both[0]
        return question, self._answerer.answer([], question, max_tokens=chat.MAX_TOKENS)

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


def _worse(measure: Measured) -> str | None:
    """Why a measure speaks against the new one."""
    if measure.name == "plain chat":
        if measure.after > measure.before + CHAT_WORSE:
            return f"In plain chat it says other things: the loss went from {measure.before:.2f} to {measure.after:.2f}."
        return None
    if measure.is_loss:
        if measure.after < measure.before:
            return None
        return f"It did not learn what was held out: the loss went from {measure.before:.2f} to {measure.after:.2f}."
    if measure.after >= measure.before - WORSE:
        return None
    return f"It forgot {measure.name}: {measure.before:.0%} right before, {measure.after:.0%} now."


def _llava(file: Path) -> Files:
    return Files(format="llava", file=file)
