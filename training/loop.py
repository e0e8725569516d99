"""The one training loop. A stage (training/task.py) brings the model, the loss and the data.

A step is a function of the weights, the seed and its number: batches (training/sampling.py), learning rate
(training/schedule.py) and random numbers all follow from these, so a run that was killed goes on bit for bit.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import structlog
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from training import checkpoint
from training.config import RunConfig
from training.errors import TrainingError
from training.metrics import AnyMetric, Sample, Step, Validation
from training.resume import deciding, differing
from training.sampling import Sampler, length_buckets
from training.schedule import learning_rate
from training.task import Batch, Facts, Task

RECORDS_NAMED = 8
"""Of a batch whose loss is no number, in the message."""

log = structlog.get_logger(__name__)


class Loop:
    """Trains `task` as `run` says, with checkpoints in `checkpoints`; the main rank tells `listen` what happens.

    `peak_flops`: of all devices together, for the MFU; None: not known.
    """

    def __init__(
        self,
        run: RunConfig,
        task: Task,
        checkpoints: Path,
        accelerator: Accelerator,
        listen: Callable[[AnyMetric], None],
        peak_flops: float | None = None,
    ) -> None:
        self._run = run
        self._task = task
        self._checkpoints = checkpoints
        self._listen = listen if accelerator.is_main_process else _ignore
        self._peak_flops = peak_flops
        self._accelerator = accelerator
        self.steps = total_steps(run, len(task.train.lengths))
        self._settings = deciding(run, accelerator.num_processes)
        self._sampler = Sampler(task.train.lengths, run.batch.size, seed=run.seed, order=task.order)
        module = task.module.to(accelerator.device)
        if run.compile:
            module.compile()
        groups = [{**group, "lr": run.optimizer.lr} for group in task.parameter_groups()]
        fused = accelerator.device.type == "cuda"
        optimizer = torch.optim.AdamW(groups, betas=run.optimizer.betas, eps=run.optimizer.eps, fused=fused)
        self._module, self._optimizer = accelerator.prepare(module, optimizer)
        self._step = self._tokens = self._answer_tokens = 0
        self._stop = threading.Event()

    @property
    def done(self) -> int:
        """Optimizer steps that are done."""
        return self._step

    def resume(self) -> int:
        """Go on from the newest checkpoint, if there is one; the number of steps that are done.

        Raises TrainingError when it belongs to other data or other settings.
        """
        found = checkpoint.newest(self._checkpoints) if self._accelerator.is_main_process else None
        # One rank reads and judges all of it; two that saw different disks would go on from different steps.
        step = int(self._sum(float(found or 0))[0])
        if step == 0:
            return 0
        folder = checkpoint.folder_of(self._checkpoints, step)
        state = checkpoint.state_of(folder)
        if state.fingerprint != self._task.fingerprint:
            raise TrainingError(f"The data changed since {folder} was written: put it back, or start with another run folder.")
        if changed := "; ".join(differing(state.settings, self._settings)):
            raise TrainingError(
                f"{folder} was made with other settings ({changed}): take those, or start with another run folder."
            )
        if state.step > self.steps:
            raise TrainingError(f"{folder} has {state.step} steps, and {self.steps} were asked for: raise steps or epochs.")
        checkpoint.restore(folder, self._module, self._optimizer.optimizer)
        self._step, self._tokens, self._answer_tokens = state.step, state.tokens, state.answer_tokens
        return self._step

    def train(self) -> str:
        """Until all steps are done ("finished") or the process is asked to end ("stopped"); a checkpoint is there then."""
        with self._stopping_in_order(), _Prefetcher(self._batches(), self._run.workers) as batches:
            saved = self._step
            while self._step < self.steps and not self._asked_to_stop():
                self._one_step(batches)
                if self._step % self._run.validation.every == 0 or self._step == self.steps:
                    self._validate()
                if self._step % self._run.checkpoints.every == 0:
                    saved = self._save()
        if saved != self._step:
            self._save()
        return "finished" if self._step == self.steps else "stopped"

    def save_artefact(self, folder: Path, facts: Facts) -> None:
        """On the main rank, with sharded weights gathered; the others wait."""
        whole = checkpoint.trained_weights(self._module) if self._run.fsdp else None
        if self._accelerator.is_main_process:
            self._task.save(folder, facts, whole)
        self._accelerator.wait_for_everyone()

    # --- One step ---

    def _batches(self) -> Iterator[Callable[[], list[Batch]]]:
        """For each step from here on: how this rank's micro-batches are made."""
        rank, ranks = self._accelerator.process_index, self._accelerator.num_processes
        size = self._run.batch.micro
        for step in range(self._step, self.steps):
            chosen = self._sampler.batch(step)
            micros = [chosen[start : start + size] for start in range(0, len(chosen), size)]
            yield partial(self._collate, micros[rank::ranks])

    def _collate(self, micros: Sequence[Sequence[int]]) -> list[Batch]:
        return [self._task.train.collate(micro) for micro in micros]

    def _one_step(self, batches: _Prefetcher) -> None:
        started = time.perf_counter()
        micros = next(batches)
        waited = time.perf_counter() - started
        lr = learning_rate(self._run.optimizer, self._step, self.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        counts = [(batch.tokens, batch.answer_tokens, batch.weight, self._task.flops(batch)) for batch in micros]
        tokens, answer_tokens, weight, flops = self._sum(*map(sum, zip(*counts, strict=True)))
        losses = self._backward(micros, weight)
        (loss,) = self._sum(float(losses.sum()))
        if not math.isfinite(loss):
            raise TrainingError(self._not_a_number(losses))
        norm = self._clip()
        if not math.isfinite(norm):
            raise TrainingError(self._not_a_number(losses, "The gradient"))
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._step += 1
        self._tokens += int(tokens)
        self._answer_tokens += int(answer_tokens)
        seconds = time.perf_counter() - started
        self._listen(
            Step(
                step=self._step,
                time=time.time(),
                loss=loss / weight,
                lr=lr,
                grad_norm=norm,
                examples=self._run.batch.size,
                tokens=self._tokens,
                answer_tokens=self._answer_tokens,
                seconds=seconds,
                data_seconds=waited,
                tokens_per_second=tokens / seconds,
                examples_per_second=self._run.batch.size / seconds,
                mfu=flops / seconds / self._peak_flops if self._peak_flops else None,
                memory_bytes=_memory(self._accelerator.device),
            )
        )

    def _backward(self, micros: Sequence[Batch], weight: float) -> torch.Tensor:
        """Gradients of the step's mean loss, over labels of `weight` together; the summed loss of every micro-batch of this
        rank."""
        # DDP takes the mean over ranks: times their number it is the sum, as between micro-batches.
        scale = self._accelerator.num_processes / weight
        set_seed(_mixed(self._run.seed, self._step, self._accelerator.process_index))
        losses = []
        for number, batch in enumerate(micros):
            last = number == len(micros) - 1
            # What is sharded is summed over ranks each time: until the last, every rank would keep whole gradients.
            with nullcontext() if last or self._run.fsdp else self._accelerator.no_sync(self._module):
                loss = self._module(**self._on_device(batch.inputs))
                self._accelerator.backward(loss * scale)
            losses.append(loss.detach())
        return torch.stack(losses)

    def _clip(self) -> float:
        limit = self._run.optimizer.clip
        # All of the model's, in its order: accelerate knows a sharded model by them. Frozen ones have no gradients.
        everything = self._module.parameters()
        return float(self._accelerator.clip_grad_norm_(everything, math.inf if limit is None else limit))

    def _not_a_number(self, losses: torch.Tensor, what: str = "The loss") -> str:
        """Names the records of the first micro-batch at fault, on whichever rank; of the whole step when no loss is."""
        chosen = self._sampler.batch(self._step)
        size, ranks = self._run.batch.micro, self._accelerator.num_processes
        everyones = self._accelerator.gather(losses).view(ranks, -1).T.flatten()  # in the order of the sampler's micro-batches
        for number, loss in enumerate(everyones.tolist()):
            if not math.isfinite(loss):
                chosen = chosen[number * size : (number + 1) * size]
                break
        named = ", ".join(self._task.train.origin(example) for example in chosen[:RECORDS_NAMED])
        return (
            f"{what} is no number in step {self._step + 1}, in the batch of: {named}. Nothing of this step was kept: look at "
            "these records, or lower optimizer.lr, and give the same command again."
        )

    # --- Beside the steps ---

    @torch.no_grad()
    def _validate(self) -> None:
        self._module.eval()
        try:
            self._measure()
        finally:
            self._module.train()

    def _measure(self) -> None:
        rank, ranks = self._accelerator.process_index, self._accelerator.num_processes
        count = min(self._run.validation.examples, len(self._task.validation.lengths))
        size = self._run.batch.micro
        buckets = length_buckets(self._task.validation.lengths[:count])
        batches = [
            (bucket, examples[start : start + size])
            for bucket, examples in enumerate(buckets.values())
            for start in range(0, len(examples), size)
        ]
        losses, learnt = [0.0] * len(buckets), [0.0] * len(buckets)
        # Every rank runs as often as every other one, or sharded models wait for each other; repeats count nothing.
        for turn in range(math.ceil(len(batches) / ranks)):
            place = turn * ranks + rank
            bucket, examples = batches[min(place, len(batches) - 1)]
            batch = self._task.validation.collate(examples)
            loss = float(self._module(**self._on_device(batch.inputs)))
            if place < len(batches):
                losses[bucket] += loss
                learnt[bucket] += batch.weight
        sums = self._sum(*losses, *learnt)
        losses, learnt = sums[: len(buckets)], sums[len(buckets) :]
        means = {name: loss / labels for name, loss, labels in zip(buckets, losses, learnt, strict=True) if labels}
        by_bucket = means if len(buckets) > 1 else {}
        self._listen(Validation(step=self._step, loss=sum(losses) / max(sum(learnt), 1), by_bucket=by_bucket))
        # A sharded model cannot write on one rank alone.
        if self._run.validation.samples and self._accelerator.is_main_process and not self._run.fsdp:
            for one in self._task.samples(self._run.validation.samples):
                image = str(one.image) if one.image else None
                self._listen(Sample(step=self._step, image=image, prompt=one.prompt, expected=one.expected, answer=one.answer))

    def _save(self) -> int:
        state = checkpoint.TrainingState(self._step, self._tokens, self._answer_tokens, self._task.fingerprint, self._settings)
        checkpoint.save(
            self._checkpoints,
            state,
            self._module,
            self._optimizer.optimizer,
            keep=self._run.checkpoints.keep,
            is_main=self._accelerator.is_main_process,
        )
        self._accelerator.wait_for_everyone()
        return self._step

    def _sum(self, *values: float) -> list[float]:
        """Over all ranks."""
        if self._accelerator.num_processes == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64, device=self._accelerator.device)
        return list(self._accelerator.reduce(together, "sum").tolist())

    def _on_device(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: value.to(self._accelerator.device, non_blocking=True) for name, value in inputs.items()}

    def _asked_to_stop(self) -> bool:
        return bool(self._sum(float(self._stop.is_set()))[0])

    @contextmanager
    def _stopping_in_order(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the run after the step, with a checkpoint; a second Ctrl-C at once."""

        def ask(number: int, _frame: object) -> None:
            self._stop.set()
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            log.warning("stopping after this step, with a checkpoint; once more ends at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Prefetcher:
    """Makes batches a little before they are needed, on threads; without any, when they are needed."""

    def __init__(self, work: Iterator[Callable[[], list[Batch]]], workers: int) -> None:
        self._work = work
        self._threads = ThreadPoolExecutor(workers, "batches") if workers else None
        self._ready: list[Future[list[Batch]]] = []
        self._ahead = workers + 1

    def __enter__(self) -> _Prefetcher:
        return self

    def __next__(self) -> list[Batch]:
        if self._threads is None:
            return next(self._work)()
        while len(self._ready) < self._ahead and (make := next(self._work, None)) is not None:
            self._ready.append(self._threads.submit(make))
        return self._ready.pop(0).result()

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)


def _ignore(_metric: AnyMetric) -> None:
    """Ranks other than the main one have nobody to tell."""


def total_steps(run: RunConfig, examples: int) -> int:
    """Optimizer steps of a run; the last epoch is filled up to a whole batch. Raises TrainingError: it ends in its warm-up."""
    if run.steps is not None:
        return run.steps
    steps = max(1, math.ceil((run.epochs or 0) * examples / run.batch.size))
    if run.optimizer.warmup_steps >= steps:  # with `steps`, the configuration was checked
        raise TrainingError(
            f"{run.epochs:g} epochs of {examples:,} examples are {steps} steps, and the learning rate would warm up for "
            f"{run.optimizer.warmup_steps}: set optimizer.warmup_steps lower, or epochs higher."
        )
    return steps


def _mixed(*numbers: int) -> int:
    """A seed of its own for every step and rank."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % 2**32
    return mixed


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
