"""What Discord refuses, and the faults that a test orders."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from aiohttp import web

from .model import Upload
from .protocol import Payload

CONTENT_LIMIT = 2000
FILE_LIMIT = 10 * 1024 * 1024
EMBED_LIMITS = {"title": 256, "description": 4096}

REFUSALS = {
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50003: (403, "Cannot execute action on a DM channel"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50035: (400, "Invalid Form Body"),
    160002: (400, "You cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
}


class RefusalError(Exception):
    """The request is refused with one of Discord's error codes."""

    def __init__(self, code: int, errors: Payload | None = None) -> None:
        self.code = code
        self.status, self.text = REFUSALS[code]
        self.errors = errors
        super().__init__(f"{code}: {self.text}")

    def response(self) -> web.Response:
        body: Payload = {"message": self.text, "code": self.code}
        return json_response(body | ({"errors": self.errors} if self.errors else {}), status=self.status)


def json_response(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """discord.py takes an answer for JSON only when its type is exactly application/json, without a charset."""
    return web.Response(
        status=status, body=json.dumps(body).encode(), headers={"Content-Type": "application/json", **(headers or {})}
    )


def invalid(path: str, message: str, code: str = "BASE_TYPE_MAX_LENGTH") -> RefusalError:
    """50035 for the field at `path` (a.b.c)."""
    errors: Payload = {"_errors": [{"code": code, "message": message}]}
    for name in reversed(path.split(".")):
        errors = {name: errors}
    return RefusalError(50035, errors)


def check_length(path: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise invalid(path, f"Must be {limit} or fewer in length.")


def check_form(data: Payload, uploads: Iterable[Upload]) -> None:
    """The limits on what a message may hold."""
    check_length("content", data.get("content") or "", CONTENT_LIMIT)
    _check_embeds(data.get("embeds") or [])
    _check_components(data.get("components") or [])
    if any(len(upload.data) > FILE_LIMIT for upload in uploads):
        raise RefusalError(40005)


def _check_embeds(embeds: list[Payload]) -> None:
    if len(embeds) > 10:
        raise invalid("embeds", "Must be 10 or fewer in length.")
    total = 0
    for index, embed in enumerate(embeds):
        texts = [(name, embed.get(name) or "", limit) for name, limit in EMBED_LIMITS.items()]
        texts.append(("footer.text", (embed.get("footer") or {}).get("text", ""), 2048))
        texts.append(("author.name", (embed.get("author") or {}).get("name", ""), 256))
        for number, item in enumerate(embed.get("fields") or []):
            texts += [(f"fields.{number}.name", item["name"], 256), (f"fields.{number}.value", item["value"], 1024)]
        for name, text, limit in texts:
            check_length(f"embeds.{index}.{name}", text, limit)
        total += sum(len(text) for _, text, _ in texts)
    if total > 6000:
        raise invalid("embeds", "Embed size exceeds maximum size of 6000", "MAX_EMBED_SIZE_EXCEEDED")


def _check_components(components: list[Payload], path: str = "components") -> None:
    if len(components) > 5:
        raise invalid(path, "Must be 5 or fewer in length.")
    for index, component in enumerate(components):
        where = f"{path}.{index}"
        check_length(f"{where}.custom_id", component.get("custom_id") or "", 100)
        if component["type"] == 2:
            check_length(f"{where}.label", component.get("label") or "", 80)
        _check_components(component.get("components") or [], f"{where}.components")


@dataclass(frozen=True)
class Flood:
    """429: come back after `retry_after` seconds."""

    retry_after: float
    global_: bool = False

    def response(self) -> web.Response:
        body = {"message": "You are being rate limited.", "retry_after": self.retry_after, "global": self.global_}
        scope = {"X-RateLimit-Global": "true"} if self.global_ else {}
        # discord.py takes a 429 without Via for a ban by Cloudflare and gives up
        headers = {"Retry-After": str(self.retry_after), "Via": "1.1 loopback", "X-RateLimit-Scope": "user", **scope}
        return json_response(body, status=429, headers=headers)


@dataclass(frozen=True)
class Status:
    """An HTTP error without one of Discord's codes."""

    code: int

    def response(self) -> web.Response:
        return json_response({"message": f"{self.code}: fault", "code": 0}, status=self.code)


@dataclass(frozen=True)
class Drop:
    """The connection breaks; with `after`, the request has taken effect and only its answer is lost."""

    after: bool = False


Fault = Flood | Status | Drop


@dataclass
class _Order:
    method: str
    pattern: str
    faults: deque[Fault]


@dataclass
class Faults:
    """Faults that wait for their requests. `*` in a pattern stands for anything, slashes too."""

    orders: list[_Order] = field(default_factory=list)

    def add(self, method: str, pattern: str, faults: Iterable[Fault]) -> None:
        self.orders.append(_Order(method, pattern, deque(faults)))

    def next(self, method: str, path: str) -> Fault | None:
        for order in self.orders:
            if order.faults and order.method == method and fnmatchcase(path, order.pattern):
                return order.faults.popleft()
        return None


@dataclass
class Buckets:
    """Sending and editing: `limit` requests in `per` seconds for every channel."""

    clock: Callable[[], float]
    limit: int = 5
    per: float = 5.0
    used: dict[str, list[float]] = field(default_factory=dict)

    def take(self, bucket: str) -> tuple[Flood | None, dict[str, str]]:
        """The refusal, if this request is one too many, and the headers of its answer."""
        moment = self.clock()
        times = self.used[bucket] = [at for at in self.used.get(bucket, []) if moment - at < self.per]
        flood = None
        if len(times) >= self.limit:
            flood = Flood(round(times[0] + self.per - moment, 3))
        else:
            times.append(moment)
        reset_after = max(times[0] + self.per - moment, 0.0)
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - len(times)),
            "X-RateLimit-Reset": f"{time.time() + reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Bucket": bucket.split(":")[0],
        }
        return flood, headers
