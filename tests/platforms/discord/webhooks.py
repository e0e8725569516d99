"""Answers to interactions: the callback and the webhook that the interaction's token opens."""

from __future__ import annotations

from aiohttp import web

from .interactions import (
    CHANNEL_MESSAGE,
    COMMAND,
    DEFERRED_MESSAGE,
    DEFERRED_UPDATE,
    MESSAGE_MENU,
    UPDATE_MESSAGE,
    Interaction,
)
from .limits import RefusalError, json_response
from .model import Message
from .protocol import CONTEXT_ANSWER, EPHEMERAL, LOADING, SLASH_ANSWER, Payload
from .rest import BODY, Body, Handler, change, compose, no_content
from .world import World


class Webhooks:
    """Handlers that need no bot token: the interaction's own token is the key."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[tuple[str, str, Handler]]:
        message = "/webhooks/{application}/{token}/messages/{message}"
        return [
            ("POST", "/interactions/{id}/{token}/callback", self.callback),
            ("POST", "/webhooks/{application}/{token}", self.follow_up),
            ("GET", message, self.message),
            ("PATCH", message, self.edit),
            ("DELETE", message, self.delete),
        ]

    async def callback(self, request: web.Request) -> web.Response:
        interaction = self.world.interactions.get(request.match_info["token"])
        if interaction is None:
            raise RefusalError(10062)
        if interaction.responses:
            raise RefusalError(40060)
        if self.world.clock() > interaction.response_due:
            raise RefusalError(10062)
        body = request[BODY]
        respond(interaction, body)
        if request.query.get("with_response") not in ("1", "true"):
            return no_content()
        return json_response(_callback_answer(interaction, body.json["type"]))

    async def follow_up(self, request: web.Request) -> web.Response:
        """The first follow-up to a deferred answer becomes that answer, and is as private as it was deferred."""
        interaction, body = self._interaction(request), request[BODY]
        if interaction.original is not None and interaction.original.loading:
            change(interaction.original, body)
            return json_response(interaction.original.payload())
        message = _compose(interaction, body)
        interaction.followups.append(message)
        interaction.channel.post(message)
        return json_response(message.payload())

    async def message(self, request: web.Request) -> web.Response:
        return json_response(self._message(request).payload())

    async def edit(self, request: web.Request) -> web.Response:
        message = self._message(request)
        change(message, request[BODY])
        return json_response(message.payload())

    async def delete(self, request: web.Request) -> web.Response:
        message = self._message(request)
        message.channel.erase(message)
        return no_content()

    def _interaction(self, request: web.Request) -> Interaction:
        interaction = self.world.interactions.get(request.match_info["token"])
        if interaction is None or not interaction.responses:
            raise RefusalError(10015)
        if self.world.clock() > interaction.token_until:
            raise RefusalError(50027)
        return interaction

    def _message(self, request: web.Request) -> Message:
        interaction, name = self._interaction(request), request.match_info["message"]
        own = {str(message.id): message for message in interaction.followups}
        if interaction.original is not None:
            own |= {"@original": interaction.original, str(interaction.original.id): interaction.original}
        if name not in own or own[name].deleted:
            raise RefusalError(10008)
        return own[name]


def respond(interaction: Interaction, body: Body) -> None:
    """Carry out a first response. It counts as one only when nothing in it is refused."""
    kind, data = body.json["type"], body.json.get("data") or {}
    content = Body(data, body.uploads)
    if kind == CHANNEL_MESSAGE:
        interaction.original = _compose(interaction, content)
        interaction.channel.post(interaction.original)
    elif kind == DEFERRED_MESSAGE:
        flags = LOADING | data.get("flags", 0) & EPHEMERAL
        interaction.original = _own(interaction, Message(interaction.channel, interaction.channel.world.bot, flags=flags))
        interaction.channel.post(interaction.original)
    elif kind in (DEFERRED_UPDATE, UPDATE_MESSAGE):
        interaction.original = interaction.message
        if kind == UPDATE_MESSAGE and interaction.message is not None:
            change(interaction.message, content)
    interaction.responses.append(body.json)


def _compose(interaction: Interaction, body: Body) -> Message:
    return _own(interaction, compose(interaction.channel, body))


def _own(interaction: Interaction, message: Message) -> Message:
    message.interaction = interaction
    if interaction.type == COMMAND:
        message.type = CONTEXT_ANSWER if interaction.data["type"] == MESSAGE_MENU else SLASH_ANSWER
    message.at = interaction.channel.world.clock()
    return message


def _callback_answer(interaction: Interaction, kind: int) -> Payload:
    answer: Payload = {"id": str(interaction.id), "type": interaction.type}
    if interaction.original is None:
        return {"interaction": answer}
    original = interaction.original
    answer |= {
        "response_message_id": str(original.id),
        "response_message_loading": original.loading,
        "response_message_ephemeral": original.ephemeral,
    }
    return {"interaction": answer, "resource": {"type": kind, "message": original.payload()}}
