"""The Bot API's methods that send, change and delete; each returns its result or raises Telegram's refusal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from telegram.constants import ReactionEmoji

from tests.platforms.telegram.chat import Chat, Draft
from tests.platforms.telegram.faults import bad
from tests.platforms.telegram.messages import Answer, Message, StoredFile
from tests.platforms.telegram.text import Json, units, visible
from tests.platforms.telegram.world import World

TEXT_LIMIT, CAPTION_LIMIT, CALLBACK_LIMIT, ANSWER_LIMIT = 4096, 1024, 64, 200
PHOTO_LIMIT = 10 * 1024 * 1024
REACTIONS = {emoji.value for emoji in ReactionEmoji}
ACTIONS = {
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
}
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)
Params = dict[str, Any]
Method = Callable[[World, Params], Any]
METHODS: dict[str, Method] = {}


@dataclass(frozen=True)
class Upload:
    name: str
    data: bytes
    mime: str


def method(name: str) -> Callable[[Method], Method]:
    def register(function: Method) -> Method:
        METHODS[name.lower()] = function
        return function

    return register


def chat_of(world: World, params: Params) -> Chat:
    """The chat that the call names, if the bot can talk there."""
    if params.get("chat_id") in (None, ""):
        raise bad("chat_id is empty")
    chat = world.chats.get(params["chat_id"])
    if chat is None:
        raise bad("chat not found")
    chat.check_open()
    return chat


def text_of(params: Params, name: str, limit: int, too_long: str) -> tuple[str, list[Json]]:
    entities = params.get("entities" if name == "text" else "caption_entities") or []
    text, entities = visible(str(params.get(name) or ""), params.get("parse_mode"), entities)
    if units(text) > limit:
        raise bad(too_long)
    return text, entities


def message_text(params: Params) -> tuple[str, list[Json]]:
    text, entities = text_of(params, "text", TEXT_LIMIT, "message is too long")
    if not text:
        raise bad("message text is empty")
    return text, entities


def markup_of(params: Params) -> Json | None:
    markup = params.get("reply_markup") or None
    for row in (markup or {}).get("inline_keyboard", []):
        for button in row:
            if not button.get("text") or len(button) < 2:
                raise bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
            data = button.get("callback_data")
            if data is not None and not 1 <= len(data.encode()) <= CALLBACK_LIMIT:
                raise bad("BUTTON_DATA_INVALID")
    return markup


def replied(chat: Chat, params: Params) -> Message | None:
    reply = params.get("reply_parameters") or {}
    if not reply.get("message_id"):
        return None
    found = chat.find(reply["message_id"])
    if found is None and not reply.get("allow_sending_without_reply"):
        raise bad("message to be replied not found")
    return found


def post(world: World, params: Params, **what: Any) -> Json:
    """A message of the bot's; all that can be refused is looked at before."""
    chat = chat_of(world, params)
    thread = params.get("message_thread_id")
    chat.check_thread(thread)
    markup, reply_to = markup_of(params), replied(chat, params)
    return chat.add(Message(chat, 0, world.bot, markup=markup, reply_to=reply_to, thread=thread, **what)).json()


@method("sendMessage")
def send_message(world: World, params: Params) -> Json:
    chat_of(world, params)
    text, entities = message_text(params)
    return post(world, params, text=text, entities=entities)


def uploaded(world: World, params: Params, name: str) -> Upload | StoredFile:
    """A file of this request, in a part of its own or as attach://, or one that Telegram has already."""
    value = params.get(name)
    if isinstance(value, str) and value.startswith("attach://"):
        value = params.get(value.removeprefix("attach://"))
    if isinstance(value, Upload):
        if not value.data:
            raise bad("file must be non-empty")
        return value
    if value in world.files:
        return world.files[value]
    raise bad("wrong file identifier/HTTP URL specified" if value else f"there is no {name} in the request")


@method("sendDocument")
def send_document(world: World, params: Params) -> Json:
    chat_of(world, params)
    text, entities = text_of(params, "caption", CAPTION_LIMIT, "message caption is too long")
    given = uploaded(world, params, "document")
    name, mime = (given.name, given.mime) if isinstance(given, Upload) else (given.path, "application/octet-stream")
    file = world.store(given.data, "documents", given.name) if isinstance(given, Upload) else given
    content = {"document": file.json() | {"file_name": name, "mime_type": mime}}
    return post(world, params, text=text, entities=entities, content=content, file=file)


