"""One evaluation, from the files to the results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from model.files import MANIFEST, sha256
from training.errors import TrainingError
from training.evaluate import baselines, captions, chat
from training.evaluate.answerer import Answerer, Hints
from training.evaluate.asking import ask, grey_picture, loss
from training.evaluate.kept import Kept
from training.evaluate.measures import share
from training.evaluate.questions import Question
from training.evaluate.results import LOSS, SHOWN, Column, Results
from training.evaluate.tasks import TASKS, Name, Task

MIND, BLIND, BASE = "mind", "blind", "base"
MOST_CHOICES = 100
"""Answers that are weighed against each other; a task with more is no closed one."""

Load = Callable[[Path | None], contextlib.AbstractContextManager[Answerer]]
"""Loads the mind, with an adapter or without."""


@dataclass(frozen=True)
class Request:
    """What `jnana evaluate` was told."""

    task: Name | Literal["chat"]
    model: str
    folder: Path
    """For answers and results."""
    adapter: Path | None = None
    hints: Hints = "both"
    file: Path | None = None
    annotations: Path | None = None
    images: Path | None = None
    train: Path | None = None
    """File of the same form whose answers the baselines are fitted on; None: on the test's own."""
    train_annotations: Path | None = None
    first: int | None = None
    blind: bool = True
    prompt: str | None = None
    """None: the task's."""
    precision: str = "auto"
    """MODEL_PRECISION."""
    choose: bool | None = None
    """Take the likeliest of all answers instead of what is written; None: as the task does."""

    @property
    def title(self) -> str:
        return f"{self.task}: {self.model}{f' with {self.adapter.name}' if self.adapter else ''}"


@dataclass(frozen=True)
class Asked:
    """What a task asks."""

    questions: Sequence[Question]
    known: Sequence[Question]
    """Whose answers the baselines are fitted on."""
    choices: Sequence[str]
    """All answers, when the likeliest is taken."""
    prompt: str


def evaluate(request: Request, load: Load) -> str:
    """Ask, count, write; the text of results.md. What was answered before is not asked again. Raises TrainingError."""
    if request.hints == "only":
        request = replace(request, adapter=None)
    if request.task == "chat":
        return _chat(request, load)
    task = TASKS[request.task]
    asked = _read(request, task)
    taken = f"the likeliest of {', '.join(asked.choices)}" if asked.choices else f"written, at most {task.max_tokens} tokens"
    about = {**_about(request), "prompt": " ".join(asked.prompt.split()), "answers": taken}
    columns = _ask(request, task, asked, about, load)
    columns += _baselines(request, task, asked, columns[0].answers)
    shown = len(asked.questions) if request.task == "photos" else SHOWN
    rights = [task.right(answer, one.answers) for answer, one in zip(columns[0].answers, asked.questions, strict=True)]
    return Results(request.title, about, _notes(request, task), asked.questions, columns, rights, shown).save(request.folder)


def _read(request: Request, task: Task) -> Asked:
    if request.file is None and request.task != "photos":
        raise TrainingError(f"{request.task} needs the file with its questions: give --file.")
    if task.annotated:
        _require_annotations(request)
    closed = task.closed if request.choose is None else request.choose
    file = request.file or Path()
    # The choices are those of the whole file, so that the first questions are answered as they would be among all.
    whole = task.read(file, request.annotations, request.images, None if closed else request.first, True)
    known = task.read(request.train, request.train_annotations, request.images, None, False) if request.train else whole
    if clashing := len(whole) - len({question.id for question in whole}):
        raise TrainingError(f"{file} has {clashing:,} questions with the id of another one.")
    choices = sorted({answer for question in [*whole, *known] for answer in question.answers}) if closed else []
    if len(choices) > MOST_CHOICES:
        raise TrainingError(f"{file} has {len(choices):,} different answers, too many to weigh each: give --write.")
    return Asked(whole[: request.first], known, choices, task.prompt if request.prompt is None else request.prompt)


def _require_annotations(request: Request) -> None:
    given = (
        ("--annotations", request.file, request.annotations),
        ("--train-annotations", request.train, request.train_annotations),
    )
    for option, file, answers in given:
        if file and answers is None:
            raise TrainingError(f"The answers to {file} are in a file of their own: give {option}, too.")


def _about(request: Request) -> dict[str, str]:
    """What kept answers must agree in to be used again."""
    return {
        "task": request.task,
        "model": request.model,
        "adapter": _content(request.adapter) if request.adapter else "",
        "hints": request.hints,
        "precision": request.precision,
        "file": f"{request.file}, sha256 {sha256(request.file)[:16]}" if request.file else "",
    }


