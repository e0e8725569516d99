"""Wiring and life cycle: start, supervise, drain, stop."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

from bot import metrics
from bot.chat.base import WEB
from bot.connections import connected, connections
from bot.desk import Desk
from bot.errors import StartError, WorkerError
from bot.personas import load_personas
from bot.privacy import Privacy
from bot.remote import RemoteModel
from bot.rest import rests_until
from bot.retraining import ProcessTrainer, Retrainings, TakingTurns, Trainer
from bot.retraining.hours import Hours
from bot.settings import Settings
from bot.store import Store, migrate
from bot.supervisor import Supervisor
from bot.turn import Turns
from bot.worker import ModelClient

DRAIN_TIMEOUT = 5.0
"""Seconds that running answers get to finish after the first Ctrl-C. With two to show them (SHOW_TIMEOUT), one for the page's
open streams (STOP_SECONDS) and four for the worker (STOP_GRACE) the way out takes at most 12."""
SHOW_TIMEOUT = 2.0
"""Seconds in which chat platforms show the last answers before the connections are closed."""
STOPPED, FAILED, INTERRUPTED = 0, 1, 130
"""Exit codes; 130 is 128 + SIGINT, as shells count."""

Say = Callable[[str], None]
"""Tells the owner one line."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Core:
    """What every platform needs. `model`: who looks after it, whether the worker is ours or somebody else's server."""

    store: Store
    turns: Turns
    desk: Desk
    model: Supervisor | RemoteModel


@asynccontextmanager
async def open_core(settings: Settings, *, say: Say, own_worker: bool = False) -> AsyncIterator[Core]:
    """The store, brought up to date, the model's client, and turns between them. Everything is closed again in the end.

    A worker that already serves our port is used as it is, unless `own_worker`: so `jnana ask` answers at once beside
    `jnana run`. Raises StoreError when the database cannot be used, StartError while that worker rests.
    """
    url = settings.model_url or f"http://127.0.0.1:{settings.model_port}"
    key = settings.model_api_key.get_secret_value()
    supervised = not settings.model_url and (own_worker or not await _serves(url, key, settings.model_preset))
    if supervised and not own_worker and (over := rests_until(settings.jnana_home)) is not None:
        raise StartError(f"The model rests, for the bot is learning, and is back at {over:%H:%M %Z} at the latest: ask then.")
    personas = load_personas(settings.personas)
    await asyncio.to_thread(migrate.upgrade, settings.database, settings.backups)
    store = await Store.open(settings.database, settings.attachments)
    supervisor = Supervisor(settings, say=say) if supervised else None
    client = ModelClient(url, key, model=settings.model_preset, failure=supervisor.failure if supervisor else lambda: None)
    model = supervisor or RemoteModel(client, say)
    turns = Turns(store, client, settings, personas)
    trainer: Trainer = ProcessTrainer(settings)
    if supervisor is not None:
        trainer = TakingTurns(trainer, Hours.read(settings.retrain_hours), supervisor.resting)
    retrainings = Retrainings(store, settings, trainer, client)
    privacy = Privacy([retrainings, store], settings.attachments)
    desk = Desk(turns, store, privacy, personas, lambda: model.status()[0], version("jnana"), retrainings)
    try:
        yield Core(store, turns, desk, model)
    finally:
        await turns.drain(DRAIN_TIMEOUT)
        await model.stop()  # before a run that ends gives it back its place: it is not to start any more
        await retrainings.close()
        await client.close()
        await store.close()


async def _serves(url: str, key: str, preset: str) -> bool:
    """Whether a worker of ours with this preset answers there already."""
    probe = ModelClient(url, key)
    try:
        return (await probe.health()).get("preset") == preset
    except WorkerError:
        return False
    finally:
        await probe.close()


