"""Reads for the chat platforms. Everything is asked for by address, so nobody sees another's conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload, selectinload
from sqlalchemy.sql.elements import ColumnElement

from bot.chat.base import Address, AttachmentView, ConversationView, TurnView
from bot.store.database import Database, reads
from bot.store.files import AttachmentFiles
from bot.store.records import RememberedTurn, StoredDocument, StoredPicture
from bot.store.tables import Answer, Attachment, Conversation, Feedback, Turn

log = structlog.get_logger(__name__)

UNTITLED = "New conversation"
GONE = "(the file was deleted)"
"""What a model reads of a text file that is not there any more."""

ANSWERED = ("finished", "stopped")


def at(address: Address) -> ColumnElement[bool]:
    """The condition that a conversation is the one at `address`."""
    return (
        (Conversation.platform == address.platform)
        & (Conversation.chat_id == address.chat_id)
        & (Conversation.thread_id == address.thread_id)
    )


def _viewed() -> Select[Turn]:
    return select(Turn).options(
        joinedload(Turn.person),
        selectinload(Turn.attachments).joinedload(Attachment.transcript),
        selectinload(Turn.answers.and_(Answer.is_current)),
    )


class HistoryReads:
    """Implements `bot.chat.base.History`."""

    database: Database
    files: AttachmentFiles

    @reads
    def turns(self, session: Session, address: Address, *, limit: int = 100) -> list[TurnView]:
        newest = _viewed().join(Turn.conversation).where(at(address)).order_by(Turn.id.desc()).limit(limit)
        turns = list(session.scalars(newest))
        ratings = self._ratings(session, [turn.id for turn in turns])
        return [self._turn_view(turn, ratings.get(turn.id, 0)) for turn in reversed(turns)]

    @reads
    def turn(self, session: Session, turn_id: int) -> TurnView | None:
        found = session.scalar(_viewed().where(Turn.id == turn_id))
        return None if found is None else self._turn_view(found, 0)

    @reads
    def conversations(self, session: Session, platform: str, chat_id: str, *, limit: int = 50) -> list[ConversationView]:
        newest = (
            select(Conversation)
            .where(Conversation.platform == platform, Conversation.chat_id == chat_id)
            .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
            .limit(limit)
        )
        rows = session.scalars(newest)
        return [
            ConversationView(Address(row.platform, row.chat_id, row.thread_id), row.title or UNTITLED, row.updated_at)
            for row in rows
        ]

    @reads
    def attachment(self, session: Session, attachment_id: int, platform: str, chat_id: str) -> AttachmentView | None:
        owned = (
            select(Attachment)
            .join(Turn, Turn.id == Attachment.turn_id)
            .join(Turn.conversation)
            .where(Attachment.id == attachment_id, Conversation.platform == platform, Conversation.chat_id == chat_id)
        )
        row = session.scalar(owned)
        return None if row is None else self._attachment_view(row)

    @reads
    def remembered(self, session: Session, turn_id: int, limit: int) -> tuple[list[RememberedTurn], bool]:
        """The turn and up to `limit` answered ones before it and after the last reset, oldest first; whether it is in a group.

        Failed turns are left out: what could not be answered once would disturb every later answer. The first of more than
        `limit` is the same for a third of it: a prompt that begins anew with every turn is read anew.
        """
        options = [
            joinedload(Turn.person),
            selectinload(Turn.attachments).joinedload(Attachment.transcript),
            selectinload(Turn.answers.and_(Answer.is_current)),
        ]
        newest = session.get_one(Turn, turn_id, options=[*options, joinedload(Turn.conversation)])
        conversation = newest.conversation
        before = select(Turn).where(
            Turn.conversation_id == conversation.id,
            Turn.id < turn_id,
            Turn.id > conversation.reset_turn_id,
            Turn.state.in_(ANSWERED),
        )
        count = session.scalar(select(func.count()).select_from(before.subquery())) or 0
        block = max(1, limit // 3)
        if count > limit:
            limit -= -(count - limit) % block
        older = session.scalars(before.order_by(Turn.id.desc()).limit(limit).options(*options))
        turns = [*reversed(list(older)), newest]
        documents = self._documents(turns)
        past = [self._remembered(turn, documents, with_answer=turn is not newest) for turn in turns]
        return past, conversation.group_chat

    @staticmethod
    def _ratings(session: Session, turn_ids: list[int]) -> dict[int, int]:
        """Whether people liked the current answer on balance: -1, 0 or 1 by turn."""
        totals: Any = session.execute(
            select(Answer.turn_id, func.sum(Feedback.value))
            .join(Feedback, Feedback.answer_id == Answer.id)
            .where(Answer.turn_id.in_(turn_ids), Answer.is_current)
            .group_by(Answer.turn_id)
        )
        return {turn_id: (total > 0) - (total < 0) for turn_id, total in totals}

    def _turn_view(self, turn: Turn, rating: int) -> TurnView:
        transcripts = [attachment.transcript for attachment in turn.attachments if attachment.transcript]
        return TurnView(
            turn_id=turn.id,
            sender_name=turn.person.name,
            text=turn.text,
            attachments=tuple(self._attachment_view(attachment) for attachment in turn.attachments),
            transcripts=tuple(transcript.text for transcript in transcripts if transcript.text),
            notices=tuple(turn.notices),
            answer=turn.answers[0].text if turn.answers else None,
            truncated=bool(turn.answers) and turn.answers[0].truncated,
            state=turn.state,  # type: ignore[arg-type]  # only Store writes it
            failure=turn.failure,
            rating=rating,
            created_at=turn.created_at,
            task=turn.task,  # type: ignore[arg-type]  # only Store writes it
        )

    def _attachment_view(self, row: Attachment) -> AttachmentView:
        path = self.files.path(row.sha256, row.mime)
        return AttachmentView(row.id, row.kind, row.name, row.mime, path)  # type: ignore[arg-type]  # only Store writes it

    def _documents(self, turns: Sequence[Turn]) -> dict[int, StoredDocument]:
        """The text files of these turns by their attachment's id."""
        rows = [row for turn in turns for row in turn.attachments if row.kind == "text"]
        return {row.id: StoredDocument(row.name, self._written_in(row)) for row in rows}

    def _written_in(self, row: Attachment) -> str:
        path = self.files.path(row.sha256, row.mime)
        try:
            return path.read_text("utf-8")
        except FileNotFoundError:  # deleted by hand: one file less, not a conversation that fails for ever
            log.warning("stored text file is gone", path=str(path))
            return GONE

    def _remembered(self, turn: Turn, documents: Mapping[int, StoredDocument], *, with_answer: bool) -> RememberedTurn:
        pictures = [row for row in turn.attachments if row.kind == "picture"]
        transcripts = [row.transcript.text for row in turn.attachments if row.transcript is not None]
        return RememberedTurn(
            speaker=turn.person.name,
            text=turn.text,
            transcripts=tuple(text for text in transcripts if text),
            pictures=tuple(StoredPicture(self.files.path(row.sha256, row.mime), row.mime) for row in pictures),
            documents=tuple(documents[row.id] for row in turn.attachments if row.kind == "text"),
            answer=turn.answers[0].text if with_answer and turn.answers else None,
        )
