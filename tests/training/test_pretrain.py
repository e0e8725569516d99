"""Stage 0 on a tiny phi and packed text."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from model.files import check_manifest
from model.weights import WeightsError
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer
from tests.training.full_disk import files_of_at_most
from tests.training.toy import Heard
from training.config import Architecture, Pretrain
from training.data.pack import pack
from training.data.validate import validate
from training.errors import TrainingError
from training.loop import Loop
from training.pretrain import PretrainTask, phi_config
from training.ranks import new_accelerator
from training.task import Facts

TEXT = "It is a truth universally acknowledged, that a small model in possession of a good fortune must be in want of text.\n"
TINY = {
    "vocab_size": VOCABULARY_ROWS, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "partial_rotary_factor": 0.25, "max_position_embeddings": 64,
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """train/, validation/ and the tokenizer's folder."""
    tokenizer().save_pretrained(tmp_path / "tokenizer")
    for number in range(12):
        (tmp_path / f"{number}.txt").write_text(f"Chapter {number}. {TEXT * 3}")
    pack(sorted(tmp_path.glob("*.txt")), tmp_path / "tokenizer", tmp_path / "text", validation=0.3)
    return tmp_path


def run(folder: Path, **changes: Any) -> Pretrain:
    text = folder / "text"
    data = {"train": text / "train", "validation": text / "validation", "tokenizer": folder / "tokenizer"}
    values = {
        "stage": "pretrain", "architecture": TINY, "data": data, "sequence_length": 32, "steps": 6,
        "batch": {"size": 4, "micro": 2},
        "optimizer": {"lr": 1e-2, "weight_decay": 0.1}, "checkpoints": {"every": 100}, "validation": {"every": 6, "samples": 1},
    }  # fmt: skip
    return Pretrain.model_validate({**values, **changes})


def train(folder: Path, config: Pretrain, stop_after: int | None = None) -> tuple[PretrainTask, Heard]:
    task, heard = PretrainTask(config, CPU), Heard(stop_after)
    loop = Loop(config, task, folder, new_accelerator(config), heard)
    loop.resume()
    loop.train()
    return task, heard


def test_a_resumed_stage_is_bit_for_bit_the_uninterrupted_one(shards: Path, tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "whole", run(shards))
    train(tmp_path / "parts", run(shards), stop_after=4)
    again, heard = train(tmp_path / "parts", run(shards))
    assert [step.step for step in heard.steps] == [5, 6]
    expected = dict(whole.module.named_parameters())
    assert all(torch.equal(expected[name], value) for name, value in again.module.named_parameters())


def test_learning_begins_at_a_guess_and_goes_down(shards: Path, tmp_path: Path) -> None:
    config = run(shards, steps=40)
    task, heard = train(tmp_path / "run", config)
    assert abs(heard.steps[0].loss - math.log(VOCABULARY_ROWS)) < 0.2
    assert heard.validations[-1].loss < heard.validations[0].loss < heard.steps[0].loss
    assert heard.steps[-1].tokens == 40 * 4 * 32
    assert len(heard.samples[-1].expected) > 0
    task.save(tmp_path / "artefact", Facts("tiny", (), {}))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "artefact")
    assert torch.equal(loaded.lm_head.weight, task.module.model.lm_head.weight)
    assert loaded.model.layers[0].self_attn.rotary_ndims == 2


def test_a_full_disk_is_a_sentence_and_the_artefact_from_before_stays(shards: Path, tmp_path: Path) -> None:
    task, folder = PretrainTask(run(shards), CPU), tmp_path / "artefact"
    task.save(folder, Facts("tiny", (), {}))
    with files_of_at_most(1000), pytest.raises(WeightsError, match=r"artefact cannot be written .*File too large"):
        task.save(folder, Facts("tiny", (), {}))
    assert check_manifest(folder, None, lambda count: None) is None


def test_checkpointed_activations_give_the_same_gradients(shards: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        task = PretrainTask(run(shards, gradient_checkpointing=checkpointing), CPU)
        task.module.train()
        task.module(**task.train.collate([0, 1]).inputs).backward()
        gradients.append([parameter.grad for parameter in task.module.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_norms_and_biases_do_not_decay(shards: Path) -> None:
    groups = PretrainTask(run(shards), CPU).parameter_groups()
    dimensions = {group["weight_decay"]: {parameter.ndim for parameter in group["params"]} for group in groups}
    assert dimensions == {0.1: {2}, 0.0: {1}}


def test_the_originals_initialisation_is_torchs(shards: Path) -> None:
    heads = {init: PretrainTask(run(shards, init=init), CPU).module.model.lm_head for init in ("normal", "torch_default")}
    spread = {init: float(head.weight.detach().std()) for init, head in heads.items()}
    assert abs(spread["normal"] - 0.02) < 0.002
    assert abs(spread["torch_default"] - 1 / math.sqrt(3 * 32)) < 0.01  # uniform within 1/sqrt(hidden)


def test_the_default_is_phi_2() -> None:
    """https://huggingface.co/microsoft/phi-2/blob/main/config.json, but for its dropout and the tokenizer's ids."""
    config = phi_config(Architecture())
    published = {
        "vocab_size": 51200, "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 2048, "layer_norm_eps": 1e-5,
        "hidden_act": "gelu_new", "initializer_range": 0.02, "qk_layernorm": False, "tie_word_embeddings": False,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in published} == published
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.4}


def test_what_does_not_fit_is_told(shards: Path) -> None:
    with pytest.raises(TrainingError, match=r"has 3\d,\d{3} parameters, and the configuration says 7"):
        PretrainTask(run(shards, architecture={**TINY, "parameters": 7}), CPU)


def refused(config: Pretrain) -> str:
    """What training says."""
    with pytest.raises(TrainingError) as told:
        PretrainTask(config, CPU)
    return str(told.value)


def test_validating_tells_what_training_would_refuse(shards: Path) -> None:
    assert validate(run(shards)).good
    small = run(shards, architecture={**TINY, "vocab_size": 100})
    long = run(shards, architecture={**TINY, "max_position_embeddings": 10**6}, sequence_length=10**6)
    for config, told in (
        (small, "vocabulary of 260 tokens, and the model 100 rows"),
        (long, "fewer than a sequence of 1,000,000"),
    ):
        faults = validate(config).faults
        assert [fault.path.name for fault in faults] == ["train", "validation"]
        assert told in faults[0].reason
        assert faults[0].reason == refused(config)
    (shard,) = (shards / "text" / "validation").glob("*.tokens")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    (fault,) = validate(run(shards)).faults
    assert fault.reason == refused(run(shards)) == f"The shard {shard} was changed: run `jnana data tokenize` again."
    (shards / "tokenizer" / "tokenizer.json").unlink()  # which both folders need
    assert [fault.reason for fault in validate(run(shards)).faults] == [refused(run(shards))]
    shutil.rmtree(shards / "text" / "train")
    assert validate(run(shards)).faults[0].reason == refused(run(shards))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for CPUs with g++")
def test_a_compiled_model_learns_what_a_plain_one_does_and_goes_on_from_its_checkpoint(shards: Path, tmp_path: Path) -> None:
    plain, _ = train(tmp_path / "plain", run(shards))
    train(tmp_path / "compiled", run(shards, compile=True), stop_after=4)
    compiled, heard = train(tmp_path / "compiled", run(shards, compile=True))
    assert [step.step for step in heard.steps] == [5, 6]
    expected = dict(plain.module.named_parameters())
    for name, value in compiled.module.named_parameters():
        torch.testing.assert_close(expected[name.replace("_orig_mod.", "")], value, rtol=1e-3, atol=1e-4)
