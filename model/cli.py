"""The worker's commands: `jnana serve`, `jnana models`, `jnana adapters` (model/adapters_cli.py); also `python -m model.cli`.

Exit codes: see model/process.py. Listing presets does not import torch.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from model.adapters_cli import adapters
from model.logs import configure
from model.presets import PRESETS, Part, Preset, get_preset
from model.progress import progress
from model.terminal import print_table, sentences, settings_or_exit
from model.weights import ComponentState, pull, state

STATUS_STYLE = {"ready": "green", "not converted": "yellow", "not pulled": "yellow"}

app = typer.Typer(
    help="The model worker.", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False
)
models = typer.Typer(help="The presets: what they are, where their weights are, and getting them.", rich_markup_mode=None)
app.add_typer(models, name="models")
app.add_typer(adapters, name="adapters")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (MODEL_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (MODEL_PORT).")] = None,
    preset: Annotated[str | None, typer.Option(help="Which mind to load (MODEL_PRESET).")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps (MODEL_DEVICE).")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16, int8 or nf4 (MODEL_PRECISION).")] = None,
) -> None:
    """Serve the OpenAI-compatible API until interrupted."""
    settings = settings_or_exit(
        MODEL_HOST=host, MODEL_PORT=port, MODEL_PRESET=preset, MODEL_DEVICE=device, MODEL_PRECISION=precision
    )
    configure(settings.log_level, settings.log_format)
    from model.process import CannotServe, listen, run  # imports torch

    url = f"http://{settings.host}:{settings.port}"
    try:
        with listen(settings.host, settings.port) as listener, contextlib.ExitStack() as loading:
            on_progress = loading.enter_context(progress())

            def on_ready() -> None:
                loading.close()
                print(f"ready: {url}", flush=True)

            run(settings, listener, on_progress=on_progress, on_ready=on_ready)
    except CannotServe as error:
        print(error, file=sys.stderr)
        raise typer.Exit(error.code) from None


@models.callback(invoke_without_command=True)
def list_models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the presets: their parts, licences, sizes, and where their weights are."""
    if context.invoked_subcommand:
        return
    settings = settings_or_exit()
    with progress(plain_lines=False) as on_progress:
        states = {preset: state(preset, settings.home, on_progress) for preset in PRESETS.values()}
    if as_json:
        print(json.dumps([_as_json(preset, parts) for preset, parts in states.items()], indent=2))
    else:
        print_table(_table(states, settings.preset))


@models.command("pull")
def pull_models(
    name: Annotated[str, typer.Argument(help="The preset to get.")],
    language_model: Annotated[Path | None, typer.Option(help="Folder with the language model, instead of the hub.")] = None,
    vision: Annotated[Path | None, typer.Option(help="Folder with the vision tower, instead of the hub.")] = None,
    speech: Annotated[Path | None, typer.Option(help="Folder with the speech model, instead of the hub.")] = None,
) -> None:
    """Get a preset's weights from the hub or from local folders, check and convert them."""
    settings = settings_or_exit(MODEL_PRESET=name)
    configure(settings.log_level, settings.log_format)
    given: dict[Part, Path | None] = {"language": language_model, "tower": vision, "speech": speech}
    sources = {part: folder for part, folder in given.items() if folder is not None}
    with sentences(), progress() as on_progress:
        pull(get_preset(name), settings.home, sources, on_progress)
    print(f"{name} is ready in {settings.home / 'models' / name}")


def _table(states: dict[Preset, list[ComponentState]], chosen: str) -> Table:
    table = Table(caption="* MODEL_PRESET")
    for column in ("preset", "part", "what", "licence", "size", "state", "where"):
        table.add_column(column, overflow="fold", no_wrap=column in ("preset", "part", "size"))
    for preset, parts in states.items():
        for at, part in enumerate(parts):
            table.add_row(
                f"{preset.name}{' *' if preset.name == chosen else ''}" if at == 0 else "",
                part.part,
                part.component.title,
                part.component.licence,
                f"{part.component.size / 1e6:,.0f} MB",
                f"[{STATUS_STYLE.get(part.status, 'red')}]{part.status}[/]",
                str(part.where or part.detail or part.component.source),
                end_section=at == len(parts) - 1,
            )
    return table


def _as_json(preset: Preset, parts: list[ComponentState]) -> dict[str, Any]:
    return {
        "name": preset.name,
        "title": preset.title,
        "ready": all(part.status == "ready" for part in parts),
        "parts": [
            {
                "part": part.part,
                "title": part.component.title,
                "licence": part.component.licence,
                "source": part.component.source,
                "bytes": part.component.size,
                "status": part.status,
                "where": str(part.where) if part.where else None,
                "detail": part.detail,
            }
            for part in parts
        ],
    }


if __name__ == "__main__":
    app()
