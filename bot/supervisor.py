"""Keeps the worker process alive: starts it, reads its log, restarts it when it dies or hangs, stops it for a rest and at the
end.

What the exit codes mean is written in model/process.py; the bot never imports that package.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from bot.errors import WorkerError
from bot.rest import marked
from bot.settings import Settings
from bot.texts import Text, text
from bot.worker import ModelClient

COMMAND = (sys.executable, "-m", "model.cli", "serve")

PORT_TAKEN = 4
FINAL_EXITS = {
    2: "its settings are wrong",
    3: "its weights are missing or damaged",
    PORT_TAKEN: "its port is taken",
}
"""Exit codes after which another start would end the same way. Where it served before, its port is only lent: to the worker of
a `jnana ask` that found none."""

FIRST_PAUSE = 1.0
"""Seconds before the first restart; each further one waits twice as long."""
LONGEST_PAUSE = 60.0
"""Seconds between two restarts at most."""
STABLE_AFTER = 300.0
"""Seconds of life after which a crash counts as the first one again."""
CRASHES_FORGIVEN = 2
"""Crashes in a row for which turns wait; with one more they are told that the model is broken."""
HEALTH_EVERY = 1.0
"""Seconds between two looks at /health."""
SILENT_START = 180.0
"""Seconds until a new process must answer /health: torch is imported from a cold, slow disk."""
HANGS_AFTER = 60.0
"""Seconds without an answer of /health until the process is killed. Answers are computed on other threads, and what needs
Python's lock for long is kept from them."""
STOP_GRACE = 4.0
"""Seconds from SIGTERM to SIGKILL. Turns were drained before, so nothing is left to finish; a process with torch in it takes
three seconds to end."""
ANSWERS_END = 60.0
"""Seconds that running answers get before a rest; whoever has none by then is told, like those who ask later."""
LINE_BYTES = 2**20
"""Longest line of the worker's log."""
NOT_FOR_WORKER = ("DISCORD_TOKEN", "TELEGRAM_TOKEN", "WEB_PASSWORD", "WEB_OWNER_PASSWORD", "DATABASE_URL")
"""Secrets in the environment that are none of the worker's business."""

BROKEN = "The model cannot be started at the moment. The bot's owner finds the reason in the log."

log = structlog.get_logger(__name__)


