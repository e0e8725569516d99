"""Everything that is remembered. The only code that writes to the database."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from bot.chat.base import Address, Incoming, Sender, community
from bot.store.choices import ChoiceStore
from bot.store.database import Database, open_engine, reads, writes
from bot.store.files import AttachmentFiles
from bot.store.history import ANSWERED, HistoryReads, at
from bot.store.lessons import LessonStore
from bot.store.migrate import require_current
from bot.store.people import People, person_row
from bot.store.records import AnswerRecord, StoredTurn, StoredVoice
from bot.store.replies import Replies
from bot.store.runs import RunStore
from bot.store.shares import ShareStore
from bot.store.tables import Answer, Attachment, Conversation, Feedback, Person, Transcript, Turn, now

if TYPE_CHECKING:
    from bot.media import Media

TITLE_LENGTH = 60
"""Characters of a conversation's title: what fits a line of the list on a phone, twice."""

UNFINISHED = ("received", "running")


class Store(HistoryReads, Replies, LessonStore, ShareStore, RunStore, ChoiceStore, People):
    """The database and the folder of attachments. Methods raise `bot.errors.StoreError` when these fail."""

    def __init__(self, database: Database, files: AttachmentFiles) -> None:
        self.database = database
        self.files = files

    @classmethod
    async def open(cls, url: str, attachments: Path) -> Self:
        """Open a database that is at the newest revision.

        Raises:
            StoreError: it cannot be opened, needs `jnana db upgrade` or was made by a newer version.
        """
        engine = open_engine(url)
        try:
            await asyncio.to_thread(require_current, engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(Database(engine), AttachmentFiles(attachments))

    async def close(self) -> None:
        await self.database.close()

    # --- A turn, from what was sent to its answer ---

    async def receive(self, incoming: Incoming, request_id: str) -> StoredTurn:
        """Store a message as it was sent; its files follow with `take_in`."""
        try:
            return await self._receive(incoming, request_id)
        except IntegrityError:
            # PostgreSQL: another turn of the same new person or conversation was stored at the same time.
            return await self._receive(incoming, request_id)

    @writes
    def _receive(self, session: Session, incoming: Incoming, request_id: str) -> StoredTurn:
        person = person_row(session, incoming.address.platform, incoming.sender)
        conversation = _conversation(session, incoming.address)
        conversation.group_chat = incoming.group
        conversation.community = community(incoming.address, incoming.server_id)
        conversation.updated_at = now()
        conversation.title = conversation.title or title(incoming.text)
        turn = Turn(
            conversation=conversation,
            person=person,
            message_id=incoming.message_id,
            task=incoming.task,
            text=incoming.text,
            quotes=incoming.quotes,
            pending_files=len(incoming.files),
            request_id=request_id,
        )
        session.add(turn)
        session.flush()
        return _stored(turn)

    async def take_in(self, turn_id: int, media: Sequence[Media], notices: Sequence[str]) -> None:
        """Store the files of a turn, all at once, and the sentences about those that were refused."""
        async with self.files.changing:
            digests = [await self.files.put(item.data, item.mime) for item in media]
            await self._note_files(turn_id, media, digests, notices)

    @writes
    def _note_files(
        self, session: Session, turn_id: int, media: Sequence[Media], digests: Sequence[str], notices: Sequence[str]
    ) -> None:
        turn = session.get_one(Turn, turn_id)
        turn.pending_files = 0
        turn.notices = [*turn.notices, *notices]
        for item, sha256 in zip(media, digests, strict=True):
            session.add(
                Attachment(
                    turn_id=turn_id,
                    kind=item.kind,
                    name=item.name,
                    mime=item.mime,
                    sha256=sha256,
                    size=len(item.data),
                    width=item.width,
                    height=item.height,
                    duration=item.duration,
                )
            )
            session.flush()  # ids in the order in which the files were sent

    @writes
    def begin(self, session: Session, turn_id: int, request_id: str) -> None:
        """Mark a turn as being answered, and count the attempt."""
        turn = session.get_one(Turn, turn_id)
        turn.state = "running"
        turn.attempts += 1
        turn.request_id = request_id

    @writes
    def add_notice(self, session: Session, turn_id: int, sentence: str) -> None:
        turn = session.get_one(Turn, turn_id)
        turn.notices = [*turn.notices, sentence]

    @writes
    def add_transcript(self, session: Session, attachment_id: int, text: str, language: str) -> None:
        session.add(Transcript(attachment_id=attachment_id, text=text, language=language[:16]))
        conversation = session.scalar(select(Conversation).join(Turn).join(Attachment).where(Attachment.id == attachment_id))
        if conversation is not None and not conversation.title:
            conversation.title = title(text)

    @writes
    def finish(self, session: Session, turn_id: int, answer: AnswerRecord) -> None:
        """Store an answer as the turn's current one; older ones are kept. A stop before the first word leaves no answer."""
        turn = session.get_one(Turn, turn_id, options=[joinedload(Turn.conversation)])
        kept = not answer.text and _has_answer(session, turn_id)
        if answer.text:
            _replace_answer(session, turn_id, answer)
        turn.state = "stopped" if answer.stopped and not kept else "finished"
        turn.failure = turn.failure_code = None
        turn.finished_at = turn.conversation.updated_at = now()

    @writes
    def fail(
        self, session: Session, turn_id: int, sentence: str, code: str, partial: AnswerRecord, *, keep_answer: bool = False
    ) -> None:
        """Store why a turn was not answered, and what was written of it.

        `keep_answer`: it was answered before, and only another answer failed: the old one stays, with the sentence beside it.
        """
        turn = session.get_one(Turn, turn_id)
        turn.finished_at = now()
        turn.failure, turn.failure_code = sentence, code
        before = session.scalar(select(Answer).where(Answer.turn_id == turn_id, Answer.is_current))
        if keep_answer and before is not None:
            turn.state = "stopped" if before.stopped else "finished"
            return
        turn.state = "failed"
        if partial.text:
            _replace_answer(session, turn_id, partial)

    @writes
    def ask_again(self, session: Session, turn_id: int, address: Address, request_id: str) -> StoredTurn | None:
        """Put an ended turn of this conversation back among those to be answered; None if it is not there."""
        turn = session.scalar(_whole_turn().join(Turn.conversation).where(Turn.id == turn_id, at(address)))
        if turn is None:
            return None
        answered = turn.state in ANSWERED and _has_answer(session, turn_id)
        turn.state, turn.attempts, turn.request_id, turn.told = "received", 0, request_id, False
        return replace(_stored(turn), answered=answered)

    @reads
    def unfinished(self, session: Session, platforms: Collection[str]) -> list[StoredTurn]:
        """Turns on these platforms that a restart interrupted, oldest first."""
        query = (
            _whole_turn()
            .join(Turn.conversation)
            .where(Turn.state.in_(UNFINISHED), Conversation.platform.in_(platforms))
            .order_by(Turn.id)
        )
        turns = list(session.scalars(query))
        return [replace(_stored(turn), answered=_has_answer(session, turn.id)) for turn in turns]

    # --- What a turn needs to be answered ---

    @reads
    def voices(self, session: Session, turn_id: int) -> list[StoredVoice]:
        query = (
            select(Attachment)
            .where(Attachment.turn_id == turn_id, Attachment.kind == "voice")
            .order_by(Attachment.id)
            .options(joinedload(Attachment.transcript))
        )
        return [self._voice(row) for row in session.scalars(query)]

    @reads
    def answer(self, session: Session, turn_id: int, address: Address) -> AnswerRecord | None:
        """The current answer of a turn with its hints, timings and token counts."""
        query = (
            select(Answer)
            .join(Turn, Turn.id == Answer.turn_id)
            .join(Turn.conversation)
            .where(Answer.turn_id == turn_id, Answer.is_current, at(address))
        )
        row = session.scalar(query)
        return None if row is None else _answer_record(row)

    # --- What people decide about a conversation ---

    @writes
    def rate(self, session: Session, turn_id: int, address: Address, sender: Sender, value: int) -> bool:
        """Set (1, -1) or take back (0) a person's rating of a turn's current answer; False if there is none at this address."""
        answer_id = session.scalar(_current_answer(turn_id, address))
        if answer_id is None:
            return False
        person = person_row(session, address.platform, sender)
        session.flush()
        given = (Feedback.answer_id == answer_id) & (Feedback.person_id == person.id)
        if value == 0:
            session.execute(delete(Feedback).where(given))
        elif (feedback := session.scalar(select(Feedback).where(given))) is not None:
            feedback.value, feedback.created_at = value, now()
        else:
            session.add(Feedback(answer_id=answer_id, person_id=person.id, value=value))
        return True

    @writes
    def unrate(self, session: Session, turn_id: int, address: Address, platform_id: str, value: int) -> None:
        """Take back a person's rating of a turn's current answer if it is `value`."""
        person = select(Person.id).where(Person.platform == address.platform, Person.platform_id == platform_id)
        given = Feedback.answer_id.in_(_current_answer(turn_id, address)) & Feedback.person_id.in_(person)
        session.execute(delete(Feedback).where(given, Feedback.value == value))

    @writes
    def reset(self, session: Session, address: Address) -> None:
        """Leave everything said so far out of later prompts. Nothing is deleted."""
        conversation = session.scalar(select(Conversation).where(at(address)))
        if conversation is not None:
            newest = session.scalar(select(func.max(Turn.id)).where(Turn.conversation_id == conversation.id))
            conversation.reset_turn_id = newest or 0

    # --- Rows to values ---

    def _voice(self, row: Attachment) -> StoredVoice:
        path = self.files.path(row.sha256, row.mime)
        if row.transcript is None:
            return StoredVoice(row.id, row.name, path, None, "")
        return StoredVoice(row.id, row.name, path, row.transcript.text, row.transcript.language)


def title(text: str) -> str:
    """The first words of `text`, cut between words."""
    words = " ".join(text.split())
    if len(words) <= TITLE_LENGTH:
        return words
    cut = words[:TITLE_LENGTH]
    return cut[: cut.rfind(" ")] + "…" if " " in cut else cut[:-1] + "…"


def _whole_turn() -> Select[Turn]:
    return select(Turn).options(joinedload(Turn.conversation), joinedload(Turn.person))


def _stored(turn: Turn) -> StoredTurn:
    place = turn.conversation
    address = Address(place.platform, place.chat_id, place.thread_id)
    return StoredTurn(
        turn_id=turn.id,
        conversation_id=turn.conversation_id,
        address=address,
        message_id=turn.message_id,
        text=turn.text,
        pending_files=turn.pending_files,
        notices=tuple(turn.notices),
        attempts=turn.attempts,
        asker=turn.person.platform_id,
        language=turn.person.language or turn.person.client_language,
        task=turn.task,  # type: ignore[arg-type]  # only Store writes it
        reply_ids=tuple(turn.reply_ids or ()),
        community=place.community or community(address, ""),
    )


def _conversation(session: Session, address: Address) -> Conversation:
    conversation = session.scalar(select(Conversation).where(at(address)))
    if conversation is None:
        conversation = Conversation(platform=address.platform, chat_id=address.chat_id, thread_id=address.thread_id)
        session.add(conversation)
    return conversation


def _current_answer(turn_id: int, address: Address) -> Select[int]:
    current = select(Answer.id).join(Turn, Turn.id == Answer.turn_id).join(Turn.conversation)
    return current.where(Answer.turn_id == turn_id, Answer.is_current, at(address))


def _has_answer(session: Session, turn_id: int) -> bool:
    return session.scalar(select(Answer.id).where(Answer.turn_id == turn_id, Answer.is_current)) is not None


def _replace_answer(session: Session, turn_id: int, answer: AnswerRecord) -> None:
    session.execute(update(Answer).where(Answer.turn_id == turn_id, Answer.is_current).values(is_current=False))
    session.add(
        Answer(
            turn_id=turn_id,
            text=answer.text,
            stopped=answer.stopped,
            truncated=answer.truncated,
            preset=answer.preset[:64],
            adapter=answer.adapter[:64],
            hints=list(answer.hints),
            timings=answer.timings,
            prompt_tokens=answer.prompt_tokens,
            answer_tokens=answer.answer_tokens,
        )
    )


def _answer_record(row: Answer) -> AnswerRecord:
    return AnswerRecord(
        text=row.text,
        stopped=row.stopped,
        truncated=row.truncated,
        preset=row.preset,
        adapter=row.adapter,
        hints=tuple(row.hints),
        timings=dict(row.timings),
        prompt_tokens=row.prompt_tokens,
        answer_tokens=row.answer_tokens,
    )
