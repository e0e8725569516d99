"""Settings that contradict each other are told before anything is spent, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.made_run import ALIGN, PRETRAIN
from training.config import Align, Pretrain, dump, load
from training.errors import Mistakes


def mistakes(tmp_path: Path, kind: type[Align | Pretrain], values: dict[str, object], *changes: str) -> tuple[str, ...]:
    (tmp_path / "run.yaml").write_text(dump(kind.model_validate(values)))
    with pytest.raises(Mistakes) as told:
        load(kind, tmp_path / "run.yaml", changes)
    return told.value.mistakes


def test_changes_that_cannot_be_made_are_told_all_at_once(tmp_path: Path) -> None:
    assert mistakes(tmp_path, Pretrain, PRETRAIN, "nonsense", "steps.more=1", "threads=[", "optimizer.lr=1e-3") == (
        "nonsense: should be key=value, such as optimizer.lr=1e-3",
        "steps.more=1: steps has no keys of its own",
        "threads=[: the value is not valid YAML",
    )


def test_contradictions_are_told_together_with_what_else_is_wrong(tmp_path: Path) -> None:
    changes = ("optimizer.warmup_steps=525", "sequence_length=4096", "batch.size=33", "speed=1")
    assert sorted(mistakes(tmp_path, Pretrain, PRETRAIN, *changes)) == [
        "batch.micro: size (33) must be a multiple of it (it is 8)",
        "optimizer: warmup_steps (525) must be fewer than steps (525)",
        "sequence_length: must be at most architecture.max_position_embeddings (2048) (it is 4096)",
        "speed: there is no such key",
    ]


def test_heads_that_cannot_be_rotated_in_pairs_are_told(tmp_path: Path) -> None:
    for heads, found in ((320, "3 of the 8"), (1280, "0 of the 2")):
        told = mistakes(tmp_path, Pretrain, PRETRAIN, f"architecture.num_attention_heads={heads}", "speed=1")
        assert sorted(told) == [
            f"architecture.partial_rotary_factor: would rotate {found} numbers of a head, and they are rotated in pairs "
            "(it is 0.4)",
            "speed: there is no such key",
        ]
    (tmp_path / "run.yaml").write_text(dump(Pretrain.model_validate(PRETRAIN)))
    half = ("architecture.num_attention_heads=320", "architecture.partial_rotary_factor=0.5")
    assert load(Pretrain, tmp_path / "run.yaml", half).architecture.partial_rotary_factor == 0.5


def test_the_learning_rate_never_ends_above_where_it_begins(tmp_path: Path) -> None:
    told = mistakes(tmp_path, Align, ALIGN, "optimizer.min_lr=0.01", "speed=1")
    assert sorted(told) == ["optimizer.min_lr: must be at most lr (0.001) (it is 0.01)", "speed: there is no such key"]


def test_what_is_missing_is_told_together_with_what_is_unknown(tmp_path: Path) -> None:
    told = mistakes(tmp_path, Align, ALIGN, "steps=null", "fsdp=true", "speed=1")
    assert sorted(told) == [
        "epochs: give either steps or epochs (it is None)",
        "fsdp: is for stage 0: the frozen model of stages 1 and 2 fits on every GPU (it is True)",
        "speed: there is no such key",
    ]


def test_a_mistake_in_the_only_source_is_one_mistake(tmp_path: Path) -> None:
    source = "data.train=[{format: captions, file: a.jsonl, skipp: 1}]"
    assert mistakes(tmp_path, Align, ALIGN, source) == ("data.train.0.skipp: there is no such key",)
    assert mistakes(tmp_path, Align, ALIGN, source, "data.validation=[]") == (
        "data.train.0.skipp: there is no such key",
        "data.validation: Tuple should have at least 1 item after validation, not 0 (it is [])",
    )


def test_a_warm_up_has_room_in_epochs_that_nobody_counted(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(dump(Align.model_validate(ALIGN)))
    changes = ("optimizer.warmup_steps=5000", "steps=null", "epochs=1")
    assert load(Align, tmp_path / "run.yaml", changes).optimizer.warmup_steps == 5000
