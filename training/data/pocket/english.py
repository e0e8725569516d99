"""From titles and file names to captions: short English sentences about things that can be seen."""

from __future__ import annotations

import html
import re
from pathlib import Path

import yaml

from training.data.pocket.wordnet import WordNet

LONGEST = 6
"""Words of a title; longer ones tell stories."""

SMALL = frozenset(("a", "an", "the", "of", "with", "and", "in", "on", "for", "to", "from", "at", "by", "into", "or", "its"))
"""Words that no dictionary of nouns has."""

WORDS = {name: frozenset(words) for name, words in yaml.safe_load(Path(__file__).with_name("words.yaml").read_text()).items()}
"""Lists by name; what they are for is written in the file."""

VISIBLE = frozenset({5, 6, 8, 13, 17, 18, 19, 20, 25, 27})
"""WordNet's sorts of nouns (lexnames(5WN)) that a picture can show: animals, artefacts, body parts, food, natural objects,
people, phenomena, plants, shapes and substances."""

ARTICLES = ("a ", "an ", "the ", "some ", "two ", "three ", "four ", "several ")


SOUNDS_CONSONANT = ("eu", "ewe", "one", "uni", "use", "ute")
"""Beginnings that take `a` although they are written with a vowel."""


class Titles:
    """Turns what people called a picture into a caption, or into nothing when it is not a plain English name."""

    def __init__(self, wordnet: WordNet) -> None:
        self._wordnet = wordnet

    def caption(self, title: str) -> str | None:
        """'Desk_Lamp (B and W)' -> 'A desk lamp.'; None: not English, not visible, or no name."""
        words = self.words(title)
        if not words or len(words) > LONGEST or (WORDS["junk"] | WORDS["foreign"]) & set(words):
            return None
        if not all(word in SMALL or self._wordnet.knows(word) for word in words):
            return None
        if not self._visible(words):
            return None
        return self.sentence(" ".join(words))

    def words(self, title: str) -> list[str]:
        """The words of a title or a file's stem, without numbers, brackets and words about style."""
        plain = re.sub(r"\(.*?\)|\bb ?(&|and) ?w\b", " ", html.unescape(title), flags=re.IGNORECASE)
        parts = re.sub(r"[_\-.,+/#!]|(?<=[a-z])(?=[A-Z])", " ", plain).split()
        words = [re.sub(r"\d+$", "", part).lower() for part in parts]
        kept = [word for word in words if len(word) > 1 and word not in WORDS["style"] and not word.isdigit()]
        while kept and kept[-1] in SMALL:
            kept.pop()
        return [word for at, word in enumerate(kept) if at > 0 or word not in ("a", "an")]

    def trimmed(self, stem: str) -> str:
        """A file's stem without what follows the last word that is one: artists sign at the end."""
        words = self.words(stem)
        while words and not self._wordnet.knows(words[-1]):
            words.pop()
        return " ".join(words)

    def sentence(self, name: str) -> str:
        """'desk lamp' -> 'A desk lamp.'; plurals and what cannot be counted have no article."""
        last = _head(name.split())[-1].lower()
        plural = last.endswith("s") and self._wordnet.noun(last) not in (None, last)
        if name.startswith(ARTICLES) or last in WORDS["uncounted"] | WORDS["pairs"] or plural:
            text = name
        else:
            vowel = name[0].lower() in "aeiou" and not name.lower().startswith(SOUNDS_CONSONANT)
            text = f"{'an' if vowel or name.startswith('hour') else 'a'} {name}"
        return f"{text[0].upper()}{text[1:]}."

    def _visible(self, words: list[str]) -> bool:
        head = _head(words)
        whole = " ".join(head)
        kind = self._wordnet.sort_of(whole) if self._wordnet.noun(whole) else self._wordnet.sort_of(head[-1])
        return kind in VISIBLE


def _head(words: list[str]) -> list[str]:
    """A noun with what stands before it: 'bowl of soup' is a bowl."""
    return next((words[:at] for at, word in enumerate(words) if at > 0 and word in SMALL), words)
