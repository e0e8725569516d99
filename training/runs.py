"""The folder of a run: what it is, what it measured, and that only one process writes it.

RUN/config.yaml     training.config.dump
RUN/run.json        RunInfo; a folder with it is a run
RUN/metrics.jsonl   one Metric a line, JSON (not-a-number and infinity as strings)
RUN/checkpoints/    step-00000100/ and so on
RUN/artefact/       what the run was for
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self, TextIO

import yaml
from pydantic import ValidationError

from training import claim
from training.config import RunConfig, Stage, dump
from training.errors import TrainingError
from training.metrics import METRIC, AnyMetric, Record

CONFIG, INFO, METRICS, CHECKPOINTS, ARTEFACT = "config.yaml", "run.json", "metrics.jsonl", "checkpoints", "artefact"

PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "safetensors", "numpy")
"""Whose versions can change what a run computes."""

PARENT_POLL_SECONDS = 1.0
"""Between two looks at whether the parent still lives."""


class Hardware(Record):
    name: str
    """As the driver gives it, or the processor's."""
    devices: int = 1
    peak_flops: float | None = None
    """FLOP/s that MFU divides by, of all devices together; None: not known, so there is no MFU."""
    peak_source: str | None = None
    """Where that number comes from, for people: a data sheet, a measurement."""
    memory_bytes: int | None = None
    """Of one device."""


class DataFile(Record):
    """A file that the run learns from or is validated on."""

    file: str
    sha256: str
    records: int
    licence: str | None = None
    """None: nobody told."""
    use: Literal["train", "validation"] = "train"


class Parameters(Record):
    trained: int
    all: int


class Software(Record):
    """What ran."""

    jnana: str
    git_commit: str | None
    """`-dirty` at the end: with changes that are in no commit. None: not run from a repository."""
    packages: dict[str, str]
    command: str


class RunInfo(Record):
    """run.json: everything about a run that does not change while it runs."""

    stage: Stage
    name: str
    started: datetime
    preset: str | None = None
    """Name or path of the configuration that it was started from, before `--set`."""
    total_steps: int
    """Optimizer steps that are planned."""
    software: Software
    hardware: Hardware
    data: tuple[DataFile, ...]
    parameters: Parameters
    fingerprint: str
    """Of everything that a resumed run must find unchanged."""


RunState = Literal["running", "ended", "stopped"]
"""ended: all steps done; stopped: interrupted, failed or killed, and can be resumed."""


