"""Training's commands: they hang on `jnana`. Also `python -m training.cli`.

Exit codes: 0 done · 1 failed (one sentence on standard error) · 2 wrong arguments or configuration · 130 interrupted.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from training.config import Stage
from training.errors import Mistakes, TrainingError

FAILED, WRONG, INTERRUPTED = 1, 2, 130

WIDE = 200
"""Columns of a table that is written to a file or a pipe, so that nothing in it is broken over lines."""

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


@train.command()
def plan(
    stage: Annotated[Stage, typer.Argument(help="pretrain, align or instruct.")],
    preset: Annotated[str, typer.Argument(help="A preset's name, or the path of a .yaml file.")],
    gpu: Annotated[str, typer.Option(help="Card, such as 'RTX 3090'; an unknown one lists those there are.")],
    gpus: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key.sub=value, over the preset's; may be repeated.")
    ] = None,
    examples: Annotated[int | None, typer.Option(min=1, help="In an epoch, if its files are not published ones.")] = None,
    tokens: Annotated[float | None, typer.Option(min=1, help="Mean tokens of an example, pictures' included.")] = None,
    mfu: Annotated[float | None, typer.Option(min=0.001, max=1, help="As a run on such a card showed, 0 to 1.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of one GPU for an hour.")] = None,
) -> None:
    """What a run will take on a named GPU: memory, tokens, FLOPs and time. Trains nothing."""
    from rich.console import Console

    from training.config import STAGES, find, load
    from training.hardware import find_gpu
    from training.plan import plan as make_plan
    from training.plan_table import tables, verdict

    with sentences():
        run = load(STAGES[stage], find(stage, preset), changes or [])
        planned = make_plan(run, find_gpu(gpu), gpus, examples, tokens, mfu)
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    for table in tables(planned, price):
        console.print(table)
    print(verdict(planned))


if __name__ == "__main__":
    app()
