"""Training's commands: they hang on `jnana`. Also `python -m training.cli`.

Exit codes: 0 done · 1 failed (one sentence on standard error) · 2 wrong arguments or configuration · 130 interrupted.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import typer

from training.errors import Mistakes, TrainingError

FAILED, WRONG, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="Making the mind.", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False
)
train = typer.Typer(help="The stages: pretrain, align, instruct.", no_args_is_help=True, rich_markup_mode=None)
data = typer.Typer(help="What the stages learn from: check it, prepare it.", no_args_is_help=True, rich_markup_mode=None)
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
