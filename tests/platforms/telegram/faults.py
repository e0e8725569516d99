"""What goes wrong at Telegram: its refusals, and faults that a test orders."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """A refusal; becomes the JSON and the HTTP status that Telegram would send."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        return body | ({"parameters": self.parameters} if self.parameters else {})


def bad(what: str, **parameters: int) -> ApiError:
    return ApiError(400, f"Bad Request: {what}", **parameters)


@dataclass(frozen=True)
class Flood:
    """429: come back in so many seconds."""

    retry_after: int


@dataclass(frozen=True)
class Status:
    """A bare HTTP status. Without a description the body is HTML, as from the proxies before Telegram."""

    code: int
    description: str | None = None


@dataclass(frozen=True)
class Drop:
    """The connection breaks; with `after`, when the call has taken effect."""

    after: bool = False


Fault = Flood | Status | Drop


@dataclass(frozen=True)
class _Ordered:
    fault: Fault
    chat_id: int | None


class Faults:
    """Faults by method, each used up by one call."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, list[_Ordered]] = defaultdict(list)

    def order(self, method: str, faults: tuple[Fault, ...], chat_id: int | None) -> None:
        self._waiting[method.lower()] += [_Ordered(fault, chat_id) for fault in faults]

    def next(self, method: str, chat_id: object) -> Fault | None:
        waiting = self._waiting[method.lower()]
        for ordered in waiting:
            if ordered.chat_id in (None, chat_id):
                waiting.remove(ordered)
                return ordered.fault
        return None

    def left(self, method: str) -> int:
        """How many have not been met yet."""
        return len(self._waiting[method.lower()])
