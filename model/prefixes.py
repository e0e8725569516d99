"""Keys and values of what was read before: a follow-up question goes on where the last answer ended."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch

MOST_OF_BUDGET = 1 / 2
"""Part of all that one conversation may take: of a longer one its beginning is kept, and others keep theirs."""

Keys = np.ndarray
"""(tokens,) int64: what stands at each place of a prompt. Equal keys, equal keys and values, if everything before is equal."""


def keys_of(ids: torch.Tensor, image_token: int, vision_features: torch.Tensor | None) -> Keys:
    """A prompt's (T,) ids; places of pictures are named by the picture's content instead, with negative numbers."""
    keys = ids.cpu().numpy().astype(np.int64)
    if vision_features is not None:
        named = []
        for picture in vision_features.float().cpu().numpy():
            digest = int.from_bytes(hashlib.sha256(np.ascontiguousarray(picture).tobytes()).digest()[:6])
            named.append(-(digest * 2**10 + np.arange(len(picture)) + 1))  # 48 bits of a picture, 10 of its token
        keys[keys == image_token] = np.concatenate(named)
    return keys


@dataclass(eq=False)
class _Kept:
    reader: object
    keys: Keys
    memory: torch.Tensor
    """(layers, 2, heads, tokens, width)."""


class Prefixes:
    """The most recently used ones, up to `budget` bytes. What one reader (an adapter) has read is of no use to another."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._next = 0
        self.bytes = 0

    def longest(self, reader: object, keys: Keys) -> tuple[torch.Tensor | None, int]:
        """The kept one of a reader's that `keys` has most in common with, if any, and how many tokens that is. The last token
        never counts: its logits are what is asked for."""
        best, most = None, 0
        for number, kept in self._kept.items():
            if kept.reader is reader and (common := _common(keys[:-1], kept.keys)) > most:
                best, most = number, common
        if best is None:
            return None, 0
        self._kept.move_to_end(best)
        return self._kept[best].memory, most

    def keep(self, reader: object, keys: Keys, memory: torch.Tensor) -> None:
        """Keep `memory`, whose tokens are `keys`, in place of those that it begins with."""
        fitting = int(self._budget * MOST_OF_BUDGET * len(keys) // memory.nbytes)
        if not fitting:
            return
        if fitting < len(keys):
            keys, memory = keys[:fitting], memory[..., :fitting, :].clone()
        for number, kept in list(self._kept.items()):
            if kept.reader is reader and _common(keys, kept.keys) == len(kept.keys):
                self._drop(number)
        self._kept[self._next] = _Kept(reader, keys, memory)
        self._next += 1
        self.bytes += memory.nbytes
        while self.bytes > self._budget:
            self._drop(next(iter(self._kept)))

    def forget(self, reader: object) -> None:
        """Let go of what one reader has read."""
        for number in [number for number, kept in self._kept.items() if kept.reader is reader]:
            self._drop(number)

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0

    def _drop(self, number: int) -> None:
        self.bytes -= self._kept.pop(number).memory.nbytes


def _common(one: Keys, other: Keys) -> int:
    """How many they begin with alike."""
    length = min(len(one), len(other))
    differ = one[:length] != other[:length]
    return int(differ.argmax()) if differ.any() else length
