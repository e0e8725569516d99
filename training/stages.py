"""From a configuration to a finished run: load what a stage needs, train, keep what it makes."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, TextIO, TypeVar

import structlog
import torch
from accelerate import Accelerator

from model.adapters import RESERVED
from model.files import sha256
from model.machine import available_cores
from model.progress import progress
from model.settings import WorkerSettings
from model.weights import WeightsError
from training import align, instruct
from training.base import Base, load_base, load_writer
from training.config import STAGES, Align, Files, Instruct, Pretrain, RunConfig, Stage, TrainingData, find, load
from training.data.captions import load_captions
from training.data.conversations import load_conversations
from training.data.features import FeatureCache
from training.data.fingerprint import fingerprint
from training.data.loading import pictures_of, without_unfit
from training.data.records import Captioned, Conversation
from training.data.validate import Measure
from training.errors import TrainingError
from training.hardware import this_machine
from training.loggers import open_loggers
from training.loop import Loop
from training.metrics import FINISHED, AnyMetric, End, Start, Step, Validation
from training.plan import is_out_of_memory, out_of_memory
from training.preflight import agreed, require_ready
from training.pretrain import PretrainTask
from training.progress import Progress
from training.ranks import new_accelerator, together
from training.runs import ARTEFACT, CHECKPOINTS, INFO, DataFile, Hardware, Parameters, RunFolder, RunInfo, claimed, software
from training.task import Facts, Task

FEATURES = Path("training") / "features"
"""Below JNANA_HOME: looked-at pictures serve every run."""

R = TypeVar("R", Captioned, Conversation)

log = structlog.get_logger(__name__)


def train(
    stage: Stage, preset: str, changes: Sequence[str], folder: Path, *, skip_bad: bool, features: Path | None = None
) -> str:
    """Train a stage in the run folder `folder`; one that was begun there goes on. Blocking, minutes to days.

    `features`: folder for what the tower made of pictures; None: the one that all runs share.

    Returns how it ended: "finished" or "stopped".

    Raises TrainingError.
    """
    with together() as ranks:
        configuration = agreed(load(STAGES[stage], find(stage, preset), changes), folder, ranks.num_processes)
        require_ready(configuration, ranks.num_processes, begun=(folder / INFO).exists())
        accelerator = new_accelerator(configuration)
        torch.set_num_threads(configuration.threads or max(1, available_cores() // accelerator.num_processes))
        try:
            with claimed(folder) if accelerator.is_main_process else nullcontext() as lock:
                task, data = prepare(configuration, accelerator, skip_bad=skip_bad, features=features)
                return _train(configuration, task, data, preset, folder, accelerator, lock)
        except WeightsError as error:
            raise TrainingError(str(error)) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(out_of_memory(configuration, error, ranks.num_processes)) from error


def measure(configuration: RunConfig) -> Measure | None:
    """Tells how long the examples of a record are; None for stage 0, whose text is cut into sequences. Raises WeightsError."""
    if not isinstance(configuration, Align | Instruct):
        return None
    with progress() as bars:
        _, _, writer = load_writer(configuration, WorkerSettings().home, bars)

    def sizes(record: Captioned | Conversation) -> list[tuple[int, int]]:
        if isinstance(record, Captioned) and isinstance(configuration, Align):
            return align.lengths(configuration, writer, record)
        if isinstance(record, Conversation) and isinstance(configuration, Instruct):
            return instruct.lengths(configuration, writer, record)
        raise TypeError(f"{type(record).__name__} in a run of stage {configuration.stage}")

    return sizes


def prepare(
    configuration: RunConfig, accelerator: Accelerator, *, skip_bad: bool, features: Path | None = None
) -> tuple[Task, tuple[DataFile, ...]]:
    """A stage with its model, data and features; and the data for the record."""
    if isinstance(configuration, Pretrain):
        pretrain = PretrainTask(configuration, accelerator.device)
        return pretrain, pretrain.data_files()
    assert isinstance(configuration, Align | Instruct)  # noqa: S101 - there is no fourth stage
    sources = configuration.data
    if accelerator.is_main_process:
        _warn_of_shared_records(sources)
    home = WorkerSettings().home
    # One rank at a time converts weights and looks at new pictures; the others find them.
    with accelerator.main_process_first(), progress(plain_lines=accelerator.is_main_process) as bars:
        sets = (sources.train, sources.validation)

        def looked_at(base: Base, records: Sequence[Sequence[R]]) -> tuple[FeatureCache, list[list[R]], str]:
            """The cache with the records' pictures, those that it has, and the fingerprint of the data."""
            cache = base.cache(features or home / FEATURES)
            pictures = [path for part in records for record in part for path in pictures_of(record)]
            unfit = cache.fill(pictures, base.look, partial(bars, "Looking at pictures"))
            digests = {path: cache.digest(path) for path in pictures if path not in unfit}
            data = "+".join(fingerprint(files, unfit, digests) for files in sets)  # a record may not change sides
            return cache, without_unfit(records, unfit, skip_bad=skip_bad), data

        # Records before the model: a bad one is told in seconds.
        if isinstance(configuration, Align):
            captioned = [load_captions(files, skip_bad=skip_bad) for files in sets]
            base = load_base(configuration, home, accelerator.device, bars)
            cache, captioned, data = looked_at(base, captioned)
            task = align.build(configuration, base, cache, captioned[0], captioned[1], data, bars)
            return task, _data_files(sources, captioned)
        talks = [load_conversations(files, skip_bad=skip_bad) for files in sets]
        base = load_base(configuration, home, accelerator.device, bars)
        cache, talks, data = looked_at(base, talks)
        task = instruct.build(configuration, base, cache, talks[0], talks[1], data, bars)
        return task, _data_files(sources, talks)


