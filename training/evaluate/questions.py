"""What an evaluation asks, read from the files in which test sets are published. Pictures that are missing are told at once,
unless nobody is to look at them (`pictured`): baselines read questions and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config import Files
from training.data.captions import load_captions
from training.data.conversations import load_conversations
from training.errors import Mistakes, TrainingError

TOLD = 10
"""Bad records that are listed; the rest is counted."""

YES_NO = ("yes", "no")
SHAPES = ("circle", "rectangle", "triangle")


@dataclass(frozen=True, slots=True)
class Question:
    """One question and what counts as right."""

    id: str
    pictures: tuple[Path, ...]
    text: str
    """As the file has it; empty where the task asks the same of every picture."""
    answers: tuple[str, ...]
    """One of an exact answer; each person's of VQA; all captions of a picture; the words that count of a photo."""
    kind: str = ""
    """Questions of a kind are also counted apart."""


def pope(file: Path, images: Path | None, first: int | None, *, pictured: bool = True) -> list[Question]:
    """POPE (https://github.com/AoiDragon/POPE): JSON lines with question_id, image, text, label (yes or no)."""
    folder = images or file.parent

    def make(row: Any) -> list[Question]:
        if row["label"] not in YES_NO:
            raise ValueError
        # The published files of one picture set count from 1 each, so that they can be put together; the id says which.
        return [Question(f"{row['question_id']}:{row['image']}", (folder / row["image"],), row["text"], (row["label"],))]

    return _each(file, _rows(file), make, first, pictured)


def gqa(file: Path, images: Path | None, first: int | None, *, pictured: bool = True) -> list[Question]:
    """GQA (https://cs.stanford.edu/people/dorarad/gqa): {id: {question, imageId, answer, types}}; only balanced questions."""
    folder = images or file.parent
    rows = _json(file)
    if not isinstance(rows, dict):
        raise TrainingError(f"{file} is not one of GQA's question files, such as testdev_balanced_questions.json.")

    def make(item: Any) -> list[Question]:
        number, row = item
        if row.get("isBalanced") is False:
            return []
        kind = row.get("types", {}).get("structural", "")
        return [Question(number, (folder / f"{row['imageId']}.jpg",), row["question"], (row["answer"],), kind)]

    return _each(file, rows.items(), make, first, pictured)


def vqa(file: Path, annotations: Path, images: Path | None, first: int | None, *, pictured: bool = True) -> list[Question]:
    """VQA v2 (https://visualqa.org/vqa_v2_format): a file of questions and one of annotations, ten answers each."""
    folder = images or file.parent
    asked, answered = _json(file), _json(annotations)
    try:
        subset = str(asked.get("data_subtype", ""))
        found = {row["question_id"]: row for row in answered["annotations"]}
        rows = asked["questions"]
    except (KeyError, TypeError, AttributeError):
        raise TrainingError(f"{file} and {annotations} are not VQA's questions and annotations.") from None

    def make(row: Any) -> list[Question]:
        annotation = found.get(row["question_id"])
        if annotation is None:
            raise ValueError(f"{annotations} has no answers to question {row['question_id']}")
        answers = tuple(str(answer["answer"]) for answer in annotation["answers"])
        picture = folder / f"COCO_{subset}_{row['image_id']:012d}.jpg"
        if pictured and not picture.exists():  # the pictures of COCO 2017 are the same ones, with shorter names
            picture = folder / f"{row['image_id']:012d}.jpg"
        return [Question(str(row["question_id"]), (picture,), row["question"], answers, annotation.get("answer_type", ""))]

    return _each(file, rows, make, first, pictured)


def llava(file: Path, images: Path | None, first: int | None, *, pictured: bool = True) -> list[Question]:
    """LLaVA's records, as training reads them: each pair of a question and its answer is a question of its own.

    Kinds are easy-VQA's: yes or no, shape, colour.
    """
    found: list[Question] = []
    # Each record holds a question at least, so `first` records hold enough.
    source = Files(format="llava", file=file, images=images, first=first)
    for record in load_conversations([source], skip_bad=False, pictured=pictured):
        said = [one for one in record.messages if one.role != "system"]
        for at, (asked, answered) in enumerate(zip(said[::2], said[1::2], strict=True)):
            kind = _easy_vqa_kind(answered.text.lower())
            found.append(Question(f"{record.origin.number}-{at}", record.images, asked.text, (answered.text,), kind))
    return found[:first]


def captions(file: Path, images: Path | None, first: int | None, *, pictured: bool = True) -> list[Question]:
    """Captions, as training reads them: COCO's annotations (.json), or .jsonl, .csv, .tsv with `image` and `caption`.

    A picture with several captions is asked about once.
    """
    coco = file.suffix.lower() == ".json"
    # A picture's captions may stand in several rows of a table, anywhere in it.
    source = Files(format="coco" if coco else "captions", file=file, images=images, first=first if coco else None)
    together: dict[Path, list[str]] = {}
    for record in load_captions([source], skip_bad=False, pictured=pictured):
        together.setdefault(record.image, []).extend(record.captions)
    return [Question(str(image), (image,), "", tuple(texts)) for image, texts in together.items()][:first]


def _easy_vqa_kind(answer: str) -> str:
    return "yes or no" if answer in YES_NO else "shape" if answer in SHAPES else "colour"


def _each(
    file: Path, rows: Iterable[Any], make: Callable[[Any], list[Question]], first: int | None, pictured: bool
) -> list[Question]:
    """The questions of the rows, up to `first`. Raises Mistakes: every row that is bad or whose picture is missing."""
    questions: list[Question] = []
    mistakes: list[str] = []
    for number, row in enumerate(rows, 1):
        if first is not None and len(questions) >= first:
            break
        try:
            made = make(row)
        except KeyError as missing:
            mistakes.append(f"record {number}: there is no {missing.args[0]!r}")
            continue
        except (TypeError, AttributeError, ValueError) as error:
            reason = str(error) if isinstance(error, ValueError) else ""
            mistakes.append(f"record {number}: {reason or 'is not of the published form'}")
            continue
        lost = [picture for question in made for picture in question.pictures if pictured and not picture.is_file()]
        mistakes += [f"record {number}: there is no picture {picture}" for picture in dict.fromkeys(lost)]
        questions += made
    if mistakes:
        more = [f"and {len(mistakes) - TOLD:,} more"] if len(mistakes) > TOLD else []
        raise Mistakes(f"{file} cannot be used:", [*mistakes[:TOLD], *more])
    if not questions:
        raise TrainingError(f"{file} holds no questions.")
    return questions[:first]


def _rows(file: Path) -> list[Any]:
    """A JSON list, or JSON lines whatever the file is called (POPE's are called .json)."""
    text = _text(file)
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return list(_lines(file, text))
    return whole if isinstance(whole, list) else [whole]


def _lines(file: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                raise TrainingError(f"{file}, line {number}: is not JSON.") from None


def _json(file: Path) -> Any:
    try:
        return json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise TrainingError(f"{file} is not valid JSON (line {error.lineno}): get it again.") from None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise TrainingError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise TrainingError(f"{file} is not UTF-8 text.") from None
