"""What goes wrong in training, said in sentences that name the file and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class TrainingError(Exception):
    """One sentence: what is wrong, where, and what to do about it."""


class Mistakes(TrainingError):  # noqa: N818 - reads better where it is raised
    """Several of them at once, so that nobody fixes a file line by line."""

    def __init__(self, what: str, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join([what, *(f"  {mistake}" for mistake in mistakes)]))
        self.mistakes = tuple(mistakes)


class NoRoom(TrainingError):  # noqa: N818
    """The GPU's memory does not suffice beside what others hold of it: with fewer of them it may."""