def _content(path: Path) -> str:
    """A name for what an adapter holds: one that was trained on gives other answers."""
    return f"{path.name}, sha256 {sha256(path / MANIFEST)[:16]}"


def _ask(request: Request, task: Task, asked: Asked, about: dict[str, str], load: Load) -> list[Column]:
    def words(question: Question) -> str:
        return question.text + asked.prompt

    with Kept(request.folder, about) as kept, load(request.adapter) as answerer:

        def column(name: str, explained: str, blindfold: Sequence[Path] | None) -> Column:
            answers = ask(
                answerer,
                asked.questions,
                kept,
                who=name,
                text=words,
                max_tokens=task.max_tokens,
                choices=asked.choices,
                blindfold=blindfold,
            )
            always = f"; it says “{answers[0]}”" if blindfold is not None and len(set(answers)) == 1 else ""
            figures = task.measure(asked.questions, answers)
            if task.loss:
                figures[LOSS] = loss(answerer, asked.questions, kept, who=name, text=words, blindfold=blindfold)
            return Column(name, explained + always, answers, figures)

        columns = [column(MIND, "shown the picture", None)]
        if request.blind and answerer.grey_when_blind:
            why = "the same mind, shown a grey picture: without any, the base would answer, with the adapter off"
            columns.append(column(BLIND, why, [grey_picture(request.folder)]))
        elif request.blind:
            columns.append(column(BLIND, "the same mind, asked without the picture", []))
    return columns


def _baselines(request: Request, task: Task, asked: Asked, answers: Sequence[str]) -> list[Column]:
    labels = f"answers of {request.train}" if request.train else "test's own answers, so a bit better than it could know"
    frequent = baselines.majority(asked.known)
    found = {"majority": (f"always “{frequent}”, the most frequent of the {labels}", [frequent] * len(asked.questions))}
    if task.shuffle and len(asked.questions) > 1:
        why = "the mind's answers, each counted for another picture"
        found = {"shuffled": (why, baselines.shuffled(answers)), **found}
    elif not task.shuffle and (request.train or baselines.repeats_itself(asked.known)):
        why = f"to each question the most frequent answer to the same words in the {labels}"
        found = {"question only": (why, baselines.question_only(asked.known, asked.questions)), **found}
    return [Column(name, why, given, task.measure(asked.questions, given)) for name, (why, given) in found.items()]


def _notes(request: Request, task: Task) -> list[str]:
    notes = [f"counted: {task.counted}", "in brackets: Wilson's 95 % interval"]
    if task.loss:
        notes.append(f"{LOSS}: of the right answer (of several, the most frequent), lower is better")
    if request.task == "captions":
        if missing := captions.missing_packages():
            notes.append(
                f"CIDEr-D and BLEU-4 are left out: install {' and '.join(missing)} and run this again, nothing is asked twice"
            )
        else:
            notes.append(f"tokens for CIDEr-D and BLEU-4: {captions.tokeniser()}; words weighed by these captions alone")
    elif not task.shuffle and not request.train:
        notes.append("give --train FILE to fit the baselines on training answers")
    return notes


def _chat(request: Request, load: Load) -> str:
    """Plain questions to the mind with its adapter and to its base: how many answers are the same, letter by letter."""
    questions = [Question(str(at), (), text, ()) for at, text in enumerate(chat.QUESTIONS, 1)][: request.first]
    about = {**_about(request), "answers": f"written, at most {chat.MAX_TOKENS} tokens"}
    given: dict[str, list[str]] = {}
    with Kept(request.folder, about) as kept:
        for who, adapter in [(MIND, request.adapter), *([(BASE, None)] if request.adapter else [])]:
            with load(adapter) as answerer:
                given[who] = ask(answerer, questions, kept, who=who, text=lambda one: one.text, max_tokens=chat.MAX_TOKENS)
    if request.adapter is None:
        return Results(request.title, about, [], questions, [Column(MIND, "without an adapter", given[MIND], {})]).save(
            request.folder
        )
    same = share([float(mind == base) for mind, base in zip(given[MIND], given[BASE], strict=True)])
    asked = [Question(one.id, (), one.text, (base,)) for one, base in zip(questions, given[BASE], strict=True)]
    column = Column(
        MIND, "with the adapter; expected is what the base says without it", given[MIND], {"the same as before": same}
    )
    return Results(request.title, about, [], asked, [column]).save(request.folder)
