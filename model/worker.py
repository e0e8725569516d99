"""The worker's inside: loads the mind once, then holds what requests need, until it is closed."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import structlog
import torch

from model.adapter_pool import AdapterPool
from model.attached import Attached
from model.engine import Engine
from model.errors import load_failed, loading
from model.metrics import Metrics
from model.mind import LOAD_STEPS, LOADING, Mind
from model.presets import Preset, get_preset
from model.queue import FairQueue
from model.recorded import CudaGraphs
from model.schema import Health
from model.settings import WorkerSettings
from model.shelf import chosen
from model.sight import Picture
from model.speech import Speech
from model.threads import compute_alone
from model.weights import PreparedWeights, Progress, WeightsError, prepare

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """What loading yields."""

    mind: Mind
    engine: Engine
    adapters: AdapterPool
    speech: Speech


class Loader(Protocol):
    """Makes the parts. Blocking. Raises WeightsError for what the owner can mend."""

    def __call__(self, settings: WorkerSettings, progress: Progress) -> Parts: ...


def load_parts(settings: WorkerSettings, progress: Progress) -> Parts:
    """Prepare the preset's weights if need be, and load them."""
    preset = get_preset(settings.preset)
    weights = prepare(preset, settings.home, progress)
    adapter = chosen(settings.adapter, preset, settings.home)
    try:
        return _load(preset, weights, adapter, settings, progress)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except (OSError, ValueError, LookupError, AttributeError, RuntimeError) as error:  # what libraries raise about files
        log.exception("weights_unfit")
        raise WeightsError(
            f"The preset {preset.name} in {settings.home / 'models' / preset.name} cannot be loaded "
            f"({type(error).__name__}; the log says more): run `jnana models pull {preset.name}` again."
        ) from error


def _load(
    preset: Preset, weights: PreparedWeights, adapter: Path | None, settings: WorkerSettings, progress: Progress
) -> Parts:
    threads = settings.cpu_threads()
    mind = Mind.load(
        preset,
        weights,
        adapter=adapter,
        device=settings.device,
        precision=settings.precision,
        threads=threads,
        hints=settings.hints,
        ocr=settings.ocr,
        progress=progress,
    )
    progress(LOADING, LOAD_STEPS - 1, LOAD_STEPS)
    record = CudaGraphs(mind.device) if settings.cuda_graphs and mind.device.type == "cuda" else None
    engine = Engine(mind, record)
    engine.choose_threads(threads)
    speech = Speech(weights.speech, device=str(mind.device), threads=threads)
    parts = Parts(mind, engine, AdapterPool(settings, mind, engine, adapter), speech)
    progress(LOADING, LOAD_STEPS, LOAD_STEPS)
    return parts


class Worker:
    """State of one worker process. All methods belong to the event loop, `load` included."""

    def __init__(
        self, settings: WorkerSettings, loader: Loader = load_parts, progress: Progress = lambda what, done, total: None
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.queue = FairQueue(settings.queue, slots=Engine.slots)
        self.speech_queue = FairQueue(settings.queue, slots=Speech.slots)
        self.picture_queue = FairQueue(settings.queue)
        self.created = int(time.time())
        self.turns: set[asyncio.Task[Any]] = set()
        self.status: Literal["loading", "ready", "failed"] = "loading"
        self._detail = "Starting."
        self._loader = loader
        self._progress = progress
        self._parts: Parts | None = None
        self._load_thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._open_thread = ThreadPoolExecutor(1, thread_name_prefix="open", initializer=compute_alone)
        self.metrics.watch("queue_length", "Requests waiting for the language model.", lambda: self.queue.waiting)
        self.metrics.watch("running", "Answers being written.", lambda: self.queue.running)
        self.metrics.watch("ready", "1 when the model is loaded.", lambda: self.status == "ready")
        self.metrics.watch(
            "kv_cache_bytes",
            "Keys and values of earlier turns and of answers being written.",
            lambda: self._parts.engine.kv_cache_bytes if self._parts else 0,
        )

    async def load(self) -> Exception | None:
        """Load everything; afterwards `status` is ready or failed. Returns what went wrong, None if nothing did."""
        try:
            loop = asyncio.get_running_loop()
            self._parts = await loop.run_in_executor(self._load_thread, self._loader, self.settings, self._on_progress)
        except Exception as error:
            self.status = "failed"
            if isinstance(error, WeightsError):
                self._detail = str(error)
                log.error("load_failed", reason=str(error))  # noqa: TRY400 - a sentence for the owner, not a defect
            else:
                self._detail = "The model could not be loaded; the worker's log says why."
                log.exception("load_failed")
            return error
        self.status, self._detail = "ready", ""
        log.info(
            "ready", preset=self.settings.preset, device=str(self._parts.mind.device), precision=self._parts.mind.precision
        )
        return None

    @property
    def parts(self) -> Parts:
        """What was loaded. Raises ApiError (503) until then."""
        if self._parts is not None:
            return self._parts
        raise load_failed(self._detail) if self.status == "failed" else loading()

    async def open(self, picture: Picture, attached: Attached, key: str) -> None:
        """Decode a new picture and read its text beside the answers that grow, when it is its conversation's (`key`) turn.
        Raises QueueFull and QueueClosed."""
        mind = self.parts.mind
        if not mind.has_seen(picture, attached):
            async with self.picture_queue.slot(key):
                await asyncio.get_running_loop().run_in_executor(self._open_thread, mind.open, picture, attached)

    def health(self) -> Health:
        return Health(
            status=self.status,
            busy=any(queue.running for queue in self._queues),
            queue=sum(queue.waiting for queue in self._queues),
            preset=self.settings.preset,
            device=str(self._parts.mind.device) if self._parts else self.settings.device,
            precision=self._parts.mind.precision if self._parts else self.settings.precision,
            adapter=self._parts.adapters.default.name if self._parts else None,
            detail=self._detail,
        )

    def drain(self, seconds: float) -> None:
        """Send away who waits, refuse who comes, and end the answers that still run after `seconds`."""
        for queue in self._queues:
            queue.close()
        asyncio.get_running_loop().call_later(seconds, self._end_turns)

    def close(self) -> None:
        """Let go of all threads, without waiting for them."""
        for thread in (self._load_thread, self._open_thread):
            thread.shutdown(wait=False, cancel_futures=True)
        if self._parts:
            self._parts.engine.close()
            self._parts.speech.close()

    @property
    def _queues(self) -> tuple[FairQueue, ...]:
        return self.queue, self.speech_queue, self.picture_queue

    def _end_turns(self) -> None:
        for turn in self.turns:
            turn.cancel()

    def _on_progress(self, what: str, done: int, total: int) -> None:
        self._detail = f"{what}: {done * 100 // total} %" if total > 1 else what
        self._progress(what, done, total)
