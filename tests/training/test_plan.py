"""`jnana train plan`: what a run takes, whether it fits, and which key to turn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.training.datafiles import llava
from tests.training.test_memory import instruct, pretrain
from training.cli import app
from training.config import PRESETS, Align, Pretrain, RunConfig, load
from training.errors import TrainingError
from training.flops import PHI2
from training.hardware import GIB, find_gpu
from training.memory import memory, total
from training.plan import UTILISATION, fitting, is_out_of_memory, out_of_memory, plan

ROOT = Path(__file__).parents[2]
A100, RTX3090, T4 = find_gpu("A100"), find_gpu("RTX 3090"), find_gpu("T4")


def changed(run: RunConfig, changes: tuple[str, ...]) -> RunConfig:
    """As `--set` changes it."""
    import yaml

    values = run.model_dump(mode="json")
    for change in changes:
        key, _, value = change.partition("=")
        *parents, last = key.split(".")
        at = values
        for parent in parents:
            at = at[parent]
        at[last] = yaml.safe_load(value)
    return type(run).model_validate(values)


def test_stage_0_does_six_flops_a_parameter_and_token() -> None:
    planned = plan(pretrain(sequence_length=2048, steps=10), A100)
    tokens = 10 * 8 * 2048
    parameters = PHI2.layer_matrices + PHI2.head_matrix
    assert planned.volume.all_tokens == tokens
    assert planned.work.model == pytest.approx(tokens * (6 * parameters + 12 * 32 * 2560 * 2048))
    assert planned.seconds == pytest.approx(planned.work.model / (UTILISATION * 312e12))


def test_the_originals_stage_1_takes_minutes_on_its_card() -> None:
    """It paid some $26 for it (README): the model ran once for every token of a caption."""
    planned = plan(load(Align, PRESETS / "align-original.yaml"), A100)
    assert planned.volume.examples == 30_000
    assert planned.work.model == pytest.approx(2.0e16, rel=0.05)
    assert 60 < planned.seconds < 600
    assert planned.cache_bytes == 30_000 * 49 * 768 * 2


def test_gpus_share_the_time_and_a_measured_mfu_counts() -> None:
    run = pretrain(batch={"size": 8, "micro": 2})
    one, four = plan(run, RTX3090), plan(run, RTX3090, gpus=4)
    assert four.seconds == pytest.approx(one.seconds / 4)
    assert plan(run, RTX3090, mfu=0.07).seconds == pytest.approx(5 * one.seconds)
    with pytest.raises(TrainingError, match="multiple of batch"):
        plan(run, RTX3090, gpus=3)


def test_recomputation_takes_time_and_is_not_mfu() -> None:
    plain, again = plan(pretrain(), A100), plan(pretrain(gradient_checkpointing=True), A100)
    assert again.work.model == plain.work.model
    assert again.seconds / plain.seconds == pytest.approx(4 / 3, rel=0.05)
    assert again.mfu < plain.mfu


def test_what_is_not_known_is_asked_for() -> None:
    run = instruct(steps=None, epochs=2)
    with pytest.raises(TrainingError, match=r"examples in a.json there are: make them first"):
        plan(run, A100)
    planned = plan(run, A100, examples=1000, tokens_per_example=300)
    assert planned.volume.steps == 250
    assert planned.volume.all_tokens == 2000 * 300
    assert planned.notes == ()


def test_what_is_there_is_counted(tmp_path: Path) -> None:
    talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A bear."}]
    records = [{"id": str(at), "image": f"{at % 2}.png", "conversations": talk} for at in range(3)]
    source = llava(tmp_path, [*records, {"id": "bad"}], "own.json").model_dump() | {"times": 4}
    run = instruct(steps=None, epochs=2, data={"train": [source], "validation": [source]})
    assert plan(run, A100).volume.examples == 24
    assert plan(run, A100).volume.pictures == 2
    gone = [{"format": "llava", "file": f"{name}.json"} for name in ("a", "b")]
    both = instruct(steps=None, epochs=2, data={"train": gone, "validation": gone})
    assert plan(both, A100, examples=100).volume.pictures == 100  # of all files together, not of each


@pytest.mark.parametrize("room", [40, 24, 16, 12, 9])
def test_the_changes_that_are_named_make_it_fit_and_are_needed(room: int) -> None:
    run = instruct(batch={"size": 64, "micro": 32}, max_length=2048)
    changes = fitting(run, room * GIB)
    assert changes
    assert total(memory(changed(run, changes))) <= room * GIB
    assert total(memory(changed(run, changes[:-1]))) > room * GIB


def test_smaller_micro_batches_come_first_and_divide_the_batch() -> None:
    run = instruct(batch={"size": 18, "micro": 6})
    assert fitting(run, total(memory(run))) == ()
    assert fitting(run, total(memory(run)) - 1) == ("batch.micro=3",)


def test_whole_weights_that_no_card_holds_are_shared() -> None:
    run = load(Pretrain, PRESETS / "pretrain-best.yaml")
    assert fitting(run, RTX3090.memory) is None
    changes = fitting(run, RTX3090.memory, gpus=4)
    assert changes == ("fsdp=true",)


@pytest.mark.parametrize(
    ("changes", "knob"),
    [
        ({}, r"set batch\.micro=2 \(it is 4\)"),
        ({"batch": {"size": 8, "micro": 1}}, "set gradient_checkpointing=true"),
        ({"batch": {"size": 8, "micro": 1}, "gradient_checkpointing": True}, "set quantize=nf4 in another run folder"),
        (
            {"batch": {"size": 8, "micro": 1}, "gradient_checkpointing": True, "quantize": "nf4"},
            "set max_length=256 in another run folder, for a run goes on with the settings it began with",
        ),
        (
            {"batch": {"size": 8, "micro": 1}, "gradient_checkpointing": True, "quantize": "nf4", "max_length": 128},
            r"take a larger GPU\. ",
        ),
    ],
)
def test_out_of_memory_names_the_key_to_turn(changes: dict[str, object], knob: str) -> None:
    error = RuntimeError(
        "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.69 GiB of which 1.07 GiB is free."
    )
    with pytest.raises(AssertionError, match=knob):
        raise AssertionError(out_of_memory(instruct(**changes), error))
    assert "23.69 GiB (2.50 GiB more were asked for)" in out_of_memory(instruct(**changes), error)
    assert "the memory:" in out_of_memory(instruct(**changes), MemoryError())


def test_what_a_run_may_change_is_named_before_what_needs_another_folder() -> None:
    run = instruct(batch={"size": 8, "micro": 1}, precision="fp32")
    assert "set gradient_checkpointing=true. " in out_of_memory(run, MemoryError())
    run = run.model_copy(update={"gradient_checkpointing": True})
    assert "set precision=bf16 in another run folder" in out_of_memory(run, MemoryError())


@pytest.mark.parametrize(
    ("length", "gpus", "knob"),
    [
        (128, 1, "take a larger GPU, or several GPUs with fsdp=true in another run folder"),
        (512, 1, "set sequence_length=256, or take several GPUs with fsdp=true, in another run folder"),
        (512, 4, "set sequence_length=256, or take more GPUs with fsdp=true, in another run folder"),
    ],
)
def test_stage_0_can_be_shared_among_more_gpus(length: int, gpus: int, knob: str) -> None:
    run = pretrain(gradient_checkpointing=True, fsdp=True, sequence_length=length)
    assert knob in out_of_memory(run, MemoryError(), gpus)
    assert "set fsdp=true in another" in out_of_memory(run.model_copy(update={"fsdp": False}), MemoryError(), gpus=2)


def test_a_full_memory_is_known_by_what_allocators_say() -> None:
    with pytest.raises(RuntimeError) as full:
        torch.empty(2**60)
    assert is_out_of_memory(full.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def command(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train", "plan", *arguments])
    return result.exit_code, result.output


def test_the_command_prints_the_plan_whole_in_a_pipe() -> None:
    code, output = command("pretrain", "best", "--gpu", "NVIDIA A100-SXM4-40GB", "--price", "2")
    assert code == 0
    for words in ("AdamW", "22.24", "58.18", "262.14 M", "312 TFLOP/s (dense bf16, A100 data sheet)", "ASSUMPTION", "price"):
        assert words in output
    assert "no setting changes that. As it is, it fits on: A100 80GB" in output


def test_the_command_takes_changes() -> None:
    assert "It fits" in command("instruct", "best", "--gpu", "3090")[1]
    code, output = command("instruct", "best", "--gpu", "3090", "--set", "gradient_checkpointing=false")
    assert code == 0
    assert "It would with --set batch.micro=" in output


def test_an_unknown_card_is_one_sentence() -> None:
    code, output = command("align", "best", "--gpu", "RTX 2070")
    assert code == 1
    assert output.strip().startswith("The GPU 'RTX 2070' is not in the table: there are RTX 3090")
    assert len(output.strip().splitlines()) == 1


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; from training.config import PRESETS, Instruct, load; from training.plan import plan\n"
        "from training.plan_table import tables; from training.hardware import find_gpu\n"
        "tables(plan(load(Instruct, PRESETS / 'instruct-best.yaml'), find_gpu('L4')))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
