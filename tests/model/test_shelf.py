"""Which adapter is loaded, and how one gets into the data folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from model import shelf
from model.adapters import Adapter
from model.presets import PHI2
from model.settings import WorkerSettings
from model.weights import PreparedWeights, WeightsError
from model.worker import load_parts
from tests.model import tiny_home
from tests.model.tiny_home import nothing

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> PreparedWeights:
    return tiny_home.prepared(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def toy(weights: PreparedWeights, tmp_path: Path) -> Adapter:
    return tiny_home.adapter(tmp_path / "run" / "artefact", weights)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def ship(monkeypatch: pytest.MonkeyPatch, toy: Adapter, tmp_path: Path) -> Path:
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path / "shipped")
    shutil.copytree(toy.folder, tmp_path / "shipped" / "phi2")
    return tmp_path / "shipped" / "phi2"


def test_nothing_is_loaded_where_there_is_nothing(home: Path) -> None:
    assert shelf.chosen("", PHI2, home) is None
    assert shelf.installed(PHI2, home) == {}


def test_what_came_along_is_loaded_until_the_owner_says_otherwise(
    home: Path, toy: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    along = ship(monkeypatch, toy, tmp_path)
    assert shelf.chosen("", PHI2, home) == along
    assert shelf.installed(PHI2, home) == {"toy": along}
    assert shelf.install(Adapter.open(along), PHI2, home).folder == along  # it is not copied
    shelf.set_default("none", PHI2, home)
    assert shelf.chosen("", PHI2, home) is None
    assert shelf.chosen("toy", PHI2, home) == along
    shelf.set_default("toy", PHI2, home)
    assert shelf.chosen("", PHI2, home) == along
    assert shelf.chosen("none", PHI2, home) is None


def test_the_setting_wins_over_the_default(home: Path, toy: Adapter, weights: PreparedWeights, tmp_path: Path) -> None:
    other = tiny_home.adapter(tmp_path / "other", weights, name="other")
    for adapter in (toy, other):
        shelf.install(adapter, PHI2, home)
    shelf.set_default("toy", PHI2, home)
    assert shelf.chosen("", PHI2, home) == home / "adapters" / "phi2" / "toy"
    assert shelf.chosen("other", PHI2, home) == home / "adapters" / "phi2" / "other"
    assert shelf.chosen(str(toy.folder), PHI2, home) == toy.folder


def test_an_unknown_name_is_answered_with_those_there_are(home: Path, toy: Adapter) -> None:
    with pytest.raises(WeightsError, match=r"MODEL_ADAPTER: There is no adapter 'cat' for phi2: there is none yet"):
        shelf.chosen("cat", PHI2, home)
    shelf.install(toy, PHI2, home)
    shelf.set_default("gone", PHI2, home)
    with pytest.raises(WeightsError, match=r"`jnana adapters use NAME`.*no adapter 'gone' for phi2: there are toy; or give"):
        shelf.chosen("", PHI2, home)


def test_installing_copies_once_and_never_over_another(
    home: Path, toy: Adapter, weights: PreparedWeights, tmp_path: Path
) -> None:
    first = shelf.install(toy, PHI2, home)
    assert (first.sha256, first.folder) == (toy.sha256, home / "adapters" / "phi2" / "toy")
    assert shelf.install(toy, PHI2, home) == first
    namesake = tiny_home.adapter(tmp_path / "namesake", weights, layer=-2)
    with pytest.raises(WeightsError, match=r"Another adapter is called toy already: move .* away first"):
        shelf.install(namesake, PHI2, home)
    assert Adapter.open(first.folder).sha256 == toy.sha256


def test_an_exported_one_is_the_same_when_unpacked(toy: Adapter, tmp_path: Path) -> None:
    shelf.export(toy, tmp_path / "toy.zip")
    (tmp_path / "unpacked").mkdir()
    assert Adapter.open(shelf.unpack(tmp_path / "toy.zip", tmp_path / "unpacked")).sha256 == toy.sha256
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("name", ["evil.py", "../../outside/evil.py", "toy/manifest.json.exe"])
def test_an_archive_with_anything_else_in_it_is_refused(name: str, toy: Adapter, tmp_path: Path) -> None:
    shelf.export(toy, tmp_path / "toy.zip")
    with zipfile.ZipFile(tmp_path / "toy.zip", "a") as archive:
        archive.writestr(name, "x")
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(WeightsError, match="is no exported adapter: it holds other files"):
        shelf.unpack(tmp_path / "toy.zip", tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_an_archive_that_is_cut_off_or_missing_is_refused(toy: Adapter, tmp_path: Path) -> None:
    shelf.export(toy, tmp_path / "toy.zip")
    data = (tmp_path / "toy.zip").read_bytes()
    (tmp_path / "toy.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match="it is damaged"):
        shelf.unpack(tmp_path / "toy.zip", tmp_path)
    with pytest.raises(WeightsError, match="There is no file"):
        shelf.unpack(tmp_path / "nowhere.zip", tmp_path)


def test_the_worker_loads_the_default(toy: Adapter, weights: PreparedWeights) -> None:
    home = weights.language.parents[2]
    named: dict[str, object] = {"JNANA_HOME": home, "MODEL_PRESET": "phi2", "MODEL_DEVICE": "cpu", "MODEL_OCR": False}
    settings = WorkerSettings(**named)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.worker.Speech", lambda *_, **__: None)
        assert load_parts(settings, nothing).mind.default.name == "none"
        shelf.install(toy, PHI2, home)
        shelf.set_default("toy", PHI2, home)
        assert load_parts(settings, nothing).mind.default.name == "toy"
        with pytest.raises(WeightsError, match="no adapter 'cat'"):
            load_parts(WorkerSettings(**named, MODEL_ADAPTER="cat"), nothing)  # type: ignore[arg-type]
