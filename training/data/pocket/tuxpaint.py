"""Tux Paint's stamps: pictures with a sentence, many of them photographs cut out (GPL-2).

The caption is the first line of NAME.txt beside NAME.png; the lines after it are its translations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from training.data.packages import DataPackage
from training.data.pocket.english import ARTICLES
from training.data.pocket.pictures import Drawn, squared

PACKAGE = DataPackage(
    registry="debian",
    name="tuxpaint-stamps-default",
    version="2022.06.04-1",
    file="pool/main/t/tuxpaint-stamps/tuxpaint-stamps-default_2022.06.04-1_all.deb",
    sha256="6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    bytes=160_880_444,
    licence="GPL-2",
    homepage="https://tuxpaint.org/stamps/",
)

SIGNS = tuple(f"symbols/{name}/" for name in ("alphabets", "chess", "faces", "math", "music", "money"))
"""Folders of signs: a tower of photographs cannot read them, and their captions are rules or sounds."""

LONGEST = 9
"""Words of a sentence; longer ones explain instead of naming what is seen."""


def stamps(package: Path) -> Iterator[tuple[str, Path, str]]:
    """Name, picture and caption of the stamps whose sentence says what they show, in order of their paths."""
    folder = package / "usr/share/tuxpaint/stamps"
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        text = path.with_suffix(".txt")
        if name.startswith(SIGNS) or not text.is_file():
            continue
        caption = plain(text.read_text("utf-8", errors="replace").split("\n", 1)[0])
        if caption is not None:
            yield name.replace("/", "-"), path, caption


def examples(package: Path) -> Iterator[Drawn]:
    """The stamps as pictures on white."""
    for name, path, caption in stamps(package):
        with Image.open(path) as picture:
            square = squared(picture)
        if square is not None:
            yield Drawn(name, square, (caption,))


def plain(line: str) -> str | None:
    """The sentence of a stamp if it names what is seen: not a rule, an exclamation or a lesson."""
    sentence = re.split(r"(?<=[.!?])\s|\s?[—–]\s?|, also called|, from | called | resembles |, a ", line.strip())[0]
    sentence = re.sub(r"\s*\(.*?\)", "", sentence).replace("“", "").replace("”", "").replace("’", "'").strip(" .")
    sentence = re.sub(r"'(\w+)'", r"\1", sentence)
    words = sentence.split()
    if not words or len(words) > LONGEST or re.search(r"[!?\d=%]| is | are | means | has | for the ", sentence):
        return None
    if not f"{sentence} ".lower().startswith((*ARTICLES, "our ", "another ")) and len(words) > 3:
        return None
    if sentence.lower() in UNSEEN:
        return None
    return f"{sentence[0].upper()}{sentence[1:]}."


UNSEEN = frozenset(
    {"tux airways", "fire", "boom", "enter the cave", "no entry", "arrow", "crossroads", "toilets", "hospital", "tux"}
    | {"no u-turn", "pedestrian crossing", "school crossing", "t-intersection", "another tombstone", "a couple of wings"}
    | {"a mine", "the fountain of youth", "down at the docks"}
)
"""Sentences that say something else than what the stamp shows."""
