"""Pictures of any kind as small square ones on white."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops

SIDE = 256
"""Pixels along each side; towers take 224."""

FILLED = 0.86
"""Part of the square that the picture's longer side takes: EfficientNet's middle crop leaves 0.875 of it."""

FAINT = 12
"""Difference to white (of 255) up to which a pixel counts as background."""


@dataclass(frozen=True)
class Drawn:
    """A picture and what is said about it."""

    name: str
    """Of its file, without suffix; unique within its source."""
    picture: Image.Image
    captions: tuple[str, ...]
    """The plainest first: it decides whether the picture is held out."""


def on_white(picture: Image.Image) -> Image.Image:
    """RGB, with white where it is transparent."""
    if picture.mode in ("RGB", "L") and "transparency" not in picture.info:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def content_box(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what differs from white; None: nothing does."""
    difference = ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).convert("L")
    return difference.point(lambda value: 255 * (value > FAINT)).getbbox()


def squared(picture: Image.Image) -> Image.Image | None:
    """The content of a picture in the middle of a white square of SIDE pixels; None: the picture is empty."""
    flat = on_white(picture)
    box = content_box(flat)
    if box is None:
        return None
    cut = flat.crop(box)
    scale = FILLED * SIDE / max(cut.size)
    size = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    small = cut.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    canvas.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return canvas


def save(drawn: Iterable[Drawn], folder: Path) -> None:
    """Write pictures as PNG, without metadata, so that the same picture gives the same bytes."""
    for one in drawn:
        one.picture.save(folder / f"{one.name}.png", optimize=False, compress_level=6)
