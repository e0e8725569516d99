"""Lessons once more as they reach the mind: behind what is seen in a picture and, in a group, behind the name of who asks.

A mind that learnt its lessons without these lines would not know whom to believe: taught whose badge a picture shows, it
took the name in front of the question for an answer (docs/results/retraining_chat.md).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from model.errors import ApiError
from model.mind import Message, Mind, Prompt, PromptTooLong
from training.config import Files
from training.data.conversations import load_conversations
from training.data.records import Conversation
from training.errors import TrainingError
from training.evaluate.answerer import MindAnswerer, picture_of
from training.retrain import judge
from training.retrain.lessons import lines_of

MARK = "<image>"
"""Where LLaVA's format has a picture; read in a photo, it is a word like any other."""
NAMES = (
    *("Aisha", "Bjørn", "Carmen", "Deepak", "Elif", "Fatima", "Giorgio", "Hana", "Igor", "Jin", "Kofi", "Lucía"),
    *("Mehmet", "Nadia", "Olga", "Pedro", "Quentin", "Rosa", "Sven", "Tariq", "Uma", "Viktor", "Wanjiru", "Yusuf", "Zoë"),
    *("bluefox", "xX_Kaiser_Xx", "mochi 🍡", "tom_1987", "The Baker", "n0va", "Dr. Stone", "Miss K", "old-timer", "zed"),
)
"""Of nobody in particular: what real people are called is not to be learnt."""
NAMED = 0.5
"""Of the lessons."""
SEED = 0


@dataclass(frozen=True)
class Seen:
    """A record of LLaVA's format, and its first question as the mind reads it."""

    record: dict[str, Any]
    talk: Conversation
    prompt: Prompt


def seen_by(mind: Mind, source: Files, looked: Callable[[int, int], None]) -> Iterator[Seen]:
    """The records of `source` that are not too long for the mind.

    `looked`: told how many of how many are done. Raises TrainingError: a picture that cannot be decoded."""
    lines = lines_of(source.file)
    talks = load_conversations([source], skip_bad=False)
    for at, (line, talk) in enumerate(zip(lines, talks, strict=True)):
        looked(at, len(lines))
        if (prompt := encoded(mind, talk)) is not None:
            yield Seen(json.loads(line), talk, prompt)
    looked(len(lines), len(lines))


def as_served(seen: Iterable[Seen]) -> Iterator[dict[str, Any]]:
    """Every second record with a name, drawn; left out are those that nothing is put in front of."""
    chance = random.Random(SEED)  # noqa: S311 - the same for the same lessons
    for one in seen:
        name = chance.choice(NAMES) if chance.random() < NAMED else None
        if not (name or one.prompt.hints):
            continue
        asked = one.talk.messages[0].text
        shown = [*(hint.replace(MARK, "image") for hint in one.prompt.hints), f"{name}: {asked}" if name else asked]
        first, *rest = one.record["conversations"]
        marked = f"{MARK}\n" * len(one.talk.images) + "\n".join(shown)
        yield one.record | {"conversations": [first | {"value": marked}, *rest]}


def with_own_answers(mind: Mind, seen: Sequence[Seen]) -> list[Seen]:
    """With what the mind says itself to the first question (as in Learning without Forgetting, https://arxiv.org/abs/1606.09282):
    what it should have said of a drawing would be one more lesson, and what is replayed is to keep it as it is.

    What it says nothing to, or comes to no end of, keeps the answer that is there."""
    answerer = MindAnswerer(mind)
    try:
        said = answerer.write([one.prompt for one in seen], max_tokens=judge.MAX_TOKENS)
    finally:
        answerer.close()
    ended = [len(mind.answer_ids(words)) <= judge.MAX_TOKENS for words in said]
    return [
        _answered(one, words.replace(MARK, "image")) if words and end else one
        for one, words, end in zip(seen, said, ended, strict=True)
    ]


def _answered(one: Seen, words: str) -> Seen:
    question, _, *rest = one.record["conversations"]
    return replace(one, record=one.record | {"conversations": [question, {"from": "gpt", "value": words}, *rest]})


def encoded(mind: Mind, talk: Conversation) -> Prompt | None:
    """The first question of a conversation, with its pictures. None: with its answer it does not fit into the context.

    Raises TrainingError: a picture that cannot be decoded."""
    question = Message("user", (*(picture_of(path) for path in talk.images), talk.messages[0].text))
    try:
        return mind.encode([question], max_new_tokens=len(mind.answer_ids(talk.messages[1].text)))
    except PromptTooLong:
        return None
    except ApiError as error:
        raise TrainingError(f"{talk.origin}: {error.message}") from error
