"""Conversations about pictures, for stage 2: LLaVA's format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from training.config import Files
from training.data.loading import load
from training.data.reading import (
    LINES,
    Unfit,
    json_lines,
    json_list,
    list_of,
    object_of,
    parsed,
    picture_of,
    pictures_folder,
    shown,
    text_of,
)
from training.data.records import BadRecord, Captioned, Conversation, Origin, Said
from training.errors import TrainingError

Role = Literal["system", "user", "assistant"]

ROLES: dict[str, Role] = {"system": "system", "human": "user", "gpt": "assistant"}
SPEAKERS = {role: speaker for speaker, role in ROLES.items()}

_MARK = re.compile(r"<image>\s?")
"""Where LLaVA's files have a picture, and what parts it from the words."""


def read_conversations(files: Files) -> Iterator[Conversation | BadRecord]:
    """Read LLaVA's conversations, a .json list or .jsonl; of the records those from `skip` to `end`, bad ones counted.

    https://github.com/haotian-liu/LLaVA/blob/main/docs/Finetune_Custom_Data.md: `image` (a name, a list of names, null or left
    out) and `conversations`, each with `from` and `value`. `<image>` marks are taken out of the texts and counted; a message's
    pictures come before its words, as LLaVA trains them. `id` and other keys are not looked at.

    Raises TrainingError: the file cannot be read as a whole, or is of another format.
    """
    if files.format != "llava":
        raise TrainingError(f"{files.file} is said to be of the format {files.format}: conversations come as `llava`.")
    suffix = files.file.suffix.lower()
    if suffix not in (".json", *LINES):
        raise TrainingError(f"{files.file} should be .json or {LINES[0]} for the format `llava`.")
    values = json_lines(files.file) if suffix in LINES else json_list(files.file)
    yield from islice(parsed(files.file, values, partial(_conversation, pictures_folder(files))), files.skip, files.end)


def load_conversations(files: Sequence[Files], *, skip_bad: bool, pictured: bool = True) -> list[Conversation]:
    """Every record of `files` as often as its `times` says. Bad ones, and those with a picture that is missing, stop it or are
    left out with a line in the log. Whether pictures can be decoded shows when they are looked at. Not
    `pictured`: they need not be there.

    Raises TrainingError: bad records and not `skip_bad`; no good ones; a file that cannot be read.
    """
    return load(files, read_conversations, skip_bad=skip_bad, pictured=pictured)


def as_conversation(captioned: Captioned, question: str, caption: str) -> Conversation:
    """A captioned picture as a question about it and `caption`, one of its own, as the answer."""
    messages = (Said("user", question, 1), Said("assistant", caption))
    return Conversation(captioned.origin, (captioned.image,), messages)


def _conversation(folder: Path, origin: Origin, value: object) -> Conversation:
    record = object_of(value, "the record")
    images = _images(folder, record.get("image"))
    said = list_of(record.get("conversations"), "conversations")
    messages = tuple(_said(number, message) for number, message in enumerate(said, 1))
    _check_turns(messages)
    marks = sum(message.pictures for message in messages)
    if marks != len(images):
        raise Unfit("<image> marks and pictures differ in number", f"{marks} marks and {len(images)} pictures")
    return Conversation(origin, images, messages)


def _images(folder: Path, value: object) -> tuple[Path, ...]:
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(picture_of(folder, name, f"image {number}") for number, name in enumerate(value, 1))
    return (picture_of(folder, value, "image"),)


def _said(number: int, value: object) -> Said:
    message = object_of(value, f"message {number}")
    speaker = message.get("from")
    if not isinstance(speaker, str) or speaker not in ROLES:
        known = ", ".join(ROLES)
        raise Unfit("an unknown speaker", f"message {number} is from {shown(speaker)}, and the speakers are {known}")
    role = ROLES[speaker]
    text, marks = _MARK.subn("", text_of(message.get("value"), f"message {number}"))
    text = text.strip()
    if marks and role != "user":
        raise Unfit("a picture is not the user's", f"message {number} is from {speaker} and has an <image> mark")
    if not text and not marks:
        raise Unfit("an answer is empty" if role == "assistant" else "a message is empty", f"message {number}, from {speaker}")
    return Said(role, text, marks)


def _check_turns(messages: tuple[Said, ...]) -> None:
    """Perhaps a system message, then question and answer in turn."""
    first = 1 if messages and messages[0].role == "system" else 0
    if len(messages) == first:
        raise Unfit("no answer", "there is nothing in conversations" if first == 0 else "there is only a system message")
    for number, message in enumerate(messages[first:]):
        expected: Role = "assistant" if number % 2 else "user"
        if message.role != expected:
            raise Unfit(
                "the speakers do not take turns",
                f"message {first + number + 1} is from {SPEAKERS[message.role]}, where {SPEAKERS[expected]} was expected",
            )
    if messages[-1].role != "assistant":
        raise Unfit("no answer", f"the last message is from {SPEAKERS[messages[-1].role]}")
