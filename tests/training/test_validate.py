"""`jnana data validate`: everything that a run would stumble over is told before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from tests.training.datafiles import coco, lines, llava, picture
from training.cli import app
from training.config import Align, Files, Instruct
from training.data import pictures
from training.data.fingerprint import fingerprint
from training.data.records import Captioned, Conversation
from training.data.report import summary, write
from training.data.validate import validate

COMMON: dict[str, Any] = {
    "steps": 1,
    "batch": {"size": 1, "micro": 1},
    "optimizer": {"lr": 1e-3},
    "checkpoints": {"every": 1},
    "validation": {"every": 1},
}
COLOURS = ("red", "green", "blue", "yellow", "pink")


def align(train: Files, validation: Files) -> Align:
    data = {"train": [train], "validation": [validation]}
    return Align.model_validate(
        COMMON | {"stage": "align", "template": "chat", "model": "pocket", "max_length": 50, "data": data}
    )


def instruct(train: Files, validation: Files) -> Instruct:
    lora = {"rank": 4, "alpha": 8, "targets": ["q_proj"]}
    data = {"train": [train], "validation": [validation]}
    stage = {"stage": "instruct", "template": "chat", "model": "pocket", "max_length": 50, "data": data, "lora": lora}
    return Instruct.model_validate(COMMON | stage)


def captioned(file: Path, names: list[str], caption: str = "A bear.", **settings: Any) -> Files:
    rows = [{"image": name, "caption": caption} for name in names]
    return lines(file, rows, format="captions", **settings)


@pytest.fixture
def good(tmp_path: Path) -> Files:
    picture(tmp_path / "held" / "out.png", "white")
    return captioned(tmp_path / "held.jsonl", ["held/out.png"])


def test_pictures_are_decoded_and_what_is_wrong_with_them_is_told_for_every_record(
    tmp_path: Path, good: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    picture(tmp_path / "good.jpg")
    photo = picture(tmp_path / "cut.jpg", size=(30, 30)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(photo[: len(photo) - 60])
    drawing = picture(tmp_path / "cut.png", size=(30, 30)).read_bytes()
    (tmp_path / "cut.png").write_bytes(drawing[:50])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture")
    picture(tmp_path / "large.png", size=(101, 10))
    (tmp_path / "folder.png").mkdir()
    names = [
        "good.jpg",
        "cut.jpg",
        "cut.png",
        "empty.png",
        "text.png",
        "large.png",
        "folder.png",
        "no.png",
        "good.jpg",
        "no.png",
    ]
    report = validate(align(captioned(tmp_path / "c.jsonl", names), good))
    assert {bad.origin.number: bad.reason.partition(":")[0] for bad in report.bad} == {
        2: "a picture is damaged",
        3: "a picture is damaged",
        4: "a picture is an empty file",
        5: "a picture is of no known format",
        6: "a picture has too many pixels",
        7: "a picture cannot be read",
        8: "a picture is missing",
        10: "a picture is missing",
    }
    assert report.records == len(names) + 1
    assert report.pictures == len(set(names)) + 1
    assert report.counts()[tmp_path / "c.jsonl", "a picture is missing"] == 2
    assert "101 x 10" in report.bad[4].reason


def test_each_picture_is_read_once(tmp_path: Path, good: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")
    opened: list[Path] = []
    decode = pictures._decode
    monkeypatch.setattr(pictures, "_decode", lambda path, stream: (opened.append(path), decode(path, stream))[1])
    report = validate(align(captioned(tmp_path / "c.jsonl", ["a.png"] * 5), good))
    assert report.good
    assert sorted(path.name for path in opened) == ["a.png", "out.png"]


def test_features_instead_of_pictures(tmp_path: Path, good: Files) -> None:
    np.save(tmp_path / "good.npy", np.ones((49, 8), np.float16))
    np.save(tmp_path / "flat.npy", np.ones(8, np.float16))
    np.save(tmp_path / "nan.npy", np.full((49, 8), np.nan, np.float16))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:200])
    names = ["good.npy", "flat.npy", "nan.npy", "objects.npy", "cut.npy"]
    report = validate(align(captioned(tmp_path / "c.jsonl", names), good))
    assert [bad.origin.number for bad in report.bad] == [2, 3, 4, 5]


def test_examples_that_are_too_long_are_counted_and_are_not_wrong(tmp_path: Path, good: Files) -> None:
    picture(tmp_path / "a.png")
    rows: list[object] = [{"image": "a.png", "captions": ["bear " * 9, "bear " * words]} for words in (60, 9, 70)]
    run = align(lines(tmp_path / "c.jsonl", rows, format="captions"), good)
    report = validate(run, words_of)
    assert report.good
    told = f"Left out: 2 examples longer than max_length, the longest 70 tokens at {tmp_path / 'c.jsonl'}, record 3."
    assert summary(report).splitlines()[1:] == [told, "Nothing is wrong."]
    assert "not checked" in summary(validate(run))
    write(report, tmp_path / "report.jsonl")
    rows_told = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [(row["record"], row["reason"]) for row in rows_told] == [
        (1, "an example is longer than max_length: 60 tokens"),
        (3, "an example is longer than max_length: 70 tokens"),
    ]
    instructed = instruct(llava(tmp_path), llava(tmp_path)).model_copy(update={"max_answer": 8})
    picture(tmp_path / "train2017" / "000000391895.jpg")
    picture(tmp_path / "train2017" / "000000522418.jpg")
    report = validate(instructed, lambda record: [(51, 9), (50, 9), (50, 8)])
    assert {limit: (one.count, one.longest) for limit, one in report.left_out.items()} == {
        "max_length": (4, 51),
        "max_answer": (4, 9),
    }


def test_data_of_which_nothing_is_left_is_wrong(tmp_path: Path, good: Files) -> None:
    picture(tmp_path / "a.png")
    run = align(captioned(tmp_path / "c.jsonl", ["a.png"], caption="bear " * 60), good)
    assert [fault.reason for fault in validate(run, words_of).faults] == ["No training example is left: all are too long."]
    longer = run.model_copy(update={"max_length": 99})
    (fault,) = validate(longer, lambda record: [] if record.origin.file == good.file else words_of(record)).faults
    assert fault.reason.startswith("No validation example is left: none has a picture")


def words_of(record: Captioned | Conversation) -> list[tuple[int, int]]:
    assert isinstance(record, Captioned)
    return [(len(caption.split()), 1) for caption in record.captions]


def test_only_what_the_run_reads_is_read(tmp_path: Path, good: Files) -> None:
    picture(tmp_path / "a.png")
    report = validate(align(captioned(tmp_path / "c.jsonl", ["a.png", "no.png"], first=1), good))
    assert report.good


def test_validation_data_that_was_trained_on(tmp_path: Path) -> None:
    for name, colour in zip("abcd", COLOURS, strict=False):
        picture(tmp_path / f"{name}.png", colour)
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    train = lines(
        tmp_path / "t.jsonl",
        [{"image": "a.png", "captions": ["A bear.", "Bear"]}, {"image": "b.png", "caption": "A fox."}],
        format="captions",
    )
    held = lines(
        tmp_path / "v.jsonl",
        [
            {"image": "copy.png", "captions": ["Bear", "Big"]},  # the same bytes and one of the captions
            {"image": "b.png", "caption": "A red fox."},  # the same picture
            {"image": "c.png", "caption": "A bear."},  # another bear
        ],
        format="captions",
    )
    report = validate(align(train, held))
    assert (report.same_records, report.same_pictures) == (1, 1)
    assert report.good
    assert "Warning: 1 validation records are training records too" in summary(report)


def test_conversations_and_a_file_that_is_broken_as_a_whole(tmp_path: Path) -> None:
    train = llava(tmp_path)
    for number in (391895, 522418):
        picture(tmp_path / "train2017" / f"{number:012}.jpg")
    broken = tmp_path / "v.json"
    broken.write_text('[{"id": 1},\n')
    report = validate(instruct(train, Files(format="llava", file=broken)))
    assert not report.bad
    (fault,) = report.faults
    assert fault.path == broken
    assert "line 2, column 1" in fault.reason


def test_a_long_path_is_told_with_the_name_it_ends_with(tmp_path: Path, good: Files) -> None:
    deep = tmp_path / "deeper" / ("and-deeper-" * 12)
    deep.mkdir(parents=True)
    (bad,) = validate(align(captioned(deep / "c.jsonl", ["gone.png"]), good)).bad
    assert bad.reason.endswith("/gone.png'")


def test_the_command(tmp_path: Path, good: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.stages.measure", lambda run: None)  # the preset's tokenizer has a test of its own
    picture(tmp_path / "a.png")
    train = captioned(tmp_path / "c.jsonl", ["a.png"] + ["no.png"] * 30)
    preset = tmp_path / "run.yaml"
    preset.write_text(yaml.safe_dump(align(train, good).model_dump(mode="json")))
    written = tmp_path / "report.jsonl"
    runner = CliRunner()
    done = runner.invoke(app, ["data", "validate", "align", str(preset), "--report", str(written)])
    assert done.exit_code == 1
    assert "Read 32 records and 3 pictures." in done.stdout
    assert "       30  a picture is missing" in done.stdout
    assert done.stdout.count(", record ") == 20
    assert "and 10 more" in done.stdout
    rows = [json.loads(line) for line in written.read_text().splitlines()]
    assert len(rows) == 30
    assert rows[0] == {
        "file": str(train.file),
        "record": 2,
        "reason": f"a picture is missing: '{tmp_path / 'no.png'}'"
    }  # fmt: skip
    picture(tmp_path / "no.png")
    assert runner.invoke(app, ["data", "validate", "align", str(preset)]).exit_code == 0
    assert runner.invoke(app, ["data", "validate", "align", str(preset), "--set", "max_length=x"]).exit_code == 2
    nowhere = runner.invoke(app, ["data", "validate", "align", str(preset), "--report", "no/where.jsonl"])
    assert (nowhere.exit_code, nowhere.stderr) == (1, "There is no folder no to write the report to.\n")


def test_what_is_decoded_here_is_what_training_decodes() -> None:
    from model import inputs

    assert (pictures.MAX_PIXELS, pictures.FORMATS) == (inputs.MAX_IMAGE_PIXELS, inputs.FORMATS)


def test_a_fingerprint_is_of_the_data_and_not_of_its_place(tmp_path: Path) -> None:
    def made(folder: Path, **settings: Any) -> Files:
        for number, colour in zip((391895, 522418), COLOURS, strict=False):
            picture(folder / "train2017" / f"{number:012}.jpg", colour)
        return coco(folder, **settings)

    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    files = made(tmp_path / "here")
    before = fingerprint([files])
    assert fingerprint([made(tmp_path / "there")]) == before
    for changed in ({"first": 1}, {"times": 2}):
        assert fingerprint([files.model_copy(update=changed)]) != before
    assert fingerprint([files, files]) != before
    assert fingerprint([llava(tmp_path / "here")]) != before
    Image.new("RGB", (50, 50)).save(tmp_path / "here" / "train2017" / "000000391895.jpg")
    resized = fingerprint([files])
    (tmp_path / "here" / "train2017" / "000000391895.jpg").unlink()
    assert len({before, resized, fingerprint([files])}) == 3
    content = files.file.read_text()
    made(tmp_path / "here")
    files.file.write_text(content.replace("motorbike", "motorboat"))
    assert fingerprint([files]) != before
