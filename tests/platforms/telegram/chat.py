"""A chat as tests hold it: what its people do there, and what is to be seen in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.platforms.telegram.faults import ApiError, bad
from tests.platforms.telegram.messages import Message, Person, Press, StoredFile
from tests.platforms.telegram.text import Json, found_entities

if TYPE_CHECKING:
    from tests.platforms.telegram.world import World

ADMIN_RIGHTS = (
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)
IN_CHAT = {"creator", "administrator", "member"}


@dataclass(frozen=True)
class Draft:
    at: float
    id: int
    text: str
    thread: int | None


class Chat:
    """`owner` is the person of a private chat, the creator of a group."""

    def __init__(
        self,
        world: World,
        owner: Person,
        id: int | None = None,  # noqa: A002 - as Telegram calls it
        *,
        kind: str = "private",
        title: str = "",
        forum: bool = False,
    ) -> None:
        self.world = world
        self.owner = owner
        self.id = owner.id if id is None else id
        self.kind = kind
        self.title = title
        self.forum = forum
        self.migrated_to: int | None = None
        self.members: dict[int, str] = {owner.id: "creator", world.bot.id: "member"}
        self.messages: list[Message] = []
        self.topics: dict[int, Message] = {}  # by thread id, the message that made the topic
        self.drafts: list[Draft] = []
        self.actions: list[tuple[float, str]] = []

    @property
    def private(self) -> bool:
        return self.kind == "private"

    def json(self) -> Json:
        if self.private:
            names = {"first_name": self.owner.name} | ({"username": self.owner.username} if self.owner.username else {})
            return {"id": self.id, "type": self.kind} | names
        return {"id": self.id, "type": self.kind, "title": self.title} | ({"is_forum": True} if self.forum else {})

    # Looking

    def bot_messages(self) -> list[Message]:
        """What of the bot's is there to be read."""
        return [message for message in self.messages if message.from_bot and not message.deleted]

    @property
    def last(self) -> Message:
        return self.bot_messages()[-1]

    @property
    def reactions(self) -> dict[int, list[str]]:
        """The bot's, by message."""
        return {message.id: message.reactions for message in self.messages if message.reactions}

    def find(self, message_id: object) -> Message | None:
        return next((message for message in self.messages if message.id == message_id and not message.deleted), None)

    # Talking

    async def say(
        self,
        person: Person,
        text: str,
        *,
        reply_to: Message | None = None,
        topic: int | None = None,
        forward: Person | bool = False,
    ) -> Message:
        """`forward`: whose words these are; true for somebody who hides their account."""
        content = _forwarded(forward)
        message = self.add(Message(self, 0, person, text, found_entities(text), None, reply_to, topic, forwarded=content))
        await self._tell("message", message)
        return message

    async def photo(
        self, person: Person, data: bytes, caption: str = "", *, size: int | None = None, **more: object
    ) -> Message:
        file, sizes = self.world.store_photo(data, size)
        return await self.send(person, file, {"photo": sizes}, caption, **more)

    async def document(
        self, person: Person, name: str, data: bytes, mime: str, caption: str = "", *, size: int | None = None, **more: object
    ) -> Message:
        file = self.world.store(data, "documents", name, size)
        return await self.send(
            person, file, {"document": file.json() | {"file_name": name, "mime_type": mime}}, caption, **more
        )

    async def voice(
        self, person: Person, data: bytes, duration: int, caption: str = "", *, size: int | None = None, **more: object
    ) -> Message:
        file = self.world.store(data, "voice", "voice.oga", size)
        return await self.send(
            person, file, {"voice": file.json() | {"duration": duration, "mime_type": "audio/ogg"}}, caption, **more
        )

    async def audio(
        self,
        person: Person,
        data: bytes,
        duration: int,
        name: str = "song.mp3",
        mime: str = "audio/mpeg",
        caption: str = "",
        *,
        size: int | None = None,
        **more: object,
    ) -> Message:
        file = self.world.store(data, "music", name, size)
        content = {"audio": file.json() | {"duration": duration, "file_name": name, "mime_type": mime}}
        return await self.send(person, file, content, caption, **more)

    async def video(
        self, person: Person, data: bytes, duration: int, caption: str = "", *, size: int | None = None, **more: object
    ) -> Message:
        file = self.world.store(data, "videos", "video.mp4", size)
        shape = {"duration": duration, "width": 640, "height": 360, "mime_type": "video/mp4"}
        return await self.send(person, file, {"video": file.json() | shape}, caption, **more)

    async def video_note(
        self, person: Person, data: bytes, duration: int, *, size: int | None = None, **more: object
    ) -> Message:
        file = self.world.store(data, "video_notes", "note.mp4", size)
        return await self.send(person, file, {"video_note": file.json() | {"duration": duration, "length": 240}}, **more)

    async def sticker(
        self, person: Person, data: bytes, *, animated: bool = False, emoji: str = "🙂", **more: object
    ) -> Message:
        """A static WebP, or with `animated` a .tgs."""
        file = self.world.store(data, "stickers", "sticker.tgs" if animated else "sticker.webp")
        shape = {"type": "regular", "width": 512, "height": 512, "is_animated": animated, "is_video": False, "emoji": emoji}
        return await self.send(person, file, {"sticker": file.json() | shape}, **more)

    async def send(
        self,
        person: Person,
        file: StoredFile | None,
        content: Json,
        caption: str = "",
        *,
        album_id: str | None = None,
        reply_to: Message | None = None,
        topic: int | None = None,
        forward: Person | bool = False,
    ) -> Message:
        """Anything that is not text; an album is several of these with one `album_id`."""
        content = content | ({"media_group_id": album_id} if album_id else {})
        message = Message(
            self, 0, person, caption, found_entities(caption), None, reply_to, topic, content, file, _forwarded(forward)
        )
        await self._tell("message", self.add(message))
        return message

    async def edit(self, person: Person, message: Message, text: str) -> None:
        assert message.sender == person
        message.rewrite(text, found_entities(text), message.markup)
        await self._tell("edited_message", message)

    def delete(self, message: Message) -> None:
        """People delete a message; bots are not told."""
        message.deleted = True

    async def press(self, person: Person, message: Message, button: str) -> Press:
        """`button`: its text or its data."""
        found = next((one for one in message.buttons if button in (one["text"], one.get("callback_data"))), None)
        assert found is not None, f"no button {button!r} in {message.buttons}"
        press = Press(str(10**17 + self.world.serial()), message, found["callback_data"])
        self.world.presses[press.id] = press
        query = {"id": press.id, "from": person.json(), "message": message.json(), "data": press.data}
        await self.world.updates.add("callback_query", query | {"chat_instance": str(self.id)})
        return press

    async def react(
        self, person: Person | None, message: Message, emoji: str = "", *, before: str = "", custom: str = ""
    ) -> None:
        """An emoji in place of the one `before`; none takes it back. In groups only admins hear of it, and all only if they
        asked for these updates. `person`: None is an admin who hides. `custom`: the id of an emoji of somebody's own."""
        if self.private or self.members[self.world.bot.id] == "administrator":
            body = {"chat": self.json(), "message_id": message.id, "date": int(time.time())}
            who = {"user": person.json()} if person else {"actor_chat": self.json()}
            own = [{"type": "custom_emoji", "custom_emoji_id": custom}] if custom else []
            old, new = ([{"type": "emoji", "emoji": one}] if one else [] for one in (before, emoji))
            await self.world.updates.add("message_reaction", body | who | {"old_reaction": old, "new_reaction": new + own})

    # Members, topics, the group itself

    def promote(self, person: Person) -> None:
        self.members[person.id] = "administrator"

    async def topic(self, name: str) -> int:
        """A new topic's thread id."""
        assert self.forum
        made = Message(self, 0, self.owner, content={"forum_topic_created": {"name": name, "icon_color": 7322096}})
        self.add(made)
        made.thread = made.id
        self.topics[made.id] = made
        await self._tell("message", made)
        return made.id

    def delete_topic(self, thread: int) -> None:
        del self.topics[thread]

    async def my_chat_member(self, status: str, by: Person | None = None) -> None:
        """The bot becomes "member", "administrator", "left" or "kicked" (in a private chat: blocked)."""
        bot = self.world.bot
        old = self.member_json(bot)
        self.members[bot.id] = status
        body = {"chat": self.json(), "from": (by or self.owner).json(), "date": int(time.time())}
        await self.world.updates.add(
            "my_chat_member", body | {"old_chat_member": old, "new_chat_member": self.member_json(bot)}
        )

    async def upgrade(self) -> Chat:
        """A basic group becomes a supergroup, which has another id; the old chat refuses from now on."""
        assert self.kind == "group"
        new = self.world.group(self.title, owner=self.owner)
        new.members = dict(self.members)
        self.migrated_to = new.id
        for chat, content in ((self, {"migrate_to_chat_id": new.id}), (new, {"migrate_from_chat_id": self.id})):
            await chat._tell("message", chat.add(Message(chat, 0, self.owner, content=content)))
        return new

    def member_json(self, person: Person) -> Json:
        status = self.members.get(person.id, "left")
        body: Json = {"user": person.json(), "status": status}
        if status == "creator":
            body["is_anonymous"] = False
        elif status == "administrator":
            body |= dict.fromkeys(ADMIN_RIGHTS, True) | {"can_be_edited": False, "is_anonymous": False}
        elif status == "kicked":
            body["until_date"] = 0
        return body

    # What the bot may do

    def check_open(self) -> None:
        """Raises Telegram's refusal if the bot cannot talk here."""
        status = self.members[self.world.bot.id]
        if self.migrated_to is not None:
            raise bad("group chat was upgraded to a supergroup chat", migrate_to_chat_id=self.migrated_to)
        if self.private and status not in IN_CHAT:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
        name = "supergroup chat" if self.kind == "supergroup" else "group chat"
        if status == "kicked":
            raise ApiError(403, f"Forbidden: bot was kicked from the {name}")
        if status == "left":
            raise ApiError(403, f"Forbidden: bot is not a member of the {name}")

    def check_thread(self, thread: int | None) -> None:
        known = self.topics if self.forum else {message.thread for message in self.messages}
        if thread is not None and thread not in known:
            raise bad("message thread not found")

    # Delivery

    def add(self, message: Message) -> Message:
        """Gives it its number and its thread."""
        message.id = self.world.next_message_id(self)
        self.members.setdefault(message.sender.id, "member")
        if message.thread in self.topics and message.reply_to is None:
            message.reply_to = self.topics[message.thread]  # forums look like that: every message answers its topic
        elif message.thread is None and message.reply_to is not None and self.kind == "supergroup":
            message.thread = message.reply_to.thread or message.reply_to.id
        self.messages.append(message)
        self.world.notice()
        return message

    async def _tell(self, kind: str, message: Message) -> None:
        self.world.notice()
        if self.members[self.world.bot.id] in IN_CHAT and self._heard(message):
            await self.world.updates.add(kind, message.json())

    def _heard(self, message: Message) -> bool:
        """Privacy mode: the bot hears what is meant for it, and admins hear all."""
        bot = self.world.bot
        if self.private or self.world.reads_all or self.members[bot.id] == "administrator":
            return True
        service = message.file is None and bool(message.content)
        reply = message.reply_to is not None and message.reply_to.sender == bot
        mentioned = f"@{bot.username}".lower() in message.text.lower()
        command = message.text.startswith("/") and ("@" not in message.text.split()[0] or mentioned)
        return service or reply or mentioned or command


def _forwarded(source: Person | bool) -> Json:
    if not source:
        return {}
    date = int(time.time())
    if isinstance(source, Person):
        return {"forward_origin": {"type": "user", "date": date, "sender_user": source.json()}}
    return {"forward_origin": {"type": "hidden_user", "date": date, "sender_user_name": "Somebody"}}
