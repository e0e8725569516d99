"""Which adapter answers where, what is tried beside it, who decided that, and how people liked its answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bot.store.database import Database, reads, writes
from bot.store.records import Choice, Thumbs
from bot.store.tables import AdapterChoice, AdapterUse, Answer, Conversation, Feedback, Turn, now

EVERYWHERE = ""
"""The community of what is for all that have nothing of their own."""


class ChoiceStore:
    """Part of `bot.store.Store`."""

    database: Database

    @reads
    def choice(self, session: Session, community: str) -> Choice:
        """What was chosen for a community, or EVERYWHERE, where the model server itself knows the name."""
        return _choice(session, community)

    @reads
    def choices_for(self, session: Session, community: str) -> tuple[Choice, Choice]:
        """What was chosen for a community, and for everywhere."""
        return _choice(session, community), _choice(session, EVERYWHERE)

    @writes
    def choose(self, session: Session, community: str, name: str, previous: str, by: str, run_id: int | None = None) -> None:
        """Somebody chose an adapter, "" for everybody's; that ends what is tried there. EVERYWHERE is only noted here."""
        row = _row(session, community)
        row.name = "" if community == EVERYWHERE else name
        _end_trial(session, row, by)
        if name != previous:
            use = AdapterUse(community=community, name=name, previous=previous, by=by[:255], run_id=run_id)
            session.add(use)

    @reads
    def previous_adapter(self, session: Session, community: str, name: str) -> str | None:
        """What answered before this one was chosen last; "" for everybody's, None: nobody chose it here."""
        query = select(AdapterUse.previous).where(
            AdapterUse.community == community, AdapterUse.name == name, AdapterUse.kind == "use"
        )
        return session.scalar(query.order_by(AdapterUse.id.desc()).limit(1))

    @writes
    def try_adapter(
        self, session: Session, community: str, name: str, percent: int, by: str, run_id: int | None = None
    ) -> None:
        """Give it to a part of the conversations from now on, in place of another one that is tried there."""
        row = _row(session, community)
        _end_trial(session, row, by)
        begun = AdapterUse(community=community, kind="try", name=name, previous="", by=by[:255], percent=percent, run_id=run_id)
        session.add(begun)
        row.tried, row.percent, row.tried_by, row.tried_at = name, percent, by[:255], now()

    @writes
    def end_trial(self, session: Session, community: str, by: str) -> None:
        _end_trial(session, _row(session, community), by)

    @reads
    def thumbs(self, session: Session, community: str, since: datetime | None = None) -> dict[str, Thumbs]:
        """How often people liked and disliked what each adapter wrote, in a community or EVERYWHERE; `since`: of answers that
        were written since then. An answer that was asked for again keeps its ratings."""
        up = func.count().filter(Feedback.value > 0)
        down = func.count().filter(Feedback.value < 0)
        query = select(Answer.adapter, up, down).join(Feedback, Feedback.answer_id == Answer.id).where(Answer.adapter != "")
        if community != EVERYWHERE:
            query = query.join(Turn, Turn.id == Answer.turn_id).join(Turn.conversation)
            query = query.where(Conversation.community == community)
        if since is not None:
            query = query.where(Answer.created_at >= since)
        rows: Any = session.execute(query.group_by(Answer.adapter))
        return {name: Thumbs(good, bad) for name, good, bad in rows}


def _choice(session: Session, community: str) -> Choice:
    row = session.scalar(select(AdapterChoice).where(AdapterChoice.community == community))
    return Choice() if row is None else Choice(row.name, row.tried, row.percent, row.tried_at)


def _row(session: Session, community: str) -> AdapterChoice:
    row = session.scalar(select(AdapterChoice).where(AdapterChoice.community == community))
    if row is None:
        session.add(row := AdapterChoice(community=community, name="", tried="", percent=0, tried_by=""))
    return row


def _end_trial(session: Session, row: AdapterChoice, by: str) -> None:
    if row.tried:
        session.add(AdapterUse(community=row.community, kind="end", name=row.tried, previous="", by=by[:255]))
    row.tried, row.percent, row.tried_by, row.tried_at = "", 0, "", None
