"""Which records become examples: the original's choices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training import minds
from training import align, instruct
from training.data.features import FeatureCache
from training.data.records import Origin
from training.errors import TrainingError
from training.examples import Example
from training.mind_task import MindTask


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    torch.set_num_threads(1)
    return FeatureCache(tmp_path / "cache", 49, 24)


def test_one_caption_of_a_picture_or_all(tmp_path: Path, cache: FeatureCache) -> None:
    records = [replace(record, captions=("one", "two", "three")) for record in minds.captioned(minds.pictures(tmp_path, 2))]
    for captions, count in (("all", 6), ("first", 2)):
        run = minds.align(captions=captions, template="original")
        task = minds.task(run, minds.base(), cache, records, records)
        assert len(task.train.examples) == count


def test_answers_beyond_the_limit_are_left_out(tmp_path: Path, cache: FeatureCache) -> None:
    records = minds.conversations(minds.pictures(tmp_path, 2))
    # Bytes are tokens here: "Thing 0." and "Yes." have 8 and 4, and an end of text each.
    for limit, lengths in ((None, {9, 5}), (9, {9, 5}), (8, {5})):
        run = minds.instruct(template="original", text_only="base", max_answer=limit)
        task = minds.task(run, minds.base("original"), cache, records, records)
        assert {sum(example.learnt) for example in task.train.examples} == lengths
    run = minds.instruct(template="original", max_answer=2)
    with pytest.raises(TrainingError, match=r"max_length \(200 tokens\) and max_answer \(2\)"):
        minds.task(run, minds.base("original"), cache, records, records)


@pytest.mark.parametrize("stage", ["align", "instruct"])
def test_examples_are_arrays_and_tokenising_tells_how_far_it_is(stage: str, tmp_path: Path, cache: FeatureCache) -> None:
    """Tuples of Python's numbers would take gigabytes for a published data set."""
    paths = minds.pictures(tmp_path)
    run, records = (
        (minds.align(), minds.captioned(paths)) if stage == "align" else (minds.instruct(), minds.conversations(paths))
    )
    told: list[tuple[str, int, int]] = []
    task = minds.task(run, minds.base(), cache, records, records[:2], lambda *step: told.append(step))
    assert all((example.ids.itemsize, example.learnt.itemsize) == (4, 1) for example in task.train.examples)
    assert told == [("Tokenising training data", len(records), len(records)), ("Tokenising validation data", 2, 2)]


def test_the_first_answer_of_an_example() -> None:
    origin = Origin(Path("talk.json"), 1)
    for learnt, answer in (([0, 1, 1, 0, 1], [1, 2]), ([0, 0, 1, 1, 1], [2, 3, 4])):
        example = Example.of(origin, range(5), [bool(one) for one in learnt])
        assert example.ids[example.answer].tolist() == answer


def test_what_is_measured_is_what_a_run_takes(tmp_path: Path, cache: FeatureCache) -> None:
    """`jnana data validate` counts by these what a run leaves out."""
    paths = minds.pictures(tmp_path, 3)
    captioned = [replace(record, captions=("one", "a few words more")) for record in minds.captioned(paths)]
    talks = minds.conversations(paths)
    base = minds.base("original")
    for captions in ("all", "first"):
        run = minds.align(captions=captions, template="original")
        sizes = [size for record in captioned for size in align.lengths(run, base.writer, record)]
        assert sizes == sizes_of(minds.task(run, base, cache, captioned, captioned))
    for text_only in ("base", "adapter"):
        answering = minds.instruct(text_only=text_only, template="original")
        sizes = [size for record in talks for size in instruct.lengths(answering, base.writer, record)]
        assert sizes == sizes_of(minds.task(answering, minds.base("original"), cache, talks, talks))
    run = minds.align(questions=["What?", "What is it, please?"])
    (short, long) = (len(align.encode(run, base.writer, "one", number)[0]) for number in (0, 1))
    assert long > short
    assert align.lengths(run, base.writer, captioned[0])[0][0] == long


def sizes_of(task: MindTask) -> list[tuple[int, int]]:
    return [(len(example.ids), int(example.learnt.sum())) for example in task.train.examples]  # type: ignore[attr-defined]
