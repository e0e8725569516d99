"""Vision features, computed once: a frozen tower says the same about a picture every time, and looking is half of stage 1.

A cache is a folder for one tower, layer, fit and number of tokens: `features.bin` holds (pictures, tokens, width) fp16 and is
memory-mapped, `index.jsonl` says which picture is which row, by the sha256 of its bytes. Pictures whose path, size and time are
known are not even read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import torch
from PIL import Image

from model.errors import ApiError
from model.files import locked
from model.inputs import decode_picture
from training.data.loading import picture_size
from training.data.pictures import FEATURES, read_features
from training.data.reading import Unfit, shown
from training.runs import disk_explained

PICTURES_AT_ONCE = 16
"""That the tower looks at together: a GPU is busy with it, and decoded pictures stay a few megabytes."""

AHEAD = 2 * PICTURES_AT_ONCE
"""Pictures that are decoded before the tower asks for them, each by whichever thread is free."""

THREADS = 4
"""At most, that decode."""

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
    digest: str
    """sha256 of its bytes, hex."""


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

    def fill(self, pictures: Sequence[Path], look: Look, progress: Progress = lambda done, total: None) -> dict[Path, str]:
        """Look at those of `pictures` that are new; each has a `row` then. Returns what is wrong with those that have none.

        Raises TrainingError when the disk takes no more; what was looked at before stays.
        """
        with disk_explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(self._folder / ".lock"):
                unfit = self._fill(pictures, look, progress)
        self._map = None
        return unfit

    @property
    def tokens(self) -> int:
        """Of a picture."""
        return self._shape[0]

    def row(self, picture: Path) -> int:
        """Of a picture that `fill` was given."""
        return self._paths[str(picture)].row

    def digest(self, picture: Path) -> str:
        """The sha256 (hex) of the bytes of a picture that `fill` was given."""
        return self._paths[str(picture)].digest

    def read(self, rows: Sequence[int]) -> torch.Tensor:
        """(rows, tokens, width) fp32."""
        with self._mapping:
            if self._map is None:
                file = self._folder / "features.bin"
                self._map = np.memmap(file, np.float16, "r", shape=(self._rows, *self._shape))
        return torch.from_numpy(self._map[list(rows)].astype(np.float32))

    def _fill(self, pictures: Sequence[Path], look: Look, progress: Progress) -> dict[Path, str]:
        self._read_index()
        self._forget_lost_rows()
        new = [path for path in dict.fromkeys(pictures) if not self._is_known(path)]
        unfit: dict[Path, str] = {}
        total, done = len(new), 0
        with (self._folder / "features.bin").open("ab") as features, (self._folder / "index.jsonl").open("a") as index:
            features.truncate(self._rows * self._row_bytes)  # a row without its line was cut off by a kill
            for part in _loaded(new, self._shape):
                unfit |= {path: found.reason for path, found in part.items() if isinstance(found, Unfit)}
                self._add([found for found in part.values() if isinstance(found, _Loaded)], look, features, index)
                done += len(part)
                progress(done, total)
        return unfit

    def _is_known(self, path: Path) -> bool:
        known = self._paths.get(str(path))
        if known is None:
            return False
        try:
            status = path.stat()
        except OSError:
            return False
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
                self._paths[entry["path"]] = _Known(entry["row"], entry["size"], entry["modified"], entry["sha256"])
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
        looked_at = iter(look(seen).to("cpu", torch.float16).reshape(len(seen), *self._shape).numpy() if seen else ())
        for digest, one in fresh.items():
            row = next(looked_at) if isinstance(one.content, Image.Image) else one.content
            features.write(np.ascontiguousarray(row, np.float16).tobytes())
            self._digests[digest] = self._rows
            self._rows += 1
        features.flush()  # before the lines that point to them
        for one in loaded:
            known = _Known(self._digests[one.digest], one.size, one.modified, one.digest)
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


def _loaded(paths: Sequence[Path], shape: tuple[int, int]) -> Iterator[dict[Path, _Loaded | Unfit]]:
    """Pictures, PICTURES_AT_ONCE together, decoded on threads ahead of the tower."""
    waiting = iter(paths)
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), "pictures") as threads:

        def submitted(count: int) -> list[tuple[Path, Future[_Loaded | Unfit]]]:
            return [(path, threads.submit(_load, path, shape)) for path in islice(waiting, count)]

        ahead = deque(submitted(AHEAD))
        while ahead:
            part = {}
            for _ in range(min(PICTURES_AT_ONCE, len(ahead))):
                path, loading = ahead.popleft()
                part[path] = loading.result()
                ahead.extend(submitted(1))
            yield part


def _load(path: Path, shape: tuple[int, int]) -> _Loaded | Unfit:
    """A picture, or its features if they are ready-made: synthetic ones, for instance."""
    content: Image.Image | np.ndarray
    try:
        picture_size(path)
        status, data = path.stat(), path.read_bytes()
        ready_made = path.suffix == FEATURES
        content = read_features(path, io.BytesIO(data), shape) if ready_made else decode_picture(data, str(path))
    except Unfit as unfit:
        return unfit
    except OSError as error:
        return Unfit("a picture cannot be read", f"{shown(str(path))}: {error.strerror}")
    except ApiError as error:
        return Unfit("a picture cannot be decoded", f"{shown(str(path))}: {error.message}")
    return _Loaded(path, hashlib.sha256(data).hexdigest(), status.st_size, status.st_mtime_ns, content)
