"""The life of the worker's process: listen at once, load, serve, and end in an orderly way.

Exit codes (a supervisor restarts on 1 and on death by a signal only):

- 0: asked to stop (SIGTERM, SIGINT, or the parent is gone)
- 1: crashed
- 2: the settings or arguments are wrong
- 3: the weights are missing, damaged, do not fit on the disk, or cannot be loaded
- 4: the address cannot be listened on, usually because another process does

A worker that cannot load says why on standard error and, for some seconds, at /health; then it exits with 3.

A process that starts a worker sets JNANA_PARENT_PID to its own id. The worker then ends when that process is no longer its
parent, however that came about. (Watching the parent's id works on every POSIX system and survives threads; PR_SET_PDEATHSIG
is Linux only and fires when the *thread* that started the worker ends; a closed pipe is missed when another child holds it.)
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

from model import allocator
from model.server import create_app
from model.settings import WorkerSettings
from model.weights import Progress, WeightsError
from model.worker import Loader, Worker, load_parts

log = structlog.get_logger(__name__)

STOPPED, CRASHED, BAD_SETTINGS, NO_WEIGHTS, NO_ADDRESS = 0, 1, 2, 3, 4

SHUTDOWN_SECONDS = 10.0
"""Seconds from the request to stop until the process is gone."""

DRAIN_SECONDS = 7.0
"""Seconds that running answers get to finish; the rest of SHUTDOWN_SECONDS is for telling their clients."""

LINGER_SECONDS = 3.0
"""Seconds that a worker which could not load stays to say so at /health."""

PARENT_POLL_SECONDS = 1.0
"""Seconds between two looks at whether the parent still lives."""

TRIM_SECONDS = 60.0
"""Seconds between two times that freed memory goes back to the system."""

KEEP_ALIVE_SECONDS = 75
"""Seconds until an idle connection is closed: more than clients keep theirs (5 of httpx, 15 of aiohttp). Where both close after
the same 5, which are uvicorn's own, a request in tens of thousands runs into the closing and is lost (docs/results/soak.md;
https://www.python-httpx.org/advanced/resource-limits/)."""

BACKLOG = 128
"""Connections the kernel holds until they are accepted."""


class CannotServe(Exception):  # noqa: N818 - read as a condition where it is caught
    """The worker cannot do its work. The message is a sentence for the owner; `code` is the process's exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that a taken port is found out before minutes go into loading. Raises CannotServe."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=BACKLOG)
    except OSError as error:
        sentence = f"MODEL_PORT={port}: cannot listen on {host}:{port} ({error.strerror}); is another worker running?"
        raise CannotServe(sentence, NO_ADDRESS) from error


def run(
    settings: WorkerSettings,
    listener: socket.socket,
    *,
    loader: Loader = load_parts,
    on_progress: Progress = lambda what, done, total: None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run a worker on a listening socket until it is asked to stop. Blocking. Raises CannotServe when it cannot load."""
    allocator.settle()
    worker = Worker(settings, loader, on_progress)
    try:
        code = asyncio.run(_serve(worker, listener, on_ready))
    finally:
        worker.close()
        gc.freeze()  # Python would look through all of torch's objects once more before it ends, for seconds on a busy machine
    if code != STOPPED:
        raise CannotServe(worker.health().detail, code)


async def _serve(worker: Worker, listener: socket.socket, on_ready: Callable[[], None]) -> int:
    # uvicorn raises the signals it caught again once it is done; ours are answered by then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = _Server(worker)
    lasting = (server.load(on_ready), server.follow_parent(), _trim_now_and_then())
    tasks = [asyncio.create_task(work) for work in lasting]
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in tasks:
            task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return server.exit_code


async def _trim_now_and_then() -> None:
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(allocator.trim)


class _Server(uvicorn.Server):
    """uvicorn, with our way of ending."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(worker),
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(SHUTDOWN_SECONDS - 1),
                server_header=False,
            )
        )
        self._worker = worker
        self.exit_code = STOPPED

    async def load(self, on_ready: Callable[[], None]) -> None:
        """Load the mind; a failure is shown for a while, then ends the process."""
        error = await self._worker.load()
        if error is None:
            on_ready()
            return
        self.exit_code = NO_WEIGHTS if isinstance(error, WeightsError) else CRASHED
        await asyncio.sleep(LINGER_SECONDS)
        self.should_exit = True

    async def follow_parent(self) -> None:
        """End when the process that started us is gone, so that no orphan keeps the port and the memory."""
        parent = os.environ.get("JNANA_PARENT_PID", "")
        if not parent.isdecimal():
            return
        while os.getppid() == int(parent):  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(PARENT_POLL_SECONDS)
        self.should_exit = True
        _drop_output()  # the parent read it through a pipe: the next line of the log would raise BrokenPipeError

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping")
        loading = self._worker.status == "loading"
        # Threads deep in native code (loading, a long prompt) cannot be interrupted: the deadline holds all the same.
        _exit_after(0.5 if loading else SHUTDOWN_SECONDS, self.exit_code)
        self._worker.drain(DRAIN_SECONDS)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            os._exit(128 + sig)  # asked twice: at once
        super().handle_exit(sig, frame)


def _drop_output() -> None:
    """Send what is still printed nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _exit_after(seconds: float, code: int) -> None:
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()
