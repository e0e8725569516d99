# ruff: noqa: N818  # names say what happened; TurnError and StoreError are what is caught
"""What can go wrong, said in one sentence.

Every error here carries `sentence`, which is shown as it is, and `code`, a short name for logs and metrics. A `TurnError` is
shown to the person whose turn failed; the other errors are shown to the owner when the program starts.
"""

from __future__ import annotations

from typing import ClassVar

from bot.texts import Text


class JnanaError(Exception):
    """An expected failure. `sentence` is complete: no traceback and no second line are needed to understand it."""

    code: ClassVar[str] = "error"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


# --- For the owner ---


class SettingsError(JnanaError):
    """The settings hold mistakes; `mistakes` are all of them, one line each."""

    code = "settings"

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class StartError(JnanaError):
    """A part of the bot cannot be started; the sentence names the setting or the switch to change."""

    code = "start"


class StoreError(JnanaError):
    """The database or the data folder cannot be used."""

    code = "store"


class DatabaseNewer(StoreError):
    code = "database_newer"


class DatabaseOutdated(StoreError):
    code = "database_outdated"


class ReadOnly(StoreError):
    code = "read_only"


class DiskFull(StoreError):
    code = "disk_full"


# --- For the person whose turn it is ---


class TurnError(JnanaError):
    """A turn that is refused or cannot be answered. `sentence` is English, for the log; the person gets `told`."""

    code = "turn_failed"

    def __init__(self, why: Text | str) -> None:
        """`why`: a text of the catalogue, or a sentence that somebody else wrote (a model server's)."""
        super().__init__(str(why))
        self._why = why

    def told(self, language: str) -> str:
        return self._why.to(language) if isinstance(self._why, Text) else self._why


class EmptyMessage(TurnError):
    code = "empty_message"


class WrongExample(TurnError):
    """What was taught is no question with an answer."""

    code = "wrong_example"


class NotTrained(TurnError):
    """There is nothing to train on, or nothing that trains."""

    code = "not_trained"


class TextTooLong(TurnError):
    code = "text_too_long"


class TooManyFiles(TurnError):
    code = "too_many_files"


class TooManyTurns(TurnError):
    """More turns wait in this conversation, or everywhere, than is sensible."""

    code = "too_many_turns"


class ShuttingDown(TurnError):
    code = "shutting_down"


class NotWelcome(TurnError):
    """Not on the owner's list."""

    code = "not_welcome"


class TooFast(TurnError):
    code = "too_fast"


class BudgetSpent(TurnError):
    code = "budget_spent"


class NotAllowed(TurnError):
    code = "not_allowed"


class NotAnswered(TurnError):
    """Asked for something that needs an answer, of a turn that has none."""

    code = "not_answered"


class MediaRefused(TurnError):
    """A file that cannot be used; the sentence names it."""

    code = "media_refused"


class NoSpeech(TurnError):
    code = "no_speech"


class PromptTooLong(TurnError):
    """The newest message alone is longer than the model can take, in tokens."""

    code = "prompt_too_long"


class NotStored(TurnError):
    """The store failed; what was sent could not be kept."""

    code = "not_stored"


class TurnTimeout(TurnError):
    code = "timeout"


class Interrupted(TurnError):
    """The bot was restarted, or its store failed, in the middle, and it cannot answer any more."""

    code = "interrupted"


class EmptyAnswer(TurnError):
    code = "empty_answer"


class WorkerError(TurnError):
    """The model API failed."""

    code = "worker_failed"


class WorkerBusy(WorkerError):
    code = "worker_busy"


class WorkerLost(WorkerError):
    """The connection broke after the request was sent: the worker died or was restarted."""

    code = "worker_lost"


class WorkerUnreachable(WorkerError):
    """Nobody listens, or the model still loads: the request was not begun and can be sent again."""

    code = "worker_unreachable"


class WorkerRefused(WorkerError):
    """The worker calls the request wrong (4xx); `reason` is its code, e.g. invalid_audio."""

    code = "worker_refused"

    def __init__(self, why: Text | str, reason: str = "") -> None:
        super().__init__(why)
        self.reason = reason
