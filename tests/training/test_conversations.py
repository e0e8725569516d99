"""LLaVA's conversations: marks counted, turns checked, and no value that stops the reader."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.datafiles import LLAVA, coco, lines, llava, picture
from tests.training.test_captions import JSON
from training.data.captions import read_captions
from training.data.conversations import as_conversation, load_conversations, read_conversations
from training.data.records import BadRecord, Captioned, Conversation, Said
from training.errors import TrainingError

ASKED = {"from": "human", "value": "What is it?"}
SEEN = {"from": "human", "value": "<image>\nWhat is it?"}
ANSWERED = {"from": "gpt", "value": "A bear."}


def read_one(folder: Path, record: object) -> Conversation | BadRecord:
    (only,) = read_conversations(llava(folder, [record]))
    return only


def test_conversations_as_published(tmp_path: Path) -> None:
    first, second = read_conversations(llava(tmp_path))
    assert isinstance(first, Conversation)
    assert isinstance(second, Conversation)
    assert first.images == (tmp_path / "train2017" / "000000391895.jpg",)
    assert first.messages == (
        Said("user", "What does the man ride?", 1),
        Said("assistant", "He rides a motorbike."),
        Said("user", "Where?"),
        Said("assistant", "On a dirt road."),
    )
    assert second.messages[0] == Said("user", "Describe the picture.", 1)


def test_lines_and_a_list_say_the_same(tmp_path: Path) -> None:
    files = lines(tmp_path / "l.jsonl", [LLAVA[0], "{", LLAVA[1]], format="llava", images=tmp_path / "train2017")
    first, cut, second = read_conversations(files)
    listed = list(read_conversations(llava(tmp_path)))
    assert [one.messages for one in (first, second) if isinstance(one, Conversation)] == [
        one.messages for one in listed if isinstance(one, Conversation)
    ]
    assert isinstance(cut, BadRecord)
    assert str(cut).startswith(f"{files.file}, record 2: the line is not valid JSON: column 2")
    assert len(list(read_conversations(files.model_copy(update={"first": 2})))) == 2


def test_text_only_several_pictures_and_a_system_message(tmp_path: Path) -> None:
    plain = read_one(tmp_path, {"id": 1, "conversations": [ASKED, ANSWERED]})
    assert isinstance(plain, Conversation)
    assert plain.images == ()
    many = read_one(
        tmp_path,
        {
            "image": ["a.png", "b.png", "c.png"],
            "conversations": [
                {"from": "system", "value": "Be brief."},
                {"from": "human", "value": "<image>\n<image>\nCompare <image> them."},
                ANSWERED,
            ],
        },
    )
    assert isinstance(many, Conversation)
    assert [path.name for path in many.images] == ["a.png", "b.png", "c.png"]
    assert many.messages[:2] == (Said("system", "Be brief."), Said("user", "Compare them.", 3))


def test_a_picture_without_words_is_a_question(tmp_path: Path) -> None:
    record = read_one(tmp_path, {"image": "a.png", "conversations": [{"from": "human", "value": "<image>"}, ANSWERED]})
    assert isinstance(record, Conversation)
    assert record.messages[0] == Said("user", "", 1)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "something is missing or of the wrong type: the record should be an object, and it is a list"),
        ({}, "something is missing or of the wrong type: conversations should be a list, and it is missing or null"),
        ({"conversations": []}, "no answer: there is nothing in conversations"),
        ({"conversations": [ASKED]}, "no answer: the last message is from human"),
        ({"conversations": [{"from": "system", "value": "Be brief."}]}, "no answer: there is only a system message"),
        (
            {"conversations": [ANSWERED]},
            "the speakers do not take turns: message 1 is from gpt, where human was expected",
        ),
        (
            {"conversations": [ASKED, ANSWERED, ANSWERED]},
            "the speakers do not take turns: message 3 is from gpt, where human was expected",
        ),
        (
            {"conversations": [ASKED, {"from": "system", "value": "Be brief."}]},
            "the speakers do not take turns: message 2 is from system, where gpt was expected",
        ),
        ({"conversations": [ASKED, {"from": "gpt", "value": " \n"}]}, "an answer is empty: message 2, from gpt"),
        ({"conversations": [{"from": "human", "value": ""}, ANSWERED]}, "a message is empty: message 1, from human"),
        (
            {"conversations": [ASKED, {"from": "bing", "value": "A bear."}]},
            "an unknown speaker: message 2 is from 'bing', and the speakers are system, human, gpt",
        ),
        (
            {"conversations": [ASKED, {"from": "gpt"}]},
            "something is missing or of the wrong type: message 2 should be a text, and it is missing or null",
        ),
        ({"conversations": [SEEN, ANSWERED]}, "<image> marks and pictures differ in number: 1 marks and 0 pictures"),
        (
            {"image": "a.png", "conversations": [ASKED, ANSWERED]},
            "<image> marks and pictures differ in number: 0 marks and 1 pictures",
        ),
        (
            {"image": "a.png", "conversations": [ASKED, {"from": "gpt", "value": "<image> a bear"}]},
            "a picture is not the user's: message 2 is from gpt and has an <image> mark",
        ),
        (
            {"image": "", "conversations": [SEEN, ANSWERED]},
            "a picture has no name: image is ''",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, record: object, reason: str) -> None:
    found = read_one(tmp_path, record)
    assert isinstance(found, BadRecord)
    assert (found.origin.number, found.reason) == (1, reason)


def test_a_picture_outside_the_folder(tmp_path: Path) -> None:
    found = read_one(tmp_path, {"image": ["a.png", "../../etc/passwd"], "conversations": [SEEN, ANSWERED]})
    assert isinstance(found, BadRecord)
    assert found.reason.startswith("a picture is outside the images folder: image 2 is '../../etc/passwd'")


PLACES = st.sampled_from([(), ("id",), ("image",), ("conversations",), (0,), (3,), (0, "from"), (1, "value"), (2, "value")])


@given(value=JSON | st.text(alphabet="<image>\n ").map(str), place=PLACES)
def test_no_value_in_any_place_stops_the_reader(
    tmp_path_factory: pytest.TempPathFactory, value: Any, place: tuple[Any, ...]
) -> None:
    record: Any = copy.deepcopy(LLAVA[0])
    match place:
        case ():
            record = value
        case (str(key),):
            record[key] = value
        case (number,):
            record["conversations"][number] = value
        case (number, key):
            record["conversations"][number][key] = value
    found = read_one(tmp_path_factory.mktemp("llava"), record)
    assert isinstance(found, Conversation | BadRecord)
    if isinstance(found, Conversation):
        assert sum(message.pictures for message in found.messages) == len(found.images)
        assert found.messages[-1].role == "assistant"
        assert found.messages[-1].text


def test_the_stages_keep_apart(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="conversations come as `llava`"):
        list(read_conversations(coco(tmp_path)))
    with pytest.raises(TrainingError, match="captions come as `coco` or `captions`"):
        list(read_captions(llava(tmp_path)))


def test_a_caption_becomes_an_answer(tmp_path: Path) -> None:
    record = next(iter(read_captions(coco(tmp_path))))
    assert isinstance(record, Captioned)
    made = as_conversation(record, "What is in this photo?", record.captions[1])
    assert made.images == (record.image,)
    assert made.messages == (Said("user", "What is in this photo?", 1), Said("assistant", "A rider on a hill path"))


def test_a_run_reads_every_source_as_often_as_it_should(tmp_path: Path) -> None:
    for record in LLAVA:
        picture(tmp_path / "train2017" / str(record["image"]))
    once = lines(tmp_path / "chat.jsonl", [{"conversations": [ASKED, ANSWERED]}], format="llava")
    loaded = load_conversations([llava(tmp_path, times=3), once], skip_bad=False)
    assert [record.origin.file.name for record in loaded] == ["llava_instruct_150k.json"] * 6 + ["chat.jsonl"]
    (tmp_path / "train2017" / "000000522418.jpg").unlink()
    with pytest.raises(TrainingError, match="record 2: a picture is missing"):
        load_conversations([llava(tmp_path)], skip_bad=False)
