"""The store, the settings and the fake model are those of the bot's own tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.settings import Settings
from tests.bot.conftest import empty_database, model, settings
from tests.bot.fake_model import FakeModel

from .chat import Chat
from .running import Running, on, running
from .server import TelegramServer

__all__ = ["empty_database", "model", "settings"]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TelegramServer]:
    """Waits of seconds become short ones; what is waited for stays the same."""
    monkeypatch.setattr("bot.chat.telegram.place.PRIVATE_CLOCK", 0.02)
    monkeypatch.setattr("bot.chat.telegram.place.GROUP_CLOCK", 0.02)
    monkeypatch.setattr("bot.reply.PATIENCE", 0.05)
    monkeypatch.setattr("bot.reply.RETRIES", (0.02,) * 8)
    async with TelegramServer() as server:
        yield server


@pytest.fixture
def home(server: TelegramServer, settings: Settings) -> Settings:
    """The settings of a bot on this server."""
    return on(server, settings)


@pytest.fixture
async def bot(server: TelegramServer, model: FakeModel, home: Settings) -> AsyncIterator[Running]:
    async with running(server, model, home) as bot:
        yield bot


@pytest.fixture
def ann(server: TelegramServer) -> Chat:
    return server.private(name="Ann")
