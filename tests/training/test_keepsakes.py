"""What comes along to be replayed and asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.retrain.keepsakes import unpack


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_keepsakes_are_small_whole_and_apart(tmp_path: Path) -> None:
    kept = unpack(tmp_path)
    replay, vqa, captions = (rows_of(file) for file in (kept.replay, kept.vqa, kept.captions))
    assert (len(replay), len(vqa), len(captions)) == (600, 150, 154)
    pictures = [{row["image"] for row in rows} for rows in (replay, vqa, captions)]
    assert not pictures[0] & (pictures[1] | pictures[2])
    assert {"yes", "no", "circle", "red"} < {row["conversations"][1]["value"] for row in vqa}  # not one kind of question only
    assert all((tmp_path / name).is_file() for name in set.union(*pictures))
    assert all(licence in (tmp_path / "LICENCES").read_text() for licence in ("MIT", "public domain", "Apache-2.0"))
