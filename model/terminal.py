"""What the commands of this package share: settings, tables and failures, as people see them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from model.settings import WorkerSettings, read_settings
from model.weights import WeightsError

BAD_SETTINGS, NO_WEIGHTS = 2, 3

WIDE = 200
"""Columns of a table that is written to a file or a pipe, so that nothing in it is broken over lines."""


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """A failure that the owner can mend becomes its sentence and an exit code."""
    try:
        yield
    except WeightsError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(NO_WEIGHTS) from None


def print_table(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def settings_or_exit(**overrides: Any) -> WorkerSettings:
    """The settings; without them the command ends, all problems told at once."""
    settings, problems = read_settings(**{name: value for name, value in overrides.items() if value is not None})
    if settings is None:
        print(*problems, sep="\n", file=sys.stderr)
        raise typer.Exit(BAD_SETTINGS)
    return settings
