"""Weights on disk: verified, assembled and converted once, atomically, into the data folder.

Imports no torch: `jnana models` lists presets on a machine that has none.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import pickle  # its exception only: nothing is unpickled here
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from safetensors import SafetensorError

from model.files import MANIFEST, appearing, check_manifest, locked, remove_leftovers, sha256, write_manifest
from model.presets import Component, Part, Preset

log = structlog.get_logger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total); done and total in bytes or steps."""

CONVERSION = "2"
"""Raised when a converter's output changes, so that folders made by an older one are made again."""

SHA256_CHARACTERS = 64
WEIGHTS_SUFFIXES = (".safetensors", "model.bin")


class WeightsError(Exception):
    """One sentence: what is wrong with the weights and what to do about it."""


def digest_of(digests: Mapping[str, str]) -> str:
    """One sha256 for several files, given theirs by name: what `sha256sum FILES | sha256sum` prints."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class PreparedWeights:
    """Folders that load without any further work."""

    language: Path
    tower: Path
    speech: Path

    def sha256(self, part: Part) -> str:
        """Which weights a part has: the digest (below) of the pinned files that they were converted from, else of their own."""
        manifest = json.loads((getattr(self, part) / MANIFEST).read_text())
        digests = {name: digest for name, digest in manifest["sources"].items() if len(digest) == SHA256_CHARACTERS}
        if not digests:
            digests = {name: file["sha256"] for name, file in manifest["files"].items() if name.endswith(WEIGHTS_SUFFIXES)}
        return digest_of(digests)


@dataclass(frozen=True)
class ComponentState:
    """What `jnana models` says about one network of a preset."""

    part: Part
    component: Component
    status: Literal["ready", "not converted", "not pulled", "package missing", "damaged"]
    where: Path | None
    """Where the files are: the data folder, or the package that has them."""
    detail: str = ""


def folder_of(preset: Preset, home: Path, part: Part) -> Path:
    """Where a component of a preset lives in the data folder."""
    return home / "models" / preset.name / part


def prepare(preset: Preset, home: Path, progress: Progress) -> PreparedWeights:
    """Verify, assemble and convert what `preset` needs, unless that was done before. Blocking.

    A second process waits for the first. Raises WeightsError.
    """
    with _explained(preset, home), locked(home / "models" / f"{preset.name}.lock"):
        remove_leftovers(home / "models" / preset.name)
        for part, component in preset.components.items():
            folder = folder_of(preset, home, part)
            wrong = _check(component, folder, progress) if folder.exists() else "it is not there"
            if wrong is None:
                continue
            if component.converter is None:
                raise WeightsError(
                    f"{component.title} is not ready in {folder} ({wrong}): run `jnana models pull {preset.name}`."
                )
            log.info("converting weights", component=component.title, because=wrong, folder=str(folder))
            _convert(component, folder, progress)
    language, tower, speech = (folder_of(preset, home, part) for part in ("language", "tower", "speech"))
    return PreparedWeights(language, tower, speech)


def state(preset: Preset, home: Path, progress: Progress = lambda what, done, total: None) -> list[ComponentState]:
    """What is there of a preset, for people; every ready file is hashed, which takes seconds for gigabytes."""
    return [
        _component_state(part, component, folder_of(preset, home, part), progress)
        for part, component in preset.components.items()
    ]


def _component_state(part: Part, component: Component, folder: Path, progress: Progress) -> ComponentState:
    if folder.exists():
        wrong = _check(component, folder, progress)
        if wrong is None:
            return ComponentState(part, component, "ready", folder)
        if component.converter is None:
            return ComponentState(part, component, "damaged", folder, wrong)
    if component.converter is None:
        return ComponentState(part, component, "not pulled", None)
    try:
        files = _package_files(component, progress)
    except WeightsError as error:
        status: Literal["package missing", "damaged"] = "damaged" if "sha256" in str(error) else "package missing"
        return ComponentState(part, component, status, None, str(error))
    return ComponentState(part, component, "not converted", files[0].parent)


def pull(preset: Preset, home: Path, sources: Mapping[Part, Path], progress: Progress) -> PreparedWeights:
    """Fetch a preset's components into the data folder: from `sources` (local folders) where given, else from the hub.

    A download that was cut off goes on where it stopped. Raises WeightsError.
    """
    with _explained(preset, home), locked(home / "models" / f"{preset.name}.lock"):
        remove_leftovers(home / "models" / preset.name)
        for part, component in preset.components.items():
            folder = folder_of(preset, home, part)
            if component.converter is not None:
                if part in sources:
                    raise WeightsError(f"{component.title} comes from installed packages; no folder can be given for it.")
            elif part in sources:
                _import_folder(component, sources[part], folder, progress)
            elif not folder.exists() or _check(component, folder, progress) is not None:
                download = folder.parent / f".{part}.download"
                _import_folder(component, _download(component, download), folder, progress)
                shutil.rmtree(download, ignore_errors=True)
    return prepare(preset, home, progress)


def _sources(component: Component) -> dict[str, str]:
    pins = {f"{file.package}/{file.path}": file.sha256 for file in component.files}
    return {**pins, "conversion": CONVERSION}


def _check(component: Component, folder: Path, progress: Progress) -> str | None:
    total = max(1, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    expected = _sources(component) if component.converter is not None else None
    pinned = {"model.bin": component.assembled_sha256} if component.assembled_sha256 else {}
    return check_manifest(folder, expected, _counting(f"Checking {component.title}", total, progress), pinned)


def _counting(what: str, total: int, progress: Progress) -> Callable[[int], None]:
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        progress(what, min(done, total), total)

    return on_bytes


def _package_files(component: Component, progress: Progress) -> list[Path]:
    """The pinned files of a component, each with the right content."""
    on_bytes = _counting(f"Checking the packages of {component.title}", sum(file.size for file in component.files), progress)
    paths = []
    for file in component.files:
        spec = importlib.util.find_spec(file.package)  # finds a top-level package without importing it
        roots = list(spec.submodule_search_locations or []) if spec else []
        path = next((found for root in roots if (found := Path(root, file.path)).is_file()), None)
        if path is None:
            raise WeightsError(f"{component.title} is not installed (package {file.package}): run `make setup`.")
        if path.stat().st_size != file.size or sha256(path, on_bytes) != file.sha256:
            raise WeightsError(
                f"{path} is not the file that {component.title} was pinned to (its sha256 differs): "
                f"remove the package {file.package} and run `make setup`."
            )
        paths.append(path)
    return paths


def _convert(component: Component, folder: Path, progress: Progress) -> None:
    files = _package_files(component, progress)
    _need_space(component, folder)
    from model.convert import CONVERTERS  # imports torch

    with appearing(folder) as partial:
        CONVERTERS[component.converter or ""](
            files, partial, lambda done, total: progress(f"Converting {component.title}", done, total)
        )
        if component.assembled_sha256 and sha256(partial / "model.bin") != component.assembled_sha256:
            raise WeightsError(f"{component.title} was assembled wrongly (its sha256 differs): run `make setup` again.")
        write_manifest(partial, _sources(component), _counting(f"Recording {component.title}", component.size, progress))


def _need_space(component: Component, folder: Path) -> None:
    parent = next(path for path in folder.parents if path.exists())
    free = shutil.disk_usage(parent).free
    if free < component.size:
        raise WeightsError(
            f"The disk of {parent} is too full: {component.title} needs {component.size / 1e6:.0f} MB, "
            f"and {free / 1e6:.0f} MB are free; make room or set JNANA_HOME to a folder on another disk."
        )


def _download(component: Component, folder: Path) -> Path:
    import huggingface_hub  # slow to import, and only `pull` needs it

    _need_space(component, folder)
    try:
        huggingface_hub.snapshot_download(component.source, local_dir=folder, allow_patterns=list(component.patterns))
        if "*.safetensors" in component.patterns and not list(folder.glob("*.safetensors")):
            # Older repositories have only the pickled form; it is read with weights_only and stored as safetensors.
            huggingface_hub.snapshot_download(component.source, local_dir=folder, allow_patterns=["pytorch_model.bin"])
    except OSError as error:
        if error.errno in (*_FULL, *_REFUSED):
            raise
        raise _unreachable(component, error) from error
    except (huggingface_hub.errors.HfHubHTTPError, huggingface_hub.errors.LocalEntryNotFoundError) as error:
        raise _unreachable(component, error) from error
    return folder


def _unreachable(component: Component, error: Exception) -> WeightsError:
    log.warning("download failed", repository=component.source, error=str(error))
    return WeightsError(
        f"{component.source} could not be fetched from the hub ({type(error).__name__}): check the network and HF_ENDPOINT, "
        "or give a local folder."
    )


def _import_folder(component: Component, source: Path, folder: Path, progress: Progress) -> None:
    """Take over a folder in the hub's form; files are hard-linked where the disk allows it."""
    source = source.expanduser().resolve()
    _require(component, source)
    wanted = {path for pattern in component.patterns for path in source.glob(pattern)}
    with appearing(folder) as partial:
        for path in sorted(wanted - {source / MANIFEST}):  # what training made has a manifest, which a link would overwrite
            _link_or_copy(path.resolve(), partial / path.name)
        if "*.safetensors" in component.patterns and not list(source.glob("*.safetensors")):
            _convert_pickled(component, source / "pytorch_model.bin", partial / "model.safetensors")
        write_manifest(partial, {"from": component.source}, _counting(f"Recording {component.title}", component.size, progress))


