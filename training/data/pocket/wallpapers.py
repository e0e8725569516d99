"""Photographs among desktop wallpapers: no captions, but natural pictures to look at and to put stamps before.

Each is cut several times: the middle square and smaller ones at fixed random places.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from training.data.packages import DataPackage
from training.data.pocket.pictures import SIDE, Drawn

POOL = "pool/main"
PACKAGES = (
    DataPackage(
        registry="debian",
        name="lomiri-wallpapers-16.04",
        version="20.04.0-2",
        file=f"{POOL}/l/lomiri-wallpapers/lomiri-wallpapers-16.04_20.04.0-2_all.deb",
        sha256="a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        bytes=15_783_184,
        licence="CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0, CC0-1.0",
        homepage="https://gitlab.com/ubports/development/core/lomiri-wallpapers",
    ),
    DataPackage(
        registry="debian",
        name="mate-backgrounds",
        version="1.26.0-1",
        file=f"{POOL}/m/mate-backgrounds/mate-backgrounds_1.26.0-1_all.deb",
        sha256="7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
        bytes=46_638_500,
        licence="GPL-2+, CC-BY-SA-4.0",
        homepage="https://mate-desktop.org",
    ),
    DataPackage(
        registry="debian",
        name="plasma-workspace-wallpapers",
        version="4:5.27.5-2",
        file=f"{POOL}/p/plasma-workspace-wallpapers/plasma-workspace-wallpapers_5.27.5-2_all.deb",
        sha256="32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
        bytes=94_047_772,
        licence="GPL-2+",
        homepage="https://kde.org/plasma-desktop",
    ),
)

PHOTOGRAPHS = (
    "Bridge_by*", "Dragonfly_by*", "Picture_*", "Wine_by*", "aitzgorri_by*", "free_by*", "friends_by*", "greentock_by*",
    "life_by*", "picosdeeuropa_by*", "seeding_by*", "sunset_by*", "mate/nature/*.jpg", "Autumn/*/*/2560x1600.jpg",
    "BytheWater/*/*/2560x1600.jpg", "ColorfulCups/*/*/2560x1600.jpg", "EveningGlow/*/*/2560x1600.jpg",
    "FallenLeaf/*/*/2560x1600.jpg", "Grey/*/*/2560x1600.jpg", "Kite/*/*/2560x1600.jpg",
    "OneStandsOut/*/*/2560x1600.jpg", "Path/*/*/2560x1600.jpg", "DarkestHour/*/*/2560x1600.jpg",
)  # fmt: skip
"""Of all files of these packages; the others are drawn or computed. Chosen by looking at them."""

OBJECTS = (
    "ColorfulCups", "Dragonfly_by", "LadyBird", "Picture_", "Wine_by", "free_by", "friends_by", "life_by",
)  # fmt: skip
"""Of them, those that show something themselves, and are no surroundings for something else."""

SMALLER = 9
"""Cuts of each photograph besides the middle square."""

SHORTEST, LONGEST = 0.3, 0.9
"""Side of those cuts, as part of the photograph's shorter side."""

WORKING_SIDE = 1600
"""Pixels that a photograph is shrunk to before it is cut."""


def examples(*packages: Path) -> Iterator[Drawn]:
    """Squares of SIDE pixels without captions, in order of the paths."""
    found = {path for package in packages for pattern in PHOTOGRAPHS for path in package.rglob(pattern) if path.is_file()}
    for path in sorted(found, key=lambda path: path.as_posix().rsplit("/usr/", 1)[-1]):
        name = path.parts[-4] if path.parent.name == "images" else path.stem
        with Image.open(path) as picture:
            picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
            photograph = picture.convert("RGB")
        photograph.thumbnail((WORKING_SIDE, WORKING_SIDE))
        for at, box in enumerate(_boxes(photograph.size, random.Random(name))):  # noqa: S311 - the same cuts each time
            cut = photograph.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
            yield Drawn(f"{name}-{at}", cut, ())


def _boxes(size: tuple[int, int], chance: random.Random) -> Iterator[tuple[int, int, int, int]]:
    width, height = size
    shorter = min(size)
    left, top = (width - shorter) // 2, (height - shorter) // 2
    yield left, top, left + shorter, top + shorter
    for _ in range(SMALLER):
        side = int(shorter * chance.uniform(SHORTEST, LONGEST))
        left, top = chance.randint(0, width - side), chance.randint(0, height - side)
        yield left, top, left + side, top + side
