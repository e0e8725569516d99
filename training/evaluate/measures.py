"""Shares with intervals, and POPE's figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.evaluate.questions import Question

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

Measures = dict[str, "Measure"]
Score = Callable[[str, Sequence[str]], float]
"""How right an answer is, 0 to 1, given what counts as right."""


@dataclass(frozen=True)
class Measure:
    """One figure."""

    value: float
    count: int
    """Questions, or pictures, that it is about."""
    interval: tuple[float, float] | None = None
    """95 %; None: no share."""


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (https://doi.org/10.1080/01621459.1927.10502953, as in Newcombe's method 3,
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E).

    For scores between 0 and 1, such as VQA's, it is too wide if anything: none vary more than right and wrong do.
    """
    if not count:
        return 0.0, 1.0
    spread = Z95 * Z95 / count
    centre = share + spread / 2
    half = Z95 * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))


def share(scores: Sequence[float]) -> Measure:
    """The mean of scores between 0 and 1."""
    mean = sum(scores) / len(scores) if scores else 0.0
    return Measure(mean, len(scores), wilson(mean, len(scores)))


def by_kind(questions: Sequence[Question], answers: Sequence[str], score: Score) -> Measures:
    """`all`, and each kind of question where there are several."""
    scores = [score(answer, question.answers) for question, answer in zip(questions, answers, strict=True)]
    kinds: dict[str, list[float]] = {}
    for question, one in zip(questions, scores, strict=True):
        kinds.setdefault(question.kind, []).append(one)
    apart = {kind or "other": share(kinds[kind]) for kind in sorted(kinds)} if len(kinds) > 1 else {}
    return {"all": share(scores), **apart}


def says_yes(answer: str) -> bool:
    """As POPE's evaluate.py reads an answer: no if its first sentence has the word no, No or not, else yes."""
    words = answer.split(".")[0].replace(",", "").split()
    return not {"No", "no", "not"} & set(words)


def pope(questions: Sequence[Question], answers: Sequence[str]) -> Measures:
    """POPE's five figures (https://arxiv.org/abs/2305.10355). Positive is yes: precision falls with every thing made up."""
    pairs = [(says_yes(answer), question.answers[0] == "yes") for question, answer in zip(questions, answers, strict=True)]
    said = [right for yes, right in pairs if yes]
    there = [yes for yes, right in pairs if right]
    precision, recall = share(said), share(there)
    both = precision.value + recall.value
    return {
        "accuracy": share([float(yes == right) for yes, right in pairs]),
        "precision": precision,
        "recall": recall,
        "F1": Measure(2 * precision.value * recall.value / both if both else 0.0, len(pairs)),
        "yes ratio": share([float(yes) for yes, _ in pairs]),
    }
