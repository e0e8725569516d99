"""How the worker logs: one line an event, for people or for machines."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

LIBRARY_LEVEL = logging.WARNING
"""Other people's libraries (uvicorn, transformers) are heard from this level on."""


class _Stderr:
    """Whatever standard error is when a line is written: progress bars and tests replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(level: str, form: Literal["console", "json"]) -> None:
    """Log to standard error; standard output is for what a command was asked for."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if form == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type]  # print needs no more
    )
    logging.basicConfig(level=LIBRARY_LEVEL, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
