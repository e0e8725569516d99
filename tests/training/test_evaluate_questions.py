"""Test sets in the forms in which they are published, and what is said about broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.errors import Mistakes, TrainingError
from training.evaluate import questions
from training.evaluate.photos import WORDS, photos


def written(path: Path, *rows: Any) -> Path:
    """One JSON value, or several as lines."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"a picture")
    return folder


def test_pope(tmp_path: Path) -> None:
    images = pictures(tmp_path / "val2014", "COCO_val2014_000000016631.jpg")
    row = {
        "question_id": 1,
        "image": "COCO_val2014_000000016631.jpg",
        "text": "Is there a person in the image?",
        "label": "yes",
    }
    file = written(tmp_path / "coco_pope_random.json", row, {**row, "question_id": 2, "text": "Is there a bed?", "label": "no"})
    one, two = questions.pope(file, images, None)
    assert (one.text, one.answers, one.pictures) == (row["text"], ("yes",), (images / str(row["image"]),))
    assert two.answers == ("no",)
    assert questions.pope(file, images, 1) == [one]
    file.write_text("\r\n".join(json.dumps({**row, "text": "A\u2028bed?"}, ensure_ascii=False) for _ in range(2)))
    assert [question.text for question in questions.pope(file, images, None)] == ["A\u2028bed?"] * 2


def test_gqa(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", "n161313.jpg")
    row = {
        "question": "Is it overcast?",
        "imageId": "n161313",
        "answer": "no",
        "fullAnswer": "No, it is clear.",
        "isBalanced": True,
        "types": {"detailed": "weatherVerify", "semantic": "global", "structural": "verify"},
    }
    file = written(tmp_path / "q.json", {"201307251": row, "201307252": {**row, "isBalanced": False, "imageId": "not there"}})
    (one,) = questions.gqa(file, images, None)
    assert (one.id, one.text, one.answers, one.kind) == ("201307251", "Is it overcast?", ("no",), "verify")
    assert one.pictures == (images / "n161313.jpg",)


def test_vqa(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", "COCO_val2014_000000262148.jpg", "000000000042.jpg")
    asked = [
        {"image_id": 262148, "question": "Where is he looking?", "question_id": 262148000},
        {"image_id": 42, "question": "How many?", "question_id": 42001},
    ]
    answers = [
        {"answer": answer, "answer_confidence": "yes", "answer_id": at} for at, answer in enumerate(["down"] * 9 + ["up"], 1)
    ]
    notes = [{"question_id": row["question_id"], "answer_type": "other", "answers": answers} for row in asked]
    file = written(tmp_path / "questions.json", {"data_subtype": "val2014", "questions": asked})
    annotations = written(tmp_path / "annotations.json", {"annotations": notes})
    one, two = questions.vqa(file, annotations, images, None)
    assert (one.id, one.kind, one.answers) == ("262148000", "other", ("down",) * 9 + ("up",))
    assert one.pictures == (images / "COCO_val2014_000000262148.jpg",)
    assert two.pictures == (images / "000000000042.jpg",)  # COCO 2017's name
    unseen = questions.vqa(file, annotations, None, None, pictured=False)
    assert [(question.text, question.answers) for question in unseen] == [(one.text, one.answers), (two.text, two.answers)]
    with pytest.raises(Mistakes, match="has no answers to question 42001"):
        questions.vqa(file, written(tmp_path / "less.json", {"annotations": notes[:1]}), images, None)
    with pytest.raises(TrainingError, match="are not VQA's questions and annotations"):
        questions.vqa(annotations, file, images, None)


def test_llava_turns_are_questions_of_their_own(tmp_path: Path) -> None:
    pictures(tmp_path, "0.png")
    talk = [
        {"from": "human", "value": "<image>\nwhat is the red shape?"},
        {"from": "gpt", "value": "triangle"},
        {"from": "human", "value": "is it blue?"},
        {"from": "gpt", "value": "no"},
    ]
    file = written(tmp_path / "easy.json", [{"id": "a", "image": "0.png", "conversations": talk}] * 2)
    found = questions.llava(file, None, 3)
    assert [(one.id, one.text, one.answers[0], one.kind) for one in found] == [
        ("1-0", "what is the red shape?", "triangle", "shape"),
        ("1-1", "is it blue?", "no", "yes or no"),
        ("2-0", "what is the red shape?", "triangle", "shape"),
    ]
    assert {one.pictures for one in found} == {(tmp_path / "0.png",)}


def test_captions_of_a_picture_belong_together(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", "a.jpg", "b.jpg")
    rows = [
        {"image": "a.jpg", "caption": "A cat."},
        {"image": "b.jpg", "caption": "A dog."},
        {"image": "a.jpg", "caption": "Cat"},
    ]
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"image_id": 1 + (row["image"] == "b.jpg"), "caption": row["caption"]} for row in rows],
    }
    for file in (written(tmp_path / "lines.jsonl", *rows), written(tmp_path / "coco.json", coco)):
        assert [(one.pictures, one.answers) for one in questions.captions(file, images, None)] == [
            ((images / "a.jpg",), ("A cat.", "Cat")),
            ((images / "b.jpg",), ("A dog.",)),
        ]
        assert [one.answers for one in questions.captions(file, images, 1)] == [("A cat.", "Cat")]


def test_every_bad_record_is_told_at_once(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    good = {"question_id": 1, "image": "a.jpg", "text": "?", "label": "yes"}
    rows = [
        good,
        {**good, "label": "maybe"},
        {"question_id": 3, "image": "a.jpg", "label": "no"},
        {**good, "image": "b.jpg"},
        7,
    ]
    with pytest.raises(Mistakes) as raised:
        questions.pope(written(tmp_path / "p.json", *rows), None, None)
    assert raised.value.mistakes == (
        "record 2: is not of the published form",
        "record 3: there is no 'text'",
        f"record 4: there is no picture {tmp_path / 'b.jpg'}",
        "record 5: is not of the published form",
    )
    with pytest.raises(Mistakes, match="and 40 more"):
        questions.pope(written(tmp_path / "q.json", *[{**good, "image": "b.jpg"}] * 50), None, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n{"b": ', "line 2: is not JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[]", "holds no questions"),
        (None, "cannot be read: No such file"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "file.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TrainingError, match=said):
        questions.pope(file, None, None)


def test_photos_that_are_here_have_their_words() -> None:
    found = photos()
    assert "chelsea.png" in {one.id for one in found}
    assert all(one.pictures[0].is_file() and one.answers for one in found)
    assert len({name for _, name in WORDS}) == len(WORDS)