def _warn_of_shared_records(sources: TrainingData) -> None:
    shared = {str(held.file) for held in sources.validation for files in sources.train if files.shares(held)}
    if shared:
        log.warning("validation records are training records too: hold some back with skip and first", files=sorted(shared))


def _data_files(sources: TrainingData, records: Sequence[Sequence[Captioned | Conversation]]) -> tuple[DataFile, ...]:
    """Every source with how many of its records are used."""
    train, validation = ({(record.origin.file, record.origin.number) for record in used} for used in records)
    used = {"train": train, "validation": validation}

    def described(files: Files, use: Literal["train", "validation"]) -> DataFile:
        # One file may be two sources, each with a part of its records.
        end = math.inf if files.end is None else files.end
        here = sum(file == files.file and files.skip < number <= end for file, number in used[use])
        return DataFile(
            file=str(files.file),
            sha256=sha256(files.file),
            records=here,
            licence=files.licence,
            use=use,
        )

    return (*(described(one, "train") for one in sources.train), *(described(one, "validation") for one in sources.validation))


def _train(
    configuration: RunConfig,
    task: Task,
    data: tuple[DataFile, ...],
    preset: str,
    folder: Path,
    accelerator: Accelerator,
    lock: TextIO | None,
) -> str:
    """`lock`: of the folder, on the main rank."""
    hardware = this_machine(accelerator.num_processes, precision=configuration.computes_in)
    with contextlib.ExitStack() as stack:
        listener = _Listener()
        loop = Loop(configuration, task, folder / CHECKPOINTS, accelerator, listener, hardware.peak_flops)
        done = loop.resume()  # a run that is refused stays as it is
        if lock is not None:
            info = _info(folder, configuration, task, data, preset, loop.steps, hardware)
            listener.run = stack.enter_context(_open_run(folder, configuration, info, lock))
        accelerator.wait_for_everyone()
        if listener.run is not None:
            lost = listener.run.rewind(done)
            loggers = open_loggers(configuration.loggers, folder, listener.run.info, done)
            title = f"{configuration.stage} {preset}"
            losses = listener.recall(listener.run)
            shown = Progress(title, loop.steps, hardware, loggers, done=done, losses=losses)
            listener.progress = stack.enter_context(shown)
            listener(Start(step=done, time=time.time(), resumed_from=done or None, lost_seconds=lost))
        reason = loop.train()
        if reason == FINISHED and (loop.done > done or not (folder / ARTEFACT).exists()):
            loop.save_artefact(folder / ARTEFACT, _facts(folder, configuration.stage, data, listener))
        listener(End(step=loop.done, time=time.time(), reason=reason))
    return reason


def _facts(folder: Path, stage: str, data: Sequence[DataFile], listener: _Listener) -> Facts:
    sources = tuple((one.file, one.licence) for one in data if one.use == "train")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:64] or stage
    name = f"{name}-{stage}" if name in RESERVED else name
    return Facts(name, sources, {} if listener.loss is None else {"validation loss": listener.loss})


class _Listener:
    """Keeps and shows what the loop tells. Ranks other than the main one have neither run nor progress."""

    run: RunFolder | None = None
    progress: Progress | None = None
    loss: float | None = None
    """Of the newest validation."""

    def recall(self, run: RunFolder) -> list[float]:
        """What was told before the run went on; the losses of its steps."""
        losses = []
        for metric in run.metrics():
            if isinstance(metric, Step):
                losses.append(metric.loss)
            elif isinstance(metric, Validation):
                self.loss = metric.loss
        return losses

    def __call__(self, metric: AnyMetric) -> None:
        if isinstance(metric, Validation):
            self.loss = metric.loss
        if self.run is not None:
            self.run.append(metric)
        if self.progress is not None:
            self.progress(metric)


def _open_run(folder: Path, configuration: RunConfig, info: RunInfo, lock: TextIO) -> RunFolder:
    if not (folder / INFO).exists():
        return RunFolder.create(folder, configuration, info, lock)
    run = RunFolder.resume(folder, lock)
    run.update(configuration, info.model_copy(update={"started": run.info.started}))
    return run


def _info(
    folder: Path,
    configuration: RunConfig,
    task: Task,
    data: tuple[DataFile, ...],
    preset: str,
    steps: int,
    hardware: Hardware,
) -> RunInfo:
    parameters = list(task.module.parameters())
    return RunInfo(
        stage=configuration.stage,
        name=folder.name,
        started=datetime.now(UTC),
        preset=preset,
        total_steps=steps,
        software=software(),
        hardware=hardware,
        data=data,
        parameters=Parameters(
            trained=sum(weight.numel() for weight in parameters if weight.requires_grad),
            all=sum(weight.numel() for weight in parameters),
        ),
        fingerprint=task.fingerprint,
    )
