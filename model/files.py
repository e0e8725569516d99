"""Files that are whole or not there: hashing, manifests and folders that appear in one step."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import structlog

CHUNK = 4 * 2**20
"""Bytes read at a time; weights are gigabytes and must stream."""

MANIFEST = "manifest.json"
PARTIAL = ".partial-"
"""Marks a folder that is being written; one that is found later was left by a killed process."""
REPLACED = ".replaced"
"""Marks a folder whose successor is about to take its place."""

LOCK_PATIENCE = 3.0
"""Seconds that another process may hold a lock before it is worth a line in the log."""
LOCK_POLL = 0.05
"""Seconds between two tries for it."""
HOLDER_BYTES = 256
"""That tell who holds a lock; a name of a machine has at most 64 on Linux (HOST_NAME_MAX)."""

log = structlog.get_logger(__name__)


def sha256(path: Path, on_bytes: Callable[[int], None] = lambda count: None) -> str:
    """Hex digest of a file, read in chunks; `on_bytes` hears of each chunk's size."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


def write_manifest(folder: Path, sources: Mapping[str, str], on_bytes: Callable[[int], None]) -> None:
    """Record size and hash of every file in `folder`, and what they were made of."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {name: {"size": (folder / name).stat().st_size, "sha256": sha256(folder / name, on_bytes)} for name in names}
    content = {"sources": dict(sources), "files": files}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


def check_manifest(
    folder: Path, sources: Mapping[str, str] | None, on_bytes: Callable[[int], None], pinned: Mapping[str, str] | None = None
) -> str | None:
    """What is wrong with a folder, in a few words; None: every file is as it was written, and there are no others.

    `sources`: what it must have been made of; None accepts anything. `pinned`: sha256 by name, whatever the manifest says.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        recorded = {str(name): (int(file["size"]), str(file["sha256"])) for name, file in manifest["files"].items()}
        made_of = dict(manifest["sources"])
    except FileNotFoundError:
        return "its manifest is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its manifest is damaged"
    if sources is not None and made_of != dict(sources):
        return "it was made from other files"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    for name in sorted(recorded.keys() | found):
        if name not in found:
            return f"{name} is missing"
        if name not in recorded:
            return f"{name} does not belong there"
        size, digest = recorded[name]
        if (folder / name).stat().st_size != size or sha256(folder / name, on_bytes) != digest:
            return f"{name} was changed"
    if any(recorded.get(name, (0, ""))[1] != digest for name, digest in (pinned or {}).items()):
        return "it holds other weights than the pinned ones"
    return None if recorded else "it is empty"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for another process that has it, which the log tells when it takes long.

    The system frees the lock when a process dies; who held it last stands in the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as stream:
        if not _locks(stream):
            stream.seek(0)
            holder = stream.read(HOLDER_BYTES).decode(errors="replace") or "another process"
            log.warning("waiting for another process that works in this folder", folder=str(path.parent), holder=holder)
            fcntl.flock(stream, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {platform.node()}".encode()[:HOLDER_BYTES])
        yield


def _locks(stream: BinaryIO) -> bool:
    """Try for LOCK_PATIENCE."""
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOCK_POLL)
        else:
            return True


def remove_leftovers(parent: Path) -> None:
    """Delete what killed processes left unfinished, and put back what they had moved away; call it with the lock held."""
    for path in parent.glob(f"*{PARTIAL}*"):
        shutil.rmtree(path, ignore_errors=True)
    for old in parent.glob(f".*{REPLACED}"):
        target = parent / old.name.removeprefix(".").removesuffix(REPLACED)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)


@contextlib.contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target` when the block ends well, and vanishes when it does not.

    Everything is on the disk before the rename, so that a power cut leaves the old state or the new one. One between the two
    renames leaves both under other names; `remove_leftovers` puts the old one back.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}{PARTIAL}", dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)
        for path in sorted(partial.rglob("*")):
            if not path.is_symlink():  # what it names has its own turn, or is not here at all
                _sync(path)
        _sync(partial)
        if target.exists():
            old = target.with_name(f".{target.name}{REPLACED}")
            target.rename(old)
            partial.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
