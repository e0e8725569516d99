"""Batches: each example once an epoch, the same after a resume, similar lengths together."""

from __future__ import annotations

from collections import Counter

import pytest

from training.config import Optimizer
from training.sampling import Order, Sampler, length_buckets
from training.schedule import learning_rate


@pytest.mark.parametrize("order", ["buckets", "random", "ascending"])
@pytest.mark.parametrize(("examples", "size"), [(160, 32), (1000, 64), (4000, 32), (7, 16)])
def test_every_example_is_seen_once_an_epoch(order: Order, examples: int, size: int) -> None:
    sampler = Sampler([1 + number * 7 % 100 for number in range(examples)], size, seed=1, order=order)
    for epochs in (1, 3):
        steps = examples * epochs // size
        seen = Counter(index for step in range(steps + 1) for index in sampler.batch(step))
        assert set(seen) == set(range(examples)) or epochs * examples < size
        assert max(seen.values()) - min(seen.values()) <= 1 + size // examples


def test_a_batch_is_a_function_of_its_step() -> None:
    lengths = [number % 13 + 1 for number in range(300)]
    first = [Sampler(lengths, 8, seed=3, order="buckets").batch(step) for step in range(80)]
    again = Sampler(lengths, 8, seed=3, order="buckets")
    assert [again.batch(step) for step in reversed(range(80))] == first[::-1]
    assert [Sampler(lengths, 8, seed=4, order="buckets").batch(step) for step in range(80)] != first


def test_buckets_hold_similar_lengths_and_are_shuffled() -> None:
    lengths = list(range(800))
    sampler = Sampler(lengths, 16, seed=1, order="buckets")
    batches = [sampler.batch(step) for step in range(50)]
    assert all(max(batch) - min(batch) < 16 for batch in batches)
    assert [batch[0] for batch in batches] != sorted(batch[0] for batch in batches)


def test_the_longest_of_a_batch_comes_first() -> None:
    sampler = Sampler([5, 9, 1, 7], 4, seed=1, order="random")
    assert sampler.batch(0) == [1, 3, 0, 2]


def test_the_learning_rate_climbs_and_falls_to_its_end() -> None:
    optimizer = Optimizer(lr=1e-3, min_lr=1e-4, warmup_steps=10)
    rates = [learning_rate(optimizer, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[9] == rates[10] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-4)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_length_buckets_part_examples_into_quarters_but_never_equal_lengths() -> None:
    lengths = [9, 30, 12, 41, 10, 30, 30, 30]
    assert length_buckets(lengths) == {
        "up to 10 tokens": [0, 4],
        "11 to 30 tokens": [2, 1, 5, 6, 7],
        "31 to 41 tokens": [3],
    }
    assert length_buckets([64] * 9) == {"up to 64 tokens": list(range(9))}
