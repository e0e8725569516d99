"""Validation on records that are not trained on, out of one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.training import minds
from tests.training.datafiles import COCO, LLAVA, coco, lines, llava
from training.base import Base
from training.config import PRESETS, STAGES, Align, Files, Instruct, load
from training.data.captions import read_captions
from training.data.conversations import read_conversations
from training.data.features import FeatureCache
from training.data.fingerprint import fingerprint
from training.data.records import BadRecord
from training.ranks import new_accelerator
from training.stages import prepare
from training.volume import volume

MIND_PRESETS = [
    load(STAGES[stage], file) for stage in ("align", "instruct") for file in sorted(PRESETS.glob(f"{stage}-*.yaml"))
]


def many_coco(folder: Path, **settings: Any) -> Files:
    images = [{**COCO["images"][0], "id": number} for number in range(1, 6)]
    return coco(
        folder, {"images": images, "annotations": [{"image_id": one["id"], "caption": "A."} for one in images]}, **settings
    )


def many_captions(folder: Path, **settings: Any) -> Files:
    rows: list[object] = [{"image": "a.png", "caption": "A."}] * 5
    return lines(folder / "c.jsonl", rows, format="captions", **settings)


def many_conversations(folder: Path, **settings: Any) -> Files:
    return llava(folder, [LLAVA[0]] * 5, **settings)


Read = Callable[[Files], Iterator[Any]]
SOURCES: list[tuple[Callable[..., Files], Read]] = [
    (many_coco, read_captions),
    (many_captions, read_captions),
    (many_conversations, read_conversations),
]


@pytest.mark.parametrize(("make", "read"), SOURCES)
def test_what_the_one_takes_first_the_other_skips(make: Callable[..., Files], read: Read, tmp_path: Path) -> None:
    def numbers(**settings: int) -> list[int]:
        records = list(read(make(tmp_path, **settings)))
        assert not [record for record in records if isinstance(record, BadRecord)]
        return [record.origin.number for record in records]

    assert numbers(first=2) == [1, 2]
    assert numbers(skip=2) == [3, 4, 5]
    assert numbers(skip=1, first=3) == [2, 3, 4]
    assert numbers(skip=9) == []


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({}, {}, True),
        ({"skip": 2}, {"first": 2}, False),
        ({"skip": 1}, {"first": 2}, True),
        ({"first": 2}, {"skip": 2, "first": 2}, False),
        ({"first": 3}, {"skip": 2, "first": 2}, True),
        ({"skip": 9}, {"skip": 3}, True),
    ],
)
def test_ranges_that_share_records(one: dict[str, int], other: dict[str, int], shared: bool, tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    files = Files(format="llava", file=tmp_path / "a.json", **one)
    for name in ("a.json", "link.json"):
        same = Files(format="llava", file=tmp_path / name, **other)
        assert files.shares(same) == same.shares(files) == shared
    assert not files.shares(Files(format="llava", file=tmp_path / "b.json", **other))


@pytest.mark.parametrize("run", MIND_PRESETS, ids=[f"{run.stage}-{at}" for at, run in enumerate(MIND_PRESETS)])
def test_no_preset_is_validated_on_what_it_learns(run: Align | Instruct) -> None:
    assert not [held for held in run.data.validation for files in run.data.train if files.shares(held)]


def test_a_plan_counts_what_is_left() -> None:
    run = load(Instruct, PRESETS / "instruct-best.yaml")
    assert volume(run).examples == pytest.approx(157_712 - 500, abs=run.batch.size)


@pytest.mark.parametrize(("settings", "warned"), [({}, 1), ({"skip": 2}, 0)])
def test_a_run_that_is_validated_on_its_training_data_says_so_once(
    settings: dict[str, int], warned: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.stages.load_base", lambda *run: minds.base())
    monkeypatch.setattr(Base, "cache", lambda base, folder: FeatureCache(tmp_path / "cache", 49, 24))
    train = minds.source("align", tmp_path / "all.jsonl", minds.pictures(tmp_path), **settings)
    held = train.model_copy(update={"skip": 0, "first": 2})
    run = minds.align(data={"train": [train, train], "validation": [held]})
    with capture_logs() as logs:
        task, files = prepare(run, new_accelerator(run), skip_bad=False)
    assert len([log for log in logs if log["event"].startswith("validation records are training records too")]) == warned
    assert [file.records for file in files][-1] == len(task.validation.lengths) == 2


def test_a_run_does_not_go_on_with_other_records(tmp_path: Path) -> None:
    whole = many_captions(tmp_path)
    assert len({fingerprint([many_captions(tmp_path, **settings)]) for settings in ({}, {"skip": 1}, {"first": 1})}) == 3
    assert fingerprint([whole]) == fingerprint([many_captions(tmp_path, skip=0)])
