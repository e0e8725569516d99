"""The process that trains: started, watched, stopped. The bot never imports what is inside (training/, model/)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from bot.retraining.resources import GB, ended_first, held, last_in_line, may_take
from bot.settings import Settings
from bot.supervisor import NOT_FOR_WORKER, end
from bot.texts import Text, text

LOOK_EVERY = 2.0
"""Seconds between two looks at how far a run is."""
ATTEMPTS, PAUSE = 3, 3.0
"""Of a run that was interrupted by something else than us, and seconds between them."""
INTERRUPTED, IN_USE = 130, "is in use"
"""Exit code of a run that was stopped, and words of one whose folder a process before us still has (training/runs.py)."""
NO_ROOM = 3
"""Exit code of a run that does not fit into the GPU's memory beside what others hold of it (training/cli.py)."""
INSTALL_SECONDS = 180.0
"""For an adapter to be checked and copied: torch is imported from a cold, slow disk."""
LINE_BYTES = 2**20
TRAIN = (sys.executable, "-m", "training.cli", "train", "retrain")
INSTALL = (sys.executable, "-m", "model.cli", "adapters", "install")
RUN, METRICS, VERDICT, ARTEFACT = "run.json", "metrics.jsonl", "verdict.json", "artefact"
"""In the folder of a run (training/runs.py, training/retrain/run.py)."""
CARD = "card.json"

log = structlog.get_logger(__name__)


class TrainerError(Exception):
    """A run or a switch did not work. `sentence`: why, for admins: a text of the catalogue, or the trainer's own words."""

    def __init__(self, sentence: Text | str) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence

    def told(self, language: str) -> str:
        return self.sentence.to(language) if isinstance(self.sentence, Text) else self.sentence


class NoRoom(TrainerError):  # noqa: N818  # names what happened
    """The GPU's memory does not suffice beside what others hold of it, the worker among them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; nothing yet while data is prepared. `loss` in nats a token, `seconds_left` as its pace has it."""

    step: int = 0
    total: int = 0
    loss: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    name: str
    before: float
    after: float
    is_loss: bool
    worse: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """A held-out question, what somebody wants to be said, and what both say. `id`: of the example, as `lessons.write` gave
    it."""

    id: str
    question: str
    wanted: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    offered: bool
    measures: tuple[Measured, ...]
    answers: tuple[Compared, ...]

    @classmethod
    def read(cls, folder: Path) -> Verdict | None:
        """None: it was not judged yet. Blocking."""
        try:
            said: dict[str, Any] = json.loads((folder / VERDICT).read_text("utf-8"))
        except FileNotFoundError:
            return None
        measures = [{key: one[key] for key in Measured.__slots__} for one in said["measures"]]
        answers = [{key: one[key] for key in Compared.__slots__} for one in said["answers"]]
        return cls(bool(said["offered"]), tuple(Measured(**one) for one in measures), tuple(Compared(**one) for one in answers))


Heard = Callable[[Progress], None]


class Trainer(Protocol):
    """What `Retrainings` needs; tests have one of their own."""

    async def retrain(self, lessons: Path, folder: Path, start: str, heard: Heard) -> Verdict:
        """Train and judge in `folder`, from the adapter `start`, going on where it was. Cancelled, it stops. Raises
        TrainerError, and of these NoRoom before anything was trained."""
        ...

    async def install(self, artefact: Path) -> str:
        """Check an adapter and keep it; its name. Raises TrainerError."""
        ...


