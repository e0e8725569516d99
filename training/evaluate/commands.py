"""What `jnana evaluate` does, with the settings of the worker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from model.presets import get_preset
from model.progress import progress
from model.settings import WorkerSettings, read_settings
from model.shelf import chosen
from model.weights import WeightsError
from training.errors import Mistakes, TrainingError
from training.evaluate import lmms as lmms_eval
from training.evaluate.answerer import Answerer, MindAnswerer
from training.evaluate.run import Request, evaluate


def adapter_of(name_or_path: str | None, model: str) -> Path | None:
    """The adapter that is meant; None given: the one that `jnana serve` would load. Raises TrainingError."""
    settings = _settings()
    try:
        return chosen(settings.adapter if name_or_path is None else name_or_path, get_preset(model), settings.home)
    except (WeightsError, ValueError) as error:
        raise TrainingError(str(error)) from error


def measure(request: Request) -> str:
    """Run an evaluation. The text of results.md. Raises TrainingError."""
    settings = _settings()
    request = replace(request, precision=settings.precision)

    @contextlib.contextmanager
    def load(adapter: Path | None) -> Iterator[Answerer]:
        with progress() as on_progress:
            mind = MindAnswerer.load(
                request.model,
                adapter,
                hints=request.hints,
                home=settings.home,
                device=settings.device,
                precision=settings.precision,
                threads=settings.cpu_threads(),
                progress=on_progress,
            )
        with contextlib.closing(mind):
            yield mind

    return evaluate(request, load)


def lmms(model: str) -> str:
    """How lmms-eval asks the server of these settings."""
    settings = _settings()
    return lmms_eval.how(model, settings.host, settings.port, has_key=bool(settings.api_key.get_secret_value()))


def _settings() -> WorkerSettings:
    settings, problems = read_settings()
    if settings is None:
        raise Mistakes("These settings need a change (.env or the environment):", problems)
    return settings
