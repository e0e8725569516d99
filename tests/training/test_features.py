"""The feature cache: the same as looking again, once a picture, and whole after a kill."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.vision import Preprocessing
from tests.model.tiny import clip_config, llama_config, model
from tests.training.full_disk import files_of_at_most
from training.data import features
from training.data.features import FeatureCache
from training.errors import TrainingError


class Tower:
    """A real tiny tower that counts what it looks at."""

    def __init__(self) -> None:
        self.mind = model(llama_config(), clip_config()).model
        self.preprocess = Preprocessing.for_tower(clip_config())
        self.seen = 0

    @torch.no_grad()
    def look(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        self.seen += len(pictures)
        return self.mind.vision_features(self.preprocess(pictures))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for number, colour in enumerate(("red", "green", "blue")):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (40, 30), colour).save(paths[-1])
    return paths


def cache(folder: Path) -> FeatureCache:
    return FeatureCache(folder, 49, clip_config().hidden_size)


def filled(kept: FeatureCache, pictures: Sequence[Path], tower: Tower) -> dict[Path, int]:
    """Rows of pictures, none of which is damaged."""
    assert kept.fill(pictures, tower.look) == {}
    return {path: kept.row(path) for path in pictures}


def test_a_full_disk_is_a_sentence_and_what_was_looked_at_stays(tmp_path: Path, pictures: list[Path]) -> None:
    tower, kept = Tower(), cache(tmp_path / "cache")
    filled(kept, pictures[:1], tower)
    with files_of_at_most(3000), pytest.raises(TrainingError, match=r"cache cannot be written: File too large\.$"):
        cache(tmp_path / "cache").fill(pictures, tower.look)  # of 2,352 bytes each
    tower.seen = 0
    filled(cache(tmp_path / "cache"), pictures, tower)
    assert tower.seen == 2


def test_cached_features_are_the_fresh_ones(tmp_path: Path, pictures: list[Path]) -> None:
    tower = Tower()
    kept = cache(tmp_path / "cache")
    rows = filled(kept, pictures, tower)
    fresh = tower.look([Image.open(path) for path in pictures])
    assert torch.equal(kept.read([rows[path] for path in pictures]), fresh.half().float())


def test_a_picture_is_looked_at_once_whatever_it_is_called(tmp_path: Path, pictures: list[Path]) -> None:
    tower = Tower()
    copy = tmp_path / "copy.png"
    copy.write_bytes(pictures[0].read_bytes())
    first = filled(cache(tmp_path / "cache"), [*pictures, copy, pictures[0]], tower)
    assert tower.seen == 3
    assert first[copy] == first[pictures[0]]
    again = filled(cache(tmp_path / "cache"), [*pictures, copy], tower)
    assert tower.seen == 3
    assert again == first


def test_a_changed_picture_is_looked_at_again(tmp_path: Path, pictures: list[Path]) -> None:
    tower = Tower()
    kept = cache(tmp_path / "cache")
    before = filled(kept, pictures, tower)[pictures[0]]
    Image.new("RGB", (60, 60), "yellow").save(pictures[0])
    after = filled(kept, pictures, tower)[pictures[0]]
    assert after != before
    assert not torch.equal(kept.read([before]), kept.read([after]))


def test_a_kill_in_the_middle_costs_what_was_not_written_down(tmp_path: Path, pictures: list[Path]) -> None:
    tower, folder = Tower(), tmp_path / "cache"
    rows = filled(cache(folder), pictures[:2], tower)
    expected = cache(folder)
    expected.fill(pictures[:2], tower.look)
    before = expected.read([rows[path] for path in pictures[:2]])
    with (folder / "features.bin").open("ab") as features:
        features.write(b"half a row")
    with (folder / "index.jsonl").open("a") as index:
        index.write('{"path": "x", "si')
    kept = cache(folder)
    rows = filled(kept, pictures, tower)
    assert tower.seen == 3
    assert torch.equal(kept.read([rows[path] for path in pictures[:2]]), before)


def test_a_file_that_is_gone_or_cut_short_is_made_again(tmp_path: Path, pictures: list[Path]) -> None:
    """Growing it would train on zeros."""
    tower, folder = Tower(), tmp_path / "cache"
    rows = filled(cache(folder), pictures, tower)
    whole = (folder / "features.bin").read_bytes()
    (folder / "features.bin").write_bytes(whole[: len(whole) // 2])
    kept = cache(folder)
    assert filled(kept, pictures, tower) == rows
    assert tower.seen == 6
    assert (folder / "features.bin").read_bytes() == whole


def test_ready_made_features_are_taken_as_they_are(tmp_path: Path) -> None:
    made = np.random.default_rng(0).standard_normal((49, clip_config().hidden_size)).astype(np.float16)
    np.save(tmp_path / "cat.npy", made)
    tower = Tower()
    kept = cache(tmp_path / "cache")
    rows = filled(kept, [tmp_path / "cat.npy"], tower)
    assert tower.seen == 0
    assert np.array_equal(kept.read([rows[tmp_path / "cat.npy"]])[0].numpy(), made.astype(np.float32))


def test_what_cannot_be_looked_at_is_told_and_the_rest_is_there(tmp_path: Path, pictures: list[Path]) -> None:
    width = clip_config().hidden_size
    for name in ("broken.jpg", "broken.npy"):
        (tmp_path / name).write_bytes(b"no picture")
    (tmp_path / "cut.png").write_bytes(pictures[0].read_bytes()[:60])
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04 and no more")
    np.save(tmp_path / "wrong.npy", np.ones((3, width), np.float16))
    np.save(tmp_path / "infinite.npy", np.full((49, width), np.inf, np.float16))
    told = {
        "broken.jpg": r"a picture cannot be decoded: '.*/broken.jpg': The picture is of no known format",
        "broken.npy": "features are damaged: ",
        "cut.png": r"a picture cannot be decoded: '.*/cut.png': The picture is damaged",
        "gone.png": "a picture is missing: ",
        "infinite.npy": "features are damaged: .* not finite",
        "wrong.npy": rf"features are another tower's: .*/wrong.npy' has \(3, {width}\), this one makes \(49, {width}\)",
        "zip.npy": "features are damaged: ",
    }
    tower, kept = Tower(), cache(tmp_path / "cache")
    unfit = kept.fill([tmp_path / "broken.jpg", *pictures, *(tmp_path / name for name in told)], tower.look)
    assert {path.name for path in unfit} == set(told)
    for path, reason in unfit.items():
        assert re.match(told[path.name], reason)
    assert tower.seen == 3
    fresh = tower.look([Image.open(path) for path in pictures])
    assert torch.equal(kept.read([kept.row(path) for path in pictures]), fresh.half().float())
    # A picture that was repaired is looked at then.
    (tmp_path / "cut.png").write_bytes(pictures[0].read_bytes())
    assert kept.fill([tmp_path / "cut.png"], tower.look) == {}


def test_all_threads_decode_ahead_and_pictures_keep_their_order(
    tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(4)
    begun = itertools.count()
    load = features._load

    def counted(path: Path, shape: tuple[int, int]) -> object:
        if next(begun) < 4:
            together.wait(60)
        return load(path, shape)

    monkeypatch.setattr(features, "_load", counted)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    paths = []
    for number in range(70):
        paths.append(tmp_path / f"many-{number}.png")
        Image.new("RGB", (8, 8), (number, 0, 0)).save(paths[-1])
    told: list[tuple[int, int]] = []
    kept = cache(tmp_path / "cache")
    assert kept.fill([*paths, *pictures], Tower().look, lambda *step: told.append(step)) == {}
    assert [kept.row(path) for path in [*paths, *pictures]] == list(range(73))
    assert told == [(16, 73), (32, 73), (48, 73), (64, 73), (73, 73)]
