"""Where adapters lie: JNANA_HOME/adapters/<preset>/<name>, the one that came along, and which of them is loaded.

Imports no torch.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from model.adapters import CARD, FILES, RESERVED, Adapter, Card, disk
from model.files import MANIFEST, appearing, locked, remove_leftovers, sha256
from model.presets import Preset
from model.weights import WeightsError

SHIPPED = Path(__file__).parent / "shipped"
"""Has a folder for each preset whose adapter comes along with the product."""
NONE, DEFAULT = RESERVED
"""What to write for no adapter, and the file with the name of the one that is loaded unless MODEL_ADAPTER says otherwise."""


def folder_of(preset: Preset, home: Path) -> Path:
    return home / "adapters" / preset.name


def shipped(preset: Preset) -> Path | None:
    """The adapter that came along."""
    folder = SHIPPED / preset.name
    return folder if folder.is_dir() else None


def installed(preset: Preset, home: Path) -> dict[str, Path]:
    """Folders by name, in alphabetical order, damaged ones included; the one that came along is among them."""
    found = {path.name: path for path in folder_of(preset, home).glob("[!.]*") if path.is_dir()}
    if (along := shipped(preset)) is not None:
        found.setdefault(_name(along), along)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Origin:
    """Where an adapter comes from. `parent`: name of the one it went on from, NONE for the plain base; None: not here any more.
    `data`: names of what it learnt from, its parents' included. `text_only`: as its card has it."""

    made: date
    parent: str | None
    data: tuple[str, ...]
    text_only: Literal["adapter", "base"]


def origins(preset: Preset, home: Path) -> dict[str, Origin]:
    """As the cards of those that are installed say it, by name; damaged ones are left out. Blocking.

    Files are not checked against their manifests: who lists adapters does not wait for gigabytes to be read.
    """
    there = installed(preset, home)
    names = {sha256(folder / MANIFEST): name for name, folder in there.items() if (folder / MANIFEST).is_file()}
    found = {}
    for name, folder in there.items():
        try:
            card = Card.model_validate_json((folder / CARD).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        parent = NONE if card.parent is None else names.get(card.parent)
        data = tuple(dict.fromkeys(source.name for source in card.data))
        found[name] = Origin(card.created.date(), parent, data, card.text_only)
    return found


def find(name_or_path: str, preset: Preset, home: Path) -> Path:
    """The folder of an installed adapter's name, or of a path. Raises WeightsError that names those there are."""
    there = installed(preset, home)
    if name_or_path in there:
        return there[name_or_path]
    path = Path(name_or_path).expanduser()
    if path.is_dir() and (os.sep in name_or_path or (path / CARD).is_file()):
        return path
    names = f"there are {', '.join(there)}" if there else "there is none yet"
    raise WeightsError(f"There is no adapter '{name_or_path}' for {preset.name}: {names}; or give the folder of one.")


def chosen(setting: str, preset: Preset, home: Path) -> Path | None:
    """The adapter to load; None: the plain base. `setting`: MODEL_ADAPTER, which wins over the default.

    Raises WeightsError when it is not there.
    """
    name = setting or default_name(preset, home)
    if name == NONE:
        return None
    if name is None:
        return shipped(preset)
    try:
        return find(name, preset, home)
    except WeightsError as error:
        where = "MODEL_ADAPTER" if setting else "The default adapter (`jnana adapters use NAME` sets another, or none)"
        raise WeightsError(f"{where}: {error}") from None


def default_name(preset: Preset, home: Path) -> str | None:
    """What `set_default` wrote; None: nothing, so it is the adapter that came along, if any."""
    try:
        return (folder_of(preset, home) / DEFAULT).read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder_of(preset, home) / DEFAULT} cannot be read ({error}): delete it.") from error


def set_default(name: str, preset: Preset, home: Path) -> None:
    """Load this one from now on; NONE: the plain base. Raises WeightsError."""
    folder = folder_of(preset, home)
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{DEFAULT}.partial"
        partial.write_text(f"{name}\n", "utf-8")
        partial.replace(folder / DEFAULT)


def install(adapter: Adapter, preset: Preset, home: Path) -> Adapter:
    """Copy an artefact into the data folder. Raises WeightsError: another one there has its name, or the disk refuses."""
    target = folder_of(preset, home) / adapter.name
    if adapter.folder.resolve() in (target.resolve(), (shipped(preset) or target).resolve()):
        return adapter
    with disk(target), locked(target.parent.with_name(f"{preset.name}.lock")):
        remove_leftovers(target.parent)
        if target.exists():
            if _same(target, adapter):
                return Adapter.open(target)
            raise WeightsError(f"Another adapter is called {adapter.name} already: move {target} away first.")
        with appearing(target) as folder:
            for file in FILES:
                if (adapter.folder / file).is_file():
                    shutil.copyfile(adapter.folder / file, folder / file)
    return Adapter.open(target)


def export(adapter: Adapter, file: Path) -> None:
    """One .zip of an artefact, written in one step. Raises WeightsError."""
    with disk(file), tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}-", delete=False) as partial:
        try:
            with zipfile.ZipFile(partial, "w") as archive:  # not compressed: weights do not shrink
                for name in FILES:
                    if (adapter.folder / name).is_file():
                        archive.write(adapter.folder / name, f"{adapter.name}/{name}")
            partial.flush()
            os.fsync(partial.fileno())
            Path(partial.name).chmod(0o644)
            Path(partial.name).replace(file)
        finally:
            Path(partial.name).unlink(missing_ok=True)


def unpack(file: Path, folder: Path) -> Path:
    """An exported .zip as an artefact below `folder`; nothing but an artefact's files is taken. Raises WeightsError."""
    wrong = f"{file} is no exported adapter"
    if not file.is_file():
        raise WeightsError(f"There is no file {file}.")
    with disk(folder):
        try:
            with zipfile.ZipFile(file) as archive:
                members = {Path(info.filename).name: info for info in archive.infolist() if not info.is_dir()}
                if not {CARD, MANIFEST} <= members.keys() <= set(FILES):
                    raise WeightsError(f"{wrong}: it holds other files.")
                size = sum(info.file_size for info in members.values())
                if size > shutil.disk_usage(folder).free:
                    raise WeightsError(f"{file} unpacks to {size / 1e6:.0f} MB, for which {folder} has no room.")
                for name, info in members.items():
                    with archive.open(info) as source, (folder / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise WeightsError(f"{wrong}: it is damaged ({error}).") from error
    return folder


def _same(folder: Path, adapter: Adapter) -> bool:
    try:
        return Adapter.open(folder).sha256 == adapter.sha256
    except WeightsError:
        return False


def _name(folder: Path) -> str:
    try:
        return str(json.loads((folder / CARD).read_text("utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name
