"""How many real photos are named right by `jnana ask --image`: the whole way a person's photo goes, answers included.

    apt-get install opencv-doc                      # 15 of the photos; the others are in scikit-image
    python -m benchmarks.photos > docs/results/photos.md

A photo counts as named when the answer has one of its words (whole word, singular or plural); training/evaluate/photos.py has
the photos and their words.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.report import header, table
from training.evaluate.nouns import names
from training.evaluate.photos import photos

QUESTION = "What is in this photo?"


def ask(photo: Path) -> dict[str, object]:
    """One `jnana ask --json` about a photo; its JSON answer."""
    command = [sys.executable, "-m", "bot.cli", "ask", "--json", "--image", str(photo), QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> None:
    rows, right = [], 0
    present = photos()
    for question in present:
        photo, words = question.pictures[0], question.answers
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
