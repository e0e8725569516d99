"""The feature cache: the same as looking again, once a picture, and whole after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.vision import Preprocessing
from tests.model.tiny import clip_config, llama_config, model
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


def test_cached_features_are_the_fresh_ones(tmp_path: Path, pictures: list[Path]) -> None:
    tower = Tower()
    kept = cache(tmp_path / "cache")
    rows = kept.fill(pictures, tower.look)
    fresh = tower.look([Image.open(path) for path in pictures])
    assert torch.equal(kept.read([rows[path] for path in pictures]), fresh.half().float())


def test_a_picture_is_looked_at_once_whatever_it_is_called(tmp_path: Path, pictures: list[Path]) -> None:
    tower = Tower()
    copy = tmp_path / "copy.png"
    copy.write_bytes(pictures[0].read_bytes())
    first = cache(tmp_path / "cache").fill([*pictures, copy, pictures[0]], tower.look)
    assert tower.seen == 3
    assert first[copy] == first[pictures[0]]
    again = cache(tmp_path / "cache").fill([*pictures, copy], tower.look)
    assert tower.seen == 3
    assert again == first


def test_a_changed_picture_is_looked_at_again(tmp_path: Path, pictures: list[Path]) -> None:
    tower = Tower()
    kept = cache(tmp_path / "cache")
    before = kept.fill(pictures, tower.look)[pictures[0]]
    Image.new("RGB", (60, 60), "yellow").save(pictures[0])
    after = kept.fill(pictures, tower.look)[pictures[0]]
    assert after != before
    assert not torch.equal(kept.read([before]), kept.read([after]))


def test_a_kill_in_the_middle_costs_what_was_not_written_down(tmp_path: Path, pictures: list[Path]) -> None:
    tower, folder = Tower(), tmp_path / "cache"
    rows = cache(folder).fill(pictures[:2], tower.look)
    expected = cache(folder)
    expected.fill(pictures[:2], tower.look)
    before = expected.read([rows[path] for path in pictures[:2]])
    with (folder / "features.bin").open("ab") as features:
        features.write(b"half a row")
    with (folder / "index.jsonl").open("a") as index:
        index.write('{"path": "x", "si')
    kept = cache(folder)
    rows = kept.fill(pictures, tower.look)
    assert tower.seen == 3
    assert torch.equal(kept.read([rows[path] for path in pictures[:2]]), before)


def test_a_file_that_is_gone_or_cut_short_is_made_again(tmp_path: Path, pictures: list[Path]) -> None:
    """Growing it would train on zeros."""
    tower, folder = Tower(), tmp_path / "cache"
    rows = cache(folder).fill(pictures, tower.look)
    whole = (folder / "features.bin").read_bytes()
    (folder / "features.bin").write_bytes(whole[: len(whole) // 2])
    kept = cache(folder)
    assert kept.fill(pictures, tower.look) == rows
    assert tower.seen == 6
    assert (folder / "features.bin").read_bytes() == whole


def test_ready_made_features_are_taken_as_they_are(tmp_path: Path) -> None:
    made = np.random.default_rng(0).standard_normal((49, clip_config().hidden_size)).astype(np.float16)
    np.save(tmp_path / "cat.npy", made)
    tower = Tower()
    kept = cache(tmp_path / "cache")
    rows = kept.fill([tmp_path / "cat.npy"], tower.look)
    assert tower.seen == 0
    assert np.array_equal(kept.read([rows[tmp_path / "cat.npy"]])[0].numpy(), made.astype(np.float32))
    np.save(tmp_path / "wrong.npy", made[:3])
    with pytest.raises(TrainingError, match=r"wrong.npy has features of \(3, 24\)"):
        kept.fill([tmp_path / "wrong.npy"], tower.look)


def test_what_cannot_be_looked_at_is_named_and_the_rest_stays(tmp_path: Path, pictures: list[Path]) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    tower = Tower()
    with pytest.raises(TrainingError, match=r"broken.jpg is damaged"):
        cache(tmp_path / "cache").fill([*pictures, broken], tower.look)
    with pytest.raises(TrainingError, match=r"gone.png cannot be read: No such file"):
        cache(tmp_path / "cache").fill([tmp_path / "gone.png"], tower.look)
