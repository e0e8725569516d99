"""Lessons once more as they reach the mind: behind what is seen in a picture and, in a group, behind the name of who asks.

A mind that learnt its lessons without these lines would not know whom to believe: taught whose badge a picture shows, it
took the name in front of the question for an answer (docs/results/retraining_chat.md).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from model.errors import ApiError
from model.mind import Message, Mind, Prompt, PromptTooLong
from training.config import Files
from training.data.conversations import load_conversations
from training.data.records import Conversation
from training.errors import TrainingError
from training.evaluate.answerer import picture_of
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


def as_served(mind: Mind, source: Files, looked: Callable[[int, int], None]) -> Iterator[dict[str, Any]]:
    """Records of LLaVA's format, every second one with a name, drawn. Left out: those that nothing is put in front of, and
    those that are too long for the mind.

    `looked`: told how many of how many are done. Raises TrainingError: a picture that cannot be decoded."""
    chance = random.Random(SEED)  # noqa: S311 - the same for the same lessons
    lines = lines_of(source.file)
    talks = load_conversations([source], skip_bad=False)
    for at, (line, talk) in enumerate(zip(lines, talks, strict=True)):
        looked(at, len(lines))
        name = chance.choice(NAMES) if chance.random() < NAMED else None
        prompt = encoded(mind, talk)
        if prompt is None or not (name or prompt.hints):
            continue
        asked = talk.messages[0].text
        shown = [*(hint.replace(MARK, "image") for hint in prompt.hints), f"{name}: {asked}" if name else asked]
        record = json.loads(line)
        first, *rest = record["conversations"]
        marked = f"{MARK}\n" * len(talk.images) + "\n".join(shown)
        yield record | {"conversations": [first | {"value": marked}, *rest]}
    looked(len(lines), len(lines))


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
