"""Where answers are shown on chat platforms, and chats in which nothing can be shown any more."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, String, cast, delete, or_, select, update
from sqlalchemy.orm import Session, joinedload

from bot.chat.base import Address, community
from bot.store.database import Database, reads, writes
from bot.store.history import at
from bot.store.records import TurnPlace
from bot.store.tables import AdapterChoice, AdapterUse, ClosedChat, Conversation, Example, Run, Share, Turn

ENDED = ("finished", "stopped", "failed")
REASON_LENGTH = 255


class Replies:
    """Part of `bot.store.Store`."""

    database: Database

    @writes
    def shown(self, session: Session, turn_id: int, reply_ids: Sequence[str], *, told: bool) -> None:
        """Note the messages that show a turn's answer. `told`: they show how it ended, nothing more is to be done."""
        values = {"reply_ids": list(reply_ids), "told": told}
        session.execute(update(Turn).where(Turn.id == turn_id).values(values))

    @reads
    def untold(self, session: Session, platform: str) -> list[TurnPlace]:
        """Ended turns whose end nobody was shown: the bot stopped in between, or the platform took nothing. Oldest first."""
        ended = (Conversation.platform == platform) & Turn.state.in_(ENDED) & Turn.told.is_(False)
        query = _places().where(ended).order_by(Turn.id)
        return [_place(turn) for turn in session.scalars(query)]

    async def place_of(self, turn_id: int, address: Address) -> TurnPlace | None:
        """Where a turn of this conversation was asked and answered."""
        return await self._one(_places().where(Turn.id == turn_id, at(address)))

    async def place_of_message(self, address: Address, message_id: str) -> TurnPlace | None:
        """The newest turn that a message of a person began."""
        return await self._one(_places().where(Turn.message_id == message_id, at(address)).order_by(Turn.id.desc()).limit(1))

    async def place_of_reply(self, platform: str, message_id: str, *, chat_id: str, thread_id: str = "") -> TurnPlace | None:
        """The newest turn that a message of ours answers, in any thread of a chat, or in the thread with that id."""
        here = Conversation.chat_id == chat_id
        if thread_id:
            here = or_(here, Conversation.thread_id == thread_id)
        shows = cast(Turn.reply_ids, String).contains(f'"{message_id}"', autoescape=True)
        query = _places().where(Conversation.platform == platform, here, shows)
        return await self._one(query.order_by(Turn.id.desc()).limit(1))

    async def newest(self, address: Address) -> TurnPlace | None:
        return await self._one(_places().where(at(address)).order_by(Turn.id.desc()).limit(1))

    @writes
    def reword(self, session: Session, turn_id: int, text: str) -> None:
        """The person edited their message."""
        session.execute(update(Turn).where(Turn.id == turn_id).values(text=text))

    @writes
    def move_chat(self, session: Session, platform: str, old: str, new: str) -> None:
        """A chat got another id (Telegram: a group became a supergroup); what was said in it moves along."""
        taken = set(
            session.scalars(
                select(Conversation.thread_id).where(Conversation.platform == platform, Conversation.chat_id == new)
            )
        )
        moving = select(Conversation).where(Conversation.platform == platform, Conversation.chat_id == old)
        for conversation in session.scalars(moving):
            if conversation.thread_id not in taken:
                conversation.chat_id = new
                continue
            # Somebody wrote under the new id before the move was heard of: its turns join the older ones.
            target = session.scalar(select(Conversation.id).where(at(Address(platform, new, conversation.thread_id))))
            session.execute(update(Turn).where(Turn.conversation_id == target).values(conversation_id=conversation.id))
            session.execute(delete(Conversation).where(Conversation.id == target))
            session.flush()
            conversation.chat_id = new
        _move_community(session, platform, old, new)

    @writes
    def close_chat(self, session: Session, platform: str, chat_id: str, reason: str) -> None:
        if not session.scalar(_closed(platform, chat_id)):
            session.add(ClosedChat(platform=platform, chat_id=chat_id, reason=reason[:REASON_LENGTH]))

    @writes
    def open_chat(self, session: Session, platform: str, chat_id: str) -> None:
        """Somebody wrote from there again."""
        session.execute(delete(ClosedChat).where(ClosedChat.platform == platform, ClosedChat.chat_id == chat_id))

    @reads
    def closed_chats(self, session: Session, platform: str) -> set[str]:
        return set(session.scalars(select(ClosedChat.chat_id).where(ClosedChat.platform == platform)))

    @reads
    def _one(self, session: Session, query: Select[Turn]) -> TurnPlace | None:
        turn = session.scalar(query)
        return None if turn is None else _place(turn)


def _move_community(session: Session, platform: str, old: str, new: str) -> None:
    """What was taught there and with whom it is shared, retrainings that are shown there, and its adapter."""
    was, becomes = (community(Address(platform, chat_id), "") for chat_id in (old, new))
    for table in (Example, Conversation, AdapterUse, Share):
        session.execute(update(table).where(table.community == was).values(community=becomes))
    if session.scalar(select(AdapterChoice).where(AdapterChoice.community == was)) is not None:
        session.execute(delete(AdapterChoice).where(AdapterChoice.community == becomes))
        session.execute(update(AdapterChoice).where(AdapterChoice.community == was).values(community=becomes))
    for run in session.scalars(select(Run)):
        if (run.config.get("platform"), run.config.get("chat")) == (platform, old):
            moved = {"chat": new, "community": run.config["community"].replace(was, becomes)}
            run.config = {**run.config, **moved}


def _places() -> Select[Turn]:
    return select(Turn).join(Turn.conversation).options(joinedload(Turn.conversation), joinedload(Turn.person))


def _closed(platform: str, chat_id: str) -> Select[ClosedChat]:
    return select(ClosedChat).where(ClosedChat.platform == platform, ClosedChat.chat_id == chat_id)


def _place(turn: Turn) -> TurnPlace:
    where = turn.conversation
    return TurnPlace(
        turn_id=turn.id,
        address=Address(where.platform, where.chat_id, where.thread_id),
        group=where.group_chat,
        asker=turn.person.platform_id,
        language=turn.person.language or turn.person.client_language,
        message_id=turn.message_id,
        reply_ids=tuple(turn.reply_ids),
        text=turn.text,
        pending_files=turn.pending_files,
        created_at=turn.created_at,
    )
