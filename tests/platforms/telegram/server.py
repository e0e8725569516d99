"""A Telegram Bot API server on 127.0.0.1, for bots in this process or in another one."""

from __future__ import annotations

import asyncio
import json
import time
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.platforms.telegram import settings  # noqa: F401 - its methods register themselves
from tests.platforms.telegram.faults import ApiError, Drop, Fault, Faults, Flood, Status, bad
from tests.platforms.telegram.methods import METHODS, Params, Upload, chat_of
from tests.platforms.telegram.world import Call, World

UPLOAD_LIMIT = 50 * 1024 * 1024
TEXTS = {
    "text",
    "caption",
    "parse_mode",
    "callback_query_id",
    "url",
    "secret_token",
    "name",
    "description",
    "short_description",
    "language_code",
    "file_id",
    "action",
    "document",
    "photo",
}


class TelegramServer(World):
    """`async with TelegramServer() as server:` listens until the end of the block."""

    url: str

    def __init__(self, *, username: str = "jnana_bot", reads_all: bool = True) -> None:
        super().__init__(username=username, reads_all=reads_all)
        self.faults = Faults()
        self.reads_html = True
        """Without, each text with a parse_mode is refused as one that cannot be read."""
        app = web.Application(client_max_size=2 * UPLOAD_LIMIT)
        app.router.add_route("*", "/bot{token}/{method}", self._call)
        app.router.add_get("/file/bot{token}/{path:.+}", self._download)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.updates.close()
        await self._runner.cleanup()

    # What goes wrong

    def fail(self, method: str, *faults: Fault, chat_id: int | None = None) -> None:
        """The next calls of a method meet these, one each; "file" is the download of a file."""
        self.faults.order(method, faults, chat_id)

    def silence(self) -> None:
        """getUpdates gets no answer at all, until `speak`."""
        self.updates.silence()

    def speak(self) -> None:
        self.updates.speak()

    async def kick_poller(self) -> None:
        """The poller is told that another one has come."""
        await self.updates.kick()

    # HTTP

    async def _call(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        call = Call(time.monotonic(), name, {})
        try:
            self._check_token(request)
            call.params.update(await _params(request))
            self.calls.append(call)
            return await self._answer(request, call)
        except ApiError as refusal:
            call.error = refusal.description
            return web.json_response(refusal.json(), status=refusal.code)
        finally:
            call.done = True
            self.notice()

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        fault = self.faults.next(call.method, call.params.get("chat_id"))
        if fault == Drop(after=True):
            await self._perform(call)
        if fault is not None:
            return self._faulty(request, call, fault)
        if call.params.get("parse_mode") and not self.reads_html:
            raise bad("can't parse entities: Unsupported start tag")
        return web.json_response({"ok": True, "result": await self._perform(call)})

    def _faulty(self, request: web.Request, call: Call | None, fault: Fault) -> web.StreamResponse:
        if call is not None:
            call.error = repr(fault)
        if isinstance(fault, Flood):
            raise ApiError(429, f"Too Many Requests: retry after {fault.retry_after}", retry_after=fault.retry_after)
        if isinstance(fault, Status) and fault.description is not None:
            raise ApiError(fault.code, fault.description)
        if isinstance(fault, Status):
            return web.Response(status=fault.code, text=f"<html><title>{fault.code}</title></html>", content_type="text/html")
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _check_token(self, request: web.Request) -> None:
        if request.match_info["token"] != self.token:
            raise ApiError(401, "Unauthorized")

    async def _perform(self, call: Call) -> Any:
        params = call.params
        match call.method.lower():
            case "getupdates":
                self._allow(params)
                return await self.updates.poll(
                    params.get("offset") or 0, params.get("limit") or 100, params.get("timeout") or 0
                )
            case "setwebhook":
                self._allow(params)
                self._drop_pending(params)
                await self.updates.set_webhook(params.get("url") or "", params.get("secret_token"))
                return True
            case "deletewebhook":
                await self.updates.delete_webhook()
                self._drop_pending(params)
                return True
            case "getwebhookinfo":
                return self.updates.webhook_info()
            case "leavechat":
                await chat_of(self, params).my_chat_member("left", self.bot)
                return True
            case name if name in METHODS:
                return METHODS[name](self, params)
        raise ApiError(404, "Not Found")

    def _allow(self, params: Params) -> None:
        """Without the parameter the last setting stays."""
        if isinstance(params.get("allowed_updates"), list):
            self.updates.allowed = params["allowed_updates"]

    def _drop_pending(self, params: Params) -> None:
        if params.get("drop_pending_updates"):
            self.updates.pending.clear()

    async def _download(self, request: web.Request) -> web.StreamResponse:
        try:
            self._check_token(request)
            fault = self.faults.next("file", None)
            if fault is not None:
                return self._faulty(request, None, fault)
            return web.Response(body=self._file_at(request.match_info["path"]), content_type="application/octet-stream")
        except ApiError as refusal:
            return web.json_response(refusal.json(), status=refusal.code)

    def _file_at(self, path: str) -> bytes:
        for file in self.files.values():
            if file.path == path:
                return file.data
        raise ApiError(404, "Not Found")


def _value(name: str, text: str) -> Any:
    """A form field: everything but texts is JSON, so that numbers, switches and objects come as what they are."""
    if name in TEXTS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _params(request: web.Request) -> Params:
    """The parameters from wherever the Bot API takes them: the address, a form with or without files, or JSON."""
    params: Params = {name: _value(name, text) for name, text in request.query.items()}
    if request.content_type == "application/json":
        return params | await request.json()
    for name, field in (await request.post()).items():
        if isinstance(field, web.FileField):
            data = await asyncio.to_thread(field.file.read)
            if len(data) > UPLOAD_LIMIT:
                raise ApiError(413, "Request Entity Too Large")
            params[name] = Upload(field.filename, data, field.content_type)
        elif isinstance(field, str):
            params[name] = _value(name, field)
        else:
            raise bad("can't parse the request")
    return params
