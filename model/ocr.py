"""Reading text in pictures with rapidocr (PP-OCR), whose weights are inside its package: no network, no other files."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
from PIL import Image

MAX_SIDE = 1280
"""Pixels of the longer side that are read; larger pictures are scaled down (time grows with the area)."""
MIN_SIDE = 32
"""Pixels of the shorter side below which nothing can be read."""
MIN_CONFIDENCE = 0.9
"""The reader's own score of a line, 0..1, from which it is believed; textures and blur score lower."""
MIN_CHARACTERS = 2
"""Letters and digits a line must have: single ones are found in every brick wall."""


class Reader:
    """One instance of rapidocr, used by one thread at a time; making it takes about a second."""

    def __init__(self, threads: int) -> None:
        from rapidocr import RapidOCR  # loads onnxruntime and opencv

        self._lock = threading.Lock()
        self._ocr = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.max_side_len": MAX_SIDE,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)  # it says "no text found" as a warning

    def read(self, image: Image.Image) -> tuple[str, ...]:
        """Lines of text in a picture (RGB), from top to bottom; empty when there is none that is surely text."""
        if min(image.size) < MIN_SIDE:
            return ()
        small = image.copy()
        small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        bgr = np.ascontiguousarray(np.asarray(small.convert("RGB"))[:, :, ::-1])
        with self._lock:
            result: Any = self._ocr(bgr)
        lines = zip(result.txts or (), result.scores or (), strict=True)
        return tuple(text.strip() for text, score in lines if score >= MIN_CONFIDENCE and _readable(text))


def _readable(text: str) -> bool:
    return sum(character.isalnum() for character in text) >= MIN_CHARACTERS