class Supervisor:
    """Owns the worker process on this machine.

    Args:
        say: gets what the worker prints for people (progress, the sentence why it cannot start), a line at a time.
        command: what to run.
    """

    def __init__(self, settings: Settings, *, say: Callable[[str], None] = print, command: Sequence[str] = COMMAND) -> None:
        self._settings = settings
        self._say = say
        self._command = command
        self._client = ModelClient(f"http://127.0.0.1:{settings.model_port}", settings.model_api_key.get_secret_value())
        self._task: asyncio.Task[None] | None = None
        self._launched = asyncio.Event()
        self._ready = asyncio.Event()
        self._place = asyncio.Lock()
        """Held by the one process, or by a rest."""
        self._leave = asyncio.Event()
        """The process is to end for a rest."""
        self._back: datetime | None = None
        """When the rest is over at the latest; None: there is none."""
        self._hopeless = asyncio.Event()
        """Nobody should wait any longer; taken back when a later start succeeds after all."""
        self._has_served = False
        self._crashes = 0
        self._last_words = ""
        """The last line for people of the running process."""
        self._reason = ""
        """Why the process before ended: its last words."""
        self._given_up = ""

    async def launch(self) -> None:
        """Start the process and return. Raises WorkerError when its port is taken."""
        _require_free(self._settings.model_port)
        self._task = asyncio.create_task(self._keep_running(), name="worker-supervisor")
        launched = asyncio.create_task(self._launched.wait())
        await asyncio.wait({self._task, launched}, return_when=asyncio.FIRST_COMPLETED)
        launched.cancel()

    async def start(self) -> None:
        """Wait until the model is loaded, which takes minutes when weights are converted first; `launch` if need be.

        Raises:
            WorkerError: its port is taken, it ended for good, or crashed several times in a row. It is stopped then.
        """
        if self._task is None:
            await self.launch()
        assert self._task is not None  # noqa: S101  # launched
        outcomes = [asyncio.create_task(event.wait()) for event in (self._ready, self._hopeless)]
        try:
            await asyncio.wait({self._task, *outcomes}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for outcome in outcomes:
                outcome.cancel()
        if self._task.done() and not self._hopeless.is_set():
            self._task.result()  # a defect of ours
        if self._hopeless.is_set():
            reason = self._given_up or f"The model worker crashed {self._crashes} times at its start: {self._reason}"
            await self.stop()
            raise WorkerError(reason)

    def failure(self) -> Text | str | None:
        """A sentence for people if it is no use to wait for the worker, None while there is hope."""
        if self._back is not None:
            return text("model-rests", time=f"{self._back:%H:%M %Z}")
        return BROKEN if self._hopeless.is_set() else None

    def status(self) -> tuple[Text | str, bool]:
        """How the model is, in words for people, and whether it can answer now."""
        if self._back is not None:
            return text("status-rests", time=f"{self._back:%H:%M %Z}"), False
        if self._hopeless.is_set():
            return BROKEN, False
        if self._ready.is_set():
            return "Ready", True
        return ("The model crashed and is started again" if self._crashes else "The model is being loaded"), False

    @asynccontextmanager
    async def resting(self, until: datetime) -> AsyncIterator[None]:
        """No worker runs in the block, for something else to have its place; then one is started again, however the block ends.
        One block at a time.

        `until`: what people are told who ask meanwhile.
        """
        self._back = until
        log.info("worker is to rest", until=until.isoformat())
        try:
            await self._answers_end()
            self._leave.set()
            async with self._place:
                with marked(self._settings.jnana_home, until):
                    yield
        finally:
            self._leave.clear()
            self._back = None
            log.info("worker's rest is over")

    async def stop(self) -> None:
        """End the worker; at most `STOP_GRACE` seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.close()

    async def _answers_end(self) -> None:
        """Nobody asks anything new while `failure` has a sentence."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWERS_END):
                while await self._is_answering():  # noqa: ASYNC110  # another process decides
                    await asyncio.sleep(HEALTH_EVERY)

    async def _is_answering(self) -> bool:
        try:
            health = await self._client.health()
        except WorkerError:  # it does not run, or hangs
            return False
        return bool(health.get("busy") or health.get("queue"))

    async def _keep_running(self) -> None:
        while True:
            async with self._place:
                began = time.monotonic()
                try:
                    code = await self._run_once()
                except OSError as error:  # no memory, no process ids, no Python
                    log.exception("worker not started")
                    code, self._last_words = -1, str(error)
                self._ready.clear()
            if code is None:
                self._crashes = 0
                continue
            self._reason = self._last_words
            if code in FINAL_EXITS and not (code == PORT_TAKEN and self._has_served):
                self._given_up = f"The model worker cannot run: {self._reason or FINAL_EXITS[code]}"
                self._hopeless.set()
                log.error("worker given up", exit_code=code, reason=self._reason)
                return
            self._crashes = 1 if time.monotonic() - began > STABLE_AFTER else self._crashes + 1
            if self._crashes > CRASHES_FORGIVEN:
                self._hopeless.set()
            pause = min(FIRST_PAUSE * 2 ** (self._crashes - 1), LONGEST_PAUSE)
            log.warning("worker ended", exit_code=code, crashes=self._crashes, restart_in=pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> int | None:
        """Run the process to its end and return its exit code, negative for a signal; None: it was ended for a rest."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,  # "ready: …" is ours to say
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the bot, which needs the worker to finish answers
            limit=LINE_BYTES,
        )
        log.info("worker started", pid=process.pid)
        self._launched.set()
        self._last_words = ""
        lines, watch = asyncio.create_task(self._forward_lines(process)), asyncio.create_task(self._watch(process))
        ended, leave = asyncio.create_task(process.wait()), asyncio.create_task(self._leave.wait())
        try:
            await asyncio.wait({ended, leave}, return_when=asyncio.FIRST_COMPLETED)
            if process.returncode is None:
                log.info("worker ends for a rest", pid=process.pid)
                return None
            await asyncio.wait({lines}, timeout=1)  # its last words
            return process.returncode
        finally:
            watch.cancel()
            await end(process)
            for helper in (lines, ended, leave):
                helper.cancel()
            await asyncio.gather(lines, watch, ended, leave, return_exceptions=True)

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in NOT_FOR_WORKER}
        return inherited | {
            "JNANA_HOME": str(settings.jnana_home),
            "JNANA_PARENT_PID": str(os.getpid()),  # it ends when we are gone, however that came about
            "MODEL_PRESET": settings.model_preset,
            "MODEL_HOST": "127.0.0.1",
            "MODEL_PORT": str(settings.model_port),
            "MODEL_API_KEY": settings.model_api_key.get_secret_value(),
            "LOG_LEVEL": settings.log_level,
            "LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }

    async def _forward_lines(self, process: asyncio.subprocess.Process) -> None:
        """Events go into our log, lines for people to `say`."""
        assert process.stderr is not None  # noqa: S101  # asked for above
        while True:
            try:
                line = (await process.stderr.readline()).decode(errors="replace")
            except ValueError:  # longer than LINE_BYTES; the reader drops it
                continue
            if not line:
                return
            if line.strip() and not _log_event(line):
                self._last_words = line.strip()
                self._say(line.rstrip())

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Notice that the model is loaded, and kill a process that does not answer any more."""
        answered, patience = time.monotonic(), SILENT_START
        while True:
            await asyncio.sleep(HEALTH_EVERY)
            try:
                health = await self._client.health()
            except WorkerError:
                health = {}
            except Exception:
                log.exception("worker's health is not understood")
                health = {}
            if health:
                answered, patience = time.monotonic(), HANGS_AFTER
            if health.get("status") == "failed":
                self._last_words = str(health.get("detail") or self._last_words)
            if health.get("status") == "ready" and process.returncode is None and not self._ready.is_set():
                log.info("worker ready", preset=health.get("preset"), device=health.get("device"))
                self._hopeless.clear()
                self._has_served = True
                self._ready.set()
            if time.monotonic() - answered > patience:
                self._last_words = f"it did not answer for {patience:.0f} seconds"
                log.error("worker hangs", silent_for=patience)
                process.kill()
                return


def _require_free(port: int) -> None:
    """Somebody else's worker there would look like ours, and ready at once."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise WorkerError(
            f"MODEL_PORT={port}: another program uses this port ({error.strerror}). Stop it, choose another MODEL_PORT, "
            "or set MODEL_URL to use a server that runs already."
        ) from error


def _log_event(line: str) -> bool:
    """Log the line as an event of ours if it is one in JSON."""
    try:
        event = json.loads(line)
    except ValueError:
        return False
    if not isinstance(event, dict) or "event" not in event:
        return False
    name, level = str(event.pop("event")), str(event.pop("level", "info"))
    event.pop("timestamp", None)
    write = {"debug": log.debug, "warning": log.warning, "error": log.error, "critical": log.error}.get(level, log.info)
    write(name, source="worker", **{str(key): value for key, value in event.items()})
    return True


async def end(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGTERM) -> None:
    """Ask it to stop, and kill it if it has not after STOP_GRACE seconds."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(how)
        try:
            async with asyncio.timeout(STOP_GRACE):
                await process.wait()
        except TimeoutError:
            log.warning("process killed, it did not stop", pid=process.pid)
            process.kill()
            await process.wait()
