"""From token ids to text, piece by piece: never half a character, never a special token, never a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What tokenizers put where bytes do not form a character (yet)."""

LONGEST_CHARACTER = 8
"""Tokens after which bytes that form no character are taken as they are. UTF-8 has at most 4 bytes a character (RFC 3629)."""


class Detokenizer:
    """Decodes a growing answer. Each call decodes only the last few tokens, whatever the length of the answer.

    Tokens are decoded together with those of the previous piece, because a token's text can depend on the one before it
    (leading spaces); the same two windows as in Hugging Face's text-generation-inference. After bytes that are no text the
    windows begin anew: they would change what is decoded beside them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._before: list[int] = []
        self._new: list[int] = []

    def push(self, token: int) -> str:
        """The characters that `token` completed."""
        self._new.append(token)
        before = self._decode(self._before)
        text = self._decode(self._before + self._new)
        if text.endswith(REPLACEMENT) and len(self._new) < LONGEST_CHARACTER:
            return ""
        self._before, self._new = [] if text.endswith(REPLACEMENT) else self._new, []
        return text[len(before) :]

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class StopStrings:
    """Cuts a stream of text at the first stop string, also when that is spread over several pieces."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(string for string in strings if string)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What can be shown by now, and whether a stop string was found (its own text is never shown)."""
        self._held += text
        found = [at for at in (self._held.find(string) for string in self._strings) if at >= 0]
        if found:
            shown, self._held = self._held[: min(found)], ""
            return shown, True
        keep = self._possible_start()
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown, False

    def flush(self) -> str:
        """What was held back because a stop string might have begun there."""
        held, self._held = self._held, ""
        return held

    def _possible_start(self) -> int:
        """Length of the longest end of the held text with which a stop string may begin."""
        longest = max((len(string) for string in self._strings), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(string.startswith(self._held[-length:]) for string in self._strings):
                return length
        return 0