@method("sendPhoto")
def send_photo(world: World, params: Params) -> Json:
    chat_of(world, params)
    text, entities = text_of(params, "caption", CAPTION_LIMIT, "message caption is too long")
    data = uploaded(world, params, "photo").data
    if len(data) > PHOTO_LIMIT:
        raise bad(f"file of size {len(data)} bytes is too big for a photo; the maximum size is {PHOTO_LIMIT} bytes")
    file, sizes = world.store_photo(data)
    return post(world, params, text=text, entities=entities, content={"photo": sizes}, file=file)


def own(world: World, params: Params, what: str) -> Message:
    found = chat_of(world, params).find(params.get("message_id"))
    if found is None:
        raise bad(f"message to {what} not found")
    if found.sender != world.bot:
        raise bad(f"message can't be {what}ed")
    return found


def rewrite(message: Message, text: str, entities: list[Json], markup: Json | None) -> Json:
    if (text, entities, markup) == (message.text, message.entities, message.markup):
        raise bad(NOT_MODIFIED)
    message.rewrite(text, entities, markup)
    return message.json()


@method("editMessageText")
def edit_message_text(world: World, params: Params) -> Json:
    message = own(world, params, "edit")
    if message.content:
        raise bad("there is no text in the message to edit")
    return rewrite(message, *message_text(params), markup_of(params))


@method("editMessageCaption")
def edit_message_caption(world: World, params: Params) -> Json:
    message = own(world, params, "edit")
    if not message.content:
        raise bad("there is no caption in the message to edit")
    caption = text_of(params, "caption", CAPTION_LIMIT, "message caption is too long")
    return rewrite(message, *caption, markup_of(params))


@method("editMessageReplyMarkup")
def edit_message_reply_markup(world: World, params: Params) -> Json:
    message = own(world, params, "edit")
    return rewrite(message, message.text, message.entities, markup_of(params))


@method("deleteMessage")
def delete_message(world: World, params: Params) -> bool:
    chat = chat_of(world, params)
    found = chat.find(params.get("message_id"))
    if found is None:
        raise bad("message to delete not found")
    if found.sender != world.bot and not chat.private and chat.members[world.bot.id] != "administrator":
        raise bad("message can't be deleted")
    found.deleted = True
    return True


@method("sendChatAction")
def send_chat_action(world: World, params: Params) -> bool:
    chat = chat_of(world, params)
    chat.check_thread(params.get("message_thread_id"))
    if params.get("action") not in ACTIONS:
        raise bad("wrong parameter action in request")
    chat.actions.append((time.monotonic(), params["action"]))
    return True


@method("sendMessageDraft")
def send_message_draft(world: World, params: Params) -> bool:
    chat = chat_of(world, params)
    if not chat.private:
        raise bad("TEXTDRAFT_PEER_INVALID")
    if not params.get("draft_id"):
        raise bad("RANDOM_ID_INVALID")
    text, _ = text_of(params, "text", TEXT_LIMIT, "message is too long")
    chat.drafts.append(Draft(time.monotonic(), params["draft_id"], text, params.get("message_thread_id")))
    return True


@method("setMessageReaction")
def set_message_reaction(world: World, params: Params) -> bool:
    found = chat_of(world, params).find(params.get("message_id"))
    if found is None:
        raise bad("message to react not found")
    emojis = [reaction.get("emoji", "") for reaction in params.get("reaction") or []]
    if not REACTIONS.issuperset(emojis):
        raise bad("REACTION_INVALID")
    if len(emojis) > 1:
        raise bad("REACTIONS_TOO_MANY")
    found.reactions = emojis
    return True


@method("answerCallbackQuery")
def answer_callback_query(world: World, params: Params) -> bool:
    press = world.presses.get(str(params.get("callback_query_id")))
    if press is None or press.expired or press.answer.done():
        raise bad("query is too old and response timeout expired or query ID is invalid")
    text = str(params.get("text") or "")
    if units(text) > ANSWER_LIMIT:
        raise bad("MESSAGE_TOO_LONG")
    press.answer.set_result(Answer(text, bool(params.get("show_alert"))))
    return True
