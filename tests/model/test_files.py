"""Folders that appear whole or not at all, and manifests that notice every change."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import platform
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path
from threading import Event, Thread

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from model.files import appearing, check_manifest, locked, remove_leftovers, write_manifest

SOURCES = {"package/file": "0" * 64}


def nothing(count: int) -> None:
    """No progress."""


def make(target: Path, content: bytes = b"weights") -> None:
    with appearing(target) as partial:
        (partial / "model.bin").write_bytes(content)
        (partial / "config.json").write_text("{}")
        write_manifest(partial, SOURCES, nothing)


def test_a_whole_folder_checks_out(tmp_path: Path) -> None:
    make(tmp_path / "folder")
    assert check_manifest(tmp_path / "folder", SOURCES, nothing) is None
    assert check_manifest(tmp_path / "folder", None, nothing) is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model.bin").write_bytes(b"weightS"), "model.bin was changed"),
        (lambda folder: os.truncate(folder / "model.bin", 3), "model.bin was changed"),
        (lambda folder: (folder / "model.bin").unlink(), "model.bin is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "its manifest is missing"),
        (lambda folder: (folder / "manifest.json").write_text('{"files": '), "its manifest is damaged"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "its manifest is damaged"),
        (lambda folder: (folder / "manifest.json").write_text('{"files": null, "sources": {}}'), "its manifest is damaged"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json does not belong there"),
    ],
)
def test_every_damage_is_noticed(damage: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    make(tmp_path / "folder")
    damage(tmp_path / "folder")
    assert check_manifest(tmp_path / "folder", SOURCES, nothing) == said


def test_a_folder_made_of_other_files_is_noticed(tmp_path: Path) -> None:
    make(tmp_path / "folder")
    assert check_manifest(tmp_path / "folder", {"package/file": "1" * 64}, nothing) == "it was made from other files"


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path / "folder")

    def fail() -> None:
        with appearing(tmp_path / "folder") as partial:
            (partial / "model.bin").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "folder/model.bin").read_bytes() == b"weights"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_new_folder_takes_the_old_ones_place(tmp_path: Path) -> None:
    make(tmp_path / "folder")
    make(tmp_path / "folder", b"newer weights")
    assert (tmp_path / "folder/model.bin").read_bytes() == b"newer weights"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_weights_other_than_the_pinned_ones_are_noticed(tmp_path: Path) -> None:
    make(tmp_path / "folder")
    right, wrong = hashlib.sha256(b"weights").hexdigest(), "0" * 64
    assert check_manifest(tmp_path / "folder", SOURCES, nothing, {"model.bin": right}) is None
    said = check_manifest(tmp_path / "folder", SOURCES, nothing, {"model.bin": wrong})
    assert said == "it holds other weights than the pinned ones"


def test_a_process_killed_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    make(tmp_path / "folder")
    (tmp_path / "folder").rename(tmp_path / ".folder.replaced")
    remove_leftovers(tmp_path)
    assert check_manifest(tmp_path / "folder", SOURCES, nothing) is None
    make(tmp_path / ".folder.replaced")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    make(tmp_path / "folder")
    (tmp_path / ".folder.partial-x").mkdir()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def _say_when_locked(lock: str, said: Queue[str]) -> None:
    said.put("waiting")
    with locked(Path(lock)):
        said.put("has it")


def test_another_process_waits_for_the_lock(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    said: Queue[str] = spawn.Queue()
    other = spawn.Process(target=_say_when_locked, args=(str(tmp_path / "lock"), said))
    with locked(tmp_path / "lock"):
        other.start()
        assert said.get(timeout=60) == "waiting"
        other.join(0.5)
        assert other.is_alive()
        assert said.empty()
    assert said.get(timeout=60) == "has it"
    other.join(60)


def test_who_waits_for_long_says_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.files.LOCK_PATIENCE", 0.0)
    told = Event()

    def take() -> None:
        with locked(tmp_path / "lock"):
            pass

    def heard(logger: object, name: str, event: EventDict) -> EventDict:
        told.set()
        return event

    with capture_logs(processors=[heard]) as logs, locked(tmp_path / "lock"):
        other = Thread(target=take)
        other.start()
        assert told.wait(60)
    other.join(60)
    assert [(line["folder"], line["holder"]) for line in logs] == [
        (str(tmp_path), f"process {os.getpid()} on {platform.node()}")
    ]
