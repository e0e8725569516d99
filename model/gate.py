"""What every request passes first: a request id, the API key, a bounded body, a log line, and nobody sees a traceback."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
import uuid
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.errors import ApiError, internal
from model.metrics import Metrics
from model.settings import is_loopback

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 48 * 2**20
"""Bytes of one request: a 20 MB picture or a ten-minute recording in base64, with room for more of them that are smaller."""

MAX_DRAINED_BYTES = 4 * MAX_BODY_BYTES
"""Bytes of a too large request that are still read and dropped: many clients only look at the answer once all is sent."""

BODY_SECONDS = 120.0
"""Seconds until a request must have arrived completely: MAX_BODY_BYTES at 3 Mbit/s."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What is accepted as `X-Request-Id`: it goes into log lines."""

OPEN_ROUTES = frozenset({"/health"})
"""Need no API key: supervisors and load balancers ask here."""

ROUTES = frozenset(
    {
        "/health",
        "/metrics",
        "/tokenize",
        "/v1/models",
        "/v1/adapters/default",
        "/v1/chat/completions",
        "/v1/audio/transcriptions",
    }
)
"""Routes that get a label of their own in the metrics; a scanner's guesses must not each make a time series."""


class Gate:
    """ASGI middleware. It reads the whole body before the application runs, so that no handler sees one that is too large."""

    def __init__(self, app: ASGIApp, *, api_key: str, metrics: Metrics) -> None:
        self._app = app
        self._api_key = api_key.encode()
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else f"req-{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(send, request_id)
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._admit(scope, headers, receive, exchange.send)
            except ApiError as error:
                await exchange.refuse(error, scope, receive)
            except Exception:
                log.exception("request_failed", path=scope["path"])
                await exchange.refuse(internal(request_id), scope, receive)
            finally:
                route = scope["path"] if scope["path"] in ROUTES else "other"
                self._metrics.requests.labels(route, str(exchange.status or "gone")).inc()
                level = log.debug if route in ("/health", "/metrics") else log.info
                level("request", method=scope["method"], path=scope["path"], status=exchange.status, seconds=_since(started))

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if not self._api_key and not _is_ours(headers.get("origin", "")):
            raise ApiError(403, "Pages of other sites may not ask here without MODEL_API_KEY.", code="foreign_origin")
        if self._api_key and scope["path"] not in OPEN_ROUTES:
            scheme, _, key = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), self._api_key):
                raise ApiError(401, "The API key is missing or wrong.", code="invalid_api_key")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive)
        except TimeoutError as error:
            raise ApiError(408, "The request took too long to arrive.", code="request_timeout") from error
        if body is not None:
            await self._app(scope, _replay(body, receive), send)


def _is_ours(origin: str) -> bool:
    """Whether a request is no browser's, or of a page on this machine. Any page that somebody opens can have their browser ask
    here; it says so in `Origin`, which no script can change (https://fetch.spec.whatwg.org/#origin-header)."""
    try:
        return not origin or is_loopback(urlsplit(origin).hostname or "")
    except ValueError:  # no browser writes such a one
        return False


class _Exchange:
    """One answer on its way out: carries the request id, and knows whether it has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self._request_id
        await self._send(message)

    async def refuse(self, error: ApiError, scope: Scope, receive: Receive) -> None:
        if not self.status:
            await error.response()(scope, receive, self.send)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when the client went away meanwhile. Raises ApiError (413)."""
    chunks: list[bytes] = []
    total = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        total += len(chunk)
        if total <= MAX_BODY_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body", False) or total > MAX_DRAINED_BYTES:
            break
    if total > MAX_BODY_BYTES:
        message_text = f"The request is larger than {MAX_BODY_BYTES // 2**20} MB."
        raise ApiError(413, message_text, code="request_too_large")
    return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out the body that was read, then whatever comes next (a disconnect)."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
