"""Numbers of examples belong to one example each, for ever: runs and buttons name examples by them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from alembic import command

from bot.chat.base import Address
from bot.media import Media
from bot.settings import Settings
from bot.store import Store, migrate
from bot.store.database import open_engine
from tests.bot.room import ANN, BOB

COMMUNITY = "discord:chat:100"
BADGE = Media("picture", "badge.jpg", b"a badge", "image/jpeg", width=4, height=3)
BEFORE = "e81f3a6c20d9"


async def taught(store: Store, *, by: Any = ANN) -> int:
    """The number that it got."""
    await store.set_teaches("discord", by, True)
    await store.teach(COMMUNITY, "discord", by, "Whose badge?", "Ours.", [BADGE])
    return (await store.usable(COMMUNITY))[-1].example_id


async def test_the_number_of_a_forgotten_example_is_not_given_again(store: Store) -> None:
    first = await taught(store)
    await store.forget("discord", ANN.platform_id)
    assert await taught(store, by=BOB) > first


async def test_the_migration_keeps_examples_and_pictures_and_goes_on_behind_what_runs_name(
    store: Store, settings: Settings
) -> None:
    first = await taught(store)
    kept = await store.usable(COMMUNITY)
    address = Address("discord", "100")
    await store.add_run("tiny", COMMUNITY, address, start="first", by="Boss", note="", language="en", examples=[first, 41])
    engine = open_engine(settings.database)
    with engine.begin() as connection:
        command.downgrade(migrate.alembic_config(connection), BEFORE)
    engine.dispose()
    migrate.upgrade(settings.database, settings.backups)
    assert await store.usable(COMMUNITY) == kept
    assert len(kept[0].pictures) == 1
    assert await taught(store, by=BOB) == 42
    assert (await store.forget("discord", ANN.platform_id), len(await store.usable(COMMUNITY))) == (0, 1)
    assert migrate.check(settings.database, settings.attachments).problems == []


async def test_the_migration_of_a_database_without_examples(store: Store, settings: Settings) -> None:
    engine = open_engine(settings.database)
    with engine.begin() as connection:
        command.downgrade(migrate.alembic_config(connection), BEFORE)
    engine.dispose()
    migrate.upgrade(settings.database, settings.backups)
    assert await taught(store) == 1
    with closing(sqlite3.connect(settings.jnana_home / "jnana.db")) as connection:
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'examples'").fetchone()
        indexes = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'examples'")}
    assert "AUTOINCREMENT" in made
    assert {"ix_examples_community_id", "ix_examples_person_id"} < indexes
    assert {"fk_examples_person_id", "fk_examples_turn_id", "uq_examples_turn_id"} <= {
        word for word in made.replace(",", " ").split() if word.startswith(("fk_", "uq_"))
    }
