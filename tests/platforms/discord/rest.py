"""The REST API that a bot uses: itself, its commands, channels, messages, reactions, threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from .channel import Channel
from .interactions import SLASH
from .limits import RefusalError, check_form, invalid, json_response
from .model import Message, Upload
from .protocol import LOADING, MESSAGE_CONTENT, REPLY, Payload, snowflake
from .world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Body:
    """A request's JSON (`listed`, where it is a list) and its files, whichever way they were sent."""

    json: Payload = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)
    listed: list[Payload] = field(default_factory=list)


BODY: web.RequestKey[Body] = web.RequestKey("body", Body)


def no_content() -> web.Response:
    return web.Response(status=204)


class Rest:
    """Handlers for everything that the bot's token opens."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[tuple[str, str, Handler]]:
        messages, message = "/channels/{channel}/messages", "/channels/{channel}/messages/{message}"
        reaction = message + "/reactions/{emoji}/{user}"
        handlers: list[tuple[str, str, Handler]] = [
            ("GET", "/users/@me", self.me),
            ("GET", "/users/{user}", self.user),
            ("POST", "/users/@me/channels", self.open_dm),
            ("GET", "/gateway/bot", self.gateway),
            ("GET", "/applications/@me", self.application),
            ("GET", "/oauth2/applications/@me", self.application),
            ("GET", "/guilds/{guild}/members/{user}", self.member),
            ("GET", "/channels/{channel}", self.channel),
            ("POST", "/channels/{channel}/typing", self.type),
            ("POST", "/channels/{channel}/threads", self.start_thread),
            ("PUT", "/channels/{channel}/thread-members/@me", self.join_thread),
            ("GET", messages, self.history),
            ("POST", messages, self.send),
            ("GET", message, self.message),
            ("PATCH", message, self.edit),
            ("DELETE", message, self.delete),
            ("POST", message + "/threads", self.start_thread),
            ("PUT", reaction, self.react),
            ("DELETE", reaction, self.unreact),
        ]
        for scope in ("/applications/{application}/commands", "/applications/{application}/guilds/{guild}/commands"):
            handlers += [
                ("GET", scope, self.commands),
                ("PUT", scope, self.replace_commands),
                ("POST", scope, self.add_command),
            ]
        return handlers

    # the bot itself

    async def me(self, request: web.Request) -> web.Response:
        return json_response(self.world.bot.payload() | {"mfa_enabled": False, "verified": True})

    async def user(self, request: web.Request) -> web.Response:
        user = self.world.users.get(int(request.match_info["user"]))
        if user is None:
            raise RefusalError(10013)
        return json_response(user.payload())

    async def gateway(self, request: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        return json_response({"url": self.world.gateway_url, "shards": 1, "session_start_limit": limit})

    async def application(self, request: web.Request) -> web.Response:
        bot = self.world.bot
        return json_response(
            {
                "id": str(bot.id),
                "name": bot.name,
                "description": "",
                "icon": None,
                "summary": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "flags": self.world.application_flags,
                "owner": {**bot.payload(), "id": "1", "username": "owner"},
                "team": None,
            }
        )

    # commands

    def _commands(self, request: web.Request) -> list[Payload]:
        guild = request.match_info.get("guild")
        return self.world.commands if guild is None else self.world.guild_commands.setdefault(int(guild), [])

    async def commands(self, request: web.Request) -> web.Response:
        return json_response(self._commands(request))

    async def replace_commands(self, request: web.Request) -> web.Response:
        self._commands(request)[:] = [self._registered(request, command) for command in request[BODY].listed]
        return json_response(self._commands(request))

    async def add_command(self, request: web.Request) -> web.Response:
        command = self._registered(request, request[BODY].json)
        others = [old for old in self._commands(request) if (old["name"], old["type"]) != (command["name"], command["type"])]
        self._commands(request)[:] = [*others, command]
        return json_response(command, status=201)

    def _registered(self, request: web.Request, command: Payload) -> Payload:
        ids = {"id": str(snowflake()), "application_id": str(self.world.bot.id), "version": "1"}
        guild = {"guild_id": request.match_info["guild"]} if "guild" in request.match_info else {}
        return {"type": SLASH, "description": "", "default_member_permissions": None, **command, **ids, **guild}

    # channels

    def _channel(self, request: web.Request, *permissions: str) -> Channel:
        """The channel that is asked for, if the bot is let in and has the permissions."""
        channel = self.world.channels.get(int(request.match_info["channel"]))
        if channel is None:
            raise RefusalError(10003)
        if not channel.permits("view") or (channel.guild and channel.guild.id not in self.world.guilds):
            raise RefusalError(50001)
        if not all(channel.permits(name) for name in permissions):
            raise RefusalError(50013)
        return channel

    def _message(self, request: web.Request, *permissions: str) -> Message:
        message = self._channel(request, *permissions).message(int(request.match_info["message"]))
        if message is None:
            raise RefusalError(10008)
        return message

    def _shown(self, message: Message) -> Payload:
        """An application without the content intent reads no more over HTTP than over the gateway."""
        return message.payload(redacted=bool(self.world.disallowed_intents & MESSAGE_CONTENT))

    async def channel(self, request: web.Request) -> web.Response:
        return json_response(self._channel(request).payload())

    async def member(self, request: web.Request) -> web.Response:
        guild = self.world.guilds.get(int(request.match_info["guild"]))
        if guild is None:
            raise RefusalError(10004)
        member = guild.members.get(int(request.match_info["user"]))
        if member is None:
            raise RefusalError(10007)
        return json_response(member.payload())

    async def open_dm(self, request: web.Request) -> web.Response:
        user = self.world.users.get(int(request[BODY].json["recipient_id"]))
        if user is None:
            raise RefusalError(10013)
        return json_response(self.world.dm(user).payload())

    async def type(self, request: web.Request) -> web.Response:
        self._channel(request, "send").typing.append(self.world.clock())
        return no_content()

    async def start_thread(self, request: web.Request) -> web.Response:
        channel = self._channel(request, "create_threads")
        if channel.guild is None:
            raise RefusalError(50003)
        message = self._message(request) if "message" in request.match_info else None
        if message is not None and message.id in self.world.channels:
            raise RefusalError(160004)
        thread = channel.guild.thread(channel, self.world.bot, request[BODY].json["name"], message)
        thread.joined = True
        return json_response(thread.payload(), status=201)

    async def join_thread(self, request: web.Request) -> web.Response:
        self._channel(request).joined = True
        return no_content()

    # messages

    async def history(self, request: web.Request) -> web.Response:
        """The newest first; nothing at all without the permission to read the history."""
        channel = self._channel(request)
        found = [message for message in channel.messages if not message.deleted]
        query = {name: int(request.query[name]) for name in ("before", "after", "around") if name in request.query}
        limit = int(request.query.get("limit", 50))
        if "before" in query:
            found = [message for message in found if message.id < query["before"]]
        if "after" in query:
            found = [message for message in found if message.id > query["after"]][:limit]
        if "around" in query:
            found = sorted(found, key=lambda message: abs(message.id - query["around"]))[:limit]
            found.sort(key=lambda message: message.id)
        newest = found[::-1][:limit] if channel.permits("read_history") else []
        return json_response([self._shown(message) for message in newest])

    async def message(self, request: web.Request) -> web.Response:
        return json_response(self._shown(self._message(request, "read_history")))

    async def send(self, request: web.Request) -> web.Response:
        channel, body = self._channel(request, "send"), request[BODY]
        if channel.recipient is not None and not channel.recipient.accepts_dms:
            raise RefusalError(50007)
        _permit_extras(channel, body)
        if repeated := _sent_before(channel, body.json):
            return json_response(repeated.payload())
        message = compose(channel, body)
        message.reply_to = _reply_target(channel, body.json)
        message.type = REPLY if message.reply_to is not None else 0
        message.pinged = channel.pinged(message)
        channel.post(message)
        return json_response(message.payload())

    async def edit(self, request: web.Request) -> web.Response:
        message, body = self._message(request), request[BODY]
        if message.author is not self.world.bot:
            raise RefusalError(50005)
        _permit_extras(message.channel, body)
        change(message, body)
        return json_response(message.payload())

    async def delete(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.author is not self.world.bot:
            if message.channel.is_dm:
                raise RefusalError(50003)
            if not message.channel.permits("manage_messages"):
                raise RefusalError(50013)
        message.channel.erase(message)
        return no_content()

    async def react(self, request: web.Request) -> web.Response:
        message, emoji = self._message(request, "read_history"), request.match_info["emoji"]
        if not message.reactions.get(emoji) and not message.channel.permits("add_reactions"):
            raise RefusalError(50013)
        message.channel.add_reaction(self.world.bot, message, emoji)
        return no_content()

    async def unreact(self, request: web.Request) -> web.Response:
        message, name = self._message(request), request.match_info["user"]
        own = name == "@me"
        if not own and not message.channel.permits("manage_messages"):
            raise RefusalError(50013)
        user = self.world.bot if own else self.world.users[int(name)]
        message.channel.remove_reaction(user, message, request.match_info["emoji"])
        return no_content()


def compose(channel: Channel, body: Body) -> Message:
    """The bot's new message, if its form is one that Discord takes; not posted yet."""
    data = body.json
    check_form(data, body.uploads)
    message = Message(
        channel,
        channel.world.bot,
        data.get("content") or "",
        attachments=[channel.attach(upload) for upload in body.uploads],
        embeds=data.get("embeds") or [],
        components=data.get("components") or [],
        flags=data.get("flags") or 0,
        nonce=data.get("nonce"),
        allowed_mentions=data.get("allowed_mentions"),
        at=channel.world.clock(),
    )
    if message.empty:
        raise RefusalError(50006)
    message.pinged = channel.pinged(message)
    return message


