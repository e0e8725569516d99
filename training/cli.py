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

from training.config import STAGES, Align, Instruct, Pretrain, Stage, find, load
from training.errors import Mistakes, TrainingError

FAILED, WRONG, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="Making the mind.", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False
)
train = typer.Typer(help="The stages: pretrain, align, instruct.", no_args_is_help=True, rich_markup_mode=None)
data = typer.Typer(help="What the stages learn from: check it, prepare it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(train, name="train")
app.add_typer(data, name="data")


@data.command("validate")
def validate_data(
    stage: Annotated[Stage, typer.Argument(help="pretrain, align or instruct.")],
    preset: Annotated[str, typer.Argument(help="A preset's name, or the path of a .yaml file.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key.sub=value, over the preset's; may be repeated.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write every bad record to this file, as JSONL.")] = None,
) -> None:
    """Read everything that a run will read, and tell every record that cannot be trained on.

    Exit code 1 when something is wrong.
    """
    from model.progress import progress
    from training.data.report import summary, write
    from training.data.validate import validate

    with sentences():
        run = load(STAGES[stage], find(stage, preset), changes or [])
        assert isinstance(run, Pretrain | Align | Instruct)  # noqa: S101 - there is no fourth stage
        if report is not None and not report.parent.is_dir():
            raise TrainingError(f"There is no folder {report.parent} to write the report to.")
        with progress() as on_progress:
            found = validate(run, None, on_progress)
        print(summary(found))
        if report is not None:
            write(found, report)
    raise typer.Exit(0 if found.good else FAILED)


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