class ProcessTrainer:
    """`jnana train retrain` and `jnana adapters install`, as processes of their own with the lowest priority."""

    def __init__(self, settings: Settings, *, train: Sequence[str] = TRAIN, install: Sequence[str] = INSTALL) -> None:
        self._settings = settings
        self._train = tuple(train)
        self._install = tuple(install)

    async def retrain(self, lessons: Path, folder: Path, start: str, heard: Heard) -> Verdict:
        images = str(self._settings.attachments)
        arguments = (str(lessons), "--to", str(folder), "--images", images, "--adapter", start, "--leave-core")
        watch = asyncio.create_task(_watch(folder, heard))
        try:
            for attempt in range(ATTEMPTS):
                most = await asyncio.to_thread(may_take, self._settings.retrain_memory_gb)
                code, said = await self._run(*self._train, *arguments, most=most)
                if (verdict := await asyncio.to_thread(Verdict.read, folder)) is not None:
                    return verdict
                log.warning("training ended without a verdict", exit_code=code, attempt=attempt)
                if code == NO_ROOM:
                    raise NoRoom(said)
                if code not in (INTERRUPTED, -signal.SIGTERM, -signal.SIGKILL) and IN_USE not in said:
                    break
                await asyncio.sleep(PAUSE)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        raise TrainerError(said or f"The training ended with exit code {code}.")

    async def install(self, artefact: Path) -> str:
        try:
            async with asyncio.timeout(INSTALL_SECONDS):
                code, said = await self._run(*self._install, str(artefact))
        except TimeoutError:
            code, said = -1, "Checking the adapter took too long."
        if code != 0:
            raise TrainerError(said or "The adapter was refused.")
        card = await asyncio.to_thread((artefact / CARD).read_text, "utf-8")
        return str(json.loads(card)["name"])

    async def _run(self, *command: str, most: float = math.inf) -> tuple[int, str]:
        """Exit code and last words. Cancelled, it ends the process first. `most`: bytes of memory that it may hold.

        Raises TrainerError: there is no such program, or it held more.
        """
        try:
            process = await self._start(*last_in_line(), *command)
        except OSError as error:
            raise TrainerError(f"The training could not be started: {error.strerror}.") from error
        log.info("process started", pid=process.pid, command=command[1:4])
        await asyncio.to_thread(ended_first, process.pid)
        words = asyncio.create_task(_last_words(process))
        memory = asyncio.create_task(_beyond(process.pid, most))
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({ended, memory}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            memory.cancel()
            await end(process, signal.SIGINT)  # nothing is lost by a kill, either: checkpoints are written in one step
            said = await words
        if memory.done() and not memory.cancelled():
            log.warning("training stopped, it held too much memory", bytes=memory.result(), limit=most)
            raise TrainerError(text("retrain-memory", limit=f"{most / GB:.1f}"))
        return await ended, said

    async def _start(self, *command: str) -> asyncio.subprocess.Process:
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in NOT_FOR_WORKER}
        ours = {
            "JNANA_HOME": str(self._settings.jnana_home),
            "JNANA_PARENT_PID": str(os.getpid()),
            "MODEL_PRESET": self._settings.model_preset,
            "PYTHONUNBUFFERED": "1",
        }
        return await asyncio.create_subprocess_exec(
            *command,
            env=inherited | ours,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the bot, which stops it in its own time
            limit=LINE_BYTES,
        )


async def _beyond(session: int, most: float) -> int:
    """Returns when a session holds more memory than `most`: how much, in bytes."""
    while (now := await asyncio.to_thread(held, session)) <= most:  # noqa: ASYNC110  # nothing tells how much that is
        await asyncio.sleep(LOOK_EVERY)
    return now


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """The last line that was meant for people."""
    assert process.stderr is not None  # noqa: S101  # asked for above
    last = ""
    while line := await _line(process.stderr):
        if words := line.decode(errors="replace").strip():
            last = words
    return last


async def _line(stream: asyncio.StreamReader) -> bytes:
    while True:
        with contextlib.suppress(ValueError):  # longer than LINE_BYTES; the reader drops it
            return await stream.readline()


async def _watch(folder: Path, heard: Heard) -> None:
    before = Progress()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        now = await asyncio.to_thread(progress_of, folder)
        if now != before:
            before = now
            heard(now)


def progress_of(folder: Path) -> Progress:
    """Of the run in `folder`. Blocking."""
    try:
        total = int(json.loads((folder / RUN).read_text("utf-8"))["total_steps"])
        lines = (folder / METRICS).read_text("utf-8").splitlines()
    except (OSError, ValueError, KeyError):
        return Progress()
    steps = [step for line in lines if (step := _step(line)) is not None]
    if not steps:
        return Progress(0, total)
    recent = steps[-10:]
    pace = sum(float(step["seconds"]) for step in recent) / len(recent)
    done = int(steps[-1]["step"])
    return Progress(done, total, float(steps[-1]["loss"]), pace * (total - done))


def _step(line: str) -> dict[str, Any] | None:
    """A line that is half written is none."""
    try:
        metric = json.loads(line)
    except ValueError:
        return None
    return metric if isinstance(metric, dict) and metric.get("kind") == "step" else None
