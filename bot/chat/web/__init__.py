"""The web page: gradio behind a gate, on the bot's own event loop.

page = WebPage(desk, host="127.0.0.1", port=7860, password="", home=home, status=lambda: Status("Ready", True))
await page.start()      # accepts visitors from here on; OSError with one sentence when the port is in use
await page.stop()
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import structlog
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from starlette.responses import FileResponse, Response

# Read by gradio when it is imported or builds a page. It would otherwise call home.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Statistics of its queue, computed with pandas after every event and kept for 10,000: nobody reads them.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**12)
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"

import gradio as gr

from bot.chat.web.asking import PLATFORM
from bot.chat.web.board import Board
from bot.chat.web.gate import Gate
from bot.chat.web.page import ASSETS, Page, build, theme
from bot.chat.web.panel import Panel, told_as_json
from bot.chat.web.uploads import MAX_UPLOAD_BYTES, Uploads, file_response
from bot.desk import Desk
from bot.errors import JnanaError

log = structlog.get_logger(__name__)

STOP_SECONDS = 1  # open event streams are cut after this; answers run on and are stored all the same


class Status(NamedTuple):
    """The line under the name: `text` for people ("Loading the model", "Ready: pocket"), `ready` colours the dot."""

    text: str
    ready: bool


class WebPage:
    """Serves one page to everybody; each browser sees its own conversations.

    Args:
        password: asked for when not empty.
        owner_password: makes who knows it the page's owner; empty: who opens a page without any password on this machine.
        home: the data folder; uploads on their way pass through tmp/web in it.
        status: asked whenever a page is open, every few seconds; must not block.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        host: str,
        port: int,
        password: str,
        owner_password: str,
        home: Path,
        status: Callable[[], Status],
    ) -> None:
        self._host = host
        self._port = port
        self._passwords = (password, owner_password)
        self._history = desk.store
        self._board = Board(desk)
        self._status = status
        os.environ["GRADIO_TEMP_DIR"] = str(home / "tmp" / "gradio")
        uploads = Uploads(home / "tmp" / "web")
        self._blocks = build(Page(desk, uploads))
        self._app = self._routes(uploads, Panel(desk, self._board, uploads), self._blocks)
        self._uploads = uploads
        self._sweeping: asyncio.Task[None] | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{self._port}"

    async def start(self) -> None:
        """Bind and accept visitors. Raises OSError, its message one sentence, when the address cannot be had."""
        listener = self._bind()
        config = uvicorn.Config(
            Gate(self._app, *self._passwords),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        accepting = asyncio.create_task(self._server.accepting.wait())
        await asyncio.wait({accepting, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        if not accepting.done():
            accepting.cancel()
            await self._serving
            raise OSError("the web page could not be started; the log says why")
        await self._board.resume()
        self._sweeping = asyncio.create_task(self._uploads.keep_clean(), name="sweep-uploads")
        log.info("web_ready", url=self.url)

    async def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
            self._blocks.close(verbose=False)  # its queue's own task

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host.strip("[]"), self._port), family=family)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                advice = "set WEB_PORT to a free port"
            elif error.errno == errno.EACCES:
                advice = "set WEB_PORT to a port above 1023"
            else:
                advice = "set WEB_HOST to an address of this machine"
            reason = (error.strerror or str(error)).lower()
            raise OSError(
                error.errno, f"the web page cannot listen on {self._host}:{self._port} ({reason}); {advice}"
            ) from None
        self._port = listener.getsockname()[1]
        return listener

    def _routes(self, uploads: Uploads, panel: Panel, blocks: gr.Blocks) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.include_router(uploads.router)
        app.include_router(panel.router)
        app.add_exception_handler(JnanaError, told_as_json)
        app.add_api_route("/files/{attachment_id}", self._file, response_model=None)
        app.add_api_route("/jnana/{name}", _asset, response_model=None)
        app.add_api_route("/status", self._show_status)
        gr.mount_gradio_app(
            app,
            blocks,
            "/",
            server_name=self._host,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            show_error=False,
            max_file_size=MAX_UPLOAD_BYTES,
            favicon_path=str(ASSETS / "icon.png"),
            theme=theme(),
            head='<link rel="stylesheet" href="jnana/style.css"><script src="jnana/page.js"></script>',
        )
        return app

    async def _file(self, attachment_id: int, request: Request) -> Response:
        attachment = await self._history.attachment(attachment_id, PLATFORM, request.state.browser)
        if attachment is None or not attachment.path.is_file():
            raise HTTPException(404)
        return file_response(attachment.path, attachment.mime, attachment.name)

    async def _show_status(self) -> dict[str, object]:
        return self._status()._asdict()


class _Server(uvicorn.Server):
    """Signals are the bot's own affair."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _asset(name: str) -> Response:
    path = ASSETS / name
    if path.parent != ASSETS or path.suffix not in (".css", ".js", ".jpg", ".png") or not path.is_file():
        raise HTTPException(404)
    return FileResponse(path, headers={"Cache-Control": "no-cache"})
