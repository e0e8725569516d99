"""Opening the database: settings that every connection needs, and errors in one sentence."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.errors import DiskFull, ReadOnly, StoreError

BUSY_TIMEOUT = 30.0
"""Seconds a connection waits for another one's lock before "database is locked"; long enough for a backup to finish."""

CONNECTIONS = 8
"""To SQLite, kept open: one writes at a time, and every new one costs a thread and four PRAGMAs."""

WRITES = "jnana_writes"
"""Execution option of engines whose transactions write."""


def open_engine(url: str) -> AsyncEngine:
    """An engine whose every SQLite connection has foreign keys, WAL and a busy timeout (all but WAL hold for one connection).

    What people wrote never gets into error messages (`hide_parameters`).
    """
    pool: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        pool = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": BUSY_TIMEOUT}
    try:
        engine = create_async_engine(url, hide_parameters=True, **pool)
    except ModuleNotFoundError as missing:
        raise StoreError(f"DATABASE_URL needs the package {missing.name}, which is not installed.") from missing
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would start transactions late and never for DDL, so that a failed migration stayed half done.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once, without any waiting, when another one wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what a driver or the file system raises into a `StoreError` with a sentence; the cause is kept for the log.

    A broken constraint is no failure of the store: it is left to the caller.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise _explain(str(error.orig)) from error
    except OSError as error:
        raise _explain_os(error) from error


def _explain(message: str) -> StoreError:
    lower = message.lower()
    if "full" in lower or "no space left" in lower:
        return DiskFull("The disk with the data folder is full: make room, then try again.")
    if "readonly" in lower or "read-only" in lower:
        return ReadOnly("The database is read-only: make its folder and files writable for this user.")
    if "unable to open" in lower:
        return ReadOnly("The database file cannot be opened or created: check that its folder exists and is writable.")
    if "not a database" in lower or "malformed" in lower:
        return StoreError("The database file is damaged or is not a database: restore a backup from the backups folder.")
    if "locked" in lower:
        return StoreError(f"Another program kept the database locked for {BUSY_TIMEOUT:.0f} seconds.")
    return StoreError("The database failed.")


def _explain_os(error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull("The disk with the data folder is full: make room, then try again.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnly("The data folder is read-only: make it writable for this user.")
    if isinstance(error, ConnectionError | socket.gaierror | TimeoutError):
        return StoreError("The database server cannot be reached: check DATABASE_URL.")
    return StoreError(f"The data folder cannot be used ({error.strerror}).")
