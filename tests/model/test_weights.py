"""Weights are whole, right, and made once; on a toy package that a converter of the test copies."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from model import convert
from model.files import PARTIAL
from model.presets import Component, PackageFile, Part, Preset
from model.weights import WeightsError, folder_of, prepare, state

CONTENT = b"the weights of a toy"
PARTS: tuple[Part, ...] = ("language", "tower", "speech")
Converter = Callable[[list[Path], Path, Callable[[int, int], None]], None]


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def copy(files: list[Path], target: Path, progress: Callable[[int, int], None]) -> None:
    (target / "weights.safetensors").write_bytes(files[0].read_bytes())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package with one file of weights."""
    folder = tmp_path / "site" / "toy_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "toy.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


@pytest.fixture
def preset(package: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    use(monkeypatch, copy)
    pinned = PackageFile("toy_weights", "toy.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    component = Component("toy", "package toy", "MIT", len(CONTENT), converter="gguf", files=(pinned,))
    return Preset("toy", "a toy", dict.fromkeys(PARTS, component), context_length=64)


def use(monkeypatch: pytest.MonkeyPatch, converter: Converter) -> None:
    monkeypatch.setitem(convert.CONVERTERS, "gguf", converter)


def weights_of(preset: Preset, home: Path) -> Path:
    return folder_of(preset, home, "language") / "weights.safetensors"


def test_converted_once_and_then_found(preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [part.status for part in state(preset, tmp_path)] == ["not converted"] * 3
    prepared = prepare(preset, tmp_path, quiet)
    assert (prepared.language / "weights.safetensors").read_bytes() == CONTENT
    assert [part.status for part in state(preset, tmp_path)] == ["ready"] * 3

    def never(files: list[Path], target: Path, progress: Callable[[int, int], None]) -> None:
        raise AssertionError("converted a second time")

    use(monkeypatch, never)
    assert prepare(preset, tmp_path, quiet) == prepared


def test_package_file_with_a_wrong_hash_is_refused(preset: Preset, package: Path, tmp_path: Path) -> None:
    (package / "toy.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=r"toy\.bin is not the file .* sha256 differs"):
        prepare(preset, tmp_path, quiet)
    assert not weights_of(preset, tmp_path).exists()


def test_missing_package_says_how_to_get_it(preset: Preset, package: Path, tmp_path: Path) -> None:
    (package / "toy.bin").unlink()
    with pytest.raises(WeightsError, match="make setup"):
        prepare(preset, tmp_path, quiet)


def test_changed_weights_are_made_again(preset: Preset, tmp_path: Path) -> None:
    prepare(preset, tmp_path, quiet)
    weights_of(preset, tmp_path).write_bytes(b"x" * len(CONTENT))
    prepare(preset, tmp_path, quiet)
    assert weights_of(preset, tmp_path).read_bytes() == CONTENT


def test_killed_conversion_is_redone(preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The converter dies by SIGKILL half way, in a process of its own: no clean-up of ours runs."""

    def dies(files: list[Path], target: Path, progress: Callable[[int, int], None]) -> None:
        (target / "weights.safetensors").write_bytes(CONTENT[:5])
        os.kill(os.getpid(), signal.SIGKILL)

    use(monkeypatch, dies)
    child = os.fork()
    if child == 0:
        prepare(preset, tmp_path, quiet)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    folder = tmp_path / "models" / "toy"
    assert list(folder.glob(f"*{PARTIAL}*"))
    assert not weights_of(preset, tmp_path).exists()
    use(monkeypatch, copy)
    prepare(preset, tmp_path, quiet)
    assert weights_of(preset, tmp_path).read_bytes() == CONTENT
    assert not list(folder.glob(f"*{PARTIAL}*"))


def test_full_disk_is_told_before_anything_is_written(preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.weights.shutil.disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(WeightsError, match="too full"):
        prepare(preset, tmp_path, quiet)
    assert not weights_of(preset, tmp_path).exists()
