"""A Discord of one's own on 127.0.0.1: REST, gateway and CDN, for the real discord.py to talk to.

It runs in the test's event loop, so that a test sets the scene, lets people act and looks at what the bot made of it,
while the bot is a client in the same loop or a process of its own:

    async with DiscordServer() as server:
        general = server.guild("home").channel("general")
        ...  # point a bot at server.api, server.gateway, server.token
        await server.until(lambda: server.connected)
        await general.say(server.user("Ada"), "hello")
        await server.until(general.bot_messages)
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web

from .channel import Channel
from .gateway import Gateway, Identify
from .interactions import Interaction, modal_data, open_interaction
from .limits import Buckets, Drop, Fault, Faults, Flood, RefusalError, Status, json_response
from .model import Upload, User
from .protocol import Payload
from .rest import BODY, Body, Handler, Rest
from .webhooks import Webhooks
from .world import Guild, World

__all__ = ["DiscordServer", "Drop", "Flood", "Status", "Upload", "User"]

API = "/api/v10"
TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.loopback.discord-server"
LIMITED = re.compile(r"/channels/(\d+)/messages(/\d+)?")
T = TypeVar("T")


@dataclass
class Call:
    """A request as it came; `status` is filled in when it is answered (0: never)."""

    at: float
    method: str
    path: str
    json: Payload
    status: int = 0


class DiscordServer:
    """Everything that a test touches; see the module's docstring for its use."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` decides when interactions and rate limits run out."""
        self.token = TOKEN
        self.url = ""
        self.rate_limits = False
        self.calls: list[Call] = []
        self.world = World(clock)
        self.events = Gateway(self.world, self.token)
        self._faults = Faults()
        self._buckets = Buckets(clock)
        self._runner = web.AppRunner(self._application(), shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = self.world.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.events.drop()
        await self._runner.cleanup()

    # where it is, and who the bot is

    @property
    def api(self) -> str:
        """For discord.http.Route.BASE."""
        return self.url + API

    @property
    def gateway(self) -> str:
        """For discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY (a yarl.URL there)."""
        return self.world.gateway_url

    @property
    def bot(self) -> User:
        return self.world.bot

    # the scene

    def user(self, name: str, id: int | None = None, locale: str = "en-US") -> User:  # noqa: A002 (Discord's word)
        user = User(name, locale=locale) if id is None else User(name, id, locale)
        self.world.users[user.id] = user
        return user

    def guild(self, name: str) -> Guild:
        return Guild(self.world, name)

    def dm(self, user: User) -> Channel:
        return self.world.dm(user)

    async def submit_modal(self, user: User, interaction: Interaction, texts: dict[str, str]) -> Interaction:
        """Fill in the modal that the bot has opened as its answer to `interaction`, and send it."""
        submitted = open_interaction(interaction.channel, user, modal_data(interaction, texts), message=interaction.message)
        await asyncio.sleep(0)
        return submitted

    # what can go wrong

    def fail(self, method: str, route_pattern: str, *faults: Fault) -> None:
        """The next requests that match (`*`: anything; /attachments/* for the CDN, /gateway) meet these, one each."""
        self._faults.add(method, route_pattern, faults)

    def expire(self, interaction: Interaction) -> None:
        """Its three seconds for a first response are over."""
        interaction.response_due = -math.inf

    def expire_token(self, interaction: Interaction) -> None:
        """Its fifteen minutes are over."""
        interaction.token_until = -math.inf

    def disallow(self, intents: int) -> None:
        """Privileged intents that are off in the developer portal: who identifies with them is closed with 4014."""
        self.world.disallowed_intents = intents

    def drop_gateway(self) -> None:
        self.events.drop()

    def mute_gateway(self) -> None:
        self.events.mute()

    def reconnect(self) -> None:
        self.events.reconnect()

    def invalidate(self, *, resumable: bool = False) -> None:
        self.events.invalidate(resumable=resumable)

    # what the bot has done

    @property
    def connected(self) -> bool:
        return self.events.connected

    @property
    def identifies(self) -> list[Identify]:
        return self.events.identifies

    @property
    def resumes(self) -> list[Payload]:
        return self.events.resumes

    @property
    def commands(self) -> list[Payload]:
        """The global commands that are registered; those of a guild are in world.guild_commands."""
        return self.world.commands

    async def until(self, predicate: Callable[[], T], timeout: float = 10) -> T:  # noqa: ASYNC109 (it explains itself)
        """What `predicate` returns once that is true; it is asked again after everything that happens."""
        try:
            async with asyncio.timeout(timeout):
                while not (found := predicate()):
                    self.world.change.clear()
                    await self.world.change.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"not within {timeout} s\n{self.dump()}") from None

    def dump(self) -> str:
        """The last calls and all messages, for a person to read."""
        calls = [f"  {call.method} {call.path} {call.status} {json.dumps(call.json)[:200]}" for call in self.calls[-30:]]
        messages = [
            f"  #{channel.name or 'DM'} {message.author.name}: {message.content[:200]!r}{' (deleted)' * message.deleted}"
            for channel in self.world.channels.values()
            for message in channel.messages[-20:]
        ]
        gateway = f"gateway: {len(self.identifies)} identified, {len(self.resumes)} resumed, connected: {self.connected}"
        return "\n".join([gateway, "calls:", *calls, "messages:", *messages])

    # HTTP

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._answer], client_max_size=64 * 1024 * 1024)
        for method, path, handler in Rest(self.world).routes():
            app.router.add_route(method, API + path, self._for_bot(handler))
        for method, path, handler in Webhooks(self.world).routes():
            app.router.add_route(method, API + path, handler)
        app.router.add_get("/gateway", self.events.handle)
        app.router.add_get("/attachments/{channel}/{id}/{name}", self._attachment)
        return app

    def _for_bot(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != f"Bot {self.token}":
                return json_response({"message": "401: Unauthorized", "code": 0}, status=HTTPStatus.UNAUTHORIZED)
            return await handler(request)

        return guarded

    async def _attachment(self, request: web.Request) -> web.Response:
        attachment = self.world.attachments.get(int(request.match_info["id"]))
        if attachment is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return web.Response(body=attachment.data, content_type=attachment.upload.content_type)

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Write the call down, then answer it: with a fault, a refusal or what it asks for."""
        request[BODY] = await _read(request)
        path = request.path.removeprefix(API)
        call = Call(time.monotonic(), request.method, path, request[BODY].json)
        self.calls.append(call)
        self.world.changed()
        response = await self._carry_out(request, path, handler)
        call.status = response.status
        self.world.changed()
        return response

    async def _carry_out(self, request: web.Request, path: str, handler: Handler) -> web.StreamResponse:
        fault = self._faults.next(request.method, path)
        if isinstance(fault, Flood | Status):
            return fault.response()
        if isinstance(fault, Drop):
            if fault.after:
                await _refusable(handler, request)
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        limited = LIMITED.fullmatch(path) if self.rate_limits and request.method in ("POST", "PATCH") else None
        if limited is None:
            return await _refusable(handler, request)
        flood, headers = self._buckets.take(f"{request.method.lower()}-messages:{limited[1]}")
        response = flood.response() if flood else await _refusable(handler, request)
        response.headers.update(headers)
        return response


async def _refusable(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], request: web.Request
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusalError as refusal:
        return refusal.response()
    except web.HTTPException as error:  # no such route
        return json_response({"message": f"{error.status}: {error.reason}", "code": 0}, status=error.status)


async def _read(request: web.Request) -> Body:
    """JSON, or a form with `payload_json` and `files[n]`."""
    if request.content_type == "application/json":
        data = await request.json()
        return Body(listed=data) if isinstance(data, list) else Body(data)
    if request.content_type != "multipart/form-data":
        return Body()
    form, body = await request.post(), Body()
    for name, value in form.items():
        if isinstance(value, web.FileField):
            body.uploads.append(Upload(value.filename, value.file.read(), value.content_type))
        elif name == "payload_json" and isinstance(value, str):
            body.json = json.loads(value)
    return body
