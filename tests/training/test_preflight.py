"""What speaks against a run is told before a model is loaded: none of these tests has any weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training import minds
from tests.training.made_run import PRETRAIN, config, info
from training import runs, stages
from training.config import Align, Instruct, Pretrain
from training.errors import Mistakes, TrainingError
from training.preflight import require_ready
from training.runs import RunFolder


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(stages, "load_base", refuse)
    monkeypatch.setattr(runs, "LOCK_SECONDS", 0.05)


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


def test_a_run_with_other_settings_comes_before_the_model(preset: Path, tmp_path: Path) -> None:
    begun(tmp_path / "run", seed=7).close()
    with pytest.raises(TrainingError, match=r"run with other settings \(seed: begun with 7, now 1\)"):
        train(preset, tmp_path / "run")
    RunFolder.create(tmp_path / "other", config("pretrain"), info("pretrain")).close()
    with pytest.raises(TrainingError, match="is a run of the stage pretrain, not align"):
        train(preset, tmp_path / "other")


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


def test_where_a_published_data_set_is_had_is_told_once(preset: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(preset.read_text())
    source = {"format": "coco", "file": str(tmp_path / "captions_train2017.json"), "images": str(tmp_path / "none")}
    values["data"] = {"train": [source | {"skip": 5}], "validation": [source | {"first": 5}]}
    with pytest.raises(Mistakes) as told:
        require_ready(Align.model_validate(values))
    assert len(told.value.mistakes) == len(set(told.value.mistakes)) == 3
    assert any(one.startswith("captions_train2017.json comes from http://images.coco") for one in told.value.mistakes)
