"""The tables. Times are aware and in UTC; media are files named by their content, never addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

# Names for every constraint, so that migrations can change them (SQLite names none by itself).
EMPTY = text("''")
"""Of columns that were added later."""

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC. SQLite drops the time zone; it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON, dict[str, float]: JSON}  # noqa: RUF012


class Person(Base):
    """Somebody on one platform."""

    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("platform", "platform_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(String(32))
    platform_id: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(255))
    # The language of their client, and the one they chose ("" for neither).
    client_language: Mapped[str] = mapped_column(String(35), default="", server_default=EMPTY)
    language: Mapped[str] = mapped_column(String(35), default="", server_default=EMPTY)
    # Whether what they teach may be used for training; None: they were not asked yet.
    teaches: Mapped[bool | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)


class Conversation(Base):
    """Platform + chat + thread; never a person alone, so that a group cannot leak into a private chat."""

    __tablename__ = "conversations"
    __table_args__ = (UniqueConstraint("platform", "chat_id", "thread_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(String(32))
    chat_id: Mapped[str] = mapped_column(String(255))
    thread_id: Mapped[str] = mapped_column(String(255), default="")
    group_chat: Mapped[bool] = mapped_column(default=False)
    title: Mapped[str] = mapped_column(String(80), default="")
    # What people set for this conversation; None and "" where nothing was set.
    memory_turns: Mapped[int | None]
    persona: Mapped[str] = mapped_column(String(64), default="", server_default=EMPTY)
    # Whose adapter answers here; "" until somebody writes, in conversations from before there were communities.
    community: Mapped[str] = mapped_column(String(300), default="", server_default=EMPTY)
    # The newest turn that /reset made the bot forget. No foreign key: it would close a circle with turns.
    reset_turn_id: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Turn(Base):
    """One message of a person; its answers are rows of their own."""

    __tablename__ = "turns"
    __table_args__ = (Index("ix_turns_conversation_id_id", "conversation_id", "id"), Index("ix_turns_state", "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    message_id: Mapped[str] = mapped_column(String(255), default="", index=True)
    # The messages that show the answer on a chat platform, and whether they show how the turn ended.
    reply_ids: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    told: Mapped[bool] = mapped_column(default=False, server_default=false())
    task: Mapped[str] = mapped_column(String(16), default="answer", server_default="answer")
    text: Mapped[str] = mapped_column(Text)
    # Words or files of somebody else, who was replied to, are among it.
    quotes: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Files announced with the message and not stored yet; a restart finds here what it can no longer get.
    pending_files: Mapped[int] = mapped_column(default=0)
    notices: Mapped[list[str]] = mapped_column(default=list)
    state: Mapped[str] = mapped_column(String(16), default="received")
    attempts: Mapped[int] = mapped_column(default=0)
    request_id: Mapped[str] = mapped_column(String(64))
    failure: Mapped[str | None] = mapped_column(Text)
    failure_code: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]

    conversation: Mapped[Conversation] = relationship()
    person: Mapped[Person] = relationship()
    attachments: Mapped[list[Attachment]] = relationship(order_by="Attachment.id")
    answers: Mapped[list[Answer]] = relationship(order_by="Answer.id")


class Attachment(Base):
    """A picture or a voice note that came with a turn. The same file may be attached to many turns."""

    __tablename__ = "attachments"

    id: Mapped[int] = mapped_column(primary_key=True)
    turn_id: Mapped[int] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(255))
    mime: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int]
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    transcript: Mapped[Transcript | None] = relationship()


class Transcript(Base):
    """What was heard in a voice note; empty when there was no speech."""

    __tablename__ = "transcripts"

    id: Mapped[int] = mapped_column(primary_key=True)
    attachment_id: Mapped[int] = mapped_column(ForeignKey("attachments.id", ondelete="CASCADE"), unique=True)
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Answer(Base):
    """What the model said. A turn answered again keeps the older answers; one is current."""

    __tablename__ = "answers"
    __table_args__ = (
        Index(
            "uq_answers_current", "turn_id", unique=True, sqlite_where=text("is_current"), postgresql_where=text("is_current")
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    turn_id: Mapped[int] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"), index=True)
    is_current: Mapped[bool] = mapped_column(default=True)
    text: Mapped[str] = mapped_column(Text)
    stopped: Mapped[bool] = mapped_column(default=False)
    truncated: Mapped[bool] = mapped_column(default=False)
    preset: Mapped[str] = mapped_column(String(64), default="")
    # Which adapter wrote it; "" where the model server does not tell.
    adapter: Mapped[str] = mapped_column(String(64), default="", server_default=EMPTY, index=True)
    hints: Mapped[list[str]] = mapped_column(default=list)
    timings: Mapped[dict[str, float]] = mapped_column(default=dict)
    prompt_tokens: Mapped[int | None]
    answer_tokens: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Feedback(Base):
    """Thumb up (1) or down (-1); one a person and answer."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("answer_id", "person_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    value: Mapped[int]
    better: Mapped[str] = mapped_column(Text, default="", server_default=EMPTY)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Example(Base):
    """A question with the answer that somebody wants to it. `turn_id`: it is a better answer to that turn."""

    __tablename__ = "examples"
    __table_args__ = (
        UniqueConstraint("turn_id", "person_id"),
        Index("ix_examples_community_id", "community", "id"),
        {"sqlite_autoincrement": True},
    )

    # Never given twice: runs and buttons name examples by it, also those that were deleted.
    id: Mapped[int] = mapped_column(primary_key=True)
    # Whose model may learn from it: a Discord server, a chat, the page.
    community: Mapped[str] = mapped_column(String(300))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    turn_id: Mapped[int | None] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"))
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), default="new")
    created_at: Mapped[datetime] = mapped_column(default=now)

    person: Mapped[Person] = relationship()
    turn: Mapped[Turn | None] = relationship()
    pictures: Mapped[list[ExamplePicture]] = relationship(order_by="ExamplePicture.id", cascade="all, delete-orphan")