def change(message: Message, body: Body) -> None:
    """Edit: what is named is replaced, what is not named stays; `attachments` names the files that stay."""
    data = body.json
    check_form(data, body.uploads)
    content = message.content if "content" not in data else data["content"] or ""
    embeds = message.embeds if "embeds" not in data else data["embeds"] or []
    components = message.components if "components" not in data else data["components"] or []
    attachments = message.attachments
    if data.get("attachments") is not None:
        kept = {str(attachment["id"]) for attachment in data["attachments"]}
        attachments = [attachment for attachment in attachments if str(attachment.id) in kept]
    if not (content.strip() or embeds or components or attachments or body.uploads or message.stickers):
        raise RefusalError(50006)
    message.content, message.embeds, message.components = content, embeds, components
    message.attachments = [*attachments, *(message.channel.attach(upload) for upload in body.uploads)]
    message.allowed_mentions = data.get("allowed_mentions", message.allowed_mentions)
    message.flags &= ~LOADING
    message.channel.edited(message)


def _permit_extras(channel: Channel, body: Body) -> None:
    if (body.json.get("embeds") and not channel.permits("embed")) or (body.uploads and not channel.permits("attach")):
        raise RefusalError(50013)


def _sent_before(channel: Channel, data: Payload) -> Message | None:
    """With enforce_nonce a repeated request (its answer was lost) finds the message that it has made."""
    if not data.get("enforce_nonce"):
        return None
    return next((message for message in channel.bot_messages() if message.nonce == data["nonce"]), None)


def _reply_target(channel: Channel, data: Payload) -> Message | None:
    reference = data.get("message_reference")
    if reference is None:
        return None
    if not channel.permits("read_history"):
        raise RefusalError(160002)
    target = channel.message(int(reference["message_id"]))
    if target is None and reference.get("fail_if_not_exists", True):
        raise invalid("message_reference", "Unknown message", "REPLIES_UNKNOWN_MESSAGE")
    return target
