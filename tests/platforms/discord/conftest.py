"""The store, the settings and the fake model are those of the bot's own tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.settings import Settings
from tests.bot.conftest import empty_database, model, settings
from tests.bot.fake_model import FakeModel

from .running import RunningBot, bot_on, for_discord
from .server import DiscordServer

__all__ = ["empty_database", "model", "settings"]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordServer]:
    """Waits of seconds become short ones; what is waited for stays the same."""
    monkeypatch.setattr("discord.http.Route.BASE", "")
    monkeypatch.setattr("discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY", None)
    monkeypatch.setattr("bot.chat.discord.place.CLOCK", 0.02)
    monkeypatch.setattr("bot.reply.PATIENCE", 0.05)
    monkeypatch.setattr("bot.reply.RETRIES", (0.02,) * 8)
    async with DiscordServer() as server:
        monkeypatch.setattr("discord.asset.Asset.BASE", server.url)
        yield server


@pytest.fixture
async def bot(server: DiscordServer, model: FakeModel, settings: Settings) -> AsyncIterator[RunningBot]:
    async with bot_on(server, for_discord(settings, server), model.url) as bot:
        yield bot
