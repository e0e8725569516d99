"""The bot's log: one line an event on standard error, never a secret in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

import structlog


def configure_logging(level: str, log_format: str, secrets: Iterable[str] = ()) -> None:
    """Send structlog and the standard library's logging (uvicorn, alembic, gradio) to one place.

    Args:
        level: debug, info, warning or error; libraries are heard from warning on.
        log_format: `console` for people, `json` for machines.
        secrets: texts that are replaced wherever they would appear, tracebacks and library messages included.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor
    if log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _Redact(secrets)],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    for own in ("bot", "__main__"):
        logging.getLogger(own).setLevel(level.upper())


class _Redact:
    """Last in the chain: works on the finished line, so that nothing that was rendered can slip past it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, _logger: Any, _name: str, line: Any) -> Any:
        for secret in self._secrets:
            line = line.replace(secret, "(hidden)")
        return line
