"""Every YAML that ships loads, and those of phi-2 say about every key what it is and where it comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.config import PRESETS, STAGES, Instruct, Pretrain, find, load
from training.flops import MINDS, LanguageShape

FILES = sorted(PRESETS.glob("*.yaml"))
PHI2 = [file for file in FILES if re.search(r"-(original|best)$", file.stem)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_loads_and_is_found_by_its_name(file: Path) -> None:
    stage = next(stage for stage in STAGES if file.stem.startswith(f"{stage}-"))
    assert load(STAGES[stage], file).stage == stage
    assert find(stage, file.stem.removeprefix(f"{stage}-")) == file


def test_every_stage_has_the_published_recipe_and_a_better_one() -> None:
    assert {file.stem for file in PHI2} == {f"{stage}-{name}" for stage in STAGES for name in ("original", "best")}


@pytest.mark.parametrize("file", PHI2, ids=lambda file: file.stem)
def test_every_value_has_a_comment(file: Path) -> None:
    for line in file.read_text().splitlines():
        if re.match(r"\s*(- )?\w+: [^#]", line) and not re.match(r"(stage|  +- format): ", line):
            assert " # " in line, line


@pytest.mark.parametrize("file", [file for file in PHI2 if file.stem.endswith("original")], ids=lambda file: file.stem)
def test_the_original_tells_what_was_published_from_what_we_chose(file: Path) -> None:
    for line in file.read_text().splitlines():
        if re.match(r"\w+: [^#]|  (lr|rank|alpha|dropout|weight_decay|clip|warmup_steps|size): ", line):
            assert re.search(r"published|our choice|stage: ", line), line


def test_the_originals_parameters_and_budget() -> None:
    pretrain = load(Pretrain, PRESETS / "pretrain-original.yaml")
    assert pretrain.batch.size * pretrain.sequence_length == 2048
    assert LanguageShape.of_architecture(pretrain.architecture).parameters == pretrain.architecture.parameters
    instruct = load(Instruct, PRESETS / "instruct-original.yaml")
    lora = MINDS[instruct.model].language.lora_parameters(instruct.lora.rank, instruct.lora.targets)
    assert lora == 94_371_840
