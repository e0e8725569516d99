"""The Bot API's methods about the bot itself, about chats, and about files."""

from __future__ import annotations

import re

from tests.platforms.telegram.chat import Chat
from tests.platforms.telegram.faults import bad
from tests.platforms.telegram.messages import Person
from tests.platforms.telegram.methods import Params, chat_of, method
from tests.platforms.telegram.text import Json, units
from tests.platforms.telegram.world import World

COMMAND = re.compile(r"[a-z0-9_]{1,32}")
PROFILE = {
    "setMyName": ("name", 64),
    "setMyDescription": ("description", 512),
    "setMyShortDescription": ("short_description", 120),
}
GIFTS = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")


@method("getMe")
def get_me(world: World, _params: Params) -> Json:
    abilities = {"can_join_groups": True, "supports_inline_queries": False, "can_connect_to_business": False}
    return world.bot.json() | abilities | {"can_read_all_group_messages": world.reads_all, "has_main_web_app": False}


def _scope(params: Params) -> tuple[str, str]:
    scope = params.get("scope") or {"type": "default"}
    where = ":".join(str(scope[key]) for key in ("type", "chat_id", "user_id") if key in scope)
    return where, params.get("language_code") or ""


@method("setMyCommands")
def set_my_commands(world: World, params: Params) -> bool:
    for command in params.get("commands") or []:
        if not COMMAND.fullmatch(command["command"]):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= units(command["description"]) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
    world.commands[_scope(params)] = params.get("commands") or []
    return True


@method("getMyCommands")
def get_my_commands(world: World, params: Params) -> list[Json]:
    return world.commands.get(_scope(params), [])


@method("deleteMyCommands")
def delete_my_commands(world: World, params: Params) -> bool:
    world.commands.pop(_scope(params), None)
    return True


def _profile_method(name: str, field: str, limit: int) -> None:
    @method(name)
    def set_profile(world: World, params: Params) -> bool:
        text = str(params.get(field) or "")
        if units(text) > limit:
            raise bad(f"{field} is too long")
        world.profile[name, params.get("language_code") or ""] = text
        return True


for _name, (_field, _limit) in PROFILE.items():
    _profile_method(_name, _field, _limit)


@method("getChat")
def get_chat(world: World, params: Params) -> Json:
    full = {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": dict.fromkeys(GIFTS, False)}
    return chat_of(world, params).json() | full


def _everyone(world: World, chat: Chat) -> list[Person]:
    known = world.people | {world.bot.id: world.bot}
    return [known[user] for user in chat.members if user in known]


@method("getChatMember")
def get_chat_member(world: World, params: Params) -> Json:
    chat = chat_of(world, params)
    person = (world.people | {world.bot.id: world.bot}).get(params.get("user_id") or 0)
    if person is None:
        raise bad("PARTICIPANT_ID_INVALID")
    return chat.member_json(person)


@method("getChatAdministrators")
def get_chat_administrators(world: World, params: Params) -> list[Json]:
    chat = chat_of(world, params)
    if chat.private:
        raise bad("there are no administrators in the private chat")
    members = [chat.member_json(person) for person in _everyone(world, chat)]
    return [member for member in members if member["status"] in ("creator", "administrator")]


@method("getChatMemberCount")
def get_chat_member_count(world: World, params: Params) -> int:
    return len(chat_of(world, params).members)


@method("getFile")
def get_file(world: World, params: Params) -> Json:
    file = world.files.get(str(params.get("file_id")))
    if file is None:
        raise bad("invalid file_id")
    if file.size > world.download_limit:
        raise bad("file is too big")
    return file.json() | {"file_path": file.path}
