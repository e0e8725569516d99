"""A verdict for people."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from training.retrain.judge import Verdict
from training.retrain.lessons import Lessons


def shown(lessons: Lessons, verdict: Verdict) -> list[str | Table]:
    """Tables and sentences, in order."""
    measures = Table("measured", "before", "now")
    for one in verdict.measures:
        form = "{:.2f} nats a token" if one.is_loss else "{:.0%} right"
        measures.add_row(one.name, form.format(one.before), form.format(one.after))
    answers = Table("held-out question", "wanted", "before", "now")
    for said in verdict.answers:
        answers.add_row(*(escape(words) for words in (said.question, said.wanted, said.before, said.after)))
    counts = f"{lessons.trained} examples learnt, {lessons.held} held out (data set {lessons.version})"
    if lessons.doubles:
        counts += f", {lessons.doubles} doubles left out"
    if lessons.unlearnable:
        counts += f", {lessons.unlearnable} without a picture left to the base model"
    verdict_words = "It is better than the one in use." if verdict.offered else " ".join(["Not offered.", *verdict.reasons])
    return [f"{counts}.", measures, answers, verdict_words]
