"""Are pictures what they should be? Each is decoded, for a header says little about what follows it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np
from PIL import Image, UnidentifiedImageError

from training.data.loading import picture_size
from training.data.reading import Unfit, shown

MAX_PIXELS = 64_000_000
"""Pixels of one picture: model.inputs.MAX_IMAGE_PIXELS, which decodes them for training too; importing that loads torch."""

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What Pillow may try: model.inputs.FORMATS."""

with contextlib.suppress(ImportError):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    FORMATS = (*FORMATS, "HEIF")

FEATURES = ".npy"
"""Suffix of files that hold a tower's features instead of a picture, (tokens, width)."""

THREADS = 8
"""At most; decoded pictures are up to 256 MB each."""

TOGETHER = 256
"""Pictures handed to the threads at a time: what an interrupt waits for."""

SMALL = (256, 256)
"""JPEG is decoded at about this size: all of its data is read all the same, in a fraction of the time."""


def check_pictures(
    paths: Iterable[Path], progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[Path, str | Unfit]:
    """The sha256 (hex) of each picture's bytes, or what is wrong with it; each file is read once, on a few threads."""
    unique = list(dict.fromkeys(paths))
    found: dict[Path, str | Unfit] = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), "pictures") as threads:
        warnings.simplefilter("ignore")  # Pillow's, on odd metadata
        for start in range(0, len(unique), TOGETHER):
            part = unique[start : start + TOGETHER]
            found.update(zip(part, threads.map(_checked, part), strict=True))
            progress(len(found), len(unique))
    return found


def _checked(path: Path) -> str | Unfit:
    try:
        picture_size(path)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            if path.suffix == FEATURES:
                read_features(path, stream)
            else:
                _decode(path, stream)
    except Unfit as unfit:
        return unfit
    except OSError as error:
        return Unfit("a picture cannot be read", f"{shown(str(path))}: {error.strerror or error}")
    return digest


def _decode(path: Path, stream: BinaryIO) -> None:
    """Pillow's readers report damage with all sorts of exceptions."""
    try:
        with Image.open(stream, formats=FORMATS) as image:
            _check_pixels(path, image)
            image.draft("RGB", SMALL)
            image.load()
    except Unfit:
        raise
    except UnidentifiedImageError:
        raise Unfit("a picture is of no known format", shown(str(path))) from None
    except Image.DecompressionBombError:
        raise Unfit("a picture has too many pixels", f"{shown(str(path))}: {MAX_PIXELS:,} are allowed") from None
    except Exception as error:
        raise Unfit("a picture is damaged", f"{shown(str(path))}: {error}") from None


def _check_pixels(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        detail = f"{shown(str(path))} has {image.width:,} x {image.height:,}, and {MAX_PIXELS:,} are allowed"
        raise Unfit("a picture has too many pixels", detail)


def read_features(path: Path, stream: BinaryIO, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Features that stand for a picture, (tokens, width), of any float type. Raises Unfit, also if they are not of `shape`."""
    try:
        features = np.load(stream, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile) as error:
        raise Unfit("features are damaged", f"{shown(str(path))}: {error}") from None
    if not isinstance(features, np.ndarray) or features.ndim != 2 or features.dtype.kind != "f":
        raise Unfit("features are damaged", f"{shown(str(path))} should be (tokens, width) of floats")
    if not np.isfinite(features).all():
        raise Unfit("features are damaged", f"{shown(str(path))} holds values that are not finite")
    if shape is not None and features.shape != shape:
        raise Unfit("features are another tower's", f"{shown(str(path))} has {features.shape}, this one makes {shape}")
    return features
