"""The gateway: sessions that live longer than their sockets, so that RESUME has something to replay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from .protocol import MESSAGE_CONTENT, Event, Payload
from .world import World

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, REQUEST_MEMBERS, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 8, 9, 10, 11
UNKNOWN_TOKEN, DISALLOWED_INTENTS = 4004, 4014
CLIENT_SAID_GOODBYE = (1000, 1001)
WHOLE_GUILDS = ("GUILD_CREATE", "GUILD_DELETE")
"""Their id is that of the guild."""


@dataclass(frozen=True)
class Identify:
    """An IDENTIFY that came: `data` is its d."""

    at: float
    intents: int
    data: Payload


class Connection:
    """One socket. What is sent goes through an outbox: setting a scene must not wait for the network."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.transport = request.transport
        self.muted = False
        self.session: Session | None = None
        self._outbox: asyncio.Queue[Payload] = asyncio.Queue()
        # Anything but zlib-stream gets plain JSON, which clients read as well.
        self._deflate = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None

    def send(self, op: int, data: object = None, **more: object) -> None:
        self._outbox.put_nowait({"op": op, "d": data, "s": None, "t": None, **more})

    async def write(self) -> None:
        """Send what the outbox holds, until the socket is gone."""
        while True:
            text = json.dumps(await self._outbox.get())
            if self.muted:
                continue
            if self._deflate is None:
                await self.socket.send_str(text)
            else:
                await self.socket.send_bytes(self._deflate.compress(text.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    async def close(self, code: int) -> None:
        await self.socket.close(code=code)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


@dataclass(eq=False)
class Session:
    """What IDENTIFY began. It goes on numbering events while its socket is away."""

    intents: int
    connection: Connection | None
    shard: tuple[int, int] = (0, 1)
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    events: list[tuple[str, Payload]] = field(default_factory=list)

    def serves(self, guild_id: int) -> bool:
        """Whether that guild (0: direct messages) is this shard's (https://discord.com/developers/docs/topics/gateway#sharding)."""
        return (guild_id >> 22) % self.shard[1] == self.shard[0]

    def push(self, name: str, payload: Payload) -> None:
        self.events.append((name, payload))
        self._send(len(self.events))

    def replay(self, seen: int) -> None:
        for number in range(seen + 1, len(self.events) + 1):
            self._send(number)

    def _send(self, number: int) -> None:
        name, payload = self.events[number - 1]
        if self.connection is not None:
            self.connection.send(DISPATCH, payload, s=number, t=name)


class Gateway:
    """Serves the websocket. `heartbeat_acks` and `heartbeat_interval` (seconds) are for tests to set."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.token = token
        self.heartbeat_acks = True
        self.heartbeat_interval = 41.25
        self.identifies: list[Identify] = []
        self.resumes: list[Payload] = []
        self.connections: list[Connection] = []
        self._sessions: dict[str, Session] = {}
        world.listeners.append(self._dispatch)

    @property
    def connected(self) -> bool:
        """Whether a bot has identified or resumed on a socket that lives."""
        return any(connection.session is not None for connection in self.connections)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(socket, request)
        writer = asyncio.create_task(connection.write())
        self.connections.append(connection)
        connection.send(HELLO, {"heartbeat_interval": int(self.heartbeat_interval * 1000)})
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._receive(connection, json.loads(message.data))
        finally:
            self._forget(connection)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer
            self.world.changed()
        return socket

    def drop(self) -> None:
        """Abort every socket, as a network does."""
        for connection in self.connections:
            connection.abort()

    def reconnect(self) -> None:
        """Op 7: come back on another socket."""
        for connection in self.connections:
            connection.send(RECONNECT)

    def invalidate(self, *, resumable: bool = False) -> None:
        """Op 9; a session that is not resumable is forgotten, also while its bot is away."""
        if not resumable:
            self._sessions.clear()
        for connection in self.connections:
            connection.send(INVALID_SESSION, resumable)

    def mute(self) -> None:
        """The sockets of now stay open and say nothing more, as behind a dead NAT; new ones work."""
        for connection in self.connections:
            connection.muted = True

    def _forget(self, connection: Connection) -> None:
        self.connections.remove(connection)
        session = connection.session
        if session is None or session.connection is not connection:
            return
        session.connection = None
        if connection.socket.close_code in CLIENT_SAID_GOODBYE:
            self._sessions.pop(session.id, None)

    def _dispatch(self, event: Event) -> None:
        guild_id = int(event.payload.get("guild_id") or (event.payload["id"] if event.name in WHOLE_GUILDS else 0))
        for session in self._sessions.values():
            if session.serves(guild_id) and (event.intent & session.intents or not event.intent):
                full = bool(session.intents & MESSAGE_CONTENT) or event.redacted is None
                session.push(event.name, event.payload if full else event.redacted or {})

    async def _receive(self, connection: Connection, message: Payload) -> None:
        if connection.muted:
            return
        op, data = message["op"], message.get("d")
        if op == HEARTBEAT and self.heartbeat_acks:
            connection.send(ACK)
        elif op == IDENTIFY and isinstance(data, dict):
            await self._identify(connection, data)
        elif op == RESUME and isinstance(data, dict):
            self._resume(connection, data)
        elif op == REQUEST_MEMBERS and isinstance(data, dict):
            self._members(connection, data)
        self.world.changed()

    async def _identify(self, connection: Connection, data: Payload) -> None:
        intents = data.get("intents", 0)
        self.identifies.append(Identify(time.monotonic(), intents, data))
        if data["token"] != self.token:
            await connection.close(UNKNOWN_TOKEN)
            return
        if intents & self.world.disallowed_intents:
            await connection.close(DISALLOWED_INTENTS)
            return
        index, count = data.get("shard") or (0, 1)
        session = connection.session = Session(intents, connection, (index, count))
        attached = {key: old for key, old in self._sessions.items() if old.connection is not None}
        self._sessions = {**attached, session.id: session}
        bot = self.world.bot
        guilds = [guild for guild in self.world.guilds.values() if session.serves(guild.id)]
        session.push(
            "READY",
            {
                "v": 10,
                "user": bot.payload(),
                "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
                "session_id": session.id,
                "shard": [index, count],
                "resume_gateway_url": self.world.gateway_url,
                "application": {"id": str(bot.id), "flags": self.world.application_flags},
            },
        )
        for guild in guilds:
            session.push("GUILD_CREATE", guild.event())

    def _resume(self, connection: Connection, data: Payload) -> None:
        self.resumes.append(data)
        session = self._sessions.get(data["session_id"])
        if session is None or data["token"] != self.token:
            connection.send(INVALID_SESSION, False)
            return
        connection.session, session.connection = session, connection
        session.replay(data["seq"])
        session.push("RESUMED", {})

    def _members(self, connection: Connection, data: Payload) -> None:
        guild = self.world.guilds[int(_one(data["guild_id"]))]
        if connection.session is None:
            return
        wanted = {int(user) for user in data.get("user_ids") or ()}
        found = [member.payload() for member in guild.members.values() if not wanted or member.user.id in wanted]
        chunk = {"guild_id": str(guild.id), "members": found, "chunk_index": 0, "chunk_count": 1, "not_found": []}
        connection.session.push("GUILD_MEMBERS_CHUNK", chunk | {"nonce": data.get("nonce"), "presences": []})


def _one(value: str | Iterable[str]) -> str:
    return value if isinstance(value, str) else next(iter(value))
