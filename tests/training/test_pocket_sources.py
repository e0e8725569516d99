"""The sources of the pocket preset's data: what becomes a caption, what a question, and what is left out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.small_wordnet import ABSTRACT, ANIMAL, ARTEFACT, write_wordnet
from training.data.pocket import easy_vqa, openclipart, scenes, tuxpaint, wallpapers
from training.data.pocket.classes import Classifier, Maker
from training.data.pocket.english import Titles
from training.data.pocket.pictures import FILLED, SIDE, squared
from training.data.pocket.questions import CATEGORIES, TURNS, Class, Questioner
from training.data.pocket.wordnet import WordNet
from training.errors import TrainingError

NOUNS = {
    "lamp": (ARTEFACT, ""),
    "desk": (ARTEFACT, ""),
    "soup": (ARTEFACT, ""),
    "bowl": (ARTEFACT, ""),
    "cherry": (ARTEFACT, ""),
    "warning": (ABSTRACT, ""),
    "hound": (ANIMAL, "dog"),
}


@pytest.fixture
def wordnet(tmp_path: Path) -> WordNet:
    write_wordnet(tmp_path / "wordnet", NOUNS)
    return WordNet.read(tmp_path / "wordnet")


@pytest.mark.parametrize(
    ("title", "caption"),
    [
        ("Desk_Lamp (B and W)", "A desk lamp."),
        ("bowl of soup", "A bowl of soup."),
        ("RedLamp2", "A red lamp."),
        ("cherries", "Cherries."),
        ("sleeping hound", "A sleeping hound."),
        ("simple lamp icon", "A lamp."),
        ("lampada", None),
        ("warning", None),
        ("quit", None),
        ("einstein lamp", None),
        ("a red big red big red big lamp", None),
        ("", None),
    ],
)
def test_titles_become_captions_when_they_name_a_thing_in_english(wordnet: WordNet, title: str, caption: str | None) -> None:
    assert Titles(wordnet).caption(title) == caption


@pytest.mark.parametrize(
    ("line", "caption"),
    [
        ("A bear.", "A bear."),
        ("A chocolate easter egg. Yum!", "A chocolate easter egg."),
        ("A peacock (a male peafowl).", "A peacock."),
        ("The caboose—a carriage for the guard.", "The caboose."),
        ("A “Fuji” apple.", "A Fuji apple."),
        ("Hibiscus", "Hibiscus."),
        ("Eat your broccoli!", None),
        ("Gimel stands for gants or all.", None),
        ("A stethoscope lets your doctor listen to your heart and lungs.", None),
        ("", None),
    ],
)
def test_stamps_keep_sentences_that_name_what_is_seen(line: str, caption: str | None) -> None:
    assert tuxpaint.plain(line) == caption


def test_content_stands_in_the_middle_of_a_white_square() -> None:
    picture = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    picture.paste((200, 0, 0, 255), (10, 20, 110, 70))
    square = squared(picture)
    assert square is not None
    assert square.size == (SIDE, SIDE)
    red = np.argwhere(np.asarray(square)[..., 1] < 128)
    (top, left), (bottom, right) = red.min(0), red.max(0)
    assert abs((right - left + 1) - FILLED * SIDE) <= 2
    assert abs((left + right) - (SIDE - 1)) <= 2
    assert abs((top + bottom) - (SIDE - 1)) <= 2
    assert square.getpixel((0, 0)) == (255, 255, 255)
    assert squared(Image.new("RGBA", (9, 9), (0, 0, 0, 0))) is None


def test_clip_art_has_its_own_title_or_its_files(tmp_path: Path, wordnet: WordNet) -> None:
    titles = {
        "animals/hound_x_01": "Hound",
        "office/lamp1": "Clipart by Somebody - book",
        "shapes/stars/lamp": "lamp",
        "office/lampada_architetto_01": "lamp",
    }
    for name, title in titles.items():
        svg = tmp_path / f"svg/usr/share/openclipart/svg/{name}.svg"
        png = tmp_path / f"png/usr/share/openclipart/png/{name}.png"
        for path in (svg, png):
            path.parent.mkdir(parents=True, exist_ok=True)
        svg.write_text(
            '<svg xmlns:r="r" xmlns:cc="cc" xmlns:dc="http://purl.org/dc/elements/1.1/"><r:RDF><cc:Work>'
            f"<dc:title>{title}</dc:title></cc:Work></r:RDF></svg>"
        )
        Image.new("RGB", (20, 10), "blue").save(png)
    found = openclipart.examples(tmp_path / "png", tmp_path / "svg", Titles(wordnet))
    assert [(one.name, one.captions) for one in found] == [
        ("animals-hound_x_01", ("A hound.",)),
        ("office-lamp1", ("A lamp.",)),
    ]


def test_scenes_put_stamps_before_photographs_the_same_way_each_time(tmp_path: Path) -> None:
    stamps = tmp_path / "tux/usr/share/tuxpaint/stamps/animals"
    stamps.mkdir(parents=True)
    stamp = Image.new("RGBA", (50, 50), (0, 0, 0, 0))
    stamp.paste((0, 0, 255, 255), (5, 5, 45, 45))
    stamp.save(stamps / "bear.png")
    (stamps / "bear.txt").write_text("A bear.\nde.utf8=Ein Bär.\n")
    (tmp_path / "mate/nature").mkdir(parents=True)
    Image.new("RGB", (600, 400), "green").save(tmp_path / "mate/nature/Wood.jpg")
    cuts = list(wallpapers.examples(tmp_path))
    assert len(cuts) == 1 + wallpapers.SMALLER
    paths = []
    for cut in cuts:
        paths.append(tmp_path / f"{cut.name}.png")
        cut.picture.save(paths[-1])
    first, again = (list(scenes.examples(tmp_path / "tux", paths)) for _ in range(2))
    assert [one.captions for one in first] == [("A bear.",)] * scenes.EACH
    assert [one.picture.tobytes() for one in first] == [one.picture.tobytes() for one in again]
    pixels = np.asarray(first[0].picture)
    blue = (pixels[..., 2] > 200) & (pixels[..., 1] < 60)
    assert 0.15 < blue.mean() < 0.7
    assert tuple(pixels[0, 0])[2] < 60


def test_questions_come_in_rounds_over_all_pictures_to_train_on_and_one_by_one_to_test(tmp_path: Path) -> None:
    for split in easy_vqa.SPLITS:
        folder = tmp_path / "easy_vqa/data" / split
        (folder / "images").mkdir(parents=True)
        for number in (0, 1):
            Image.new("RGB", (8, 8), "teal").save(folder / f"images/{number}.png")
        (folder / "questions.json").write_text(
            json.dumps([["a?", "teal", 0], ["b?", "yes", 0], ["c?", "no", 0], ["what color?", "teal", 1]])
        )
        (tmp_path / split).mkdir()
    train, test = (easy_vqa.convert(tmp_path, split, tmp_path / split, split) for split in easy_vqa.SPLITS)
    assert [(one["image"], len(one["conversations"])) for one in train] == [
        ("train/0.png", 4),
        ("train/1.png", 2),
        ("train/0.png", 2),
    ]
    asked = {turn["value"].removeprefix("<image>\n") for one in train for turn in one["conversations"][::2]}
    assert asked == {"a?", "b?", "c?", "what color?"}
    assert [(one["image"], one["conversations"][1]["value"]) for one in test] == [
        ("test/0.png", "teal"),
        ("test/0.png", "yes"),
        ("test/0.png", "no"),
        ("test/1.png", "teal"),
    ]
    assert (tmp_path / "test/1.png").is_file()
    (tmp_path / "easy_vqa/data/test/questions.json").write_text("[[")
    with pytest.raises(TrainingError, match="does not hold easy-VQA"):
        easy_vqa.convert(tmp_path, "test", tmp_path / "test", "test")


def test_every_answer_about_a_class_is_true(tmp_path: Path) -> None:
    names = {"hound": (ANIMAL, "dog"), "spoon": (ARTEFACT, "tool"), "wolf": (ANIMAL, "canine"), "dream": (ABSTRACT, "")}
    offsets = write_wordnet(tmp_path, names)
    wordnet = WordNet.read(tmp_path)
    classes = [Class(at, name, offsets[name]) for at, name in enumerate(names)]
    questioner = Questioner(wordnet, Titles(wordnet), classes)
    assert [list(questioner.categories(one)) for one in classes] == [["dog"], ["tool"], [], []]
    answers = {"Yes.": 0, "No.": 0}
    for one in classes:
        for seed in range(60):
            turns = questioner.turns(one, random.Random(seed))  # noqa: S311
            assert len(turns) == 1 + (TURNS if questioner.categories(one) else 1)
            for question, answer in turns[1:]:
                asked = [name for name in CATEGORIES if f" {name}?" in question or f" {name} " in question]
                if answer in answers:
                    answers[answer] += one.name in ("hound", "spoon")
                    assert (answer == "Yes.") == (questioner.categories(one)[:1] == asked[:1]), (one, question)
                    assert not (one.name == "wolf" and asked == ["dog"]), "people may call it one"
                else:
                    assert answer == f"A {one.name}."
                    assert asked[:1] == list(questioner.categories(one))
    assert 1.2 < answers["Yes."] / answers["No."] < 2.2, "more than half where yes is possible"
    assert questioner.captions(classes[0]) == ("A dog, a hound.", "A photo of a dog, a hound.")
    assert questioner.captions(classes[1])[0] == "A spoon.", "nobody says it is a tool"


def test_wordnet_that_is_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"does not hold WordNet 3\.0's files"):
        WordNet.read(tmp_path)
    write_wordnet(tmp_path, {"dog": (ANIMAL, "")})
    wordnet = WordNet.read(tmp_path)
    with pytest.raises(TrainingError, match="'dog' as a kind of 'canine'"):
        Questioner(wordnet, Titles(wordnet), [])


def test_made_maps_are_taken_for_their_class_and_keep_places() -> None:
    torch.manual_seed(0)
    channels, cells, classes = 24, 49, 6
    classifier = Classifier(0.6 * torch.randn(classes, channels), torch.zeros(classes))
    real = (4 * torch.rand(40, cells, channels) * (torch.rand(40, cells, channels) < 0.4)).half().numpy()
    wanted = torch.arange(60) % classes

    def make() -> np.ndarray:
        return np.concatenate(list(Maker(real, classifier).make(wanted, torch.Generator().manual_seed(3))))

    made = make()
    said = classifier.probabilities(torch.from_numpy(made)).argmax(-1)
    assert made.shape == (60, cells, channels)
    assert made.dtype == np.float16
    assert (said == wanted).float().mean() > 0.9
    assert made.min() >= 0
    assert made.max() <= 6
    assert (made.astype(np.float32).std(axis=1).mean(axis=1) > 0.5).all(), "cells differ"
    assert np.array_equal(made, make())
