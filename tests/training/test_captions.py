"""Captioned pictures: COCO's annotations, JSONL, CSV, TSV, and what is told about bad ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.datafiles import COCO, bad, coco, lines, picture
from training.config import Files
from training.data.captions import load_captions, read_captions
from training.data.records import BadRecord, Captioned
from training.errors import TrainingError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def captions(records: list[Captioned | BadRecord]) -> list[tuple[str, tuple[str, ...]]]:
    return [(record.image.name, record.captions) for record in records if isinstance(record, Captioned)]


def test_coco_captions_as_published_are_grouped_by_picture(tmp_path: Path) -> None:
    files = coco(tmp_path)
    first, second = read_captions(files)
    assert isinstance(first, Captioned)
    assert isinstance(second, Captioned)
    assert first.image == tmp_path / "train2017" / "000000391895.jpg"
    assert first.captions == ("A man on a motorbike on a dirt road.", "A rider on a hill path")
    assert second.captions == ("A woman cuts a cake in a kitchen.",)
    assert str(first.origin) == f"{files.file}, record 1"


def test_only_the_first_pictures_and_their_captions_are_read(tmp_path: Path) -> None:
    whole = copy.deepcopy(COCO)
    whole["annotations"][0]["caption"] = ""  # of the second picture
    assert captions(list(read_captions(coco(tmp_path, whole, first=1)))) == [
        ("000000391895.jpg", ("A man on a motorbike on a dirt road.", "A rider on a hill path"))
    ]


def test_a_bad_annotation_leaves_the_picture_its_other_captions(tmp_path: Path) -> None:
    whole = copy.deepcopy(COCO)
    whole["annotations"][1]["caption"] = " \n"
    whole["annotations"] += [{"image_id": 7, "caption": "A ghost."}, 5]
    whole["images"] += [{"id": 391895, "file_name": "again.jpg"}, {"id": 8, "file_name": "8.jpg"}]
    records = list(read_captions(coco(tmp_path, whole)))
    assert captions(records)[0] == ("000000391895.jpg", ("A rider on a hill path",))
    assert bad(records) == [
        (2, "a caption is empty: among annotations, of image 391895"),
        (4, "an annotation is of no image: among annotations, image_id is 7"),
        (5, "an annotation is of the wrong type: among annotations, and it is a number"),
        (3, "an image is there twice: id 391895"),
        (4, "no caption: no usable annotation is of image 8"),
    ]


@pytest.mark.parametrize("place", ["images", "annotations"])
@given(value=JSON, key=st.sampled_from(["id", "image_id", "file_name", "caption", None]))
def test_no_value_in_an_annotation_file_stops_the_reader(
    tmp_path_factory: pytest.TempPathFactory, place: str, value: Any, key: str | None
) -> None:
    whole = copy.deepcopy(COCO)
    whole[place][0] = value if key is None else {**whole[place][0], key: value}
    for record in read_captions(coco(tmp_path_factory.mktemp("coco"), whole)):
        assert isinstance(record, Captioned | BadRecord)


def test_lines_have_one_caption_or_several(tmp_path: Path) -> None:
    files = lines(
        tmp_path / "c.jsonl",
        [
            {"image": "a.png", "caption": " A bear. "},
            "",
            {"image": "b.png", "captions": ["A fox.", "A red fox."]},
            '{"image": "c.png", "caption": "cut',
            {"image": "d.png"},
            {"image": "e.png", "captions": []},
            {"image": "f.png", "captions": ["A hen.", ""]},
            {"image": "g.png", "caption": "A goat.", "captions": ["A goat."]},
            {"image": "h.png", "caption": "\ud83d"},
            "9" * 5000,
            "[" * 100_000,
        ],
        format="captions",
    )
    records = list(read_captions(files))
    assert captions(records) == [("a.png", ("A bear.",)), ("b.png", ("A fox.", "A red fox."))]
    assert [record.image.parent for record in records if isinstance(record, Captioned)] == [tmp_path, tmp_path]
    reasons = dict(bad(records))
    assert list(reasons) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert reasons[4] == "the line is not valid JSON: column 31: Unterminated string starting at"
    assert reasons[5] == "something is missing or of the wrong type: caption should be a text, and it is missing or null"
    assert reasons[7] == "a caption is empty: caption 2 has no words"
    assert reasons[9] == r"a text is not valid Unicode: caption is '\ud83d'"


def test_a_table_with_quotes_more_columns_and_bad_rows(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    rows = [
        "\ufeffimage, caption ,licence",
        'a.png,"A bear, says ""boo""\non two lines",PD',
        "",
        "b.png,A fox",
        'c.png,"A "hen,PD',
        "d.png,,PD",
        "e.png,A goat,PD",
    ]
    file.write_bytes("\r\n".join(rows).encode() + b"\r\nf.png,na\xefve,PD\r\n")
    records = list(read_captions(Files(format="captions", file=file)))
    assert captions(records) == [("a.png", ('A bear, says "boo"\non two lines',)), ("e.png", ("A goat",))]
    assert [number for number, _ in bad(records)] == [2, 3, 4, 6]
    assert dict(bad(records))[2] == "the row has another number of columns: line 5 has 2, the first row 3"
    assert dict(bad(records))[3].startswith("the row is not valid CSV: line 6: ")
    assert dict(bad(records))[6].startswith("a text is not valid Unicode: caption is ")


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest_unsaid(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text('image,caption\na.png,"A bear\nb.png,A fox\nc.png,A hen\n')
    assert [number for number, _ in bad(list(read_captions(Files(format="captions", file=file))))] == [1]


def test_quotes_in_a_tsv_are_letters(tmp_path: Path) -> None:
    file = tmp_path / "c.TSV"
    file.write_text('caption\timage\n"Hi," says a bear\ta.png\n')
    assert captions(list(read_captions(Files(format="captions", file=file, images=tmp_path)))) == [
        ("a.png", ('"Hi," says a bear',))
    ]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b.png", "..", ".", "", "a\0b", None, 5, ["a.png"]]
)
def test_a_picture_outside_its_folder_is_a_bad_record(tmp_path: Path, name: object) -> None:
    (tmp_path / "in").mkdir()
    files = lines(
        tmp_path / "c.jsonl", [{"image": name, "caption": "A bear."}], format="captions", images=tmp_path / "in"
    )  # fmt: skip
    assert len(bad(list(read_captions(files)))) == 1


def test_a_picture_inside_its_folder_may_be_named_in_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [str(tmp_path / "in" / "a.png"), "x/../a.png", "./a.png", "..a.png"]
    files = lines(
        tmp_path / "c.jsonl", [{"image": name, "caption": "A bear."} for name in names], format="captions", images=Path("in")
    )
    found = [record.image for record in read_captions(files) if isinstance(record, Captioned)]
    assert found == [Path("in/a.png")] * 3 + [Path("in/..a.png")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.json", '{"images": [],\n "annotations": [}', "not valid JSON: line 2, column 18"),
        ("c.json", '{"a": 1}\n{"a": 2}\n', "call it .jsonl"),
        ("c.json", "[]", "lists `images` and `annotations`"),
        ("c.json", "[" * 100_000, "nested too deeply"),
        ("c.csv", "", "`image` and `caption` in its first row, and there is nothing"),
        ("c.csv", "file,text\n", "there is 'file', 'text'"),
        ("c.parquet", "", "should be one of .jsonl, .csv, .tsv"),
        ("nowhere.jsonl", None, "nowhere.jsonl cannot be read: No such file"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_named(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    with pytest.raises(TrainingError, match=name) as error:
        list(read_captions(Files(format="coco" if name == "c.json" else "captions", file=file)))
    assert said in str(error.value)


def test_a_run_refuses_bad_records_and_missing_pictures_or_leaves_them_out(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    rows: list[object] = [{"image": name, "caption": "A bear."} for name in ("a.png", "b.png", "a.png")]
    files = lines(tmp_path / "c.jsonl", [*rows, "{"], format="captions", times=2)
    with pytest.raises(TrainingError) as error:
        load_captions([files], skip_bad=False)
    told = str(error.value)
    assert told.startswith("2 records cannot be trained on")
    assert f"{files.file}, record 2: a picture is missing" in told
    assert f"{files.file}, record 4: the line is not valid JSON" in told
    assert "jnana data validate" in told
    assert "--skip-bad" in told
    assert [record.origin.number for record in load_captions([files], skip_bad=True)] == [1, 3, 1, 3]


def test_a_run_with_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    files = lines(tmp_path / "c.jsonl", [json.dumps({"image": "a.png"})], format="captions")
    with pytest.raises(TrainingError, match="no record to train on"):
        load_captions([files], skip_bad=True)
