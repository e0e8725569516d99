"""What `jnana evaluate` does, with the settings of the worker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from model.progress import progress
from model.settings import WorkerSettings, read_settings
from training.errors import Mistakes
from training.evaluate import lmms as lmms_eval
from training.evaluate.answerer import Answerer, MindAnswerer
from training.evaluate.run import Request, evaluate


def measure(request: Request) -> str:
    """Run an evaluation. The text of results.md. Raises TrainingError."""
    settings = _settings()

    @contextlib.contextmanager
    def load(adapter: Path | None) -> Iterator[Answerer]:
        with progress() as on_progress:
            mind = MindAnswerer.load(
                request.model,
                adapter,
                hints=request.hints,
                home=settings.home,
                device=settings.device,
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
