"""Run by Alembic. `bot.store.migrate` passes a connection; the `alembic` command opens the database of the settings."""

from __future__ import annotations

from typing import Literal

from alembic import context
from sqlalchemy import Connection

from bot.settings import Settings
from bot.store.database import WRITES, open_engine
from bot.store.tables import Base, UtcDateTime


def render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Migrations must not change when our code does: they name the type of SQLAlchemy that ours is built on."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def migrate(connection: Connection) -> None:
    # SQLite cannot alter most of a table: Alembic makes a new one and copies the rows ("batch").
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, render_item=render)
    with context.begin_transaction():
        context.run_migrations()


def migrate_configured_database() -> None:
    engine = open_engine(Settings(_env_file=".env").database)  # type: ignore[call-arg]  # the worker's settings stand there, too
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        migrate(connection)
    engine.dispose()


if context.config.attributes.get("connection") is not None:
    migrate(context.config.attributes["connection"])
else:
    migrate_configured_database()
