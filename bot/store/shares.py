"""Which communities let others learn from what was taught in them."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from bot.store.database import Database, reads, writes
from bot.store.records import Shared
from bot.store.tables import Share, now


class ShareStore:
    """Part of `bot.store.Store`. What has ended stays on record: adapters may have learnt from it."""

    database: Database

    @writes
    def share(self, session: Session, community: str, by: str) -> None:
        """Let other communities learn from its examples from now on, as long as their people allow it."""
        if session.scalar(_lasting(community)) is None:
            session.add(Share(community=community, by=by[:255]))

    @writes
    def unshare(self, session: Session, community: str, by: str) -> bool:
        """No longer; False: it was not shared."""
        rows = session.scalars(_lasting(community)).all()
        for row in rows:
            row.ended_by, row.ended_at = by[:255], now()
        return bool(rows)

    @reads
    def shared(self, session: Session, community: str) -> Shared | None:
        """Who shares its examples, and since when; None: nobody."""
        row = session.scalar(_lasting(community).limit(1))
        return None if row is None else Shared(row.by, row.created_at)


def sharing() -> Select[str]:
    """Communities whose examples others may learn from."""
    return select(Share.community).where(Share.ended_at.is_(None))


def _lasting(community: str) -> Select[Share]:
    return select(Share).where(Share.community == community, Share.ended_at.is_(None)).order_by(Share.id)
