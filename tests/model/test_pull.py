"""phi2 out of local folders in the hub's form, tiny; the tests run with the hub switched off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModel, PhiConfig, PhiForCausalLM

from model.files import check_manifest, write_manifest
from model.mind import Message, Mind
from model.presets import PHI2, POCKET, Part, get_preset
from model.settings import WorkerSettings
from model.sight import Picture
from model.weights import PreparedWeights, WeightsError, prepare, pull, state
from model.worker import load_parts
from tests.model import tiny
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer

PARTS: tuple[Part, ...] = ("language", "tower", "speech")


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture
def local(tmp_path: Path) -> dict[Part, Path]:
    """The three repositories; the tower's has only the pickled form, as CLIP's has."""
    folders = {part: tmp_path / "local" / part for part in PARTS}
    for part, model_type in zip(PARTS, ("phi", "clip", "whisper"), strict=True):
        folders[part].mkdir(parents=True)
        (folders[part] / "config.json").write_text(json.dumps({"model_type": model_type}))
    for file in ("language/tokenizer.json", "speech/tokenizer.json", "speech/vocabulary.json"):
        (tmp_path / "local" / file).write_text("{}")
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


def test_a_folder_that_training_made_stays_as_it_is(local: dict[Part, Path], tmp_path: Path) -> None:
    """It has a manifest of its own; files are taken over as links."""
    write_manifest(local["language"], {}, lambda count: None)
    ready = pull(PHI2, tmp_path / "home", local, quiet)
    assert check_manifest(local["language"], None, lambda count: None) is None
    assert check_manifest(ready.language, None, lambda count: None) is None
    made = PreparedWeights(local["language"], local["tower"], local["speech"])
    assert ready.sha256("language") == made.sha256("language")  # an adapter made on the one fits the other


def test_pickled_weights_become_safetensors(local: dict[Part, Path], tmp_path: Path) -> None:
    tower = pull(PHI2, tmp_path / "home", local, quiet).tower
    assert sorted(path.name for path in tower.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]
    expected = torch.load(local["tower"] / "pytorch_model.bin", weights_only=True)
    assert set(load_file(tower / "model.safetensors")) == set(expected)


def test_what_was_pulled_loads_and_answers(local: dict[Part, Path], tmp_path: Path) -> None:
    """The whole way of `phi2`, tiny: Phi with a bias in its head, CLIP from a pickle, spare tokens, no projector yet."""
    torch.manual_seed(0)
    PhiForCausalLM(PhiConfig(**{**tiny.PHI, "vocab_size": VOCABULARY_ROWS})).save_pretrained(local["language"])
    tokenizer().save_pretrained(local["language"])
    tiny.clip_config().save_pretrained(local["tower"])
    weights = pull(PHI2, tmp_path / "home", local, quiet)
    mind = Mind.load(PHI2, weights, device="cpu", threads=1, hints=True, ocr=False, progress=quiet)
    assert mind.model.lm_head.bias is not None
    photo = Picture("digest", lambda: Image.new("RGB", (50, 40), "red"))
    prompt = mind.encode([Message("user", (photo, "What is this?"))], max_new_tokens=5)
    assert mind.tokenizer.decode(prompt.input_ids[0]) == "Instruct: What is this?\nOutput:"
    assert prompt.vision_features is None
    answer = mind.model.generate(prompt.input_ids, max_new_tokens=3, do_sample=False)
    assert answer.shape[1] > prompt.input_ids.shape[1]


def test_weights_that_do_not_load_are_one_sentence(local: dict[Part, Path], tmp_path: Path) -> None:
    pull(PHI2, tmp_path / "home", local, quiet)
    settings = WorkerSettings(JNANA_HOME=tmp_path / "home", MODEL_PRESET="phi2", MODEL_DEVICE="cpu")  # type: ignore[call-arg]
    with pytest.raises(WeightsError, match=r"cannot be loaded .* run `jnana models pull phi2` again"):
        load_parts(settings, quiet)


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
    ("part", "file"),
    [
        ("language", "model.safetensors"),
        ("language", "tokenizer.json"),
        ("speech", "model.bin"),
        ("speech", "vocabulary.json"),
        ("tower", "config.json"),
    ],
)
def test_a_folder_that_could_not_be_loaded_is_refused(part: Part, file: str, local: dict[Part, Path], tmp_path: Path) -> None:
    (local[part] / file).unlink()
    with pytest.raises(WeightsError, match=r"does not hold .*: it needs "):
        pull(PHI2, tmp_path / "home", local, quiet)


def test_a_folder_of_another_model_is_refused(local: dict[Part, Path], tmp_path: Path) -> None:
    local["tower"] = local["language"]
    with pytest.raises(WeightsError, match=r"its config\.json says that it is 'phi', not 'clip'"):
        pull(PHI2, tmp_path / "home", local, quiet)


def test_a_missing_shard_is_named(local: dict[Part, Path], tmp_path: Path) -> None:
    index = {"weight_map": {"w": "model.safetensors", "v": "model-00002-of-00002.safetensors"}}
    (local["language"] / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors is missing"):
        pull(PHI2, tmp_path / "home", local, quiet)


def test_a_folder_for_what_comes_from_packages_is_refused(local: dict[Part, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="comes from installed packages"):
        pull(POCKET, tmp_path / "home", local, quiet)


def test_an_unreachable_hub_is_one_sentence(local: dict[Part, Path], tmp_path: Path) -> None:
    del local["language"]
    with pytest.raises(WeightsError, match="microsoft/phi-2 could not be fetched from the hub"):
        pull(PHI2, tmp_path / "home", local, quiet)


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no preset 'phi3'; there are: pocket, phi2"):
        get_preset("phi3")
