"""True questions and answers about the classes of the recogniser, by WordNet: is it an animal, what kind of dog is it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from training.data.pocket.english import Titles
from training.data.pocket.records import QUESTIONS, lower_article
from training.data.pocket.wordnet import WordNet
from training.errors import TrainingError

CATEGORIES: dict[str, tuple[str, str]] = {
    "animal": ("animal", "organism"),
    "ball": ("ball", "equipment"),
    "bear": ("bear", "carnivore"),
    "bird": ("bird", "bird"),
    "boat": ("boat", "craft"),
    "bottle": ("bottle", "container"),
    "building": ("building", "structure"),
    "butterfly": ("butterfly", "insect"),
    "car": ("car", "wheeled vehicle"),
    "cat": ("cat", "feline"),
    "clock": ("clock", "instrument"),
    "computer": ("computer", "instrumentality"),
    "dog": ("dog", "canine"),
    "fish": ("fish", "aquatic vertebrate"),
    "frog": ("frog", "amphibian"),
    "fruit": ("edible fruit", "plant organ"),
    "hat": ("hat", "covering"),
    "insect": ("insect", "arthropod"),
    "lizard": ("lizard", "reptile"),
    "monkey": ("monkey", "primate"),
    "musical instrument": ("musical instrument", "device"),
    "piece of clothing": ("garment", "covering"),
    "piece of furniture": ("furniture", "furnishing"),
    "shop": ("mercantile establishment", "structure"),
    "snake": ("snake", "reptile"),
    "spider": ("spider", "arachnid"),
    "tool": ("tool", "instrumentality"),
    "truck": ("truck", "wheeled vehicle"),
    "turtle": ("chelonian", "reptile"),
    "vegetable": ("vegetable", "produce"),
    "vehicle": ("vehicle", "conveyance"),
    "weapon": ("weapon", "instrumentality"),
}
"""What is asked for: the noun that covers it, and a wider one. What is in the wider one only is not asked about: people may
call it so all the same (a lion a cat, a helmet a hat)."""

NOT_CALLED = frozenset({"animal", "piece of clothing", "piece of furniture", "shop", "tool", "vehicle", "weapon"})
"""Categories that nobody calls a thing by first: a beagle is a dog, but a koala no 'animal'."""

ASK_WHETHER = (
    "Is there {a} in this photo?",
    "Is there {a} in the picture?",
    "Is this {a}?",
    "Do you see {a}?",
    "Does the image show {a}?",
)
ASK_KIND = ("What kind of {category} is this?", "What kind of {category} is in the photo?", "Which {category} is this?")

TURNS = 3
"""Questions about a picture after the first one; about a class without a category only one, whose answer can only be no."""

KIND_PART = 0.25
"""Of them, where the class has a category: what kind it is."""

YES_PART = 0.63
"""Of the others, where the class has a category: those whose answer is yes; over all classes that makes half of them."""


RARELY = 0.5
"""Added to the weight of each category."""


@dataclass(frozen=True)
class Class:
    """One thing that the recogniser knows."""

    number: int
    name: str
    """As people say it."""
    synset: int
    """WordNet's offset."""


class Questioner:
    """Asks about classes; every answer is true by WordNet. Raises TrainingError when WordNet lacks a category."""

    def __init__(self, wordnet: WordNet, english: Titles, classes: Sequence[Class]) -> None:
        self._english = english
        roots = {name: _meant(wordnet, noun, wider) for name, (noun, wider) in CATEGORIES.items()}
        self._in: dict[int, list[str]] = {}
        self._out: dict[int, list[str]] = {}
        for one in classes:
            above = wordnet.above(one.synset)
            self._in[one.number] = [name for name, (root, _) in roots.items() if root in above]
            self._out[one.number] = [name for name, pair in roots.items() if not above & set(pair)]
        self._weight = {name: sum(1 / len(own) for own in self._in.values() if name in own) for name in CATEGORIES}
        """How often a category is the one with the answer yes; as often it is asked about where the answer is no, or the
        name of the category alone would give the answer away."""

    def categories(self, one: Class) -> Sequence[str]:
        """What a class belongs to, of the categories that are asked for."""
        return self._in[one.number]

    def captions(self, one: Class) -> tuple[str, str]:
        """'A dog, a beagle.' and 'A photo of a dog, a beagle.'; 'A tabby cat.', whose name says what it is."""
        plain = self._english.sentence(one.name)
        own = [name for name in self._in[one.number] if name not in NOT_CALLED]
        called = min(own, key=lambda name: self._weight[name], default=None)
        if called is not None and called not in one.name.lower():
            plain = f"{self._english.sentence(called).rstrip('.')}, {lower_article(plain)}"
        return plain, f"A photo of {lower_article(plain)}"

    def turns(self, one: Class, chance: random.Random) -> list[tuple[str, str]]:
        """What it is, then TURNS questions: what kind it is, and yes as often as no."""
        answer = self.captions(one)[0]
        said = [(chance.choice(QUESTIONS), answer)]
        own, out = self._in[one.number], self._out[one.number]
        if not own:
            return [*said, (self._whether(self._weighted(out, chance), chance), "No.")]
        for _ in range(TURNS):
            if chance.random() < KIND_PART:
                kind = self._english.sentence(one.name)
                said.append((chance.choice(ASK_KIND).format(category=chance.choice(own)), kind))
            elif chance.random() < YES_PART:
                said.append((self._whether(chance.choice(own), chance), "Yes."))
            else:
                said.append((self._whether(self._weighted(out, chance), chance), "No."))
        return said

    def _weighted(self, categories: Sequence[str], chance: random.Random) -> str:
        return chance.choices(categories, [self._weight[name] + RARELY for name in categories])[0]

    def _whether(self, category: str, chance: random.Random) -> str:
        return chance.choice(ASK_WHETHER).format(a=lower_article(self._english.sentence(category)).rstrip("."))


def _meant(wordnet: WordNet, noun: str, wider: str) -> tuple[int, int]:
    """Offsets of the commonest meaning of `noun`, and of the meaning of `wider` that is above it."""
    senses = wordnet.senses(noun)
    above = wordnet.above(senses[0]) if senses else set()
    around = next((offset for offset in wordnet.senses(wider) if offset in above), None)
    if around is None:
        raise TrainingError(f"WordNet does not know '{noun}' as a kind of '{wider}': it is not WordNet 3.0.")
    return senses[0], around
