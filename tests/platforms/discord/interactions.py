"""Interactions: what a click or a command sends to the bot, and what the bot has made of it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .limits import FILE_LIMIT
from .model import Attachment, Message, Upload, User
from .protocol import Event, Payload, snowflake

if TYPE_CHECKING:
    from .channel import Channel

COMMAND, COMPONENT, MODAL_SUBMIT = 2, 3, 5
SLASH, MESSAGE_MENU = 1, 3
USER, ATTACHMENT = 6, 11

CHANNEL_MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE_MESSAGE, MODAL = 4, 5, 6, 7, 9

FIRST_RESPONSE_SECONDS = 3.0
TOKEN_SECONDS = 15 * 60.0


@dataclass(eq=False)
class Interaction:
    """`responses` holds the callbacks' bodies; `original` and `followups` the messages that came of them."""

    channel: Channel
    user: User
    type: int
    data: Payload
    message: Message | None
    id: int = field(default_factory=snowflake)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    responses: list[Payload] = field(default_factory=list)
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    response_due: float = math.inf
    token_until: float = math.inf

    @property
    def response_type(self) -> int | None:
        """How the bot has acknowledged (4 message, 5 and 6 deferred, 7 update, 9 modal), or None."""
        return self.responses[0]["type"] if self.responses else None

    @property
    def modal(self) -> Payload | None:
        return self.responses[0]["data"] if self.response_type == MODAL else None

    @property
    def answers(self) -> list[Message]:
        """The bot's messages for this interaction that are there and no longer 'thinking'."""
        own = [self.original] if self.original is not None and self.original is not self.message else []
        return [message for message in [*own, *self.followups] if not message.deleted and not message.loading]

    def payload(self) -> Payload:
        world, guild = self.channel.world, self.channel.guild
        payload: Payload = {
            "id": str(self.id),
            "application_id": str(world.bot.id),
            "type": self.type,
            "data": self.data,
            "token": self.token,
            "version": 1,
            "channel_id": str(self.channel.id),
            "channel": self.channel.payload(),
            "locale": self.user.locale,
            "entitlements": [],
            "authorizing_integration_owners": {},
            "app_permissions": str(self.channel.permissions),
            "context": 0 if guild else 1,
            "attachment_size_limit": FILE_LIMIT,
        }
        if self.message is not None:
            payload["message"] = self.message.payload()
        if guild is None:
            return payload | {"user": self.user.payload()}
        member = guild.entered(self.user)
        permissions = {"permissions": str(member.permissions)}
        whole = {"id": str(guild.id), "locale": "en-US", "features": []}
        place = {"guild_id": str(guild.id), "guild": whole, "guild_locale": "en-US"}
        return payload | place | {"member": {**member.payload(), **permissions}}


def open_interaction(channel: Channel, user: User, data: Payload, *, message: Message | None = None) -> Interaction:
    """Send an interaction to the bot; its clock starts now."""
    kind = COMMAND if "name" in data else COMPONENT if "component_type" in data else MODAL_SUBMIT
    interaction = Interaction(channel, user, kind, data, message)
    start = channel.world.clock()
    interaction.response_due, interaction.token_until = start + FIRST_RESPONSE_SECONDS, start + TOKEN_SECONDS
    channel.world.interactions[interaction.token] = interaction
    channel.world.dispatch(Event("INTERACTION_CREATE", interaction.payload()))
    return interaction


def component_data(message: Message, custom_id: str, values: Sequence[str]) -> Payload:
    found = {part["custom_id"]: part for part in walk(message.components) if "custom_id" in part}
    assert custom_id in found, f"no component {custom_id!r}; there are {list(found)}"
    component = found[custom_id]
    assert not component.get("disabled"), f"{custom_id!r} is disabled"
    chosen = {"values": list(values)} if values else {}
    return {"custom_id": custom_id, "component_type": component["type"], **chosen}


def modal_data(interaction: Interaction, texts: dict[str, str]) -> Payload:
    """The modal that the bot has opened, filled in: the same tree, with a value in every input."""
    modal = interaction.modal
    assert modal is not None, "the bot has opened no modal"
    known = {part["custom_id"] for part in walk(modal["components"]) if "custom_id" in part}
    assert texts.keys() <= known, f"no inputs {texts.keys() - known}; there are {known}"
    filled = [_filled(part, texts) for part in modal["components"]]
    return {"custom_id": modal["custom_id"], "components": filled, "resolved": {}}


def _filled(part: Payload, texts: dict[str, str]) -> Payload:
    filled: Payload = {key: part[key] for key in ("type", "id", "custom_id") if key in part}
    if "custom_id" in part:
        filled["value"] = texts.get(part["custom_id"], part.get("value", ""))
    if "component" in part:
        filled["component"] = _filled(part["component"], texts)
    if "components" in part:
        filled["components"] = [_filled(child, texts) for child in part["components"]]
    return filled


def walk(components: list[Payload]) -> Iterator[Payload]:
    """Every component of a tree."""
    for part in components:
        yield part
        yield from walk([*part.get("components", ()), *([part["component"]] if "component" in part else [])])


def option_data(channel: Channel, command: Payload, subcommands: Sequence[str], options: dict[str, Any]) -> Payload:
    """What a slash command sends; the types are those that the bot has registered."""
    resolved: Payload = {}
    filled = _options(channel, command, subcommands, options, resolved)
    return {"id": command["id"], "name": command["name"], "type": SLASH, "options": filled, "resolved": resolved}


def _options(
    channel: Channel, schema: Payload, subcommands: Sequence[str], options: dict[str, Any], resolved: Payload
) -> list[Payload]:
    known = {option["name"]: option for option in schema.get("options") or ()}
    if subcommands:
        sub = known[subcommands[0]]
        inner = _options(channel, sub, subcommands[1:], options, resolved)
        return [{"name": sub["name"], "type": sub["type"], "options": inner}]
    missing = [name for name, option in known.items() if option.get("required") and name not in options]
    assert options.keys() <= known.keys(), f"no options {options.keys() - known.keys()}; there are {list(known)}"
    assert not missing, f"these options must be given: {missing}"
    return [
        {"name": name, "type": known[name]["type"], "value": _value(channel, known[name]["type"], value, resolved)}
        for name, value in options.items()
    ]


def _value(channel: Channel, kind: int, value: Any, resolved: Payload) -> Any:
    """Files and people are sent as ids, and as objects under `resolved`."""
    if kind == ATTACHMENT:
        attachment: Attachment = channel.attach(Upload(*value))
        resolved.setdefault("attachments", {})[str(attachment.id)] = attachment.payload()
        return str(attachment.id)
    if kind == USER:
        resolved.setdefault("users", {})[str(value.id)] = value.payload()
        if channel.guild and value.id in channel.guild.members:
            member = channel.guild.members[value.id]
            rights = {"permissions": str(member.permissions)}
            resolved.setdefault("members", {})[str(value.id)] = {**member.payload(with_user=False), **rights}
        return str(value.id)
    return value
