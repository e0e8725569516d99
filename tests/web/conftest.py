"""The page as people have it: the real turns, a SQLite file, the real client; only the model behind them is a fake."""

from __future__ import annotations

import socket
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
from PIL import Image
from playwright.async_api import Browser

from bot.chat.web import Status, WebPage
from bot.chat.web.page import ASSETS
from bot.desk import Desk
from bot.personas import load_personas
from bot.privacy import Privacy
from bot.retraining import Retrainings
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from tests.bot.conftest import client, empty_database, model, settings, store, turns
from tests.web.browser import Visitor, chromium, open_page

__all__ = ["client", "empty_database", "model", "settings", "store", "turns"]  # fixtures, shared with tests/bot


def web_desk(turns: Turns, store: Store, settings: Settings, retrainings: Retrainings | None = None) -> Desk:
    privacy = Privacy([*([retrainings] if retrainings else []), store], settings.attachments)
    return Desk(turns, store, privacy, load_personas(), lambda: "fake, ready", "1.0", retrainings)


def web_page(
    turns: Turns,
    store: Store,
    settings: Settings,
    *,
    port: int = 0,
    password: str = "",
    owner_password: str = "",
    desk: Desk | None = None,
) -> WebPage:
    return WebPage(
        desk or web_desk(turns, store, settings),
        host="127.0.0.1",
        port=port,
        password=password,
        owner_password=owner_password,
        home=settings.jnana_home,
        status=lambda: Status("Ready: fake", ready=True),
    )


@pytest.fixture
async def page(turns: Turns, store: Store, settings: Settings) -> AsyncIterator[WebPage]:
    page = web_page(turns, store, settings)
    await page.start()
    yield page
    await page.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def visitor(page: WebPage, browser: Browser) -> Visitor:
    return await open_page(browser, page.url)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "red square.png"
    Image.new("RGB", (320, 240), "red").save(path)
    return path


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example voice note as the WAV file (16 bits, mono) that Chromium's fake microphone plays."""
    path = tmp_path_factory.mktemp("voice") / "spoken.wav"
    resampler = av.AudioResampler("s16", "mono", 48_000)
    with av.open(str(ASSETS / "example.ogg")) as source, wave.open(str(path), "wb") as target:
        target.setparams((1, 2, 48_000, 0, "NONE", ""))
        for frame in source.decode(audio=0):
            for resampled in resampler.resample(frame):
                target.writeframes(resampled.to_ndarray().tobytes())
    return path


@pytest.fixture
def example_voice() -> Path:
    return ASSETS / "example.ogg"
