"""A real SQLite file, the real OpenAI client, a fake worker on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.desk import Desk
from bot.personas import load_personas
from bot.privacy import Privacy
from bot.settings import Settings
from bot.store import Store, migrate
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.room import Room

NOBODY = 65534
"""A user without rights."""


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once, copied for each test."""
    folder = tmp_path_factory.mktemp("database")
    migrate.upgrade(f"sqlite:///{folder / 'jnana.db'}", folder / "backups")
    return folder / "jnana.db"


@pytest.fixture
def settings(empty_database: Path, tmp_path: Path) -> Settings:
    settings = Settings(jnana_home=tmp_path / "home", system_prompt="Be brief.")
    shutil.copy(empty_database, settings.jnana_home / "jnana.db")
    return settings


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(settings.database, settings.attachments)
    yield store
    await store.close()


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


@pytest.fixture
async def client(model: FakeModel) -> AsyncIterator[ModelClient]:
    client = ModelClient(model.url)
    yield client
    await client.close()


@pytest.fixture
async def turns(store: Store, client: ModelClient, settings: Settings) -> AsyncIterator[Turns]:
    turns = Turns(store, client, settings, load_personas())
    yield turns
    await turns.drain(0)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process cannot write to, also when the tests are run by root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
async def desk(turns: Turns, store: Store, settings: Settings) -> AsyncIterator[Desk]:
    desk = Desk(turns, store, Privacy([store], settings.attachments), load_personas(), lambda: "fake, ready", "1.0")
    yield desk
    await turns.drain(0)
    await desk.close(5)


@pytest.fixture
def room(desk: Desk, store: Store) -> Room:
    return Room(desk, store)
