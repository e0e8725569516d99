"""How much a run learns from: examples, tokens and pictures, as far as its configuration and published files tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.config import Align, Files, Instruct, MultimodalConfig, Pretrain, RunConfig
from training.data.captions import read_captions
from training.data.conversations import read_conversations
from training.data.loading import pictures_of
from training.data.records import BadRecord, Captioned
from training.errors import TrainingError
from training.flops import MINDS


@dataclass(frozen=True)
class _Published:
    """A data set that many use, by its file's name."""

    records: int
    answers: float
    """Captions, or questions with their answers, of a record."""
    pictures: int


PUBLISHED: Mapping[str, _Published] = {
    "captions_train2017.json": _Published(118_287, 5.0, 118_287),
    "captions_val2017.json": _Published(5_000, 5.0, 5_000),
    "llava_instruct_150k.json": _Published(157_712, 2.26, 81_000),
}
"""COCO captions 2017 (https://cocodataset.org/#download) and LLaVA-Instruct-150K
(https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K): 356,752 answers about some 81,000 pictures of COCO."""

TYPICAL: Mapping[tuple[str, str], tuple[int, int]] = {
    ("align", "original"): (65, 12),
    ("align", "chat"): (76, 13),
    ("instruct", "original"): (107, 38),
    ("instruct", "chat"): (240, 143),
}
"""(tokens, those of them that are learnt) of an example by stage and template: COCO's captions and LLaVA-Instruct-150K's
conversations in phi-2's tokens, 49 of them a picture's. Rough; 38 is the mean of the original's table of answer lengths."""


@dataclass(frozen=True)
class _Source:
    """What a file of records has: examples that a run makes of them, and pictures."""

    examples: float
    pictures: int


@dataclass(frozen=True)
class Volume:
    steps: int
    examples: float
    """Seen over the whole run."""
    tokens: float
    """Of one example."""
    answers: float
    """Of them, what is learnt: the head sees no others."""
    pictures: int
    """Looked at once and cached."""
    assumptions: tuple[str, ...]

    @property
    def all_tokens(self) -> float:
        return self.examples * self.tokens


def volume(run: RunConfig, examples: int | None = None, tokens_per_example: float | None = None) -> Volume:
    """Of a whole run. `examples`: of an epoch, instead of what is known of its files.

    Raises TrainingError when nothing says how many there are.
    """
    if isinstance(run, Pretrain):
        steps = run.steps or _epochs(run, _needed(examples, "sequences in its shards"))
        length = float(run.sequence_length)
        return Volume(steps, float(steps * run.batch.size), length, length, 0, ())
    assert isinstance(run, MultimodalConfig)  # noqa: S101 - there are no other stages
    assumptions = []
    sources = [(files, _source(run, files)) for files in run.data.train]
    gone = [str(files.file) for files, found in sources if found is None]
    counted = None
    if examples is None and not gone:
        counted = round(sum(found.examples * files.times for files, found in sources if found is not None))
    epoch = examples if examples is not None else counted
    if run.steps is None and epoch is None:
        epoch = _needed(None, f"examples in {', '.join(gone)}")
    steps = run.steps or _epochs(run, epoch or 0)
    if counted is not None and run.steps is None:
        assumptions.append(f"{counted:,} examples an epoch: what its files hold (--examples).")
    tokens, answers = _lengths(run, tokens_per_example)
    if isinstance(run, Instruct) and run.max_answer:
        assumptions.append(f"Examples with more than {run.max_answer} learnt tokens are left out, so there are fewer.")
    if tokens_per_example is None:
        assumptions.append(f"{tokens:.0f} tokens an example, {answers:.0f} of them learnt: typical, not counted (--tokens).")
    pictures = (examples or 0) if gone else sum(found.pictures for _, found in sources if found is not None)
    return Volume(steps, float(steps * run.batch.size), tokens, answers, pictures, tuple(assumptions))


def _needed(examples: int | None, what: str) -> int:
    if examples is None:
        raise TrainingError(
            f"The run is told in epochs, and nothing says how many {what} there are: make them first (pocket's: `jnana data "
            "pocket`), or give --examples."
        )
    return examples


def _epochs(run: RunConfig, examples: int) -> int:
    return max(1, round((run.epochs or 0) * examples / run.batch.size))


def _lengths(run: MultimodalConfig, tokens: float | None) -> tuple[float, float]:
    template = run.template if isinstance(run, Align | Instruct) else "chat"
    typical, answers = TYPICAL[run.stage, template]
    if tokens is None:
        return typical, answers
    image_tokens = MINDS[run.model].tower.tokens
    return tokens, max(1.0, (tokens - image_tokens) * answers / (typical - image_tokens))


def _source(run: MultimodalConfig, files: Files) -> _Source | None:
    """What is published of a file, or else what stands in it; None: it is not there."""
    if (known := PUBLISHED.get(files.file.name)) is not None:
        records = len(range(known.records)[files.skip : files.end])
        return _Source(records * (known.answers if _one_each(run) else 1), min(records, known.pictures))
    if files.file.is_file():
        return _read(run, files)
    if files.first is None or files.format == "coco":
        return None
    return _Source(files.first, files.first)


def _read(run: MultimodalConfig, files: Files) -> _Source:
    examples, pictures = 0, set[Path]()
    for record in (read_captions if isinstance(run, Align) else read_conversations)(files):
        if isinstance(record, BadRecord):
            continue
        pictures.update(pictures_of(record))
        answers = len(record.captions) if isinstance(record, Captioned) else len(record.messages) // 2
        examples += answers if _one_each(run) else 1
    return _Source(examples, len(pictures))


def _one_each(run: MultimodalConfig) -> bool:
    """Whether every caption or answer of a record is an example of its own."""
    if isinstance(run, Align):
        return run.captions == "all"
    return isinstance(run, Instruct) and run.template == "original"
