"""Retrainings."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.chat.base import Address
from bot.store.database import Database, reads, writes
from bot.store.records import RunState, StoredRun
from bot.store.tables import Run, now

STAGE = "retrain"
ENDED = ("failed", "cancelled", "used", "dropped")


class RunStore:
    """Part of `bot.store.Store`."""

    database: Database

    @writes
    def add_run(
        self,
        session: Session,
        preset: str,
        community: str,
        address: Address,
        *,
        start: str,
        by: str,
        note: str,
        language: str,
        examples: Sequence[int],
    ) -> StoredRun:
        """A run in the state preparing. `start`: name of the adapter that it goes on from."""
        config = {
            "community": community,
            "platform": address.platform,
            "chat": address.chat_id,
            "thread": address.thread_id,
            "message": "",
            "start": start,
            "by": by,
            "note": note,
            "language": language,
            "examples": list(examples),
        }
        run = Run(stage=STAGE, preset=preset, state="preparing", config=config)
        session.add(run)
        session.flush()
        # With something of its own: a database that was restored begins to count again, and the old folder is still there.
        run.config = {**config, "folder": f"retrained-{run.id}-{secrets.token_hex(2)}"}
        return _stored(run)

    @writes
    def set_run(
        self, session: Session, run_id: int, state: RunState, *, message_id: str | None = None, failure: str = ""
    ) -> None:
        """`message_id`: of the message that shows it from now on; None: as before."""
        run = session.get_one(Run, run_id)
        run.state = state
        run.config = {**run.config, **({} if message_id is None else {"message": message_id}), "failure": failure}
        if state in ENDED:
            run.finished_at = now()

    @reads
    def run(self, session: Session, run_id: int) -> StoredRun | None:
        found = session.get(Run, run_id)
        return None if found is None or found.stage != STAGE else _stored(found)

    @reads
    def runs(self, session: Session, states: Collection[RunState]) -> list[StoredRun]:
        """Retrainings in these states, oldest first."""
        query = select(Run).where(Run.stage == STAGE, Run.state.in_(states)).order_by(Run.id)
        return [_stored(run) for run in session.scalars(query)]


def _stored(run: Run) -> StoredRun:
    config = run.config
    return StoredRun(
        run_id=run.id,
        folder=config["folder"],
        start=config["start"],
        state=run.state,  # type: ignore[arg-type]  # only RunStore writes it
        community=config["community"],
        address=Address(config["platform"], config["chat"], config["thread"]),
        message_id=config["message"],
        by=config["by"],
        note=config["note"],
        language=config["language"],
        examples=tuple(config["examples"]),
        failure=config.get("failure", ""),
    )