async def run(settings: Settings, *, say: Say) -> int:
    """The bot until it is asked to stop; returns the exit code."""
    stopping = _on_signals(say)
    with _sole_use(settings.jnana_home):
        _serve_metrics(settings.metrics_port)
        async with open_core(settings, say=say, own_worker=True) as core:
            await core.model.launch()
            if settings.web_enabled:
                # Takes seconds and stops everything here, which is nothing yet; meanwhile the worker loads. Not in a thread:
                # libraries that look for each other while one is half imported fail.
                importlib.import_module("bot.chat.web")
            core.desk.recovered(await core.turns.recover(_platforms(settings)))
            async with connected(connections(settings, core.desk), say):
                await _run(settings, core, stopping, say)
    return STOPPED


async def _run(settings: Settings, core: Core, stopping: asyncio.Event, say: Say) -> None:
    # People who open the page early see that the model is loading, and may ask already.
    worker = asyncio.create_task(core.model.start(), name="start-worker")
    try:
        async with _page(settings, core) as page_url:
            if await _first(worker, stopping):
                say(f"ready: {page_url}")
                for line in _not_configured(settings):
                    say(line)
                await stopping.wait()
            # Answers finish while the page still shows them; new questions are refused from here on.
            await core.turns.drain(DRAIN_TIMEOUT)
            await core.desk.close(SHOW_TIMEOUT)
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


def _serve_metrics(port: int) -> None:
    """Raises StartError when it cannot listen."""
    if not port:
        return
    try:
        metrics.serve("127.0.0.1", port)
    except OSError as error:
        raise StartError(f"METRICS_PORT={port}: cannot listen there ({error.strerror})") from error


@contextmanager
def _sole_use(home: Path) -> Iterator[None]:
    """Keep other bots off the data folder: each would answer the other's unfinished turns. Raises StartError.

    The system frees the lock when the process ends, however that comes about.
    """
    with (home / "jnana.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"JNANA_HOME={home}: another `jnana run` uses this data folder. Stop it, or give this one a folder of its own."
            ) from None
        yield


def _platforms(settings: Settings) -> list[str]:
    """Where this process can show answers."""
    chats = [("discord", settings.discord_token), ("telegram", settings.telegram_token)]
    web = [WEB] if settings.web_enabled else []
    return web + [platform for platform, token in chats if token.get_secret_value()]


@asynccontextmanager
async def _page(settings: Settings, core: Core) -> AsyncIterator[str]:
    """The web page, if it is wanted; yields its address. Raises StartError when it cannot listen."""
    if not settings.web_enabled:
        yield "(no web page, WEB_ENABLED=false)"
        return
    from bot.chat.web import Status, WebPage  # gradio takes memory: only where there is a page

    def status() -> Status:
        words, ready = core.model.status()
        return Status(str(words), ready)

    page = WebPage(
        core.desk,
        host=settings.web_host,
        port=settings.web_port,
        password=settings.web_password.get_secret_value(),
        owner_password=settings.web_owner_password.get_secret_value(),
        home=settings.jnana_home,
        status=status,
    )
    try:
        await page.start()
    except OSError as error:
        raise StartError(str(error.strerror or error)) from error
    try:
        yield page.url
    finally:
        await page.stop()


async def _first(work: asyncio.Task[None], stopping: asyncio.Event) -> bool:
    """Wait for `work`, or for the request to stop: then `work` is cancelled and the answer is False."""
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work  # raises what it raised
            return True
        return False
    finally:
        for task in (work, stop):
            task.cancel()
        await asyncio.gather(work, stop, return_exceptions=True)


def _on_signals(say: Say) -> asyncio.Event:
    """Set by the first Ctrl-C or SIGTERM; the second one ends the process at once (the worker notices and ends, too)."""
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(INTERRUPTED)
        say(f"stopping: running answers get {DRAIN_TIMEOUT:.0f} seconds; Ctrl-C again stops at once")
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return stopping


def _not_configured(settings: Settings) -> list[str]:
    """What the owner may still want to set up."""
    chats = (("Discord", settings.discord_token), ("Telegram", settings.telegram_token))
    return [
        f"{platform}: not configured ({platform.upper()}_TOKEN in .env)"
        for platform, token in chats
        if not token.get_secret_value()
    ]
