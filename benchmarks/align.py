"""Stage 1, samples a second: one teacher-forced pass on cached features against the original's way.

    python -m benchmarks.align > docs/results/align.md              # pocket weights, two cores
    python -m benchmarks.align --threads 1 --seconds 20

The original looked at every picture again, ran the whole model once for each token of a caption, and took batches of two.
Both ways train the same projector on the same captions here, in turns, from photos to an AdamW step.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import skimage
import torch
from PIL import Image

from benchmarks.original_stage1 import per_token_loss
from benchmarks.report import header, table
from model.settings import WorkerSettings
from training import align
from training.base import Base, load_base
from training.config import Align
from training.data.records import Captioned, Origin
from training.hardware import fastest_precision
from training.mind_task import MindTask

WORDS = "a photo of some small thing that stands on a table near the window of an old house".split()  # noqa: SIM905
CAPTION_WORDS = (8, 16)
BATCHES = (1, 2, 8, 32)
ORIGINAL_BATCH = 2


def configuration() -> Align:
    data = {"train": [{"format": "captions", "file": "-"}], "validation": [{"format": "captions", "file": "-"}]}
    batch = {"size": max(BATCHES), "micro": max(BATCHES)}
    every = {"every": 1}
    return Align(
        stage="align", model="pocket", template="original", max_length=200, data=data, steps=1,
        batch=batch, optimizer={"lr": 1e-3}, checkpoints=every, validation=every, precision="auto",
    )  # fmt: skip


def photos(folder: Path, count: int) -> list[Path]:
    """As many different pictures, cut out of scikit-image's photos."""
    folder_of_skimage = Path(skimage.__file__).parent / "data"
    sources = [Image.open(folder_of_skimage / name).convert("RGB") for name in ("chelsea.png", "coffee.png")]
    paths = []
    for number in range(count):
        source = sources[number % len(sources)]
        left = 3 * number % (source.width - 256)
        paths.append(folder / f"{number}.jpg")
        source.crop((left, 0, left + 256, 256)).save(paths[-1])
    return paths


def rate(step: Callable[[], int], seconds: float) -> float:
    """Samples a second, after one step that does not count."""
    step()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        done += step()
    return done / (time.perf_counter() - started)


def ours(base: Base, task: MindTask, optimizer: torch.optim.Optimizer, batch: int) -> Callable[[], int]:
    def step() -> int:
        made = task.train.collate(range(batch))
        (task.module(**made.inputs) / made.answer_tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
        return batch

    return step


def originals(base: Base, task: MindTask, optimizer: torch.optim.Optimizer, paths: Sequence[Path]) -> Callable[[], int]:
    examples = task.train.examples[:ORIGINAL_BATCH]
    begin = examples[0].answer.start
    prompt = torch.from_numpy(examples[0].ids[:begin]).long()
    answers = [example.ids[begin:].tolist() for example in examples]

    def step() -> int:
        features = base.look([Image.open(io.BytesIO(path.read_bytes())) for path in paths[:ORIGINAL_BATCH]]).clone()
        loss = per_token_loss(base.model, prompt, answers, features)
        (loss / sum(map(len, answers))).backward()
        optimizer.step()
        optimizer.zero_grad()
        return ORIGINAL_BATCH

    return step


def prepared(run: Align, base: Base, paths: Sequence[Path], words: int, folder: Path) -> MindTask:
    """Stage 1 on captions of so many words."""
    captions = [" ".join(WORDS[(at + shift) % len(WORDS)] for at in range(words)) for shift in range(len(paths))]
    records = [
        Captioned(Origin(Path("captions"), at), path, (caption,))
        for at, (path, caption) in enumerate(zip(paths, captions, strict=True))
    ]
    cache = base.cache(folder)
    cache.fill(paths, base.look)
    return align.build(run, base, cache, records, records[:1], "", lambda what, done, total: None)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--seconds", type=float, default=15.0)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    first: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        paths = photos(Path(name), max(BATCHES))
        for precision in dict.fromkeys(("fp32", fastest_precision())):
            run = configuration().settled(precision)
            base = load_base(run, WorkerSettings().home, torch.device("cpu"), lambda what, done, total: None)
            for words in CAPTION_WORDS:
                task = prepared(run, base, paths, words, Path(name))
                optimizer = torch.optim.AdamW(base.projector.parameters(), lr=1e-5)
                steps = {("original's way", ORIGINAL_BATCH): originals(base, task, optimizer, paths)}
                steps |= {("one pass, cached", batch): ours(base, task, optimizer, batch) for batch in BATCHES}
                for (way, batch), step in steps.items():
                    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                        found = rate(step, options.seconds)
                    times = found / first.setdefault(words, found)
                    rows.append([str(words), precision, way, str(batch), f"{found:.2f}", f"{times:.1f}"])
    print(header("Stage 1, samples a second", "torch", "transformers"))
    print(f"pocket, {options.threads} threads; each figure over at least {options.seconds:.0f} s.\n")
    print(table(["caption, words", "precision", "way", "batch", "samples/s", "times the original's, fp32"], rows))


if __name__ == "__main__":
    main()
