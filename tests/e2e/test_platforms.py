"""From Discord and Telegram to the real model and back: one `jnana run` with the pocket weights serves both."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import skimage

from tests.platforms.drivers import Driver, OnDiscord, OnTelegram, Sent
from tests.platforms.process import Platforms, platforms, running
from tests.processes import ROOT, free_port

pytestmark = [pytest.mark.pocket, pytest.mark.asyncio(loop_scope="module")]

CAT = Sent("chelsea.png", (Path(skimage.__file__).parent / "data" / "chelsea.png").read_bytes(), "image/png")
SPOKEN = Sent("note.ogg", (ROOT / "tests" / "data" / "voice.ogg").read_bytes(), "audio/ogg")
PATIENCE = 240.0
"""Seconds for an answer of the real model, on one busy core."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def where(pocket_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platforms]:
    """A data folder of its own with the weights that all tests share."""
    home = tmp_path_factory.mktemp("platforms")
    (home / "models").symlink_to(pocket_home / "models")
    async with platforms(home, WEB_ENABLED="false", MODEL_PORT=str(free_port())) as where, running(where):
        yield where


@pytest_asyncio.fixture(params=["telegram", "discord"], loop_scope="module")
async def driver(request: pytest.FixtureRequest, where: Platforms) -> Driver:
    if request.param == "telegram":
        return OnTelegram(where.telegram, patience=PATIENCE)
    return OnDiscord(where.discord, patience=PATIENCE)


async def test_photo_follow_up_and_voice_note(driver: Driver) -> None:
    await driver.ask("What is in this photo?", CAT)
    assert re.search(r"\b(cat|mau)\b", await driver.shows(), re.IGNORECASE)
    await driver.ask("Which animal did I show you?")
    assert re.search(r"\b(cat|mau)\b", await driver.shows(), re.IGNORECASE)
    await driver.ask("", SPOKEN)
    assert re.search(r"🎙 \w+.*\n+\S", await driver.shows("🎙"))
