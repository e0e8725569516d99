"""One answer while it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from model.detokenize import Detokenizer, StopStrings
from model.mind import Mind, Prompt
from model.packed import Piece
from model.prefixes import Keys, keys_of
from model.sampling import Chooser, Sampling

Embed = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""(T,) ids, and features of their pictures -> (T, hidden)."""


@dataclass(frozen=True)
class Token:
    """A piece of the answer: whole characters, possibly of several tokens, possibly none.

    `tokens` counts what was generated so far. The last piece has a `finish_reason` and the seconds of `prefill` (until
    the first token) and `decode` (all others).
    """

    text: str
    tokens: int
    finish_reason: Literal["stop", "length"] | None = None
    prefill: float = 0.0
    decode: float = 0.0


class Writing:
    """Belongs to the engine's thread; `cancelled` may be set from any."""

    def __init__(self, mind: Mind, prompt: Prompt, sampling: Sampling, emit: Callable[[Token], object]) -> None:
        self.prompt = prompt
        self.cancelled = False
        self.retried = False
        """Whether memory ran out once already."""
        self.row = -1
        """Of its slot; -1: it waits."""
        self.past = 0
        """Tokens that are in the slot."""
        self.left_out = 0
        """Passes since the last one that read of its prompt."""
        self._ids = prompt.input_ids[0]
        self._image_token: int = mind.model.config.image_token_index
        self._answer: list[int] = []
        self._chooser = Chooser(sampling, mind.preset.repetition_penalty, mind.device)
        self._max_tokens = sampling.max_tokens
        self._detokenizer = Detokenizer(mind.tokenizer)
        self._stop_strings = StopStrings(sampling.stop)
        self._stop_ids = frozenset(prompt.attached.writer.stop_token_ids if prompt.attached else mind.stop_token_ids)
        self._emit = emit
        self._begun = False
        self.started = time.perf_counter()
        self._first = self.started
        self._embedded: torch.Tensor | None = None
        self._embedded_from = 0
        """Which token of the prompt its first vector is of."""

    @property
    def longest(self) -> int:
        """Tokens that its slot has to hold at most; the last one is never read."""
        return len(self._ids) + self._max_tokens - 1

    @property
    def unread(self) -> int:
        """Tokens until the next one of the answer can be chosen."""
        return len(self._ids) + len(self._answer) - self.past

    @property
    def lora(self) -> str | None:
        """The key of what reads it."""
        return self.prompt.attached.lora if self.prompt.attached else None

    def piece(self, count: int) -> Piece:
        """Its next unread tokens, in a pass."""
        return Piece(self.row, self.past, count, self.lora)

    @cached_property
    def _prompt_keys(self) -> Keys:
        return keys_of(self._ids, self._image_token, self.prompt.vision_features)

    @property
    def keys(self) -> Keys:
        """Of prompt and answer."""
        return np.concatenate([self._prompt_keys, np.array(self._answer, np.int64)])

    def embed(self, embed: Embed, past: int) -> None:
        """Make the prompt's vectors, before `tokens` is called. `past`: so many of its tokens need not be read again."""
        features = self.prompt.vision_features
        inside = 0
        if features is not None:
            whole, inside = divmod(self._ids[:past].tolist().count(self._image_token), features.shape[1])
            features = features[whole:] if whole < len(features) else None
        self._embedded_from = past - inside  # pictures are embedded whole
        self._embedded = embed(self._ids[self._embedded_from :], features)

    def tokens(self, count: int, embed: Embed) -> torch.Tensor:
        """(count, hidden): the next unread ones, embedded."""
        assert self._embedded is not None  # noqa: S101 - it was let in with them
        end = self.past + count
        known = self._embedded_from
        pieces = [self._embedded[self.past - known : end - known]]
        if written := self._answer[max(0, self.past - len(self._ids)) : max(0, end - len(self._ids))]:
            pieces.append(embed(torch.tensor(written, device=self._ids.device), None))
        return torch.cat(pieces)

    def push(self, logits: torch.Tensor) -> bool:
        """Choose the next token, (vocabulary,), and emit what it completes; True if it ends the answer."""
        token = self._chooser.choose(logits)
        if not self._answer:
            self._first = time.perf_counter()
        self._answer.append(token)
        stopped = token in self._stop_ids
        if not stopped:
            text, stopped = self._stop_strings.push(self._detokenizer.push(token))
            if text := self._from_first_word(text):
                self._emit(Token(text, len(self._answer)))
        if stopped or len(self._answer) >= self._max_tokens:
            self._finish(stopped=stopped)
            return True
        return False

    def _finish(self, *, stopped: bool) -> None:
        """Emit what was held back, and how it ended. A character that is still half is dropped."""
        self._emit(
            Token(
                text=self._from_first_word(self._stop_strings.flush()),
                tokens=len(self._answer),
                finish_reason="stop" if stopped else "length",
                prefill=self._first - self.started,
                decode=time.perf_counter() - self._first,
            )
        )

    def _from_first_word(self, text: str) -> str:
        """Without the space that belongs to the template ("Output:" leaves it to the model)."""
        if not self._begun:
            text = text.lstrip(" ")
            self._begun = bool(text)
        return text
