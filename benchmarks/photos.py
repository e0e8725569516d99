"""How many real photos are named right by `jnana ask --image`: the whole way a person's photo goes, answers included.

    apt-get install opencv-doc                      # 15 of the photos; the others are in scikit-image
    python -m benchmarks.photos > docs/results/photos.md

The words that count as right were written down by hand, looking at the photos, before the first run. A photo counts as
named when the answer has one of its words (whole word, plural allowed). Photos no ImageNet class exists for are in on purpose.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import skimage

from benchmarks.report import header, table

SKIMAGE = Path(skimage.__file__).parent / "data"
OPENCV = Path("/usr/share/doc/opencv-doc/examples/data")
QUESTION = "What is in this photo?"

PHOTOS: dict[Path, tuple[str, ...]] = {
    SKIMAGE / "astronaut.png": ("astronaut", "space suit", "spacesuit", "person", "woman"),
    SKIMAGE / "camera.png": ("camera", "tripod", "photographer"),
    SKIMAGE / "chelsea.png": ("cat", "tabby"),
    SKIMAGE / "coffee.png": ("coffee", "espresso", "cup"),
    SKIMAGE / "coins.png": ("coin",),
    SKIMAGE / "motorcycle_left.png": ("motorcycle", "motorbike", "moped", "scooter"),
    SKIMAGE / "rocket.jpg": ("rocket", "missile", "launch"),
    SKIMAGE / "page.png": ("segmentation", "text", "page"),
    OPENCV / "aloeL.jpg": ("aloe", "plant", "pot", "flowerpot"),
    OPENCV / "apple.jpg": ("apple", "granny smith"),
    OPENCV / "baboon.jpg": ("baboon", "mandrill", "monkey"),
    OPENCV / "board.jpg": ("circuit", "board", "chip", "electronic", "modem"),
    OPENCV / "building.jpg": ("building", "hotel", "office", "apartment"),
    OPENCV / "butterfly.jpg": ("butterfly", "butterflies"),
    OPENCV / "cards.png": ("card",),
    OPENCV / "chicky_512.png": ("dog", "pekinese", "pekingese", "puppy", "spaniel"),
    OPENCV / "fruits.jpg": ("fruit", "orange", "lemon", "lime", "kiwi"),
    OPENCV / "home.jpg": ("palace", "building", "church", "house", "mosque", "monastery", "tower"),
    OPENCV / "licenseplate_motion.jpg": ("car", "vehicle"),
    OPENCV / "messi5.jpg": ("soccer", "football", "player"),
    OPENCV / "orange.jpg": ("orange",),
    OPENCV / "smarties.png": ("candy", "candies", "sweets", "smarties", "chocolate", "ball"),
    OPENCV / "squirrel_cls.jpg": ("squirrel",),
    OPENCV / "starry_night.jpg": ("painting", "starry", "van gogh", "night"),
    OPENCV / "sudoku.png": ("sudoku", "puzzle", "crossword"),
}


def names(answer: str, words: tuple[str, ...]) -> bool:
    """True if the answer holds one of the words, whole, singular or plural."""
    return any(re.search(rf"\b{re.escape(word)}s?\b", answer, re.IGNORECASE) for word in words)


def ask(photo: Path) -> dict[str, object]:
    """One `jnana ask --json` about a photo; its JSON answer."""
    command = [sys.executable, "-m", "bot.cli", "ask", "--json", "--image", str(photo), QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> None:
    rows, right = [], 0
    present = {photo: words for photo, words in PHOTOS.items() if photo.exists()}
    for photo, words in present.items():
        answer = ask(photo)
        text, hints = str(answer["answer"]), answer["hints"]
        named = names(text, words)
        right += named
        rows.append([photo.name, "yes" if named else "**no**", text, "; ".join(hints) if isinstance(hints, list) else ""])
        print(f"{photo.name}: {'right' if named else 'wrong'}", file=sys.stderr)
    print(header("Photos named right by `jnana ask --image`", "torch", "transformers", "rapidocr"))
    print(f"**{right} of {len(present)}** photos named right; question: “{QUESTION}”.\n")
    print(table(["photo", "right", "answer", "hints the model was given"], rows))


if __name__ == "__main__":
    main()
