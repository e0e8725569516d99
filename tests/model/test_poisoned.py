"""Adapters from somebody who means harm, sealed with a manifest that says that all is well: never installed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from model import shelf
from model.adapters import LORA, PROJECTOR, Adapter
from model.cli import app
from model.files import MANIFEST, write_manifest
from model.presets import PHI2
from model.weights import PreparedWeights
from tests.model import tiny_home

torch.set_num_threads(1)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def pickled(folder: Path) -> None:
    (folder / LORA).write_bytes(pickle.dumps(Bomb(folder.parent / "exploded")))


def pickled_beside(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(folder.parent / "exploded")))


def cut_off(folder: Path) -> None:
    (folder / PROJECTOR).write_bytes((folder / PROJECTOR).read_bytes()[:-100])


def spoilt(file: str, number: float) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / file)
        name = sorted(weights)[-1]
        weights[name].view(-1)[-1] = number
        save_file(weights, folder / file, metadata={"format": "pt"})

    return spoil


def of_another_base(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["base"]["sha256"] = "0" * 64
    (folder / "card.json").write_text(json.dumps(card))


@pytest.fixture
def weights(tmp_path: Path) -> PreparedWeights:
    return tiny_home.prepared(tmp_path)


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["adapters", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(
    ("poison", "said"),
    [
        (pickled, "Its adapter_model.safetensors cannot be read as safetensors"),
        (pickled_beside, "holds adapter_model.bin, which is no file of an adapter"),
        (cut_off, "Its projector.safetensors cannot be read as safetensors"),
        (spoilt(LORA, float("nan")), "Its adapter_model.safetensors holds numbers that are none (NaN or infinity)"),
        (spoilt(PROJECTOR, float("-inf")), "Its projector.safetensors holds numbers that are none (NaN or infinity)"),
        (of_another_base, "It was made for the language model phi-2 (weights 000000000000), and here is phi-2"),
    ],
)
def test_a_poisoned_adapter_is_refused_with_a_sentence_and_the_old_one_stays(
    poison: Callable[[Path], None],
    said: str,
    weights: PreparedWeights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"MODEL_PRESET": "phi2", "MODEL_DEVICE": "cpu", "MODEL_PRECISION": "fp32"}.items():
        monkeypatch.setenv(name, value)
    # The log would go to the runner's stand-in for standard error, also from later tests, when it is closed.
    monkeypatch.setattr("model.adapters_cli.configure", lambda *_: None)
    invoke("use", tiny_home.adapter(tmp_path / "old", weights, name="old").folder)
    bad = tiny_home.adapter(tmp_path / "bad", weights, name="bad").folder
    poison(bad)
    (bad / MANIFEST).unlink()
    write_manifest(bad, {}, lambda count: None)
    for command in ("install", "use"):
        refused = invoke(command, bad)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not (tmp_path / "exploded").exists()
    home = tmp_path / "home"
    assert list(shelf.installed(PHI2, home)) == ["old"]
    assert shelf.default_name(PHI2, home) == "old"
    assert Adapter.open(shelf.find("old", PHI2, home)).name == "old"
