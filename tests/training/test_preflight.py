"""What speaks against a run is told before a model is loaded: none of these tests has any weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training import minds
from tests.training.made_run import PRETRAIN, config, info
from training import claim, stages
from training.config import PRESETS, Align, Instruct, Pretrain, RunConfig, load
from training.errors import Mistakes, TrainingError
from training.hardware import find_gpu
from training.memory import memory, total
from training.plan import ANEW
from training.preflight import agreed, require_ready
from training.resume import deciding, differing
from training.runs import RunFolder


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(stages, "load_base", refuse)
    monkeypatch.setattr(claim, "LOCK_SECONDS", 0.05)


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """Like made_run's run of stage 1, with data."""
    data = tmp_path / "captions.jsonl"
    lines = [json.dumps({"image": path.name, "caption": "A square."}) for path in minds.pictures(tmp_path)]
    data.write_text("\n".join(lines) + "\n")
    sources = [{"format": "captions", "file": str(data)}]
    values = config().model_dump(mode="json") | {"data": {"train": sources, "validation": sources}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "run.yaml"


def train(preset: Path, folder: Path, *changes: str) -> None:
    stages.train("align", str(preset), changes, folder, skip_bad=False)


def begun(folder: Path, **changes: Any) -> RunFolder:
    settled = Align.model_validate(config().model_dump() | changes).settled("fp32")
    return RunFolder.create(folder, settled, info())


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("[]")
    source = {"format": "llava", "file": tmp_path / "there.json", "images": tmp_path / "pictures"}
    data = {"train": [source], "validation": [{"format": "llava", "file": tmp_path / "gone.json"}]}
    values = minds.instruct(data=data, language=tmp_path)
    with pytest.raises(Mistakes) as told:
        require_ready(values)
    expected = (
        "phi2 is trained on an NVIDIA GPU",
        "There is no language model in",
        "Stage 2 needs a trained projector",
        "There is no folder",
        "gone.json cannot be read",
    )
    assert all(words in found for words, found in zip(expected, told.value.mistakes, strict=True))


def test_a_start_without_a_projector_is_told(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=f"needs a trained projector, and {tmp_path} has none"):
        require_ready(Instruct.model_validate(minds.instruct().model_dump() | {"model": "pocket", "start": tmp_path}))


def test_names_without_a_classifier_are_told() -> None:
    with pytest.raises(Mistakes, match="names needs a tower with a classifier, which phi2 does not have"):
        require_ready(minds.align(projector_init="names"))


def test_missing_pocket_data_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Mistakes) as told:
        stages.train("align", "pocket", (), tmp_path / "run", skip_bad=False)
    assert told.value.mistakes[0].startswith("data/training/pocket/captions-train.jsonl cannot be read")
    assert told.value.mistakes[-1].startswith("`jnana data pocket --to data/training/pocket` makes")


