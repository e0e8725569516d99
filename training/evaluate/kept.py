"""Answers given so far, on disk: an evaluation that was killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from training.errors import TrainingError
from training.runs import cut_tail, disk_explained

FILE = "answers.jsonl"


class Kept:
    """FOLDER/answers.jsonl: the first line says what was asked of whom, every other one is an answer. One process at a time.

    Answers of one evaluation are never taken for another's: raises TrainingError when the folder's differ in `about`.
    """

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self._answers: dict[tuple[str, str], str] = {}
        path = folder / FILE
        with disk_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            path.touch()
            cut_tail(path)
            # People's words may hold other characters that count as line ends elsewhere (U+2028).
            lines = [line for line in path.read_text("utf-8").split("\n") if line]
            self._stream = path.open("a", encoding="utf-8")
        self._folder = folder
        try:
            if lines:
                self._take(path, lines, about)
            else:
                self._write({"about": dict(about)})
        except BaseException:
            self._stream.close()
            raise

    def _take(self, path: Path, lines: list[str], about: Mapping[str, str]) -> None:
        try:
            head, *rest = (json.loads(line) for line in lines)
            before = head["about"]
            self._answers = {(line["who"], line["id"]): line["answer"] for line in rest}
        except (ValueError, KeyError, TypeError):
            raise TrainingError(f"{path} is damaged: delete it, or give another --to.") from None
        if differing := [key for key in {**before, **about} if before.get(key) != about.get(key)]:
            raise TrainingError(
                f"{path} holds answers of another evaluation ({', '.join(differing)} differ): delete it, or give another --to."
            )

    def get(self, who: str, number: str) -> str | None:
        """The answer of `who` (the mind, or blind) to a question, if it was given."""
        return self._answers.get((who, number))

    def add(self, who: str, number: str, answer: str) -> None:
        """Keep an answer; it is in the file when this returns."""
        self._answers[who, number] = answer
        self._write({"who": who, "id": number, "answer": answer})

    def _write(self, line: Mapping[str, object]) -> None:
        with disk_explained(self._folder):
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stream.close()
