"""What can be had without looking: a figure means something beside these only.

The majority answer knows nothing, the question-only answer has read the question, and both know how the labels are spread.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from training.evaluate.questions import Question

ASKED_ONCE = 0.5
"""Share of questions whose text occurs only once from which fitting on the same labels says nothing: it would repeat them."""
SEED = 1


def majority(known: Sequence[Question]) -> str:
    """The most frequent answer."""
    return _most_frequent(known)


def question_only(known: Sequence[Question], asked: Sequence[Question]) -> list[str]:
    """To each question asked, the most frequent answer to the same words; where they are new, the most frequent of all."""
    same: dict[str, list[Question]] = {}
    for question in known:
        same.setdefault(question.text, []).append(question)
    best = {text: _most_frequent(questions) for text, questions in same.items()}
    overall = _most_frequent(known)
    return [best.get(question.text, overall) for question in asked]


def repeats_itself(asked: Sequence[Question]) -> bool:
    """Whether the questions' words occur often enough to fit `question_only` on their own answers."""
    counts = Counter(question.text for question in asked)
    once = sum(count == 1 for count in counts.values())
    return once < ASKED_ONCE * len(asked)


def shuffled(answers: Sequence[str]) -> list[str]:
    """Each answer at the place of another picture's: what an answer scores that has the right style and the wrong picture."""
    order = list(range(len(answers)))
    random.Random(SEED).shuffle(order)  # noqa: S311 - no secret
    mixed = list(answers)
    for place, source in zip(order, order[1:] + order[:1], strict=True):
        mixed[place] = answers[source]
    return mixed


def _most_frequent(questions: Sequence[Question]) -> str:
    counts = Counter(answer for question in questions for answer in question.answers)
    return counts.most_common(1)[0][0]
