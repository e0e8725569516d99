"""What is said about a picture, and how sure it sounds."""

from __future__ import annotations

import pytest

from model.hints import KINDS, Recognition, clean, photo_line, recognise, text_line, with_article

MAU, TABBY, TIGER_CAT, ESPRESSO, TRIPOD, HELMET, BOBSLEIGH, GO_KART = 285, 281, 282, 967, 872, 560, 450, 573


def imagenet(**probabilities: float) -> list[float]:
    """1000 probabilities: those given as n285=0.4, the rest shared by the others."""
    given = {int(key[1:]): value for key, value in probabilities.items()}
    rest = (1 - sum(given.values())) / (1000 - len(given))
    return [given.get(number, rest) for number in range(1000)]


LABELS = {number: f"thing {number}" for number in range(1000)} | {
    MAU: "Egyptian Mau",
    TABBY: "tabby cat",
    TIGER_CAT: "a cat having a striped coat",
    ESPRESSO: "espresso",
    TRIPOD: "tripod",
    HELMET: "football helmet",
    BOBSLEIGH: "bobsleigh",
    GO_KART: "go-kart",
}


@pytest.mark.parametrize(
    ("probabilities", "line"),
    [
        ({"n872": 0.9}, "The photo shows a tripod."),
        ({"n285": 0.9}, "The photo shows a cat, an Egyptian Mau."),
        ({"n281": 0.9}, "The photo shows a tabby cat."),
        ({"n285": 0.4, "n281": 0.3}, "The photo shows a cat, maybe an Egyptian Mau or a tabby cat."),
        ({"n281": 0.3, "n282": 0.3}, "The photo shows a tabby cat."),  # two labels, one name
        ({"n285": 0.45, "n281": 0.1}, "The photo shows a cat, an Egyptian Mau."),  # the kind is sure, the rest far behind
        ({"n872": 0.4, "n967": 0.3}, "The photo is unclear. It might be a tripod or espresso coffee."),
        ({"n872": 0.4, "n967": 0.1}, "The photo is unclear. It might be a tripod."),
        ({"n560": 0.15, "n450": 0.15, "n573": 0.1}, "The photo is unclear. It might be a person."),
        ({"n560": 0.4, "n450": 0.3}, "The photo is unclear. It might be a person."),  # likely, but never sure
        ({"n872": 0.1, "n967": 0.1}, "The photo is unclear."),
        ({}, "The photo is unclear."),
    ],
)
def test_hedge_follows_the_probabilities(probabilities: dict[str, float], line: str) -> None:
    assert photo_line(recognise(imagenet(**probabilities), LABELS)) == line


def test_a_sure_helmet_is_a_helmet_whoever_wears_it() -> None:
    assert recognise(imagenet(n560=0.9), LABELS) == Recognition(("football helmet",), sure=True)


def test_other_classifiers_have_no_kinds() -> None:
    assert recognise([0.6, 0.3, 0.1], {0: "cat", 1: "dog", 2: "bird"}) == Recognition(("cat",), sure=True)


def test_several_photos_are_told_apart() -> None:
    assert photo_line(Recognition(("tripod",), sure=True), "The second photo") == "The second photo shows a tripod."


def test_no_class_is_of_two_kinds() -> None:
    numbers = [number for ranges in KINDS.values() for first, last in ranges for number in range(first, last + 1)]
    assert len(numbers) == len(set(numbers))
    assert max(numbers) < 1000


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("kite (bird of prey)", "kite"),
        ("drake (male duck)", "duck"),
        ("handrail / baluster", "handrail"),
        ("missile", "rocket"),
        ("tripod", "tripod"),
    ],
)
def test_labels_are_cleaned(label: str, name: str) -> None:
    assert clean(label) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("orange", "an orange"),
        ("tripod", "a tripod"),
        ("jeans", "jeans"),
        ("bus", "a bus"),
        ("hay", "hay"),
        ("dress", "a dress"),
    ],
)
def test_articles(name: str, said: str) -> None:
    assert with_article(name) == said


def test_read_text_is_quoted_on_one_line_and_bounded() -> None:
    assert text_line(()) is None
    assert text_line(("Pool", 'closed "today"')) == "There is also text in the photo: \"Pool closed 'today'\""
    long = text_line(["word"] * 1000)
    assert long is not None
    assert len(long) < 350
    assert long.endswith('word ..."')