@dataclass
class RunFolder:
    """A run's folder. `create` and `resume` are for the one process that writes it, `open` for everybody else."""

    folder: Path
    info: RunInfo
    _lock: TextIO | None = field(default=None, repr=False)
    _metrics: TextIO | None = field(default=None, repr=False)

    @classmethod
    def create(cls, folder: Path, config: RunConfig, info: RunInfo, lock: TextIO | None = None) -> Self:
        """A new run, locked until `close`; `lock`: if the folder was `claimed` before.

        Raises TrainingError: the folder is a run or in use, or cannot be written.
        """
        with disk_explained(folder), contextlib.ExitStack() as undo:
            lock = undo.enter_context(lock or claim.lock(folder))
            _require_no_run(folder)
            write_whole(folder / METRICS, "")  # a process may have been killed before run.json was there
            write_whole(folder / CONFIG, dump(config))
            write_whole(folder / INFO, info.model_dump_json(indent=1) + "\n")
            undo.pop_all()
        return cls(folder, info, lock)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A run to read, whether or not it is running. Raises TrainingError: there is none, or run.json is damaged."""
        path = folder / INFO
        try:
            return cls(folder, RunInfo.model_validate_json(path.read_text("utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            raise TrainingError(f"{folder} is not the folder of a run: {INFO} is missing.") from None
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise TrainingError(f"{path} is damaged: {_first(error)}. Put a copy of it back.") from None

    @classmethod
    def resume(cls, folder: Path, lock: TextIO | None = None) -> Self:
        """A run to go on with, as `create` a new one. Raises TrainingError: as `open`, or another process has it."""
        run = cls.open(folder)
        with disk_explained(folder):
            run._lock = lock or claim.lock(folder)
        return run

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    @property
    def artefact(self) -> Path:
        return self.folder / ARTEFACT

    def config(self) -> dict[str, Any]:
        """The configuration's keys and values. Raises TrainingError."""
        path = self.folder / CONFIG
        try:
            values = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TrainingError(f"{path} cannot be read: {_first(error)}.") from error
        if not isinstance(values, dict):
            raise TrainingError(f"{path} is damaged: it should be keys with values.")
        return values

    def update(self, config: RunConfig, info: RunInfo) -> None:
        """What the run is told now, when it goes on: more steps, another machine."""
        self._require_lock()
        with disk_explained(self.folder):
            write_whole(self.folder / CONFIG, dump(config))
            write_whole(self.folder / INFO, info.model_dump_json(indent=1) + "\n")
        self.info = info

    def append(self, metric: AnyMetric) -> None:
        """Write one line; it is with the system when this returns, so that a killed process loses at most the line itself."""
        with disk_explained(self.folder):
            if self._metrics is None:
                self._require_lock()
                cut_tail(self.folder / METRICS)
                self._metrics = (self.folder / METRICS).open("a", buffering=1, encoding="utf-8")
            try:
                self._metrics.write(metric.model_dump_json() + "\n")
            except OSError:  # the disk is full: what got there of the line is cut off before the next
                self._close_metrics()
                raise

    def metrics(self) -> Iterator[AnyMetric]:
        """Every metric, in the order they were written; a last line that a kill cut off is passed over.

        Raises TrainingError: naming the line that is no metric.
        """
        for number, line in enumerate(self._lines(), start=1):
            try:
                yield METRIC.validate_json(line)
            except ValidationError as error:
                where = f"{self.folder / METRICS}, line {number}"
                raise TrainingError(f"{where} is no metric of a run ({_first(error)}): delete the line.") from None

    def rewind(self, step: int) -> float:
        """Cut off what came after `step`, atomically: a resumed run does it again. Returns how long the steps cut off took, s.

        Lines are kept as they are, also those that only a later version understands.
        """
        self._require_lock()
        self._close_metrics()
        kept: list[str] = []
        lost = 0.0
        for number, line in enumerate(self._lines(), start=1):
            try:
                values = json.loads(line)
                if values["step"] <= step:
                    kept.append(line)
                elif values["kind"] == "step":
                    lost += float(values["seconds"])
            except (ValueError, KeyError, TypeError):
                raise TrainingError(f"{self.folder / METRICS}, line {number} is damaged: delete the line.") from None
        with disk_explained(self.folder):
            write_whole(self.folder / METRICS, "".join(kept))
        return lost

    def is_running(self) -> bool:
        """Whether a process has the run."""
        if self._lock is not None:
            return True
        try:
            with (self.folder / claim.LOCK).open() as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no lock file: nobody ever had it, or the folder was copied
            pass
        return False

    def close(self) -> None:
        """Let others have the run."""
        self._close_metrics()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _lines(self) -> Iterator[str]:
        try:
            with (self.folder / METRICS).open(encoding="utf-8", errors="replace", newline="\n") as stream:
                yield from (line for line in stream if line.endswith("\n"))
        except FileNotFoundError:
            return
        except OSError as error:
            raise TrainingError(f"{self.folder / METRICS} cannot be read: {error.strerror}.") from error

    def _close_metrics(self) -> None:
        if self._metrics is not None:
            with contextlib.suppress(OSError):  # a full disk told before
                self._metrics.close()
            self._metrics = None

    def _require_lock(self) -> None:
        if self._lock is None:
            raise RuntimeError("opened for reading: use RunFolder.create or RunFolder.resume")


def software(packages: Mapping[str, str] | None = None) -> Software:
    """This process: versions, commit and command line. `packages`: versions to record besides those of `PACKAGES`."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    try:
        own = version("jnana")
    except PackageNotFoundError:
        own = "not installed"
    return Software(jnana=own, git_commit=_commit(), packages=versions | dict(packages or {}), command=shlex.join(sys.argv))


def _commit() -> str | None:
    code = Path(__file__).parents[1]
    if not (code / ".git").exists():
        return None
    command = ["git", "-C", str(code), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed words and our own path
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[TextIO]:
    """A folder for this process alone, made if it is not there: its lock, for `RunFolder.create` or `RunFolder.resume`.

    When nothing began in it, it is gone again. Raises TrainingError: another process has it, or it cannot be written.
    """
    made = not folder.exists()
    with disk_explained(folder):
        lock = claim.lock(folder)
    with lock:
        try:
            yield lock
        finally:
            if not lock.closed:
                claim.leave_nothing(folder, made=made)


def end_with_parent() -> None:
    """Stop as after Ctrl-C when the process that started this one is gone: JNANA_PARENT_PID is its id. Nobody would hear how
    the run ends, and the next one would find its folder in use."""
    parent = os.environ.get("JNANA_PARENT_PID", "")
    if not parent.isdecimal():
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _require_no_run(folder: Path) -> None:
    if (folder / INFO).exists():
        raise TrainingError(f"{folder} holds a run already: resume it, or name another folder.")


def cut_tail(path: Path) -> None:
    """Drop a last line that was not written to its end; the next one would be glued to it."""
    with path.open("ab+") as stream:
        at = stream.seek(0, os.SEEK_END)
        while at:
            begin = max(0, at - 2**16)
            stream.seek(begin)
            newline = stream.read(at - begin).rfind(b"\n")
            if newline >= 0:
                at = begin + newline + 1
                break
            at = begin
        stream.truncate(at)


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


@contextlib.contextmanager
def disk_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written: {error.strerror}.") from error


def _first(error: Exception) -> str:
    """What an error says, on one line."""
    if isinstance(error, ValidationError):
        detail = error.errors()[0]
        return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}".removeprefix(": ")
    return " ".join(str(error).split())
