"""What people teach: examples, and who allows that theirs are learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload, selectinload

from bot.chat.base import Address, Sender
from bot.media import Media
from bot.store.database import Database, reads, writes
from bot.store.files import AttachmentFiles
from bot.store.history import at
from bot.store.people import person_row
from bot.store.records import ExampleState, Lessons, StoredExample, StoredPicture
from bot.store.tables import Answer, Attachment, Conversation, Example, ExamplePicture, Feedback, Person, Turn

PICTURE, TEXT = "picture", "text"
DROPPED: ExampleState = "dropped"

MAX_WORDS = 2000
"""Characters of a question and of an answer to learn: what a form takes, and more than a small model can imitate."""

Row = TypeVar("Row")
Teacher, Asker = aliased(Person), aliased(Person)


class LessonStore:
    """Part of `bot.store.Store`."""

    database: Database
    files: AttachmentFiles

    @reads
    def teaches(self, session: Session, platform: str, platform_id: str) -> bool | None:
        """Whether a person allows that what they teach is learnt from; None: they were not asked yet."""
        return session.scalar(select(Person.teaches).where(Person.platform == platform, Person.platform_id == platform_id))

    @writes
    def set_teaches(self, session: Session, platform: str, sender: Sender, allowed: bool) -> None:
        person_row(session, platform, sender).teaches = allowed

    @writes
    def correct(self, session: Session, turn_id: int, address: Address, platform_id: str, better: str, community: str) -> bool:
        """Keep what a person would rather have read; False if they did not rate an answer of that turn."""
        rated = (
            select(Feedback, Turn)
            .join(Person, Person.id == Feedback.person_id)
            .join(Answer, Answer.id == Feedback.answer_id)
            .join(Turn, Turn.id == Answer.turn_id)
            .join(Turn.conversation)
            .where(Turn.id == turn_id, at(address), Person.platform_id == platform_id)
            .options(selectinload(Turn.attachments).joinedload(Attachment.transcript))
            .order_by(Feedback.id.desc())
            .limit(1)
        )
        found = session.execute(rated).first()
        if found is None:
            return False
        feedback, turn = found
        feedback.better = better
        if _is_lesson(turn):
            _keep_correction(session, turn, feedback.person_id, better, community)
        return True

    async def teach(
        self, community: str, platform: str, sender: Sender, question: str, answer: str, pictures: Sequence[Media]
    ) -> None:
        """Keep an example of a person's own."""
        async with self.files.changing:
            digests = [(await self.files.put(picture.data, picture.mime), picture.mime) for picture in pictures]
            await self._teach(community, platform, sender, question, answer, digests)

    @writes
    def _teach(
        self,
        session: Session,
        community: str,
        platform: str,
        sender: Sender,
        question: str,
        answer: str,
        pictures: Sequence[tuple[str, str]],
    ) -> None:
        example = Example(community=community, question=question, answer=answer)
        example.person = person_row(session, platform, sender)
        example.pictures = [ExamplePicture(sha256=sha256, mime=mime) for sha256, mime in pictures]
        session.add(example)

    @reads
    def lessons(self, session: Session, community: str) -> Lessons:
        """How many examples there are."""
        here = Example.community == community
        usable = _count(session, and_(here, _allowed(), Example.state != DROPPED))
        waiting = _count(session, and_(here, ~_allowed(), Example.state != DROPPED))
        return Lessons(usable, waiting, _count(session, and_(here, Example.state == "new", _allowed())))

    @reads
    def next_example(self, session: Session, community: str, after: int = 0) -> StoredExample | None:
        """The first one behind `after` that nobody has looked at and that may be used."""
        query = _whole().where(Example.community == community, Example.id > after, Example.state == "new", _allowed())
        row = session.scalar(query.order_by(Example.id).limit(1))
        return None if row is None else self._example(row)

    @writes
    def review(self, session: Session, example_id: int, community: str, state: ExampleState) -> bool:
        """Keep or drop an example of this community; False: it is not there any more."""
        row = session.scalar(select(Example).where(Example.id == example_id, Example.community == community))
        if row is not None:
            row.state = state
        return row is not None

    @writes
    def reword_example(self, session: Session, example_id: int, community: str, answer: str) -> bool:
        """Keep an example of this community with another answer; False: it is not there, or its people did not say yes."""
        query = _joined(select(Example)).where(Example.id == example_id, Example.community == community, _allowed())
        row = session.scalar(query)
        if row is not None:
            row.answer, row.state = answer, "kept"
        return row is not None

    @reads
    def usable(self, session: Session, community: str) -> list[StoredExample]:
        """All that may be learnt from: everybody whose words or pictures are in it said yes, and no admin dropped it."""
        query = _whole().where(Example.community == community, Example.state != DROPPED, _allowed()).order_by(Example.id)
        return [self._example(row) for row in session.scalars(query)]

    @reads
    def examples_of(self, session: Session, platform: str, platform_id: str) -> set[int]:
        """Ids of examples that a person gave, or whose question is theirs."""
        taught = and_(Teacher.platform == platform, Teacher.platform_id == platform_id)
        asked = and_(Asker.platform == platform, Asker.platform_id == platform_id)
        return set(session.scalars(_joined(select(Example.id)).where(or_(taught, asked))))

    @reads
    def chats_of(self, session: Session, example_ids: Sequence[int]) -> dict[int, str | None]:
        """Ids of the chats in which the questions of examples were asked; None: an example of somebody's own."""
        query = select(Example.id, Conversation.chat_id).outerjoin(Turn, Turn.id == Example.turn_id)
        query = query.outerjoin(Conversation, Conversation.id == Turn.conversation_id).where(Example.id.in_(example_ids))
        return {number: chat_id for number, chat_id in session.execute(query)}  # noqa: C416  # rows, to mypy, are no pairs

    def _example(self, row: Example) -> StoredExample:
        return StoredExample(
            example_id=row.id,
            conversation_id=row.turn.conversation_id if row.turn else None,
            teacher_id=row.person_id,
            teacher=row.person.name,
            question=row.question,
            answer=row.answer,
            pictures=tuple(StoredPicture(self.files.path(one.sha256, one.mime), one.mime) for one in row.pictures),
        )


