"""Open Clip Art Library 0.18: drawings with the titles that their makers gave them (public domain).

Debian ships the pictures (openclipart-png) and the SVG files with titles and keywords in RDF (openclipart-svg) apart.
"""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from training.data.packages import DataPackage
from training.data.pocket.english import Titles
from training.data.pocket.pictures import Drawn, squared

HOMEPAGE = "https://openclipart.org"
PICTURES = DataPackage(
    registry="debian",
    name="openclipart-png",
    version="1:0.18+dfsg-19",
    file="pool/main/o/openclipart/openclipart-png_0.18+dfsg-19_all.deb",
    sha256="f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    bytes=130_910_028,
    licence="public domain",
    homepage=HOMEPAGE,
)
TITLES = DataPackage(
    registry="debian",
    name="openclipart-svg",
    version="1:0.18+dfsg-19",
    file="pool/main/o/openclipart/openclipart-svg_0.18+dfsg-19_all.deb",
    sha256="989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    bytes=24_919_068,
    licence="public domain",
    homepage=HOMEPAGE,
)

THINGS = (
    "animals", "buildings", "computer/hardware", "containers", "education", "electronics", "food", "geography/astronomy",
    "office", "people", "plants", "recreation", "science", "signs_and_symbols/clocks", "signs_and_symbols/weather", "tools",
    "transportation", "unsorted",
)  # fmt: skip
"""Folders of things; the others hold stars, flags, maps, icons, playing cards and patterns."""

NOT_THINGS = (
    "people/clothing/pantyhose", "people/smilies", "people/stickmen", "recreation/games/cards", "recreation/religion",
    "transportation/boating", "transportation/roadsigns",
)  # fmt: skip

ITALIAN = re.compile(r"_ar(c|chi\w*)?_?\w?_?\d\d$|archit|architet")
"""The stem of an artist's files whose titles are Italian; the end of a long stem is cut off."""

LARGEST = 40_000_000
"""Pixels; a few drawings have four times as many, and take longer than all others together."""

OFTEN = 3
"""A title that many files share, and that their names do not contain, is its collection's."""


def examples(pictures: Path, titles: Path, english: Titles) -> Iterator[Drawn]:
    """The drawings whose title, or else file name, names a thing in English; in order of their paths."""
    root = pictures / "usr/share/openclipart/png"
    svg = titles / "usr/share/openclipart/svg"
    named = [
        (path, _title(svg / path.relative_to(root).with_suffix(".svg")))
        for path in sorted(root.rglob("*.png"))
        if not path.is_symlink() and _is_thing(path.relative_to(root))
    ]
    shared = Counter(title for _, title in named)
    for path, title in named:
        caption = _caption(path.stem, title, shared[title], english)
        if caption is None:
            continue
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning), Image.open(path) as picture:
            square = squared(picture) if picture.width * picture.height <= LARGEST else None
        if square is not None:
            name = path.relative_to(root).with_suffix("").as_posix().replace("/", "-")
            yield Drawn(name, square, (caption,))


def _is_thing(path: Path) -> bool:
    name = path.as_posix()
    below = tuple(f"{folder}/" for folder in THINGS)
    return name.startswith(below) and not name.startswith(NOT_THINGS) and not ITALIAN.search(path.stem)


def _caption(stem: str, title: str, uses: int, english: Titles) -> str | None:
    words = english.words(title)
    if title.lower().startswith("clipart by") or (uses >= OFTEN and not _alike(words, stem)) or not words:
        title = english.trimmed(stem)
    return english.caption(title)


def _alike(words: list[str], stem: str) -> bool:
    """Whether a title and a file name have a word in common, however they are spaced and cut."""
    squeezed = re.sub(r"[^a-z]", "", stem.lower())
    return any(len(word) > 2 and word.rstrip("s") in squeezed for word in words)


def _title(svg: Path) -> str:
    try:
        tree = ElementTree.fromstring(svg.read_bytes())  # noqa: S314 - out of a pinned package
    except (OSError, ElementTree.ParseError):
        return ""
    work = next((element for element in tree.iter() if element.tag.endswith("}Work")), None)
    title = None if work is None else work.find("{http://purl.org/dc/elements/1.1/}title")
    return " ".join((title.text or "").split()) if title is not None else ""
