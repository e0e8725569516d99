"""WordNet's own files: which words are English, what kind of thing a noun is, and what is a kind of what.

Format: wndb(5WN), https://wordnet.princeton.edu/documentation/wndb5wn. Princeton University, WordNet 3.0 licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data.packages import DataPackage
from training.errors import TrainingError

PACKAGE = DataPackage(
    registry="debian",
    name="wordnet-base",
    version="1:3.0-37",
    file="pool/main/w/wordnet/wordnet-base_3.0-37_all.deb",
    sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    bytes=6_467_132,
    licence="WordNet-3.0",
    homepage="https://wordnet.princeton.edu",
)

OTHERS = ("verb", "adj", "adv")
ENDINGS = (("ies", "y"), ("oes", "o"), ("ves", "f"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("ses", "s"), ("s", ""))
"""How regular plurals lose their number (morphy(7WN))."""
VERB_ENDINGS = (("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"))


@dataclass(frozen=True, slots=True)
class Synset:
    """Nouns that mean the same."""

    offset: int
    """Place in data.noun, bytes; with an `n` before it, it is the name that ImageNet calls a class by."""
    lexicographer: int
    """Number of the file that it was written in, which says what sort of thing it is (lexnames(5WN))."""
    words: tuple[str, ...]
    hypernyms: tuple[int, ...]


class WordNet:
    """Nouns with what they are kinds of, and all other words as far as they exist."""

    def __init__(self, synsets: dict[int, Synset], senses: dict[str, tuple[int, ...]], others: frozenset[str]) -> None:
        self.synsets = synsets
        self._senses = senses
        """Offsets by noun, the commonest sense first."""
        self._others = others

    @classmethod
    def read(cls, package: Path) -> WordNet:
        """`package`: the unpacked Debian package wordnet-base. Raises TrainingError."""
        folder = package / "usr/share/wordnet"
        try:
            synsets = {synset.offset: synset for synset in map(_synset, _lines(folder / "data.noun"))}
            senses = dict(map(_senses, _lines(folder / "index.noun")))
            others = frozenset(line.split(" ", 1)[0] for name in OTHERS for line in _lines(folder / f"index.{name}"))
        except (OSError, ValueError, IndexError) as error:
            raise TrainingError(f"{folder} does not hold WordNet 3.0's files ({error}): remove it and try again.") from error
        return cls(synsets, senses, others)

    def noun(self, word: str) -> str | None:
        """The dictionary form of a noun ('geese_' is not known, 'cherries' is cherry); None: it is none."""
        word = word.lower().replace(" ", "_")
        forms = [word, *(word.removesuffix(ending) + instead for ending, instead in ENDINGS if word.endswith(ending))]
        return next((form for form in forms if form in self._senses), None)

    def knows(self, word: str) -> bool:
        """Whether it is a word at all."""
        if self.noun(word) is not None:
            return True
        word = word.lower()
        forms = [word, *(word.removesuffix(ending) + instead for ending, instead in VERB_ENDINGS if word.endswith(ending))]
        return any(form in self._others for form in forms)

    def sort_of(self, word: str) -> int | None:
        """Lexicographer file of a noun's commonest sense; None: it is no noun."""
        form = self.noun(word)
        return None if form is None else self.synsets[self._senses[form][0]].lexicographer

    def senses(self, noun: str) -> tuple[int, ...]:
        """Offsets of a noun's meanings, the commonest first."""
        return self._senses.get(noun.lower().replace(" ", "_"), ())

    def above(self, offset: int) -> set[int]:
        """Everything that a synset is a kind of, itself included."""
        found: set[int] = set()
        waiting = [offset]
        while waiting:
            at = waiting.pop()
            if at not in found:
                found.add(at)
                waiting.extend(self.synsets[at].hypernyms)
        return found


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if not line.startswith("  "):  # the licence
                yield line


def _synset(line: str) -> Synset:
    fields = line.split(" | ", 1)[0].split()
    count = int(fields[3], 16)
    words = tuple(fields[4 : 4 + 2 * count : 2])
    pointers = fields[5 + 2 * count :]
    hypernyms = tuple(int(pointers[at + 1]) for at in range(0, len(pointers) - 3, 4) if pointers[at] in ("@", "@i"))
    return Synset(int(fields[0]), int(fields[1]), words, hypernyms)


def _senses(line: str) -> tuple[str, tuple[int, ...]]:
    fields = line.split()
    return fields[0], tuple(int(offset) for offset in fields[-int(fields[2]) :])
