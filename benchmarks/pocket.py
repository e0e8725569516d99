"""The pocket preset, loaded as benchmarks want it."""

from __future__ import annotations

from pathlib import Path

from model.mind import Mind
from model.presets import get_preset
from model.settings import WorkerSettings
from model.weights import PreparedWeights, prepare


def weights() -> PreparedWeights:
    """Converted if need be."""
    return prepare(get_preset("pocket"), WorkerSettings().home, _silently)


def load(precision: str, threads: int, *, adapter: Path | None = None, hints: bool = False, ocr: bool = False) -> Mind:
    """On the CPU. Blocking, seconds."""
    return Mind.load(
        get_preset("pocket"),
        weights(),
        adapter=adapter,
        device="cpu",
        precision=precision,
        threads=threads,
        hints=hints,
        ocr=ocr,
        progress=_silently,
    )


def _silently(what: str, done: int, total: int) -> None:
    """No progress: standard output is the result."""
