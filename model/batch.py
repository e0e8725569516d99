"""The answers that are written together: who gets a slot, and what the next pass reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch

from model.packed import PackedModel, Piece
from model.prefixes import Prefixes
from model.writing import Writing

PROMPT_TOKENS = 256
"""Most tokens of prompts in one pass, beside the answers': until they are read nobody's answer grows."""
GPU_PROMPT_TOKENS = 2048
"""The same on a GPU, which reads thousands in the time that it takes to be told: of 256, sending the commands would be most."""

PATIENCE = 4
"""Passes that leave a prompt out one after the other, before its turn comes whatever its length."""


class Batch:
    """Answers that passes are for: of one adapter, or of all where the model mixes them."""

    def __init__(self, packed: PackedModel, prefixes: Prefixes) -> None:
        self._packed = packed
        self.slots = packed.slots()
        self._prompt_tokens = GPU_PROMPT_TOKENS if self.slots.memory.is_cuda else PROMPT_TOKENS
        self._prefixes = prefixes
        self.waiting: deque[Writing] = deque()
        self.running: list[Writing] = []
        """In the order they came."""
        self._alone = False
        """Whether the last pass left out a long prompt, so that the first words of short ones come sooner."""

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.running)

    @property
    def needed(self) -> int:
        """Bytes of the slots that the running answers need."""
        return self.slots.bytes_of(len(self.running), max((one.longest for one in self.running), default=0))

    def bytes_with(self, writing: Writing) -> int:
        """Bytes that the slots take once `writing` has one as well."""
        return self.slots.bytes_with(len(self.running) + 1, max(one.longest for one in (*self.running, writing)))

    def admit(self) -> None:
        """Give the first that waits a slot, with what is known of its prompt already."""
        writing = self.waiting[0]
        kept, past = self._prefixes.longest(writing.prompt.attached, writing.keys)
        writing.embed(self._packed.embed, past)
        writing.row = self.slots.take(writing.longest)
        self.running.append(self.waiting.popleft())
        if kept is not None:
            self.slots.copy_in(writing.row, kept, past)
        writing.past = past

    def remove(self, writing: Writing) -> None:
        """Take its slot, and keep what was read for the next question of the conversation."""
        if writing.past:
            try:
                memory = self.slots.copy_out(writing.row, writing.past)
                self._prefixes.keep(writing.prompt.attached, writing.keys[: writing.past], memory)
            except torch.OutOfMemoryError:
                self._prefixes.clear()
        self.evict(writing)

    def evict(self, writing: Writing) -> None:
        """Take its slot or its place in the queue, and keep nothing."""
        if writing.row < 0:
            self.waiting.remove(writing)
            return
        self.slots.give_back(writing.row)
        self.running.remove(writing)
        writing.row, writing.past = -1, 0

    def step(self) -> Iterator[tuple[Writing, Exception | None]]:
        """One pass. Yields the answers that it ended, each at once, and with what went wrong with it, which is the fault of no
        other."""
        chosen = self._next_pieces()
        pieces = [piece for _, piece in chosen]
        embedded = torch.cat([writing.tokens(piece.count, self._packed.embed) for writing, piece in chosen])
        logits = self._packed.forward(self.slots, pieces, embedded)
        for (writing, piece), of_next in zip(chosen, logits, strict=True):
            writing.past = piece.end
            if writing.unread:
                continue
            try:
                if writing.push(of_next):
                    yield writing, None
            except (torch.OutOfMemoryError, torch.AcceleratorError):
                writing.past -= 1  # its last token is read again once there is room, as those of all that come after it
                raise
            except Exception as error:
                yield writing, error

    def _next_pieces(self) -> list[tuple[Writing, Piece]]:
        """A token of every answer, and of prompts what the budget allows: first those that are nearly read, so that a short
        question does not wait for a long one; and where they end, every other pass is theirs alone. Whoever was left out
        PATIENCE times in a row goes before them: short questions may never end."""
        singles = [writing for writing in self.running if writing.unread == 1]
        reading = [writing for writing in self.running if writing.unread > 1]
        left = self._prompt_tokens
        parts: list[tuple[Writing, Piece]] = []
        for writing in sorted(reading, key=lambda one: (one.left_out < PATIENCE, one.unread)):
            # A part of one token would have to stand among the answers'; there is always another pass for the last one.
            count = min(writing.unread, left)
            if count < 2:
                break
            if count < writing.unread:
                self._alone = bool(parts) and not self._alone
                if self._alone:
                    break
            parts.append((writing, writing.piece(count)))
            left -= count
        for writing in reading:
            writing.left_out += 1
        for writing, _ in parts:
            writing.left_out = 0
        # One behind the other what a LoRA reads, and the last of one token beside the first of several.
        singles.sort(key=lambda one: one.lora or "")
        parts.sort(key=lambda part: part[0].lora or "", reverse=True)
        return [*((writing, writing.piece(1)) for writing in singles), *parts]
