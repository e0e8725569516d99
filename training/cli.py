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


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folder of a run; several are drawn over each other.", metavar="RUN")],
    to: Annotated[Path | None, typer.Option("--to", help="File to write; else report.html in the first run's folder.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of an hour of one device, in any currency.")] = None,
) -> None:
    """Write the curves, samples, settings and cost of a run as one page that opens in any browser, without a network."""
    from training.report import write_report  # matplotlib

    with sentences():
        print(write_report(runs, to, price))


@app.command("runs")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Where the runs' folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List runs: stage, steps, loss, whether they are running, and what they took."""
    from training.listing import find_runs, show

    with sentences():
        show(find_runs(folder), as_json=as_json)


if __name__ == "__main__":
    app()
