"""Opening the database, whole transactions in threads, and errors in one sentence."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from bot.errors import DiskFull, ReadOnly, StoreError

BUSY_TIMEOUT = 30.0
"""Seconds a connection waits for another one's lock before "database is locked"; long enough for a backup to finish."""

READERS = 4
"""Threads, with a connection each. More would only wait: they share one interpreter, and the disk's pages are in memory."""

WRITES = "jnana_writes"
"""Execution option of engines whose transactions write."""


P = ParamSpec("P")
T = TypeVar("T")


def open_engine(url: str) -> Engine:
    """An engine whose every SQLite connection has foreign keys, WAL and a busy timeout (all but WAL hold for one connection).

    What people wrote never gets into error messages (`hide_parameters`).
    """
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=not url.startswith("sqlite"), pool_timeout=BUSY_TIMEOUT)
    except ModuleNotFoundError as missing:
        raise StoreError(f"DATABASE_URL needs the package {missing.name}, which is not installed.") from missing
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


class Database:
    """Transactions in threads of their own, each from its begin to its commit: the event loop waits for none of its steps,
    and none is left halfway when the one who waits for it is cancelled.

    SQLite has one writer at a time and makes the others sleep and look again: there, one thread writes, in the order of asking.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reading = sessionmaker(engine, expire_on_commit=False)
        self._writing = sessionmaker(engine.execution_options(**{WRITES: True}), expire_on_commit=False)
        self._closed = False
        self._readers = ThreadPoolExecutor(READERS, "database-read")
        self._writers = ThreadPoolExecutor(1 if engine.dialect.name == "sqlite" else READERS, "database-write")

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` finds. Raises StoreError."""
        return await self._run(self._readers, self._reading, work)

    async def write(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, when what it changed is committed. Raises StoreError; then nothing is changed."""
        return await self._run(self._writers, self._writing, work)

    async def _run(self, threads: ThreadPoolExecutor, sessions: sessionmaker[Session], work: Callable[[Session], T]) -> T:
        if self._closed:
            raise StoreError("The database is closed: the program is stopping.")
        return await asyncio.get_running_loop().run_in_executor(threads, self._transaction, sessions, work)

    @staticmethod
    def _transaction(sessions: sessionmaker[Session], work: Callable[[Session], T]) -> T:
        with plain_errors(), sessions.begin() as session:
            return work(session)

    async def close(self) -> None:
        """When the transactions that were asked for are over."""
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writers.shutdown()
        self._readers.shutdown()
        self.engine.dispose()


class HasDatabase(Protocol):
    """What has methods that are transactions."""

    @property
    def database(self) -> Database: ...


Owner = TypeVar("Owner", bound=HasDatabase)


def reads(work: Callable[Concatenate[Owner, Session, P], T]) -> Callable[Concatenate[Owner, P], Coroutine[Any, Any, T]]:
    """Make of a method with a session a coroutine method without: it runs as one transaction in a thread. Raises StoreError."""

    @functools.wraps(work)
    async def read(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await owner.database.read(lambda session: work(owner, session, *args, **kwargs))

    return read


def writes(work: Callable[Concatenate[Owner, Session, P], T]) -> Callable[Concatenate[Owner, P], Coroutine[Any, Any, T]]:
    """As `reads`, for a transaction that changes something."""

    @functools.wraps(work)
    async def write(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await owner.database.write(lambda session: work(owner, session, *args, **kwargs))

    return write


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
