"""`jnana adapters`: what training made of a preset. Listing and showing do not import torch.

A name is that of an installed adapter (JNANA_HOME/adapters/<preset>/); a folder does as well, such as a run's artefact.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from model import shelf
from model.adapters import Adapter, check
from model.files import PARTIAL, remove_leftovers
from model.logs import configure
from model.presets import PRESETS, Preset, get_preset
from model.progress import progress
from model.settings import WorkerSettings
from model.terminal import NO_WEIGHTS, print_table, sentences, settings_or_exit
from model.weights import PreparedWeights, WeightsError, prepare

adapters = typer.Typer(
    help="Adapters: what training made of a preset's language model, and which one is loaded.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

NameOrFolder = Annotated[str, typer.Argument(help="An installed adapter's name, or a folder.")]
PresetOption = Annotated[str | None, typer.Option("--preset", help="Which mind it is for (MODEL_PRESET).")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@adapters.command("list")
def list_adapters(as_json: Json = False) -> None:
    """List the adapters of all presets, and which one is loaded."""
    settings = settings_or_exit()
    with sentences():
        rows = [row for preset in PRESETS.values() for row in _rows(preset, settings)]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(caption="* loaded with its preset" if rows else "none yet: see `jnana train`")
    columns = ("preset", "name", "stage", "holds", "base", "created", "state", "where")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("preset", "name"))
    for row in rows:
        marked = row | {"name": f"{row['name']}{' *' if row['loaded'] else ''}"}
        table.add_row(*(escape(str(marked[column])) for column in columns))
    print_table(table)


@adapters.command()
def show(name: NameOrFolder, preset: PresetOption = None, as_json: Json = False) -> None:
    """Show an adapter's card: what it was made for, how, of what, and how good it is."""
    settings = settings_or_exit(MODEL_PRESET=preset)
    with sentences():
        adapter = Adapter.open(shelf.find(name, get_preset(settings.preset), settings.home))
    shown = adapter.card.model_dump(mode="json") | {"sha256": adapter.sha256, "where": str(adapter.folder)}
    if as_json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    table = Table(show_header=False)
    for key, value in _flat(shown):
        table.add_row(key, escape(value))
    print_table(table)


@adapters.command("check")
def check_adapter(name: NameOrFolder, preset: PresetOption = None) -> None:
    """Whether an adapter is whole, and fits the weights and the device that are here; every reason why not."""
    settings, chosen = _settings(preset)
    with sentences():
        adapter = Adapter.open(shelf.find(name, chosen, settings.home))
        wrong = check(adapter, chosen, *_here(adapter, chosen, settings))
    if wrong:
        print(*wrong, sep="\n")
        raise typer.Exit(NO_WEIGHTS)
    print(f"{adapter.name} is whole and fits {chosen.name} here.")


@adapters.command()
def use(
    name: Annotated[str, typer.Argument(help="An installed adapter's name, a folder, an exported .zip, or none.")],
    preset: PresetOption = None,
) -> None:
    """Load this adapter from now on; one from elsewhere is copied into the data folder first."""
    settings, chosen = _settings(preset)
    with sentences():
        if name != shelf.NONE:
            name = _taken_in(name, chosen, settings).name
        shelf.set_default(name, chosen, settings.home)
    print(f"{chosen.name} answers with adapter {name} from now on; a worker that runs takes it with the next message.")
    if settings.adapter:
        print(f"But MODEL_ADAPTER={settings.adapter} wins over it: take that out of .env or the environment.")


@adapters.command()
def install(
    source: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder or an exported .zip.")], preset: PresetOption = None
) -> None:
    """Copy an adapter that fits into the data folder, without using it yet."""
    settings, chosen = _settings(preset)
    with sentences():
        adapter = _taken_in(source, chosen, settings)
    print(f"{adapter.name} is installed; `jnana adapters use {adapter.name}` lets it answer.")


@adapters.command()
def merge(
    name: NameOrFolder,
    target: Annotated[Path, typer.Argument(help="Folder to write; it must not be there yet.")],
    preset: PresetOption = None,
) -> None:
    """Add an adapter's LoRA to the language model's weights, in fp32 (4 bytes a parameter of disk, twice that of memory)."""
    settings, chosen = _settings(preset)
    with sentences(), progress() as on_progress:
        adapter = Adapter.open(shelf.find(name, chosen, settings.home))
        weights = prepare(chosen, settings.home, on_progress)
        # Merging is how an adapter comes to another precision: only that may differ.
        if wrong := check(adapter, chosen, weights, adapter.card.base.precision):
            raise WeightsError(f"The adapter {adapter.name} cannot be merged. {' '.join(wrong)}")
        from model.merge import merge as merge_adapter  # imports torch

        merged = merge_adapter(adapter, weights, target.expanduser(), on_progress)
    if merged.base == "nf4":
        print(
            "It was trained on 4 bits (nf4), so it was added to what these leave of the weights. The result is for full width: "
            "in 4 bits once more it is off."
        )
    if adapter.card.text_only == "base":
        print("Conversations without a picture were the base's; a merged model answers all of them itself.")
    print(f"The merged language model: {merged.language}")
    if chosen.components["language"].converter is None:
        print(f"To use it: jnana models pull {chosen.name} --language-model {merged.language}")
    if merged.adapter is not None:
        print(f"Its projector: jnana adapters use {merged.adapter.folder}")


