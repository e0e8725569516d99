"""Vision features, computed once: a frozen tower says the same about a picture every time, and looking is half of stage 1.

A cache is a folder for one tower, layer and fit: `features.bin` holds (pictures, tokens, width) fp16 and is memory-mapped,
`index.jsonl` says which picture is which row, by the sha256 of its bytes. Pictures whose path, size and time are known are not
even read.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image

from model.errors import ApiError
from model.files import locked
from model.inputs import decode_picture
from training.errors import TrainingError

PICTURES_AT_ONCE = 16
"""That the tower looks at together: a GPU is busy with it, and decoded pictures stay a few megabytes."""

READY_MADE = ".npy"
"""Suffix of files that hold a tower's features already, (tokens, width): synthetic ones, for instance."""

Look = Callable[[Sequence[Image.Image]], torch.Tensor]
"""Pictures -> (pictures, tokens, width), any device and precision."""
Progress = Callable[[int, int], None]
"""Called with (done, total) pictures."""


@dataclass(frozen=True, slots=True)
class _Known:
    row: int
    size: int
    modified: int
    """st_mtime_ns."""


class FeatureCache:
    """Features by picture. One process fills it at a time; many may read."""

    def __init__(self, folder: Path, tokens: int, width: int) -> None:
        self._folder = folder
        self._shape = (tokens, width)
        self._row_bytes = tokens * width * np.dtype(np.float16).itemsize
        self._paths: dict[str, _Known] = {}
        self._digests: dict[str, int] = {}
        self._rows = 0
        self._map: np.ndarray | None = None
        self._mapping = threading.Lock()

    def fill(self, pictures: Sequence[Path], look: Look, progress: Progress = lambda done, total: None) -> dict[Path, int]:
        """Rows of all `pictures`; those that are new are looked at.

        Raises TrainingError when one cannot be read; what was looked at before stays.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / ".lock"):
            self._read_index()
            self._forget_lost_rows()
            new = [path for path in dict.fromkeys(pictures) if not self._is_known(path)]
            total, done = len(new), 0
            with (self._folder / "features.bin").open("ab") as features, (self._folder / "index.jsonl").open("a") as index:
                features.truncate(self._rows * self._row_bytes)  # a row without its line was cut off by a kill
                for loaded in _loaded(new):
                    self._add(loaded, look, features, index)
                    done += len(loaded)
                    progress(done, total)
        self._map = None
        return {path: self._paths[str(path)].row for path in pictures}

    def read(self, rows: Sequence[int]) -> torch.Tensor:
        """(rows, tokens, width) fp32."""
        with self._mapping:
            if self._map is None:
                file = self._folder / "features.bin"
                self._map = np.memmap(file, np.float16, "r", shape=(self._rows, *self._shape))
        return torch.from_numpy(self._map[list(rows)].astype(np.float32))

    def _is_known(self, path: Path) -> bool:
        known = self._paths.get(str(path))
        if known is None:
            return False
        try:
            status = path.stat()
        except OSError as error:
            raise TrainingError(f"The picture {path} cannot be read: {error.strerror}.") from error
        return (known.size, known.modified) == (status.st_size, status.st_mtime_ns)

    def _read_index(self) -> None:
        self._paths, self._digests, self._rows = {}, {}, 0
        file = self._folder / "index.jsonl"
        if not file.exists():
            return
        whole = 0
        with file.open("rb+") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                entry = json.loads(line)
                self._paths[entry["path"]] = _Known(entry["row"], entry["size"], entry["modified"])
                self._digests[entry["sha256"]] = entry["row"]
                self._rows = max(self._rows, entry["row"] + 1)
            lines.truncate(whole)

    def _forget_lost_rows(self) -> None:
        """What the index knows and the file does not hold (a copy cut short, a power cut) is looked at again."""
        file = self._folder / "features.bin"
        there = file.stat().st_size // self._row_bytes if file.exists() else 0
        if there < self._rows:
            self._paths, self._digests, self._rows = {}, {}, 0
            for name in ("features.bin", "index.jsonl"):
                (self._folder / name).unlink(missing_ok=True)

    def _add(self, loaded: Sequence[_Loaded], look: Look, features: BinaryIO, index: TextIO) -> None:
        fresh = {one.digest: one for one in loaded if one.digest not in self._digests}
        seen = [one.content for one in fresh.values() if isinstance(one.content, Image.Image)]
        looked_at = iter(look(seen).to("cpu", torch.float16).numpy() if seen else ())
        for digest, one in fresh.items():
            row = next(looked_at) if isinstance(one.content, Image.Image) else one.content
            if row.shape != self._shape:
                raise TrainingError(f"{one.path} has features of {row.shape}, and this tower makes {self._shape}.")
            features.write(np.ascontiguousarray(row, np.float16).tobytes())
            self._digests[digest] = self._rows
            self._rows += 1
        features.flush()  # before the lines that point to them
        for one in loaded:
            known = _Known(self._digests[one.digest], one.size, one.modified)
            self._paths[str(one.path)] = known
            entry = {"path": str(one.path), "size": one.size, "modified": one.modified, "sha256": one.digest, "row": known.row}
            index.write(json.dumps(entry) + "\n")
        index.flush()


@dataclass(frozen=True, slots=True)
class _Loaded:
    path: Path
    digest: str
    size: int
    modified: int
    content: Image.Image | np.ndarray


def _loaded(paths: Sequence[Path]) -> Iterator[list[_Loaded]]:
    """Pictures, decoded on threads a little ahead of the tower."""
    parts = [paths[start : start + PICTURES_AT_ONCE] for start in range(0, len(paths), PICTURES_AT_ONCE)]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "pictures") as threads:
        ahead = [threads.submit(lambda part: [_load(path) for path in part], part) for part in parts[:2]]
        for number in range(len(parts)):
            yield ahead.pop(0).result()
            if number + 2 < len(parts):
                ahead.append(threads.submit(lambda part: [_load(path) for path in part], parts[number + 2]))


def _load(path: Path) -> _Loaded:
    try:
        status = path.stat()
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"The picture {path} cannot be read: {error.strerror}.") from error
    content: Image.Image | np.ndarray
    try:
        content = np.load(path, allow_pickle=False) if path.suffix == READY_MADE else decode_picture(data, str(path))
    except (ApiError, ValueError, BadZipFile) as error:
        raise TrainingError(
            f"The picture {path} is damaged or of no known format: `jnana data validate` lists all such."
        ) from error
    return _Loaded(path, hashlib.sha256(data).hexdigest(), status.st_size, status.st_mtime_ns, content)
