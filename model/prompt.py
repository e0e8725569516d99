"""From messages to token ids: the chat template, image placeholders, and text that can never become a special token."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerFast

from model.presets import PAD_TOKEN, Preset

NAME_CHARACTERS = 64
"""Longest speaker's name that is kept; longer ones are cut."""

_OPEN, _CLOSE = "\ue000", "\ue001"  # private use: templates pass them through, and no template contains them
_SLOT = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_PICTURES = "['pictures']"


@dataclass(frozen=True)
class Placeholder:
    """Where one picture's soft tokens go."""


@dataclass(frozen=True)
class Turn:
    """One message for the template: text as people wrote it, with places for pictures."""

    role: str
    pieces: tuple[str | Placeholder, ...]
    pictures: int = 0
    """How many pictures it came with, whether or not they have places."""


class PromptWriter:
    """Writes conversations in a preset's template.

    The template is applied to stand-ins for the contents, and the pieces are tokenised apart: the template's with special
    tokens, people's text without. `<|im_start|>` or `<image>` typed by a person stay letters.

    A template that mentions `message['pictures']` says itself where a message's pictures go; in others they stand where the
    content has them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, preset: Preset, vocabulary_rows: int) -> None:
        """`vocabulary_rows`: rows of the model's embedding; spare tokens must fit, for the vocabulary is never resized."""
        self.tokenizer = tokenizer
        self.image_tokens = preset.image_tokens
        self._system_prompt = preset.system_prompt
        self._photo_prompt = preset.photo_prompt
        if preset.spare_tokens:
            tokenizer.add_tokens(list(preset.spare_tokens), special_tokens=True)
            if len(tokenizer) > vocabulary_rows:
                raise ValueError(f"{len(tokenizer)} tokens do not fit into the {vocabulary_rows} rows of the vocabulary.")
        if PAD_TOKEN in preset.spare_tokens:
            tokenizer.pad_token = PAD_TOKEN
        # Not the tokenizer's attribute: two writers may share one tokenizer.
        self.chat_template = str(preset.chat_template or tokenizer.chat_template)
        self.image_token_id = self._id(preset.image_token) if preset.image_token else None
        ends = [tokenizer.eos_token_id, *(self._id(token) for token in preset.stop_tokens)]
        self.stop_token_ids = tuple(dict.fromkeys(int(token) for token in ends))
        # Two backends: `encode_special_tokens` is a switch of the whole tokenizer, and encoding runs in several threads.
        self._template_text = tokenizer.backend_tokenizer
        self._people_text = copy.deepcopy(tokenizer.backend_tokenizer)
        self._people_text.encode_special_tokens = True

    def _id(self, token: str) -> int:
        number = self.tokenizer.backend_tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(f"The tokenizer does not know {token}.")
        return int(number)

    def text_ids(self, text: str) -> list[int]:
        """Ids of a person's text; never a special token."""
        # Of several: `encode` alone holds Python's lock, half a second for half a megabyte, in which nobody's answer grows.
        encoded = self._people_text.encode_batch_fast([text], add_special_tokens=False)
        ids: list[int] = encoded[0].ids
        return ids

    def write(self, turns: Sequence[Turn]) -> list[int]:
        """Ids of a conversation, up to where the answer begins."""
        pieces = self._pieces(self._with_system(turns), add_generation_prompt=True)
        return [token for ids, _ in pieces for token in ids]

    def example(self, turns: Sequence[Turn]) -> tuple[list[int], list[bool]]:
        """Ids of a conversation to learn from, and which of them are learnt: answers and the token that ends each.

        Up to an answer the ids are those of `write`, without its word on photos. ValueError when the template ends answers with
        text: a model trained on that would not know where to stop.
        """
        written: list[int] = []
        learnt: list[bool] = []
        after_answer = False
        for ids, turn in self._pieces(self._with_system(turns, photo_prompt=False), add_generation_prompt=False):
            is_answer = turn is not None and turn.role == "assistant"
            if after_answer and not (turn is None and ids and ids[0] in self.stop_token_ids):
                raise ValueError("The chat template does not end answers with a token of their own.")
            written += ids
            learnt += [is_answer or (after_answer and place == 0) for place in range(len(ids))]
            after_answer = is_answer
        if after_answer:
            raise ValueError("The chat template does not end answers with a token of their own.")
        # What the template writes after the last answer's end, such as a line break, nobody has to read.
        last = max((place for place, one in enumerate(learnt) if one), default=-1)
        return written[: last + 1], learnt[: last + 1]

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer as the model writes it after `write`, and the first one of what the template has behind it."""
        ids: list[int] = []
        for piece, turn in self._pieces([Turn("user", ("",)), Turn("assistant", (text,))], add_generation_prompt=False):
            if turn is None and ids:
                return [*ids, *piece[:1]]
            if turn is not None and turn.role == "assistant":
                ids = piece
        return ids

    def _pieces(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> Iterator[tuple[list[int], Turn | None]]:
        """The template's text (None) and the contents of the turns, in order, each as ids."""
        slots: list[Turn] = []
        stand_ins = []
        for turn in turns:
            stand_in = {"role": turn.role, "pictures": ""}
            for key, part in self._parts(turn).items():
                stand_in[key] = f"{_OPEN}{len(slots)}{_CLOSE}"
                slots.append(part)
            stand_ins.append(stand_in)
        written = str(
            self.tokenizer.apply_chat_template(
                stand_ins, chat_template=self.chat_template, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )
        space = ""
        for position, piece in enumerate(_SLOT.split(written)):
            if position % 2:  # re.split: every second piece is what the group caught
                turn = slots[int(piece)]
                yield self._content_ids(turn, space), turn
                continue
            # A word and the space before it are one token: a space at the end of the template's text goes with the content.
            space = " " if piece.endswith(" ") else ""
            if template := piece.removesuffix(" "):
                ids: list[int] = self._template_text.encode(template, add_special_tokens=False).ids
                yield ids, None

    def _parts(self, turn: Turn) -> dict[str, Turn]:
        """What the template is given of a message, each a stand-in of its own."""
        places = tuple(piece for piece in turn.pieces if isinstance(piece, Placeholder))
        if not places or _PICTURES not in self.chat_template:
            return {"content": turn}
        words = tuple(piece for piece in turn.pieces if not isinstance(piece, Placeholder))
        return {"pictures": replace(turn, pieces=places), "content": replace(turn, pieces=words)}

    def _with_system(self, turns: Sequence[Turn], *, photo_prompt: bool = True) -> list[Turn]:
        """The preset's system message where the conversation brings none, and a word on photos while one is new."""
        has_own = bool(turns) and turns[0].role == "system"
        pieces: list[str | Placeholder] = list(turns[0].pieces) if has_own else [self._system_prompt or ""]
        if photo_prompt and turns and turns[-1].pictures and self._photo_prompt:
            pieces.append(f" {self._photo_prompt}" if any(pieces) else self._photo_prompt)
        return [*([Turn("system", tuple(pieces))] if any(pieces) else []), *turns[has_own:]]

    def _content_ids(self, turn: Turn, space: str) -> list[int]:
        """`space`: what the template wants in front of the words."""
        ids: list[int] = []
        for piece in turn.pieces:
            if isinstance(piece, Placeholder):
                if self.image_token_id is None:
                    raise ValueError("This preset's template has no image token.")
                ids += [self.image_token_id] * self.image_tokens
            else:
                ids += self.text_ids(space + piece)
                space = ""
        return ids


def spoken(name: str | None, text: str) -> str:
    """Text with its speaker in front, as group chats need it; line breaks in names would fake other speakers."""
    if not name:
        return text
    one_line = " ".join(name.split())[:NAME_CHARACTERS].rstrip(":")
    return f"{one_line}: {text}" if one_line else text
