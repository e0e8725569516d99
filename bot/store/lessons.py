"""What people teach: examples, and who allows that theirs are learnt from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased, joinedload, selectinload

from bot.chat.base import WEB, Address, Sender
from bot.media import Media
from bot.store.database import Database, reads, writes
from bot.store.files import AttachmentFiles
from bot.store.history import at
from bot.store.people import person_row
from bot.store.records import ExampleState, Lessons, StoredExample, StoredPicture
from bot.store.shares import sharing
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
    def ask_asker(self, session: Session, turn_id: int, address: Address, teacher: str) -> str | None:
        """The name of who asked a question that somebody else (`teacher`, their id there) corrected, and who was not asked yet
        whether it may be learnt from: from now on they were. None: there is nobody to ask."""
        query = select(Person).join(Turn, Turn.person_id == Person.id).join(Turn.conversation)
        unasked = and_(Person.teaches.is_(None), Person.platform_id != teacher)
        kept = select(Example.id).where(Example.turn_id == turn_id).exists()
        person = session.scalar(query.where(Turn.id == turn_id, at(address), unasked, kept))
        if person is None:
            return None
        person.teaches = False
        return person.name

    @writes
    def unask(self, session: Session, platform: str, platform_id: str) -> None:
        """They could not be asked after all."""
        theirs = and_(Person.platform == platform, Person.platform_id == platform_id, Person.teaches.is_(False))
        session.execute(update(Person).where(theirs).values(teaches=None))

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
        self,
        community: str,
        platform: str,
        sender: Sender,
        question: str,
        answer: str,
        pictures: Sequence[Media],
        state: ExampleState = "new",
    ) -> None:
        """Keep an example of a person's own."""
        async with self.files.changing:
            digests = [(await self.files.put(picture.data, picture.mime), picture.mime) for picture in pictures]
            await self._teach(community, platform, sender, question, answer, digests, state)

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
        state: ExampleState,
    ) -> None:
        example = Example(community=community, question=question, answer=answer, state=state)
        example.person = person_row(session, platform, sender)
        example.pictures = [ExamplePicture(sha256=sha256, mime=mime) for sha256, mime in pictures]
        session.add(example)

    @reads
    def contents(
        self, session: Session, community: str, platform: str, platform_id: str
    ) -> set[tuple[str, str, tuple[str, ...]]]:
        """Question, answer and pictures (sha256) of what this person taught here, and of what others did who said yes: what
        others keep to themselves is no reason not to learn the same from somebody else."""
        own = and_(Teacher.platform == platform, Teacher.platform_id == platform_id)
        query = _joined(select(Example)).where(Example.community == community, or_(own, _allowed()))
        rows = session.scalars(query.options(selectinload(Example.pictures)))
        return {(row.question, row.answer, tuple(one.sha256 for one in row.pictures)) for row in rows}

    @reads
    def lessons(self, session: Session, community: str) -> Lessons:
        """How many examples there are."""
        here = Example.community == community
        usable = _count(session, and_(here, _allowed(), Example.state != DROPPED))
        waiting = _count(session, and_(here, ~_allowed(), Example.state != DROPPED))
        new = _count(session, and_(here, Example.state == "new", _allowed()))
        others = _count(session, and_(~here, _learnable(community), _allowed(), Example.state != DROPPED))
        return Lessons(usable, waiting, new, others)

    @reads
    def next_example(self, session: Session, community: str, after: int = 0) -> StoredExample | None:
        """The first one behind `after` that nobody has looked at and that may be used."""
        query = _whole().where(Example.community == community, Example.id > after, Example.state == "new", _allowed())
        row = session.scalar(query.order_by(Example.id).limit(1))
        return None if row is None else self._example(row)

    @reads
    def examples(
        self, session: Session, community: str, *, states: Collection[ExampleState], before: int | None = None, limit: int
    ) -> list[StoredExample]:
        """The newest that may be used, and that an admin has dropped, before the one with that number; newest first."""
        query = _whole().where(Example.community == community, Example.state.in_(states), _allowed())
        if before is not None:
            query = query.where(Example.id < before)
        return [self._example(row) for row in session.scalars(query.order_by(Example.id.desc()).limit(limit))]

    @reads
    def example(self, session: Session, example_id: int, community: str) -> StoredExample | None:
        """One of this community, if it may be used."""
        row = session.scalar(_whole().where(Example.id == example_id, Example.community == community, _allowed()))
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
        """All of a community that may be learnt from: everybody whose words or pictures are in it said yes, and no admin
        dropped it."""
        query = _whole().where(Example.community == community, Example.state != DROPPED, _allowed()).order_by(Example.id)
        return [self._example(row) for row in session.scalars(query)]

    @reads
    def learnable(self, session: Session, community: str) -> list[StoredExample]:
        """What a retraining there learns from: what is usable there, and in communities that share theirs."""
        query = _whole().where(_learnable(community), Example.state != DROPPED, _allowed()).order_by(Example.id)
        return [self._example(row) for row in session.scalars(query)]

    @reads
    def allowed(self, session: Session) -> set[int]:
        """Ids of all examples, of any community, that everybody said yes to whose words or pictures are in them."""
        return set(session.scalars(_joined(select(Example.id)).where(_allowed())))

    @reads
    def examples_of(self, session: Session, platform: str, platform_id: str) -> set[int]:
        """Ids of examples that a person gave, or whose question is theirs."""
        taught = and_(Teacher.platform == platform, Teacher.platform_id == platform_id)
        asked = and_(Asker.platform == platform, Asker.platform_id == platform_id)
        return set(session.scalars(_joined(select(Example.id)).where(or_(taught, asked))))

    @reads
    def showable(self, session: Session, example_ids: Sequence[int], community: str, address: Address) -> set[int]:
        """Which of these may be shown to everybody at an address of a community."""
        query = _placed(_joined(select(Example.id))).where(Example.id.in_(example_ids), _showable(community, address))
        return set(session.scalars(query))

    @reads
    def newest_showable(self, session: Session, community: str, address: Address, limit: int) -> list[StoredExample]:
        """Those that may be learnt from and be shown at an address: that an admin has kept first, the newest first."""
        query = _placed(_whole()).where(_showable(community, address), Example.state != DROPPED, _allowed())
        query = query.order_by(Example.state != "kept", Example.id.desc()).limit(limit)
        return [self._example(row) for row in session.scalars(query)]

    def _example(self, row: Example) -> StoredExample:
        return StoredExample(
            example_id=row.id,
            conversation_id=row.turn.conversation_id if row.turn else None,
            teacher_id=row.person_id,
            teacher=row.person.name,
            question=row.question,
            answer=row.answer,
            pictures=tuple(StoredPicture(self.files.path(one.sha256, one.mime), one.mime) for one in row.pictures),
            state=row.state,  # type: ignore[arg-type]  # only this class writes it
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


def _learnable(community: str) -> ColumnElement[bool]:
    return or_(Example.community == community, Example.community.in_(sharing()))


def _placed(query: Select[Row]) -> Select[Row]:
    return query.outerjoin(Conversation, Conversation.id == Turn.conversation_id)


def _showable(community: str, address: Address) -> ColumnElement[bool]:
    """Examples of this community that were asked in this very conversation, for other channels may be private, and threads of
    this one, too (they share its chat id); or are somebody's own. The page shows them to its owner alone, who sees all of its
    examples anyway."""
    here = Example.community == community
    if address.platform == WEB:
        return here
    return and_(here, or_(Example.turn_id.is_(None), at(address)))


def _allowed() -> ColumnElement[bool]:
    """The teacher said yes, and who asked the question, too."""
    return and_(func.coalesce(Teacher.teaches, False), or_(Example.turn_id.is_(None), func.coalesce(Asker.teaches, False)))


def _count(session: Session, which: ColumnElement[bool]) -> int:
    return session.scalar(_joined(select(func.count(Example.id))).where(which)) or 0
