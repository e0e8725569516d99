"""The tasks: what is asked, how answers are taken, and what is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from training.evaluate import captions, measures, questions
from training.evaluate.measures import Measures, Score, by_kind
from training.evaluate.normalise import exact, vqa_accuracy
from training.evaluate.nouns import names
from training.evaluate.photos import photos
from training.evaluate.questions import Question

Name = Literal["captions", "vqa", "pope", "gqa", "easy-vqa", "photos"]

SHORT = "\nAnswer the question using a single word or phrase."
"""Behind a question: LLaVA-1.5's words for VQA, GQA and POPE (https://arxiv.org/abs/2310.03744, table 7)."""
ONE_WORD, ONE_SENTENCE = 16, 64
"""Most tokens of an answer."""


@dataclass(frozen=True)
class Task:
    """How one kind of test set is used."""

    read: Callable[[Path, Path | None, Path | None, int | None, bool], list[Question]]
    """Questions of (file, annotations, images, how many at most, whether their pictures must be there)."""
    right: Score
    counted: str
    """What `right` counts, for the results."""
    max_tokens: int
    prompt: str = ""
    """What is asked of every picture, or stands behind every question of the file."""
    closed: bool = False
    """The likeliest of all answers of the file is taken, instead of what the mind writes."""
    annotated: bool = False
    """Its answers are in a file of their own."""
    shuffle: bool = False
    """Every question is the same: answers given to another picture are a baseline, and there is no question-only answer."""
    loss: bool = True
    """Whether its right answers are such as the mind could give, so that their loss says something."""
    special: Callable[[Sequence[Question], Sequence[str]], Measures] | None = None
    """Figures of its own, instead of the share that is right."""

    def measure(self, questions: Sequence[Question], answers: Sequence[str]) -> Measures:
        """The task's figures."""
        return self.special(questions, answers) if self.special else by_kind(questions, answers, self.right)


class _Read(Protocol):
    def __call__(self, file: Path, images: Path | None, first: int | None, *, pictured: bool) -> list[Question]: ...


def _file_only(read: _Read) -> Callable[[Path, Path | None, Path | None, int | None, bool], list[Question]]:
    return lambda file, annotations, images, first, pictured: read(file, images, first, pictured=pictured)


def _vqa(file: Path, annotations: Path | None, images: Path | None, first: int | None, pictured: bool) -> list[Question]:
    assert annotations is not None  # noqa: S101 - training/evaluate/run.py asks for them
    return questions.vqa(file, annotations, images, first, pictured=pictured)


TASKS: dict[Name, Task] = {
    "captions": Task(
        read=_file_only(questions.captions),
        right=captions.noun_match,
        special=captions.measures,
        counted="noun match: answers with the head noun (by rule) of a caption, singular or plural",
        max_tokens=ONE_SENTENCE,
        prompt="What is in this photo?",
        shuffle=True,
    ),
    "vqa": Task(
        read=_vqa,
        annotated=True,
        right=vqa_accuracy,
        counted="VQA accuracy: min(people who say so / 3, 1), as https://visualqa.org/evaluation",
        max_tokens=ONE_WORD,
        prompt=SHORT,
    ),
    "pope": Task(
        read=_file_only(questions.pope),
        right=lambda answer, label: float(measures.says_yes(answer) == (label[0] == "yes")),
        special=measures.pope,
        counted="yes unless the first sentence has `no` or `not`, as in POPE's evaluate.py",
        max_tokens=ONE_WORD,
        prompt=SHORT,
    ),
    "gqa": Task(
        read=_file_only(questions.gqa),
        right=exact,
        counted="exact answers, after VQA's normalisation of both sides",
        max_tokens=ONE_WORD,
        prompt=SHORT,
    ),
    "easy-vqa": Task(
        read=_file_only(questions.llava),
        right=exact,
        counted="exact answers",
        max_tokens=ONE_WORD,
        closed=True,
    ),
    "photos": Task(
        read=lambda file, annotations, images, first, pictured: photos(first),
        right=lambda answer, words: float(names(answer, words)),
        counted="answers with one of the photo's words, singular or plural",
        loss=False,
        max_tokens=ONE_SENTENCE,
        prompt="What is in this photo?",
        shuffle=True,
    ),
}