class ExamplePicture(Base):
    """A picture of an example, in the attachments folder."""

    __tablename__ = "example_pictures"

    id: Mapped[int] = mapped_column(primary_key=True)
    example_id: Mapped[int] = mapped_column(ForeignKey("examples.id", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    mime: Mapped[str] = mapped_column(String(64))


class Share(Base):
    """Somebody let other communities learn from the examples of theirs, until it was ended."""

    __tablename__ = "shares"

    id: Mapped[int] = mapped_column(primary_key=True)
    community: Mapped[str] = mapped_column(String(300), index=True)
    by: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=now)
    ended_by: Mapped[str] = mapped_column(String(255), default="")
    ended_at: Mapped[datetime | None]


class ClosedChat(Base):
    """A chat that blocked the bot or removed it: nothing is sent there until somebody writes from it again."""

    __tablename__ = "closed_chats"
    __table_args__ = (UniqueConstraint("platform", "chat_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(String(32))
    chat_id: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Run(Base):
    """One training run."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(String(32))
    preset: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class AdapterUse(Base):
    """Somebody decided which adapter answers or is tried, in a community or everywhere ("")."""

    __tablename__ = "adapter_uses"

    id: Mapped[int] = mapped_column(primary_key=True)
    community: Mapped[str] = mapped_column(String(300), default="", server_default=EMPTY)
    # use, try (a trial begins) or end (of a trial).
    kind: Mapped[str] = mapped_column(String(8), default="use", server_default="use")
    # "" in a community: the one of everybody.
    name: Mapped[str] = mapped_column(String(64))
    # The one that answered before; "" of trials.
    previous: Mapped[str] = mapped_column(String(64))
    # Of a hundred conversations, of a trial that begins.
    percent: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    by: Mapped[str] = mapped_column(String(255))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class AdapterChoice(Base):
    """What answers in a community instead of everybody's adapter, and what is tried there; "" is everywhere."""

    __tablename__ = "adapter_choices"
    __table_args__ = (UniqueConstraint("community"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    community: Mapped[str] = mapped_column(String(300))
    # "" for everybody's, whose name the model server knows.
    name: Mapped[str] = mapped_column(String(64), default="")
    # What a part of the conversations is answered by; "" for nothing.
    tried: Mapped[str] = mapped_column(String(64), default="")
    percent: Mapped[int] = mapped_column(default=0)
    tried_by: Mapped[str] = mapped_column(String(255), default="")
    tried_at: Mapped[datetime | None]


class Adapter(Base):
    """A trained adapter (LoRA weights + projector + card) that the worker can load."""

    __tablename__ = "adapters"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    base: Mapped[str] = mapped_column(String(255))
    sha256: Mapped[str] = mapped_column(String(64))
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    active: Mapped[bool] = mapped_column(default=False)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
