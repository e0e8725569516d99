"""What a mind takes from a picture: features for the projector, and hints in words; remembered for follow-up questions."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from PIL import Image

from model.hints import Recognition, recognise
from model.modeling import JnanaModel
from model.ocr import Reader
from model.presets import Fit
from model.vision import EfficientNetLiteModel, Preprocessing

REMEMBERED = 256
"""Pictures whose sights are kept. One is at most 49 x 768 floats: 150 kB, so 39 MB in all."""

AHEAD = 32
"""Pictures that are opened and not looked at yet, 2 MB each. The oldest of more, as of turns that were given up, are opened
again."""


@dataclass(frozen=True)
class Picture:
    """A picture as it was received; `digest` is the sha256 (hex) of its bytes.

    It is decoded when it is looked at and not before: many may wait in memory, and most were seen in an earlier turn.
    """

    digest: str
    load: Callable[[], Image.Image]
    """Decodes it: RGB, upright. Blocking. May raise what tells the client that it is damaged."""


@dataclass(frozen=True)
class Gaze:
    """How a projector wants pictures to be looked at."""

    layer: int | None = None
    """Of the tower; None: as its configuration says."""
    fit: Fit = "preset"
    """How pictures are made square; the classifier has its own ways."""


@dataclass(frozen=True)
class Sight:
    """One picture, seen once."""

    features: torch.Tensor | None
    """(tokens, tower width), before the projector; None when there is no projector."""
    recognition: Recognition | None
    """None when hints are off or the tower has no classifier."""
    text: tuple[str, ...]
    """Lines read in the picture."""


@dataclass(frozen=True)
class _Opened:
    """A picture as networks take it, and the lines of text in it."""

    views: dict[Preprocessing, torch.Tensor]
    """(1, 3, size, size) each, on the CPU."""
    text: tuple[str, ...]
    timings: dict[str, float]


class Eyes:
    """Looks at pictures, each once: a bounded memory by digest, least recently used out first."""

    def __init__(self, model: JnanaModel, *, hints: bool, reader: Reader | None) -> None:
        self._model = model
        self._tower = model.vision_tower
        self._reader = reader
        self._recognise = hints and isinstance(self._tower, EfficientNetLiteModel)
        self._classified = [replace(Preprocessing.for_tower(self._tower.config), fit=way) for way in ("crop", "pad")]
        self._seen: OrderedDict[tuple[str, Gaze | None], Sight] = OrderedDict()
        self._opened: dict[str, _Opened] = {}
        """By digest, those that are not looked at yet."""
        self._lock = threading.Lock()

    def has_seen(self, picture: Picture, gaze: Gaze | None) -> bool:
        with self._lock:
            return (picture.digest, gaze) in self._seen

    def open(self, picture: Picture, gaze: Gaze | None) -> None:
        """Decode a picture and read its text before it is looked at, on any thread: that takes seconds, in which answers can go
        on growing. One that somebody else sent meanwhile is done already."""
        with self._lock:
            if (picture.digest, gaze) in self._seen or self._serves(self._opened.get(picture.digest), gaze):
                return
        opened = self._open(picture, gaze)
        with self._lock:
            self._opened[picture.digest] = opened
            while len(self._opened) > AHEAD:
                del self._opened[next(iter(self._opened))]

    def look(self, picture: Picture, timings: dict[str, float], gaze: Gaze | None) -> Sight:
        """The sight of a picture; adds the seconds of `vision` and `ocr` to `timings` when it is new. One thread at a time.

        `gaze`: how to look for the projector; None: there is none.
        """
        key = (picture.digest, gaze)
        with self._lock:
            if key in self._seen:
                self._seen.move_to_end(key)
                return self._seen[key]
            opened = self._opened.pop(picture.digest, None)
        if opened is None or not self._serves(opened, gaze):
            opened = self._open(picture, gaze)
        known = self._seen_before(picture.digest)
        started = time.perf_counter()
        with torch.inference_mode():
            features = self._look_closely(opened, gaze) if gaze is not None else None
            recognition = known.recognition if known else self._name(opened) if self._recognise else None
        timings["vision"] += opened.timings["vision"] + time.perf_counter() - started
        timings["ocr"] += opened.timings["ocr"]
        sight = Sight(features, recognition, opened.text)
        with self._lock:
            self._seen[key] = sight
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return sight

    def _open(self, picture: Picture, gaze: Gaze | None) -> _Opened:
        started = time.perf_counter()
        image = picture.load()
        views = {view: view([image]) for view in self._views(gaze)}
        read = time.perf_counter()
        known = self._seen_before(picture.digest)
        text = known.text if known else self._reader.read(image) if self._reader is not None else ()
        return _Opened(views, text, {"vision": read - started, "ocr": time.perf_counter() - read})

    def _seen_before(self, digest: str) -> Sight | None:
        """Its sight by any gaze: words and letters are the same."""
        with self._lock:
            return next((sight for (other, _), sight in self._seen.items() if other == digest), None)

    def _serves(self, opened: _Opened | None, gaze: Gaze | None) -> bool:
        return opened is not None and opened.views.keys() >= set(self._views(gaze))

    def _views(self, gaze: Gaze | None) -> list[Preprocessing]:
        """How a picture has to be prepared."""
        closely = [] if gaze is None else [Preprocessing.for_tower(self._tower.config, gaze.fit)]
        return [*closely, *(self._classified if self._recognise else ())]

    def _look_closely(self, opened: _Opened, gaze: Gaze) -> torch.Tensor:
        pixels = opened.views[Preprocessing.for_tower(self._tower.config, gaze.fit)]
        return self._model.vision_features(self._moved(pixels), gaze.layer)[0]

    def _name(self, opened: _Opened) -> Recognition:
        """The middle of the picture and the whole of it, averaged: what is off-centre counts, what is small too."""
        views = self._moved(torch.cat([opened.views[view] for view in self._classified]))
        probabilities = self._tower(views).logits.float().softmax(-1).mean(0)
        return recognise(probabilities.tolist(), self._tower.config.id2label)

    def _moved(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.to(self._tower.device, self._tower.dtype)
