"""Real photos with the words that count as right, for `jnana evaluate photos` and benchmarks/photos.py.

They lie on many machines already: scikit-image's wheel has some, Debian's opencv-doc the others. The words were written down by
hand, looking at the photos, before the first run. Photos no ImageNet class exists for are in on purpose.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from training.errors import TrainingError
from training.evaluate.questions import Question

OPENCV = Path("/usr/share/doc/opencv-doc/examples/data")

WORDS: dict[tuple[Literal["skimage", "opencv"], str], tuple[str, ...]] = {
    ("skimage", "astronaut.png"): ("astronaut", "space suit", "spacesuit", "person", "woman"),
    ("skimage", "camera.png"): ("camera", "tripod", "photographer"),
    ("skimage", "chelsea.png"): ("cat", "tabby"),
    ("skimage", "coffee.png"): ("coffee", "espresso", "cup"),
    ("skimage", "coins.png"): ("coin",),
    ("skimage", "motorcycle_left.png"): ("motorcycle", "motorbike", "moped", "scooter"),
    ("skimage", "rocket.jpg"): ("rocket", "missile", "launch"),
    ("skimage", "page.png"): ("segmentation", "text", "page"),
    ("opencv", "aloeL.jpg"): ("aloe", "plant", "pot", "flowerpot"),
    ("opencv", "apple.jpg"): ("apple", "granny smith"),
    ("opencv", "baboon.jpg"): ("baboon", "mandrill", "monkey"),
    ("opencv", "board.jpg"): ("circuit", "board", "chip", "electronic", "modem"),
    ("opencv", "building.jpg"): ("building", "hotel", "office", "apartment"),
    ("opencv", "butterfly.jpg"): ("butterfly", "butterflies"),
    ("opencv", "cards.png"): ("card",),
    ("opencv", "chicky_512.png"): ("dog", "pekinese", "pekingese", "puppy", "spaniel"),
    ("opencv", "fruits.jpg"): ("fruit", "orange", "lemon", "lime", "kiwi"),
    ("opencv", "home.jpg"): ("palace", "building", "church", "house", "mosque", "monastery", "tower"),
    ("opencv", "licenseplate_motion.jpg"): ("car", "vehicle"),
    ("opencv", "messi5.jpg"): ("soccer", "football", "player"),
    ("opencv", "orange.jpg"): ("orange",),
    ("opencv", "smarties.png"): ("candy", "candies", "sweets", "smarties", "chocolate", "ball"),
    ("opencv", "squirrel_cls.jpg"): ("squirrel",),
    ("opencv", "starry_night.jpg"): ("painting", "starry", "van gogh", "night"),
    ("opencv", "sudoku.png"): ("sudoku", "puzzle", "crossword"),
}


def photos(first: int | None = None) -> list[Question]:
    """Those that are on this machine. Raises TrainingError when there are none."""
    found = importlib.util.find_spec("skimage")
    skimage = Path(next(iter(found.submodule_search_locations or ())), "data") if found else None
    folders = {"skimage": skimage, "opencv": OPENCV}
    questions = [
        Question(name, (folder / name,), "", words)
        for (source, name), words in WORDS.items()
        if (folder := folders[source]) is not None and (folder / name).is_file()
    ]
    if not questions:
        raise TrainingError("None of the photos is on this machine: pip install scikit-image, apt-get install opencv-doc.")
    return questions[:first]
