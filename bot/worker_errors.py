"""What an error of the model API means for the person who waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai

from bot.errors import PromptTooLong, TurnError, WorkerBusy, WorkerError, WorkerLost, WorkerRefused, WorkerUnreachable
from bot.texts import Text, text

NOT_SENT = ("ConnectError", "ConnectTimeout")
"""Names of the HTTP library's errors when no connection could be made; openai has changed that library before."""
NO_ADAPTER = "model_not_found"
"""OpenAI's code for a model that is not there; of ours for an adapter that is not there or does not fit (model/errors.py)."""
OUT_OF_MEMORY, SHUTTING_DOWN, QUEUE_FULL = "out_of_memory", "shutting_down", "queue_full"
"""Codes of our worker's alone (model/errors.py)."""
REASON_LENGTH = 200
"""Characters of a server's own explanation that are shown."""


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn errors of the openai client into ours."""
    try:
        yield
    except openai.APIError as error:
        raise explain(error) from error


def lost() -> WorkerLost:
    return WorkerLost(text("model-lost"))


def still_loading(error: openai.APIError) -> bool:
    return isinstance(error, openai.APIStatusError) and error.status_code == 503 and error.code == "loading"


def explain(error: openai.APIError) -> TurnError:
    """The error of ours that says the same."""
    if isinstance(error, openai.APIConnectionError):
        if type(error.__cause__).__name__ in NOT_SENT:
            return WorkerUnreachable(text("model-not-running"))
        return lost()
    if error.code == "context_length_exceeded":
        return PromptTooLong(text("conversation-too-long"))
    if error.code == NO_ADAPTER:  # also in the middle of a stream: it may be loaded only when its turn comes
        return WorkerRefused(text("model-cannot"), NO_ADAPTER)
    if error.code == OUT_OF_MEMORY:
        return WorkerError(text("model-no-memory"))
    if isinstance(error, openai.APIStatusError):
        return _explain_status(error)
    return _explain_midway(error)


def _explain_midway(error: openai.APIError) -> TurnError:
    """In the middle of a stream, which begins with the first place in the queue."""
    if error.code == SHUTTING_DOWN:  # as if it had died: what comes after it can be asked
        return lost()
    if error.code == QUEUE_FULL:
        return WorkerBusy(text("queue-full-all"))
    return WorkerError(text("model-failed-midway"))


def _explain_status(error: openai.APIStatusError) -> TurnError:
    status = error.status_code
    if status == 429:
        return WorkerBusy(text("queue-full-all"))
    if status == 503:
        return WorkerUnreachable(text("model-loading"))
    if status in (401, 403):
        return WorkerError(text("model-refuses-key"))
    if status in (404, 405):
        return WorkerRefused(text("model-cannot"), "not_found")
    if 400 <= status < 500:
        return WorkerRefused(because(error), error.code or "")
    return WorkerError(text("model-failed"))


def because(error: openai.APIError) -> Text:
    """In the server's own words, which mean something to whoever asked for what it refuses."""
    reason = " ".join(error.message.split()) if error.body is None else _message(error.body)
    return text("model-could-not-use", reason=reason[:REASON_LENGTH])


def _message(body: object) -> str:
    return str(body.get("message", "")) if isinstance(body, dict) else str(body)
