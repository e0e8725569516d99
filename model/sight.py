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


class Eyes:
    """Looks at pictures, each once: a bounded memory by digest, least recently used out first."""

    def __init__(self, model: JnanaModel, *, hints: bool, reader: Reader | None) -> None:
        self._model = model
        self._tower = model.vision_tower
        self._reader = reader
        self._recognise = hints and isinstance(self._tower, EfficientNetLiteModel)
        self._classified = [replace(Preprocessing.for_tower(self._tower.config), fit=way) for way in ("crop", "pad")]
        self._seen: OrderedDict[tuple[str, Gaze | None], Sight] = OrderedDict()
        self._texts: dict[str, tuple[str, ...]] = {}
        """Read ahead, by digest, of pictures that are not looked at yet."""
        self._lock = threading.Lock()

    def read(self, picture: Picture) -> float:
        """Read a new picture's text before it is looked at, on any thread: that takes seconds, in which answers can go on
        growing. Returns how many."""
        if self._reader is None or self._seen_before(picture.digest) is not None:
            return 0.0
        started = time.perf_counter()
        text = self._reader.read(picture.load())
        with self._lock:
            self._texts[picture.digest] = text
            while len(self._texts) > REMEMBERED:  # of turns that were given up
                del self._texts[next(iter(self._texts))]
        return time.perf_counter() - started

    def look(self, picture: Picture, timings: dict[str, float], gaze: Gaze | None) -> Sight:
        """The sight of a picture; adds the seconds of `vision` and `ocr` to `timings` when it is new. One thread at a time.

        `gaze`: how to look for the projector; None: there is none.
        """
        key = (picture.digest, gaze)
        with self._lock:
            if key in self._seen:
                self._seen.move_to_end(key)
                return self._seen[key]
        started = time.perf_counter()
        image = picture.load()
        known = self._seen_before(picture.digest)
        with torch.inference_mode():
            features = self._look_closely(image, gaze) if gaze is not None else None
            recognition = known.recognition if known else self._name(image) if self._recognise else None
        seen = time.perf_counter()
        text = known.text if known else self._text(picture.digest, image)
        timings["vision"] += seen - started
        timings["ocr"] += time.perf_counter() - seen
        sight = Sight(features, recognition, text)
        with self._lock:
            self._seen[key] = sight
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return sight

    def _seen_before(self, digest: str) -> Sight | None:
        """Its sight by any gaze: words and letters are the same."""
        with self._lock:
            return next((sight for (other, _), sight in self._seen.items() if other == digest), None)

    def _text(self, digest: str, image: Image.Image) -> tuple[str, ...]:
        with self._lock:
            text = self._texts.pop(digest, None)
        if text is None:
            text = self._reader.read(image) if self._reader is not None else ()
        return text

    def _look_closely(self, image: Image.Image, gaze: Gaze) -> torch.Tensor:
        pixels = self._pixels(Preprocessing.for_tower(self._tower.config, gaze.fit), image)
        return self._model.vision_features(pixels, gaze.layer)[0]

    def _name(self, image: Image.Image) -> Recognition:
        """The middle of the picture and the whole of it, averaged: what is off-centre counts, what is small too."""
        views = [self._pixels(preprocess, image) for preprocess in self._classified]
        probabilities = self._tower(torch.cat(views)).logits.float().softmax(-1).mean(0)
        return recognise(probabilities.tolist(), self._tower.config.id2label)

    def _pixels(self, preprocess: Preprocessing, image: Image.Image) -> torch.Tensor:
        return preprocess([image]).to(self._tower.device, self._tower.dtype)
