"""What people taught as a data set: what is refused, and what is held out."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import bot.retraining.lessons
import training.retrain.lessons
from training.errors import Mistakes, TrainingError
from training.retrain.lessons import EXAMPLES, make


def taught(folder: Path, count: int = 40, *, groups: int = 10, pictures: int = 8, **changes: Any) -> Path:
    """`count` corrections of as many groups."""
    folder.mkdir(parents=True)
    for number in range(pictures):
        Image.new("RGB", (40 + number, 40), (2 * number, 255 - 2 * number, 90)).save(folder / f"{number}.png")
    rows = [
        {
            "id": f"example-{at}",
            "group": f"person-{at % groups}",
            "image": f"{at % pictures}.png",
            "conversations": [
                {"from": "human", "value": f"<image>\nWhose badge is number {at}?"},
                {"from": "gpt", "value": f"Of the club {at % pictures}."},
            ],
        }
        | changes
        for at in range(count)
    ]
    write(folder, rows)
    return folder


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / EXAMPLES).write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def test_a_tenth_at_least_is_held_out_by_person_and_conversation(tmp_path: Path) -> None:
    made = make(taught(tmp_path / "lessons", pictures=40), tmp_path / "data", text_only="base")
    held, kept = rows_of(made.held_out), rows_of(made.train)
    assert (len(held), len(kept)) == (made.held, made.trained)
    assert 4 <= len(held) <= 20

    def people(rows: list[dict[str, Any]]) -> set[int]:
        return {int(row["id"].removeprefix("example-")) % 10 for row in rows}

    assert not people(held) & people(kept)


def test_the_same_lessons_are_the_same_data_set_in_any_order(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    first = make(folder, tmp_path / "one", text_only="base")
    rows = rows_of(folder / EXAMPLES)
    assert make(folder, tmp_path / "two", text_only="base").version == first.version
    write(folder, rows[:-1])
    assert make(folder, tmp_path / "three", text_only="base").version != first.version


def test_of_a_single_conversation_single_examples_are_held_out(tmp_path: Path) -> None:
    made = make(taught(tmp_path / "lessons", groups=1), tmp_path / "data", text_only="base")
    assert (made.trained + made.held, 4 <= made.held <= 20) == (40, True)


def test_doubles_count_once_and_the_newest_answer_counts(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    rows = rows_of(folder / EXAMPLES)
    again = rows[0] | {"id": "later", "conversations": [rows[0]["conversations"][0], {"from": "gpt", "value": "Chess."}]}
    again["conversations"][0]["value"] = "<image>\nwhose BADGE  is number 0?"
    write(folder, [*rows, again])
    made = make(folder, tmp_path / "data", text_only="base")
    assert (made.doubles, made.trained + made.held) == (1, 40)
    answers = [
        row["conversations"][1]["value"] for row in (*rows_of(made.train), *rows_of(made.held_out)) if row["id"] == "later"
    ]
    assert answers == ["Chess."]


def test_what_was_held_out_once_stays_so_when_there_is_more(tmp_path: Path) -> None:
    few = rows_of(make(taught(tmp_path / "few", 60, groups=30, pictures=60), tmp_path / "one", text_only="base").held_out)
    many = make(taught(tmp_path / "many", 120, groups=30, pictures=120), tmp_path / "two", text_only="base")
    assert {row["id"] for row in few} <= {row["id"] for row in rows_of(many.held_out)}


def test_a_picture_is_never_on_both_sides(tmp_path: Path) -> None:
    for groups, pictures in ((10, 8), (1, 8), (40, 40)):
        made = make(
            taught(tmp_path / f"{groups}-{pictures}", groups=groups, pictures=pictures), tmp_path / "data", text_only="base"
        )
        held, kept = ({row["image"] for row in rows_of(file)} for file in (made.held_out, made.train))
        assert made.held >= 4
        assert not held & kept


def test_line_ends_of_other_alphabets_are_words(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    rows = rows_of(folder / EXAMPLES)
    rows[0]["conversations"][1]["value"] = "One\u2028two\x85three."
    (folder / EXAMPLES).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    made = make(folder, tmp_path / "data", text_only="base")
    assert made.trained + made.held == 40


def test_too_few_are_refused_with_how_many_are_missing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="There are 12 examples to learn from, and at least 20 are needed: 8 more"):
        make(taught(tmp_path / "lessons", 12), tmp_path / "data", text_only="base")


def test_what_the_base_answers_cannot_be_learnt_and_is_counted(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons", 30)
    talk = [{"from": "human", "value": "Who are you?"}, {"from": "gpt", "value": "Club."}]
    write(folder, [*rows_of(folder / EXAMPLES), {"id": "text", "conversations": talk}])
    assert make(folder, tmp_path / "base", text_only="base").unlearnable == 1
    assert make(folder, tmp_path / "adapter", text_only="adapter").unlearnable == 0
    write(folder, rows_of(folder / EXAMPLES)[-20:])
    with pytest.raises(TrainingError, match="1 without a picture do not count"):
        make(folder, tmp_path / "few", text_only="base")


def test_every_bad_record_is_named(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    rows = rows_of(folder / EXAMPLES)
    rows[3]["conversations"][1]["value"] = " "
    rows[7]["image"] = "gone.png"
    write(folder, rows)
    with pytest.raises(Mistakes) as refused:
        make(folder, tmp_path / "data", text_only="base")
    assert ["record 4" in mistake or "record 8" in mistake for mistake in refused.value.mistakes] == [True, True]


def test_a_lesson_that_does_not_begin_with_its_pictures_and_a_question_is_named(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    rows = rows_of(folder / EXAMPLES)
    rows[3]["conversations"].insert(0, {"from": "system", "value": "Be brief."})
    rows[5]["conversations"] += [{"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."}]  # which is a good one
    more = [{"from": "human", "value": "<image>\nAnd this?"}, {"from": "gpt", "value": "The same."}]
    rows[7] |= {"image": [rows[7]["image"], "0.png"], "conversations": [*rows[7]["conversations"], *more]}
    write(folder, rows)
    with pytest.raises(Mistakes) as refused:
        make(folder, tmp_path / "data", text_only="base")
    assert [mistake.removeprefix(f"{folder / EXAMPLES}, ") for mistake in refused.value.mistakes] == [
        "record 4: a lesson begins with what a person asks, and this one with a system message: take that out",
        "record 8: a lesson shows its pictures with the first question, and this one shows some in message 3: split it",
    ]


def test_a_line_that_is_no_json_is_named_too(tmp_path: Path) -> None:
    folder = taught(tmp_path / "lessons")
    file = folder / EXAMPLES
    file.write_text(file.read_text() + "\n{broken\n")
    with pytest.raises(Mistakes) as refused:
        make(folder, tmp_path / "data", text_only="base")
    assert ["record 42" in mistake for mistake in refused.value.mistakes] == [True]


def test_the_bot_refuses_as_few_as_the_trainer() -> None:
    """It cannot import what trains."""
    assert bot.retraining.lessons.LEAST == training.retrain.lessons.LEAST
    assert bot.retraining.lessons.EXAMPLES == EXAMPLES


def test_a_folder_without_lessons_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no folder of lessons"):
        make(tmp_path, tmp_path / "data", text_only="base")


# --- The recipe ---


def test_the_split_does_not_hang_on_chance(tmp_path: Path) -> None:
    random.seed(1)
    first = make(taught(tmp_path / "a"), tmp_path / "one", text_only="base")
    random.seed(2)
    ids = [row["id"] for row in rows_of(make(taught(tmp_path / "b"), tmp_path / "two", text_only="base").held_out)]
    assert ids == [row["id"] for row in rows_of(first.held_out)]
