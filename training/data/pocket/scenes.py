"""Stamps before photographs: objects that are cut out, with a true caption, in surroundings that a camera might have seen."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.pocket import tuxpaint
from training.data.pocket.pictures import SIDE, Drawn

EACH = 6
"""Scenes of each stamp."""

SMALLEST, LARGEST = 0.5, 0.85
"""Longer side of the stamp, as part of the square's."""


def examples(package: Path, photographs: Sequence[Path]) -> Iterator[Drawn]:
    """EACH scenes a stamp; `photographs`: squares of SIDE pixels."""
    for name, path, caption in tuxpaint.stamps(package):
        if "cartoon" in name or "symbols" in name:
            continue
        with Image.open(path) as picture:
            stamp = picture.convert("RGBA")
        opaque = np.asarray(stamp.getchannel("A"))
        box = stamp.getchannel("A").getbbox()
        if box is None or opaque.min() > 0:
            continue  # nothing on it, or nothing cut away
        stamp = stamp.crop(box)
        for at in range(EACH):
            chance = random.Random(f"{name} {at}")  # noqa: S311 - the same scenes each time
            with Image.open(chance.choice(photographs)) as photograph:
                yield Drawn(f"{name}-{at}", _before(photograph.convert("RGB"), stamp, chance), (caption,))


def _before(photograph: Image.Image, stamp: Image.Image, chance: random.Random) -> Image.Image:
    side = SIDE * chance.uniform(SMALLEST, LARGEST)
    scale = side / max(stamp.size)
    size = (max(1, round(stamp.width * scale)), max(1, round(stamp.height * scale)))
    # Near the middle, which is all that a tower looks at.
    left, top = ((SIDE - length) * (0.5 + chance.uniform(-0.25, 0.25)) for length in size)
    small = stamp.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if chance.random() < 0.5:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    photograph.paste(small, (round(left), round(top)), small)
    return photograph
