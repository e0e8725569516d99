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
LOSS = "validation loss, nats a token"
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
    rights: Sequence[float] = ()
    """How right each of the mind's answers is, 0 to 1; empty where that is not counted one by one."""
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
        head = ["measure", *(column.name for column in self.columns), "of"]
        first = self.columns[0].measures
        rows = [
            [name, *(_cell(name, column.measures.get(name)) for column in self.columns), f"{measure.count:,}"]
            for name, measure in first.items()
        ]
        origins = [f"- **{column.name}**: {column.explained}" for column in self.columns]
        return "\n".join([f"# {self.title}", "", *facts, "", *table(head, rows), "", *origins, "", *self._answers(), ""])

    def _answers(self) -> list[str]:
        blind = next((column.answers for column in self.columns if column.name == "blind"), ())
        if len(set(blind)) < 2:  # to the same question it is always the same
            blind = ()
        cells: list[dict[str, str]] = []
        for at, question in enumerate(self.questions[: self.shown]):
            cells.append(
                {
                    "picture": " ".join(picture.name for picture in question.pictures),
                    "question": question.text,
                    "answer": self.columns[0].answers[at],
                    "expected": " / ".join(dict.fromkeys(question.answers)),
                    "right": f"{self.rights[at]:.2g}" if self.rights else "",
                    "blind answer": blind[at] if blind else "",
                }
            )
        head = [name for name in cells[0] if any(row[name] for row in cells)]
        return table(head, [[row[name] for name in head] for row in cells])


def _cell(name: str, measure: Measure | None) -> str:
    if measure is None:
        return "-"
    if name == LOSS:
        return f"{measure.value:.2f}"
    if name in SCORES:
        return f"{measure.value:.1f}"
    if measure.interval is None:
        return f"{measure.value:.1%}"
    low, high = measure.interval
    return f"{measure.value:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, line by line; nothing without rows."""
    if not rows:
        return []
    body = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
