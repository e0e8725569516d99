"""phi2 out of local folders in the hub's form, tiny; the tests run with the hub switched off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModel

from model.presets import PHI2, Part, get_preset
from model.weights import WeightsError, prepare, pull, state
from tests.model import tiny

PARTS: tuple[Part, ...] = ("language", "tower", "speech")


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture
def local(tmp_path: Path) -> dict[Part, Path]:
    """The three repositories; the tower's has only the pickled form, as CLIP's has."""
    folders = {part: tmp_path / "local" / part for part in PARTS}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    save_file({"w": torch.ones(2)}, folders["language"] / "model.safetensors")
    (folders["language"] / "README.md").write_text("not needed")
    torch.save(CLIPVisionModel(tiny.clip_config()).state_dict(), folders["tower"] / "pytorch_model.bin")
    (folders["speech"] / "model.bin").write_bytes(b"ctranslate2")
    return folders


def test_local_folders_become_a_ready_preset(local: dict[Part, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(WeightsError, match="run `jnana models pull phi2`"):
        prepare(PHI2, home, quiet)
    assert [part.status for part in state(PHI2, home)] == ["not pulled"] * 3
    ready = pull(PHI2, home, local, quiet)
    assert [part.status for part in state(PHI2, home)] == ["ready"] * 3
    assert (ready.language / "model.safetensors").is_file()
    assert not (ready.language / "README.md").exists()
    assert prepare(PHI2, home, quiet) == ready


def test_pickled_weights_become_safetensors(local: dict[Part, Path], tmp_path: Path) -> None:
    tower = pull(PHI2, tmp_path / "home", local, quiet).tower
    assert sorted(path.name for path in tower.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]
    expected = torch.load(local["tower"] / "pytorch_model.bin", weights_only=True)
    assert set(load_file(tower / "model.safetensors")) == set(expected)


class Malicious:
    """Runs code when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_code_in_pickled_weights_does_not_run(local: dict[Part, Path], tmp_path: Path) -> None:
    torch.save({"w": Malicious(tmp_path / "trace")}, local["tower"] / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin"):
        pull(PHI2, tmp_path / "home", local, quiet)
    assert not (tmp_path / "trace").exists()


def test_changed_weights_are_refused_with_the_command_that_mends_them(local: dict[Part, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    speech = pull(PHI2, home, local, quiet).speech
    (speech / "model.bin").unlink()  # it is linked to the owner's file
    (speech / "model.bin").write_bytes(b"ctranslate3")
    with pytest.raises(WeightsError, match=r"model\.bin was changed\): run `jnana models pull phi2`"):
        prepare(PHI2, home, quiet)
    assert [part.status for part in state(PHI2, home)] == ["ready", "ready", "damaged"]


@pytest.mark.parametrize(
    ("part", "file"), [("language", "model.safetensors"), ("speech", "model.bin"), ("tower", "config.json")]
)
def test_a_folder_without_weights_is_refused(part: Part, file: str, local: dict[Part, Path], tmp_path: Path) -> None:
    (local[part] / file).unlink()
    with pytest.raises(WeightsError, match=r"does not hold .*: it needs config\.json and"):
        pull(PHI2, tmp_path / "home", local, quiet)


def test_an_unreachable_hub_is_one_sentence(local: dict[Part, Path], tmp_path: Path) -> None:
    del local["language"]
    with pytest.raises(WeightsError, match="microsoft/phi-2 could not be fetched from the hub"):
        pull(PHI2, tmp_path / "home", local, quiet)


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no preset 'phi3'; there are: pocket, phi2"):
        get_preset("phi3")