def test_missing_data_leaves_no_folder_of_a_run(preset: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").unlink()
    with pytest.raises(Mistakes, match=r"captions\.jsonl cannot be read: No such file"):
        train(preset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bad_records_come_before_the_model(preset: Path, tmp_path: Path) -> None:
    (tmp_path / "3.png").unlink()
    with pytest.raises(TrainingError, match=r"captions\.jsonl, record 4: a picture is missing"):
        train(preset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_refused_run_takes_away_no_more_than_it_made(preset: Path, tmp_path: Path) -> None:
    (tmp_path / "3.png").unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("Mine.")
    for name in ("empty", "full"):
        with pytest.raises(TrainingError, match="a picture is missing"):
            train(preset, tmp_path / name)
    assert not list((tmp_path / "empty").iterdir())
    assert (tmp_path / "full" / "notes.txt").read_text() == "Mine."
    begun(tmp_path / "run").close()
    before = sorted((tmp_path / "run").iterdir())
    with pytest.raises(TrainingError, match="a picture is missing"):
        train(preset, tmp_path / "run")
    assert sorted((tmp_path / "run").iterdir()) == before


def test_a_run_with_other_settings_comes_before_the_model(preset: Path, tmp_path: Path) -> None:
    begun(tmp_path / "run", seed=7).close()
    with pytest.raises(TrainingError, match=r"run with other settings \(seed: begun with 7, now 1\)"):
        train(preset, tmp_path / "run")
    RunFolder.create(tmp_path / "other", config("pretrain"), info("pretrain")).close()
    with pytest.raises(TrainingError, match="is a run of the stage pretrain, not align"):
        train(preset, tmp_path / "other")


def test_a_stage_0_from_before_the_share_that_rotates_was_a_setting_goes_on_with_what_it_had(tmp_path: Path) -> None:
    """transformers' default; phi-2's is another one."""
    half, other = ({**PRETRAIN, "precision": "fp32", "architecture": {"partial_rotary_factor": part}} for part in (0.5, 0.4))
    RunFolder.create(tmp_path / "run", Pretrain.model_validate(half), info("pretrain")).close()
    file = tmp_path / "run" / "config.yaml"
    values = yaml.safe_load(file.read_text())
    del values["architecture"]["partial_rotary_factor"]
    file.write_text(yaml.safe_dump(values))
    assert agreed(Pretrain.model_validate(half), tmp_path / "run", 1).precision == "fp32"
    with pytest.raises(TrainingError, match=r"\(architecture.partial_rotary_factor: begun with 0.5, now 0.4\)"):
        agreed(Pretrain.model_validate(other), tmp_path / "run", 1)
    settings = json.loads(deciding(Pretrain.model_validate(half), 1))  # in a checkpoint
    del settings["architecture"]["partial_rotary_factor"]
    assert not differing(json.dumps(settings), deciding(Pretrain.model_validate(half), 1))


def test_another_number_of_processes_comes_before_the_model(preset: Path, tmp_path: Path) -> None:
    alone = info()
    hardware = alone.hardware.model_copy(update={"devices": 4})
    RunFolder.create(tmp_path / "run", config().settled("fp32"), alone.model_copy(update={"hardware": hardware})).close()
    with pytest.raises(TrainingError, match=r"\(processes: begun with 4, now 1\)"):
        train(preset, tmp_path / "run")


def test_a_run_that_is_in_use_comes_before_the_model(preset: Path, tmp_path: Path) -> None:
    with begun(tmp_path / "run"), pytest.raises(TrainingError, match="is in use: process"):
        train(preset, tmp_path / "run")


def test_a_folder_that_cannot_be_written_comes_before_the_model(preset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        train(preset, tmp_path / "file" / "run")


def test_a_stage_0_that_does_not_fit_is_told_with_what_makes_it_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.preflight.memory_of_this_machine", lambda: int(50e9))
    whole = Pretrain.model_validate(PRETRAIN | {"precision": "bf16"})
    with pytest.raises(Mistakes) as told:
        require_ready(whole)
    (sentence,) = told.value.mistakes
    assert sentence.startswith("The run needs about ")
    assert "this machine has 50.0: " in sentence
    monkeypatch.setattr("training.preflight.memory_of_this_machine", lambda: int(900e9))
    require_ready(whole)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU of 24 GB."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("training.preflight.memory_of_this_machine", lambda: find_gpu("RTX 3090").memory)


@pytest.mark.usefixtures("card")
def test_sharding_saves_nothing_on_a_single_card() -> None:
    original = load(Pretrain, PRESETS / "pretrain-original.yaml")
    assert original.fsdp
    with pytest.raises(Mistakes) as told:
        require_ready(original)
    assert told.value.mistakes == (
        "The run needs about 51.3 GB of memory, and the GPU has 25.8: take a larger GPU, or several GPUs with fsdp=true.",
    )
    require_ready(original, processes=4)


def of_room(run: RunConfig, **how: Any) -> list[str]:
    """What is said of memory; other things are missing in any case."""
    with pytest.raises(Mistakes) as told:
        require_ready(run, **how)
    return [mistake for mistake in told.value.mistakes if "GB of memory" in mistake]


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(("kind", "preset"), [(Align, "align-best"), (Instruct, "instruct-best")])
def test_a_stage_1_or_2_that_does_not_fit_is_told_with_what_makes_it_fit(
    kind: type[Align | Instruct], preset: str, tmp_path: Path
) -> None:
    assert not of_room(load(kind, PRESETS / f"{preset}.yaml"))
    large = load(kind, PRESETS / f"{preset}.yaml", ("batch.size=4096", "batch.micro=2048"))
    (sentence,) = of_room(large)
    assert re.search(r"and the GPU has 25\.8: --set batch\.micro=\d+ makes it fit\.$", sentence)
    assert not of_room(large.model_copy(update={"language": tmp_path}))  # nobody knows how large that is


def test_what_a_run_cannot_go_on_with_is_said_to_need_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(Pretrain, PRESETS / "pretrain-original.yaml", ("sequence_length=1024",))
    shorter = run.model_copy(update={"sequence_length": 128})
    monkeypatch.setattr("training.preflight.memory_of_this_machine", lambda: int(total(memory(shorter))) + 1)
    (new,), (going_on,) = of_room(run), of_room(run, begun=True)
    assert new.endswith(": --set sequence_length=128 makes it fit.")
    assert going_on == new.replace("fit.", f"fit, {ANEW}.")


def test_where_a_published_data_set_is_had_is_told_once(preset: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(preset.read_text())
    source = {"format": "coco", "file": str(tmp_path / "captions_train2017.json"), "images": str(tmp_path / "none")}
    values["data"] = {"train": [source | {"skip": 5}], "validation": [source | {"first": 5}]}
    with pytest.raises(Mistakes) as told:
        require_ready(Align.model_validate(values))
    assert len(told.value.mistakes) == len(set(told.value.mistakes)) == 3
    assert any(one.startswith("captions_train2017.json comes from http://images.coco") for one in told.value.mistakes)