def _require(component: Component, source: Path) -> None:
    """Raise WeightsError unless a folder is of the component's kind and whole, so that it will load."""
    wrong = f"{source} does not hold {component.title}:"
    missing = [group for group in component.needs if not any(path for pattern in group for path in source.glob(pattern))]
    if missing:
        raise WeightsError(f"{wrong} it needs {', '.join(' or '.join(group) for group in missing)}.")
    try:
        kind = json.loads((source / "config.json").read_text()).get("model_type")
        index = source / "model.safetensors.index.json"
        shards = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else set()
    except (ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"{wrong} its JSON files are damaged.") from error
    if component.model_types and kind not in component.model_types:
        raise WeightsError(f"{wrong} its config.json says that it is '{kind}', not '{component.model_types[0]}'.")
    for shard in sorted(shards):
        if not (source / shard).is_file():
            raise WeightsError(f"{wrong} {shard} is missing.")


def _convert_pickled(component: Component, pickled: Path, target: Path) -> None:
    from model.convert import convert_pickled  # imports torch

    try:
        convert_pickled(pickled, target)
    except (pickle.UnpicklingError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{pickled} does not hold plain weights: get {component.title} from another place.") from error


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@contextlib.contextmanager
def _explained(preset: Preset, home: Path) -> Iterator[None]:
    """Say in one sentence what the disk refused."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL or "No space left" in str(error):  # safetensors has its own error, with the system's words
            raise WeightsError(
                f"The disk of {home} is full: the preset {preset.name} needs {preset.size / 1e6:.0f} MB there; "
                "make room or set JNANA_HOME to a folder on another disk."
            ) from error
        if number in _REFUSED:
            raise WeightsError(f"The data folder {home} cannot be written to ({error}): set JNANA_HOME.") from error
        raise
