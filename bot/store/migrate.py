"""Keeping the database in shape: upgrade (with a backup before), backup, check. All of it blocks."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, make_url, select
from sqlalchemy.exc import DatabaseError

from bot.errors import DatabaseNewer, DatabaseOutdated, StoreError
from bot.store.database import WRITES, open_engine, plain_errors
from bot.store.files import AttachmentFiles
from bot.store.tables import Attachment

SCRIPTS = Path(__file__).parents[2] / "migrations"
BEFORE_UPGRADE = "before-upgrade"
"""In the names of backups that are made before a migration."""
BACKUPS_KEPT = 5
"""Of those as many stay; older ones are deleted when a new one is made. What the owner made is the owner's."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What `upgrade` did; revisions are None for a database without tables. `backup` is None when nothing had to be saved."""

    before: str | None
    after: str
    backup: Path | None


@dataclass(frozen=True, slots=True)
class Check:
    """What `check` found: sentences about what is wrong, and files that no turn refers to (harmless, they take up room)."""

    revision: str | None
    attachments: int
    problems: list[str] = field(default_factory=list)
    orphans: list[Path] = field(default_factory=list)


def upgrade(url: str, backups: Path) -> Upgrade:
    """Bring the database to the newest revision; an existing SQLite database is saved to `backups` first if that changes it.

    Raises:
        DatabaseNewer: a newer version of the program made it.
        StoreError: it cannot be opened or written; a failed migration leaves everything as it was.
    """
    engine = open_engine(url)
    try:
        before = _revision(engine)
        after = _known_revision(before)
        if before == after:
            return Upgrade(before, after, None)
        saved = None
        if before is not None and engine.dialect.name == "sqlite":
            saved = backup(url, backups, BEFORE_UPGRADE)
            _drop_oldest(backups)
        with plain_errors(), engine.execution_options(**{WRITES: True}).begin() as connection:
            _migrate(connection)
        log.info("database upgraded", before=before, after=after, backup=str(saved) if saved else None)
        return Upgrade(before, after, saved)
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Raise a `StoreError` unless the database is at the newest revision."""
    before = _revision(engine)
    if before != _known_revision(before):
        raise DatabaseOutdated("The database was made by an older version of Jñāna: run `jnana db upgrade` first.")


def backup(url: str, backups: Path, why: str = "backup") -> Path:
    """Copy the SQLite database, while it is in use, to a new file in `backups`, with `why` in its name."""
    database = make_url(url).database
    if not url.startswith("sqlite") or not database:
        raise StoreError("Only SQLite databases are backed up here: use pg_dump for PostgreSQL.")
    if not Path(database).is_file():
        raise StoreError(f"There is no database at {database}, so there is nothing to back up.")
    return _backup(Path(database), backups, why)


def check(url: str, attachments: Path) -> Check:
    """Look for damage: the database's own checks, its revision, attachments that are missing, changed or belong to nobody."""
    engine = open_engine(url)
    try:
        revision = _revision(engine)
        head = _known_revision(revision)
        with plain_errors():
            problems = _database_problems(engine)
        if revision != head:
            problems.append(f"The database is at revision {revision}, this version needs {head}: run `jnana db upgrade`.")
            return Check(revision, 0, problems)
        with plain_errors(), engine.connect() as connection:
            rows = connection.execute(select(Attachment.sha256, Attachment.mime).distinct()).all()
        damaged, orphans = _check_files(AttachmentFiles(attachments), [(sha256, mime) for sha256, mime in rows])
        return Check(revision, len(rows), problems + damaged, orphans)
    finally:
        engine.dispose()


def alembic_config(connection: Connection | None = None) -> Config:
    """What Alembic is told; without alembic.ini, so that it works from any folder. `%` would start an interpolation."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _migrate(connection: Connection) -> None:
    command.upgrade(alembic_config(connection), "head")


def _revision(engine: Engine) -> str | None:
    with plain_errors(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _known_revision(revision: str | None) -> str:
    """The newest revision there is, if `revision` is one that leads to it."""
    scripts = ScriptDirectory.from_config(alembic_config())
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseNewer(
            f"The database was made by a newer version of Jñāna (revision {revision}): "
            "update the program, or use a backup from the backups folder."
        )
    head = scripts.get_current_head()
    if head is None:
        raise StoreError(f"No migrations were found in {SCRIPTS}: the installation is incomplete.")
    return head


def _drop_oldest(backups: Path) -> None:
    for old in sorted(backups.glob(f"jnana-{BEFORE_UPGRADE}-*.db"))[:-BACKUPS_KEPT]:
        old.unlink()


def _backup(database: Path, backups: Path, why: str) -> Path:
    with plain_errors():
        backups.mkdir(parents=True, exist_ok=True)
        target = backups / f"jnana-{why}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z.db"
        temporary = target.with_suffix(".tmp")
        try:
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(temporary)) as copy:
                source.backup(copy)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.rename(target)
        except sqlite3.Error as error:
            raise StoreError(f"The backup failed ({error}); nothing was changed.") from error
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _database_problems(engine: Engine) -> list[str]:
    if engine.dialect.name != "sqlite":
        return []  # PostgreSQL keeps these promises itself
    with engine.connect() as connection:
        try:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        except DatabaseError as error:
            return [f"The database is damaged: {error.orig}."]
        problems = [f"The database is damaged: {line}." for line in found if line != "ok"]
        problems += [
            f"Row {row['rowid']} of table {row['table']} refers to a missing row of {row['parent']}."
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check").mappings()
        ]
    return problems


def _check_files(files: AttachmentFiles, rows: list[tuple[str, str]]) -> tuple[list[str], list[Path]]:
    problems = []
    expected = set()
    for sha256, mime in rows:
        path = files.path(sha256, mime)
        expected.add(path)
        if not path.is_file():
            problems.append(f"The attachment {path} is missing.")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            problems.append(f"The attachment {path} was changed or damaged.")
    found = {path for path in files.root.rglob("*") if path.is_file()} if files.root.is_dir() else set()
    return problems, sorted(found - expected)
