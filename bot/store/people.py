"""What people set, how much they used, and everything about one of them: to hand out, and to delete."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from bot.chat.base import Address, Sender
from bot.store.database import Database, reads, writes
from bot.store.files import AttachmentFiles
from bot.store.history import at
from bot.store.records import Manner
from bot.store.tables import Answer, Attachment, Conversation, Example, ExamplePicture, Feedback, Person, Turn, now

SETTINGS = ("memory_turns", "persona")
"""What can be set for a conversation."""


class People:
    """Part of `bot.store.Store`; implements `bot.privacy.PersonalData`."""

    database: Database
    files: AttachmentFiles

    @reads
    def language(self, session: Session, platform: str, platform_id: str, client: str = "") -> str:
        """The language that a person chose, else that of their `client`, now or when last heard of; "" if none is known."""
        person = session.scalar(_person(platform, platform_id))
        return (person.language or client or person.client_language) if person else client

    @writes
    def set_language(self, session: Session, platform: str, platform_id: str, name: str, language: str) -> None:
        person = session.scalar(_person(platform, platform_id))
        if person is None:
            session.add(person := Person(platform=platform, platform_id=platform_id, name=name[:255]))
        person.language = language

    @reads
    def manner(self, session: Session, address: Address) -> Manner:
        found = session.scalar(select(Conversation).where(at(address)))
        return Manner(found.memory_turns, found.persona) if found else Manner()

    @writes
    def set_manner(self, session: Session, address: Address, manner: Manner) -> None:
        found = session.scalar(select(Conversation).where(at(address)))
        if found is None:
            place = {"platform": address.platform, "chat_id": address.chat_id, "thread_id": address.thread_id}
            session.add(found := Conversation(**place))
        found.memory_turns, found.persona = manner.memory_turns, manner.persona

    @reads
    def turns_since(self, session: Session, platform: str, platform_id: str, since: datetime) -> int:
        """How many messages a person sent since then, and how many answers they had replaced by others."""
        theirs = (Person.platform == platform) & (Person.platform_id == platform_id)
        sent = select(func.count()).select_from(Turn).join(Turn.person).where(theirs, Turn.created_at >= since)
        replaced = select(func.count()).select_from(Answer).join(Turn, Turn.id == Answer.turn_id).join(Turn.person)
        replaced = replaced.where(theirs, Answer.created_at >= since, Answer.is_current.is_(False))
        return (session.scalar(sent) or 0) + (session.scalar(replaced) or 0)

    # --- bot.privacy.PersonalData ---

    async def forget(self, platform: str, platform_id: str) -> int:
        """Delete a person with everything they sent and every answer to it; the number of messages that this were."""
        async with self.files.changing:
            count, files = await self._forget(platform, platform_id)
            for sha256, mime in files:
                await self.files.remove(sha256, mime)
        return count

    @writes
    def _forget(self, session: Session, platform: str, platform_id: str) -> tuple[int, set[tuple[str, str]]]:
        """The number of messages, and the files (sha256, kind) that nothing refers to any more."""
        person = session.scalar(_person(platform, platform_id))
        if person is None:
            return 0, set()
        theirs = select(Turn.id).where(Turn.person_id == person.id)
        count = session.scalar(select(func.count()).select_from(theirs.subquery())) or 0
        places = set(session.scalars(select(Turn.conversation_id).where(Turn.person_id == person.id)))
        files = session.execute(select(Attachment.sha256, Attachment.mime).where(Attachment.turn_id.in_(theirs)))
        taught = select(ExamplePicture.sha256, ExamplePicture.mime).join(Example, Example.id == ExamplePicture.example_id)
        shown = session.execute(taught.where(Example.person_id == person.id))
        candidates = {(sha256, mime) for sha256, mime in (*files, *shown)}
        session.execute(delete(Turn).where(Turn.person_id == person.id))
        session.execute(delete(Person).where(Person.id == person.id))
        _tidy(session, places)
        digests = [sha256 for sha256, _ in candidates]
        kept = {
            digest
            for column in (Attachment.sha256, ExamplePicture.sha256)
            for digest in session.scalars(select(column).where(column.in_(digests)))
        }
        return count, {(sha256, mime) for sha256, mime in candidates if sha256 not in kept}

    @reads
    def export(self, session: Session, platform: str, platform_id: str) -> dict[str, Any]:
        """Everything about a person as plain values; `files` of a message are names in the attachments folder."""
        person = session.scalar(_person(platform, platform_id))
        if person is None:
            return {}
        query = (
            select(Turn)
            .where(Turn.person_id == person.id)
            .order_by(Turn.id)
            .options(
                joinedload(Turn.conversation),
                selectinload(Turn.attachments).joinedload(Attachment.transcript),
                selectinload(Turn.answers),
            )
        )
        messages = [self._exported(turn) for turn in session.scalars(query)]
        taught = select(Example).where(Example.person_id == person.id).order_by(Example.id)
        ratings = session.scalars(select(Feedback).where(Feedback.person_id == person.id).order_by(Feedback.id))
        return {
            "person": {
                "platform": platform,
                "id": platform_id,
                "name": person.name,
                "language": person.language,
                "client_language": person.client_language,
                "teaches": person.teaches,
                "first_seen": person.created_at.isoformat(),
                "last_seen": person.seen_at.isoformat(),
            },
            "messages": messages,
            "examples": [self._exported_example(row) for row in session.scalars(taught)],
            "ratings": [
                {"answer": row.answer_id, "value": row.value, "better": row.better, "at": row.created_at.isoformat()}
                for row in ratings
            ],
        }

    def _exported(self, turn: Turn) -> dict[str, Any]:
        return {
            "chat": turn.conversation.chat_id,
            "thread": turn.conversation.thread_id,
            "message": turn.message_id,
            "at": turn.created_at.isoformat(),
            "text": turn.text,
            "files": [
                {
                    "name": row.name,
                    "file": self.files.path(row.sha256, row.mime).name,
                    "transcript": row.transcript.text if row.transcript else None,
                }
                for row in turn.attachments
            ],
            "answers": [
                {"answer": row.id, "text": row.text, "at": row.created_at.isoformat(), "current": row.is_current}
                for row in turn.answers
            ],
            "failure": turn.failure,
        }

    def _exported_example(self, row: Example) -> dict[str, Any]:
        return {
            "question": row.question,
            "answer": row.answer,
            "state": row.state,
            "at": row.created_at.isoformat(),
            "files": [{"file": self.files.path(one.sha256, one.mime).name} for one in row.pictures],
        }


def _tidy(session: Session, conversations: set[int]) -> None:
    """What is left of conversations that a person took part in: none if it was theirs alone, and no title in their words."""
    for conversation_id in conversations:
        left = session.scalar(select(func.count()).select_from(Turn).where(Turn.conversation_id == conversation_id))
        if left:
            session.execute(update(Conversation).where(Conversation.id == conversation_id).values(title=""))
        else:
            session.execute(delete(Conversation).where(Conversation.id == conversation_id))


def _person(platform: str, platform_id: str) -> Any:
    return select(Person).where(Person.platform == platform, Person.platform_id == platform_id)


def person_row(session: Session, platform: str, sender: Sender) -> Person:
    """The person's row, with the name that the platform gives now, if it gives one."""
    person = session.scalar(select(Person).where(Person.platform == platform, Person.platform_id == sender.platform_id))
    if person is None:
        person = Person(platform=platform, platform_id=sender.platform_id)
        session.add(person)
    person.name, person.seen_at = sender.name[:255] or person.name or "", now()
    person.client_language = sender.language[:35] or person.client_language or ""
    return person
