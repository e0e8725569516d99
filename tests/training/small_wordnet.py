"""A WordNet of a few nouns, in its own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.data.pocket.questions import CATEGORIES

LICENCE = "  1 This software and database is being provided to you under a licence.\n"
ANIMAL, ARTEFACT, PERSON, ABSTRACT = 5, 6, 18, 9


def write_wordnet(package: Path, nouns: Mapping[str, tuple[int, str]], others: str = "red big sleeping quit") -> dict[str, int]:
    """`nouns`: name -> (sort, what it is a kind of, or nothing). The categories that are asked about are there already.

    Returns the offsets.
    """
    known: dict[str, tuple[int, str]] = {}
    for noun, wider in CATEGORIES.values():
        known.setdefault(wider, (ARTEFACT, ""))
        if noun != wider:
            known[noun] = (ARTEFACT, wider)
    known |= nouns
    offsets = {name: 1000 + 10 * at for at, name in enumerate(known)}
    folder = package / "usr/share/wordnet"
    folder.mkdir(parents=True)
    data, index = [LICENCE], [LICENCE]
    for name, (sort, parent) in known.items():
        word = name.replace(" ", "_")
        pointers = f"001 @ {offsets[parent]:08d} n 0000" if parent else "000"
        data.append(f"{offsets[name]:08d} {sort:02d} n 01 {word} 0 {pointers} | what it means\n")
        index.append(f"{word} n 1 {'1 @' if parent else '0'} 1 0 {offsets[name]:08d}\n")
    (folder / "data.noun").write_text("".join(data))
    (folder / "index.noun").write_text("".join(index))
    (folder / "index.adj").write_text(LICENCE + "".join(f"{word} a 1 0 1 0 00000001\n" for word in others.split()))
    for name in ("verb", "adv"):
        (folder / f"index.{name}").write_text(LICENCE)
    return offsets