def _is_lesson(turn: Turn) -> bool:
    """Not with a text file, without which nobody could answer; nor with what somebody else said, who was not asked; nor
    longer than can be learnt."""
    has_file = any(row.kind == TEXT for row in turn.attachments)
    return not (has_file or turn.quotes or len(_question(turn)) > MAX_WORDS)


def _question(turn: Turn) -> str:
    heard = [row.transcript.text for row in turn.attachments if row.transcript and row.transcript.text]
    return "\n".join(part for part in (turn.text, *heard) if part)


def _keep_correction(session: Session, turn: Turn, person_id: int, better: str, community: str) -> None:
    example = session.scalar(select(Example).where(Example.turn_id == turn.id, Example.person_id == person_id))
    if example is None:
        example = Example(turn_id=turn.id, person_id=person_id)
        session.add(example)
    example.community, example.state, example.answer = community, "new", better
    example.question = _question(turn)
    pictures = [row for row in turn.attachments if row.kind == PICTURE]
    example.pictures = [ExamplePicture(sha256=row.sha256, mime=row.mime) for row in pictures]


def _whole() -> Select[Example]:
    return _joined(select(Example)).options(
        joinedload(Example.person), joinedload(Example.turn), selectinload(Example.pictures)
    )


def _joined(query: Select[Row]) -> Select[Row]:
    joined = query.join(Teacher, Teacher.id == Example.person_id).outerjoin(Turn, Turn.id == Example.turn_id)
    return joined.outerjoin(Asker, Asker.id == Turn.person_id)


def _allowed() -> ColumnElement[bool]:
    """The teacher said yes, and who asked the question, too."""
    return and_(func.coalesce(Teacher.teaches, False), or_(Example.turn_id.is_(None), func.coalesce(Asker.teaches, False)))


def _count(session: Session, which: ColumnElement[bool]) -> int:
    return session.scalar(_joined(select(func.count(Example.id))).where(which)) or 0
