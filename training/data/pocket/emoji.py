"""Noto's colour emoji with their Unicode names (font OFL-1.1, pictures Apache-2.0, names Unicode-3.0 by the package emoji).

The pictures are PNG files in the font's CBDT table: https://learn.microsoft.com/typography/opentype/spec/cbdt.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from training.data.packages import DataPackage
from training.data.pocket.english import Titles
from training.data.pocket.pictures import Drawn, squared
from training.errors import TrainingError

PICTURES = DataPackage(
    registry="debian",
    name="fonts-noto-color-emoji",
    version="2.042-0+deb12u1",
    file="pool/main/f/fonts-noto-color-emoji/fonts-noto-color-emoji_2.042-0+deb12u1_all.deb",
    sha256="a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751",
    bytes=9_893_872,
    licence="OFL-1.1 (font), Apache-2.0 (pictures)",
    homepage="https://github.com/googlefonts/noto-emoji",
)
NAMES = DataPackage(
    registry="pypi",
    name="emoji",
    version="2.16.0",
    file="emoji-2.16.0-py3-none-any.whl",
    sha256="c4230d80640def9071599ff56b1b5950fe13a2a94c0da98c5deab12431b24330",
    bytes=610_912,
    licence="BSD-3-Clause",
    homepage="https://github.com/carpedm20/emoji",
)

UNSEEN = re.compile(
    r"arrow|baggage|black \w+ square|button|club suit|deaf|diamond suit|dice|finger$|flag|hair|heart suit|high voltage"
    r"|hundred points|id\b|input|japanese|keycap|light rail|love hotel|luggage|mark|\bmate\b|medium|motorway|multiply|number"
    r"|o.clock|potable|\brex\b|sign\b|spade suit|symbol|thirty|tone|type|white \w+ square|zodiac"
    r"|aries|taurus|gemini|cancer|leo\b|virgo|libra|scorpio\b|sagittarius|capricorn|aquarius|pisces|ophiuchus"
)
"""Names of signs: the tower of photographs cannot read them."""

VARIATION = "\ufe0f"
"""Asks for the coloured form of a character that also has a plain one."""


def examples(font_package: Path, names_package: Path, english: Titles) -> Iterator[Drawn]:
    """The emoji of a single character that show something, in order of their code points. Raises TrainingError."""
    names = _names(names_package / "emoji/unicode_codes/emoji.json")
    for codepoint, png in _pictures(font_package / "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"):
        name = names.get(codepoint)
        if name is None or UNSEEN.search(name):
            continue
        caption = english.sentence(name) if "face" in name.split() else english.caption(name)
        square = squared(Image.open(io.BytesIO(png)))
        if caption is not None and square is not None:
            yield Drawn(f"{codepoint:05x}", square, (caption,))


def _names(path: Path) -> dict[int, str]:
    """Names by code point, as `:pizza:` in the package."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} does not hold the names of emoji ({error}): remove it and try again.") from error
    single = {character.replace(VARIATION, ""): entry for character, entry in table.items()}
    return {
        ord(character): str(entry["en"]).strip(":").replace("_", " ").replace("-", " ").lower()
        for character, entry in single.items()
        if len(character) == 1
    }


def _pictures(path: Path) -> Iterator[tuple[int, bytes]]:
    from fontTools.ttLib import TTFont, TTLibError  # only this source needs it

    try:
        with TTFont(path, lazy=True) as font:
            strike = font["CBDT"].strikeData[0]
            for codepoint, glyph in sorted(font.getBestCmap().items()):
                if glyph in strike:
                    yield codepoint, strike[glyph].imageData
    except (OSError, KeyError, TTLibError) as error:
        raise TrainingError(f"{path} is no colour font with pictures ({error}): remove it and try again.") from error