@adapters.command()
def export(
    name: NameOrFolder,
    file: Annotated[Path, typer.Argument(help="The .zip to write.")],
    half: Annotated[
        bool, typer.Option("--half", help="Weights in fp16: half as large, and far finer than training is.")
    ] = False,
    preset: PresetOption = None,
) -> None:
    """Write an adapter into one .zip to share; `jnana adapters use FILE.zip` takes it."""
    settings, chosen = _settings(preset)
    file = file.expanduser()
    with sentences(), tempfile.TemporaryDirectory() as scratch:
        if file.suffix != ".zip" or file.exists():
            raise WeightsError(f"{file} should be a new file that ends with .zip.")
        adapter = Adapter.open(shelf.find(name, chosen, settings.home))
        if half:
            from model.halve import halve  # imports torch

            adapter = halve(adapter, Path(scratch) / "half")
        shelf.export(adapter, file)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


@adapters.command("import-original")
def import_original(
    folder: Annotated[Path, typer.Argument(help="The published PEFT adapter: adapter_config.json and its weights.")],
    projector: Annotated[list[Path], typer.Option(help="One of the projector's two .pth files; give it twice.")],
    name: Annotated[str, typer.Option(help="What to call it.")] = "original",
    preset: Annotated[str, typer.Option(help="Which mind it is for.")] = "phi2",
    force: Annotated[bool, typer.Option("--force", help="Even if its embedding is not that of this phi-2.")] = False,
) -> None:
    """Take over the checkpoint that the original Jñāna published: a PEFT adapter and two files with the projector."""
    settings, chosen = _settings(preset)
    with sentences(), progress() as on_progress:
        target = shelf.folder_of(chosen, settings.home) / name
        if target.exists():
            raise WeightsError(f"There is an adapter {name} already: give another --name.")
        from model.original import Checkpoint  # imports torch
        from model.original import import_original as import_checkpoint

        checkpoint = Checkpoint.read(folder.expanduser(), [path.expanduser() for path in projector])
        weights = prepare(chosen, settings.home, on_progress)  # gigabytes, which nobody pulls for files that are no such thing
        done = import_checkpoint(checkpoint, chosen, weights, target, name=name, force=force)
    if done.difference is not None:
        said = "is the base's" if done.difference == 0 else f"differs from the base's by up to {done.difference:.2%} of a row"
        print(f"Its embedding ({done.rows:,} rows) {said} and was left out.")
    print(f"To load it: jnana adapters use {name} --preset {chosen.name}")


def _settings(preset: str | None) -> tuple[WorkerSettings, Preset]:
    settings = settings_or_exit(MODEL_PRESET=preset)
    configure(settings.log_level, settings.log_format)
    return settings, get_preset(settings.preset)


def _here(adapter: Adapter, preset: Preset, settings: WorkerSettings) -> tuple[PreparedWeights, Any]:
    """The preset's weights, and the precision that they are loaded in for an adapter. Raises WeightsError."""
    from model.quantize import Needs, place  # imports torch

    with progress() as on_progress:
        weights = prepare(preset, settings.home, on_progress)
    return weights, place(preset, weights, settings.device, precision=settings.precision, needs=Needs.of(adapter)).precision


def _taken_in(name: str, preset: Preset, settings: WorkerSettings) -> Adapter:
    """An adapter that fits, in the data folder."""
    parent = shelf.folder_of(preset, settings.home).parent
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    with tempfile.TemporaryDirectory(prefix=f".zip{PARTIAL}", dir=parent) as unpacked:
        is_zip = name.endswith(".zip")
        found = shelf.unpack(Path(name).expanduser(), Path(unpacked)) if is_zip else shelf.find(name, preset, settings.home)
        adapter = Adapter.open(found)
        if wrong := check(adapter, preset, *_here(adapter, preset, settings)):
            raise WeightsError(f"The adapter {adapter.name} cannot be used here. {' '.join(wrong)}")
        return shelf.install(adapter, preset, settings.home)


def _rows(preset: Preset, settings: WorkerSettings) -> list[dict[str, Any]]:
    loaded = shelf.default_name(preset, settings.home)
    if preset.name == settings.preset and settings.adapter:
        loaded = settings.adapter
    along = shelf.shipped(preset)
    rows = []
    for name, folder in shelf.installed(preset, settings.home).items():
        is_loaded = name == loaded or (loaded is None and folder == along)
        row = {"preset": preset.name, "name": name, "where": str(folder), "loaded": is_loaded, "state": "ready"}
        try:
            adapter = Adapter.open(folder)
        except WeightsError as error:
            rows.append(row | {"stage": "", "holds": "", "base": "", "created": "", "state": str(error)})
            continue
        card = adapter.card
        holds = [what for what, file in (("projector", adapter.projector), ("LoRA", adapter.lora)) if file is not None]
        rows.append(
            row
            | {
                "stage": card.stage,
                "holds": ", ".join(holds),
                "base": f"{card.base.name} ({card.base.precision})",
                "created": f"{card.created:%Y-%m-%d}",
            }
        )
    return rows


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Keys with dots, and what people read beside them."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            rows += [(f"{prefix}{key}", " · ".join(str(part) for part in item.values() if part)) for item in value]
        else:
            rows.append((f"{prefix}{key}", "" if value is None else str(value)))
    return rows
