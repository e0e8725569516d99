"""What an evaluation found: results.json for programs, results.md for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from training.evaluate.measures import Measure, Measures
from training.evaluate.questions import Question
from training.runs import disk_explained, write_whole

SHOWN = 20
"""Answers in results.md; answers.jsonl has all of them."""
SCORES = ("CIDEr-D", "BLEU-4")
"""Measures that are no shares of anything."""


@dataclass(frozen=True)
class Column:
    """Answers of one origin, and what they score."""

    name: str
    explained: str
    """Where the answers are from."""
    answers: Sequence[str]
    measures: Measures


@dataclass(frozen=True)
class Results:
    title: str
    about: Mapping[str, str]
    """What was asked of whom."""
    notes: Sequence[str]
    questions: Sequence[Question]
    columns: Sequence[Column]
    """The mind's first."""
    shown: int = SHOWN

    def save(self, folder: Path) -> str:
        """Write both files, each in one step; the text of results.md."""
        text = self._markdown()
        with disk_explained(folder):
            write_whole(folder / "results.json", json.dumps(self._plain(), indent=1, ensure_ascii=False) + "\n")
            write_whole(folder / "results.md", text)
        return text

    def _plain(self) -> dict[str, object]:
        columns = {
            column.name: {
                "explained": column.explained,
                "measures": {name: asdict(measure) for name, measure in column.measures.items()},
            }
            for column in self.columns
        }
        return {
            "title": self.title,
            "about": dict(self.about),
            "notes": list(self.notes),
            "questions": len(self.questions),
            "columns": columns,
        }

    def _markdown(self) -> str:
        facts = [f"- {name}: {value}" for name, value in self.about.items() if value]
        facts += [f"- questions: {len(self.questions):,}", *(f"- {note}" for note in self.notes)]
        head = ["", *(column.name for column in self.columns), "of"]
        first = self.columns[0].measures
        rows = [
            [name, *(_cell(name, column.measures.get(name)) for column in self.columns), f"{measure.count:,}"]
            for name, measure in first.items()
        ]
        origins = [f"- **{column.name}**: {column.explained}" for column in self.columns]
        return "\n".join([f"# {self.title}", "", *facts, "", *table(head, rows), "", *origins, "", *self._answers(), ""])

    def _answers(self) -> list[str]:
        mind = self.columns[0]
        rows = [
            [
                " ".join(picture.name for picture in question.pictures) or "-",
                question.text,
                answer,
                " / ".join(dict.fromkeys(question.answers)),
                *(column.answers[at] for column in self.columns[1:] if column.name == "blind"),
            ]
            for at, (question, answer) in enumerate(zip(self.questions, mind.answers, strict=True))
        ][: self.shown]
        blind = ["blind answer"] if any(column.name == "blind" for column in self.columns) else []
        return table(["picture", "question", "answer", "right", *blind], rows)


def _cell(name: str, measure: Measure | None) -> str:
    if measure is None:
        return "-"
    if name in SCORES:
        return f"{measure.value:.1f}"
    if measure.interval is None:
        return f"{measure.value:.1%}"
    low, high = measure.interval
    return f"{measure.value:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, line by line; empty without rows."""
    if not rows:
        return []
    body = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
