"""Figures against hand-computed and published ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from training.evaluate import captions, measures
from training.evaluate.baselines import majority, question_only, repeats_itself, shuffled
from training.evaluate.normalise import exact, normalise, vqa_accuracy
from training.evaluate.nouns import head_noun, names
from training.evaluate.questions import Question


def question(number: int, text: str, *answers: str, kind: str = "") -> Question:
    return Question(str(number), (Path(f"{number}.jpg"),), text, answers, kind)


# --- VQA: the rules of https://visualqa.org/evaluation ---


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Red", "red"),  # lower case, articles
        ("an apple and a pear", "apple and pear"),
        ("two", "2"),  # number words
        ("none", "0"),
        ("Ten.", "10"),
        ("2.50", "2.50"),  # a period stays in a decimal only
        ("U.S.", "us"),
        ("dont", "don't"),  # contractions
        ("couldnt've", "couldn't've"),
        ("it is 5 oclock", "it is 5 o'clock"),
        ("girl's", "girl's"),  # possessives stay
        ("2:50 pm", "2:50 pm"),  # and colons
        ("100,978", "100978"),  # no space between digits
        ("red/blue", "red blue"),
        ("red, blue", "red blue"),
        ("yes!\n", "yes"),
        ("t-shirt", "t shirt"),
    ],
)
def test_answers_are_compared_by_the_rules_of_vqa(answer: str, expected: str) -> None:
    assert normalise(answer) == expected


def test_vqa_accuracy_is_averaged_over_all_nines_of_ten_people() -> None:
    def agreeing(count: int) -> list[str]:
        return ["Two"] * count + ["cat"] * (10 - count)

    # k people agree: k leave one of them out (k - 1 left), 10 - k leave another one out (k left).
    assert [round(vqa_accuracy("2", agreeing(k)), 4) for k in range(6)] == [0, 0.3, 0.6, 0.9, 1, 1]


def test_exact_answers_are_compared_after_normalising_both() -> None:
    assert exact("The rectangle.", ["rectangle"]) == 1
    assert exact("a red rectangle", ["rectangle"]) == 0


# --- shares ---


def test_wilson_interval() -> None:
    low, high = measures.wilson(81 / 263, 263)  # Newcombe 1998, table I, method 3
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = measures.wilson(0.0, 20)
    assert (round(low, 4), round(high, 4)) == (0.0, 0.1611)


def test_kinds_are_counted_apart() -> None:
    asked = [
        question(1, "?", "yes", kind="yes or no"),
        question(2, "?", "red", kind="colour"),
        question(3, "?", "no", kind="yes or no"),
    ]
    found = measures.by_kind(asked, ["yes", "blue", "yes"], exact)
    assert {name: (round(one.value, 2), one.count) for name, one in found.items()} == {
        "all": (0.33, 3),
        "colour": (0.0, 1),
        "yes or no": (0.5, 2),
    }


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("Yes, there is.", True), ("No.", False), ("There is not a dog", False), ("Nothing", True), ("I see one. No more.", True)],
)
def test_pope_reads_answers_as_its_authors_do(answer: str, yes: bool) -> None:
    assert measures.says_yes(answer) is yes


def test_pope_figures() -> None:
    asked = [question(at, "Is there a dog?", label) for at, label in enumerate(["yes", "yes", "yes", "no", "no"])]
    found = measures.pope(asked, ["yes", "yes", "no", "yes", "no"])  # 2 right yes, 1 missed, 1 made up, 1 right no
    rounded = {name: round(one.value, 3) for name, one in found.items()}
    assert rounded == {"accuracy": 0.6, "precision": 0.667, "recall": 0.667, "F1": 0.667, "yes ratio": 0.6}
    assert (found["precision"].count, found["F1"].interval) == (3, None)
    assert measures.pope(asked, ["no"] * 5)["F1"].value == 0  # nothing to divide by


# --- captions ---


@pytest.fixture
def _libraries() -> None:
    for package in captions.PACKAGES:
        pytest.importorskip(package)


@pytest.mark.usefixtures("_libraries")
def test_cider_d_by_hand() -> None:
    # Of two pictures every word is in one's captions: all weigh ln 2. Each order of n-grams counts a quarter, times 10.
    same = (1 + 1 + 0 + 0) / 4 * 10  # two words: no n-grams of 3 and 4
    assert captions.cider_d(["a b", "c d"], [["a b"], ["c d"]]) == pytest.approx(100 * same)
    half = (1 / 2 + 0) / 4 * 10  # one word of two shared; no pair
    assert captions.cider_d(["a x", "c d"], [["a b"], ["c d"]]) == pytest.approx(100 * (half + same) / 2)
    longer = (2 / math.sqrt(6) + 1 / math.sqrt(2)) / 4 * 10 * math.exp(-1 / 72)  # one pair more: a Gaussian of sigma 6
    assert captions.cider_d(["a b x", "c d"], [["a b"], ["c d"]]) == pytest.approx(100 * (longer + same) / 2)


@pytest.mark.usefixtures("_libraries")
def test_bleu_4_by_hand() -> None:
    by_orders = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)
    assert captions.bleu_4(["a b c d e"], [["a b c d f"]]) == pytest.approx(100 * by_orders)
    brief = by_orders * math.exp(1 - 6 / 5)
    assert captions.bleu_4(["a b c d e"], [["a b c d f g"]]) == pytest.approx(100 * brief)
    # Of several references the closest in length counts; pictures may have different numbers of them.
    assert captions.bleu_4(["a b c d", "x y z w"], [["a b c d e f", "a b c d"], ["x y z w"]]) == pytest.approx(100)
    assert captions.bleu_4(["a b"], [["a b c d"]]) == 0


def test_tokens_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert captions.tokenise(["A cat's toy -- isn't it?", "A t-shirt, 1,000 DOTS!", "Café\ncrème"]) == [
        "a cat 's toy is n't it",
        "a t-shirt 1,000 dots",
        "café crème",
    ]
    assert "not the same" in captions.tokeniser()


@pytest.mark.usefixtures("_libraries")
def test_tokens_with_java_are_those_of_the_leaderboard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program called java that says what the real one says to these lines."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\ncat > asked\nprintf \"a cat 's toy , is n't it ?\\n\\nred -- blue .\\n\"\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert captions.tokenise(["A cat's toy,\nisn't it?", "", "Red -- blue."]) == ["a cat 's toy is n't it", "", "red blue"]
    assert Path("asked").read_text() == "A cat's toy, isn't it?\n\nRed -- blue.\n"
    assert "leaderboard (" in captions.tokeniser()


def test_without_the_libraries_nouns_are_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions, "PACKAGES", ("no_such_package",))
    asked = [question(1, "", "A red fox.", "An animal in the snow"), question(2, "", "A spider playing soccer.")]
    found = captions.measures(asked, ["Two foxes", "a soccer ball"])
    assert {name: one.value for name, one in found.items()} == {"noun match": 0.5}


@pytest.mark.parametrize(
    ("caption", "noun"),
    [
        ("A pink flamingo.", "flamingo"),
        ("A spider playing soccer.", "spider"),
        ("A couple of wings.", "wings"),
        ("a slice of the pizza on a plate", "pizza"),
        ("A man with a hat", "man"),
        ("Two dogs, running", "dogs"),
        ("A wedding ring", "ring"),
        ("A wizard's hat.", "hat"),
        ("saw", "saw"),
        ("A stethoscope lets your doctor listen", "stethoscope"),
        ("The letter s.", "letter"),
        ("Nine.", "nine"),
        ("...", ""),
    ],
)
def test_head_nouns(caption: str, noun: str) -> None:
    assert head_noun(caption) == noun


@pytest.mark.parametrize(
    ("answer", "word", "named"),
    [
        ("A butterfly sits there", "butterflies", True),
        ("Two Foxes!", "fox", True),
        ("glass", "glass", True),
        ("a catalogue", "cat", False),
        ("anything", "", False),
        ("it's unclear", "s", False),
        ("a granny smith apple", "granny smith", True),
    ],
)
def test_a_noun_counts_whole_in_singular_or_plural(answer: str, word: str, named: bool) -> None:
    assert names(answer, [word]) is named


# --- baselines ---

ASKED = [
    question(1, "colour?", "red"),
    question(2, "colour?", "red"),
    question(3, "colour?", "blue"),
    question(4, "round?", "no"),
]


def test_baselines_know_the_labels_and_nothing_else() -> None:
    assert majority(ASKED) == "red"
    assert question_only(ASKED, [*ASKED, question(5, "new?", "yes")]) == ["red", "red", "red", "no", "red"]
    assert repeats_itself(ASKED)
    assert not repeats_itself([question(1, "a?", "x"), question(2, "b?", "y")])


def test_shuffled_answers_are_all_at_another_place() -> None:
    answers = [str(at) for at in range(50)]
    mixed = shuffled(answers)
    assert sorted(mixed, key=int) == answers
    assert all(one != other for one, other in zip(mixed, answers, strict=True))
