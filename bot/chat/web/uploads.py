"""Files on their way from a browser into a message: kept for one browser, for a short while, then gone.

Replaces gradio's own upload and file routes, which know no visitors.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import structlog
from fastapi import APIRouter, HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from bot.chat.base import IncomingFile
from bot.errors import NotStored

MAX_UPLOAD_BYTES = 200 * 2**20  # one request, which may hold several files; each file's own limit is bot/media.py's
MAX_FILES = 32  # in one request
MAX_BROWSER_BYTES = 500 * 2**20  # waiting in one browser's composers
MAX_WAITING_BYTES = 4 * 2**30  # waiting in all of them: cookies cost nothing
KEPT_SECONDS = 3600.0  # a file that was never sent
SWEEP_SECONDS = 600.0  # between two looks for such files
INLINE = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp", "audio/", "video/webm", "video/mp4")
FILE_ID = re.compile(r"[\w-]{22}")

log = structlog.get_logger(__name__)


def file_response(path: Path, mime: str, name: str) -> Response:
    """A person's file: shown in the page when it is a picture or a sound, otherwise only offered for download; never run."""
    inline = mime.startswith(INLINE)
    headers = {
        "Content-Disposition": f"{'inline' if inline else 'attachment'}; filename*=utf-8''{quote(name)}",
        "Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600",
    }
    return FileResponse(path, media_type=mime if inline else "application/octet-stream", headers=headers)


class Uploads:
    """A folder with one subfolder a browser. A file is named by a random id; its own name is only shown."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process left behind
        folder.mkdir(parents=True, mode=0o700)
        self._folder = folder
        self.router = APIRouter()
        self.router.add_api_route("/gradio_api/upload", self._receive, methods=["POST"], response_model=None)
        self.router.add_api_route("/gradio_api/file={file_id}/{name}", self._show, methods=["GET"], response_model=None)

    async def _receive(self, request: Request) -> Response:
        """Take files; answers their ids in the shape gradio's upload route has (a JSON list of paths)."""
        folder = self._folder / request.state.browser
        announced = int(request.headers.get("content-length", MAX_UPLOAD_BYTES + 1))
        waiting = await asyncio.to_thread(_sweep, self._folder)
        own, everybody = waiting.get(folder.name, 0), sum(waiting.values())
        if announced > MAX_UPLOAD_BYTES or announced + own > MAX_BROWSER_BYTES or announced + everybody > MAX_WAITING_BYTES:
            return PlainTextResponse("That is too large to upload", 413)
        try:
            return JSONResponse(await self._keep_all(request, folder))
        except OSError as error:
            log.warning("upload_not_kept", reason=error.strerror)
            return PlainTextResponse("The bot cannot store anything at the moment", 507)

    async def _keep_all(self, request: Request, folder: Path) -> list[str]:
        paths: list[str] = []
        async with request.form(max_files=MAX_FILES, max_fields=0) as form:
            for upload in form.getlist("files"):
                if isinstance(upload, UploadFile):
                    file_id = secrets.token_urlsafe(16)
                    await asyncio.to_thread(_keep, upload, folder / file_id)
                    paths.append(f"{file_id}/{Path(upload.filename or 'file').name}")
        return paths

    async def offer(self, browser: str, name: str, data: bytes) -> str:
        """Keep a file for a browser to fetch, as long as an upload; its address. Raises NotStored: too much waits."""
        folder, file_id = self._folder / browser, secrets.token_urlsafe(16)
        waiting = await asyncio.to_thread(_sweep, self._folder)
        if waiting.get(browser, 0) > MAX_BROWSER_BYTES or sum(waiting.values()) > MAX_WAITING_BYTES:
            raise NotStored("Too much waits here to be fetched already. Please try again in an hour.")
        await asyncio.to_thread(_write, folder / file_id, data)
        return f"gradio_api/file={file_id}/{quote(name)}"

    async def keep_clean(self) -> None:
        """Drop what was never sent, again and again, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.to_thread(_sweep, self._folder)

    async def _show(self, file_id: str, name: str, request: Request) -> Response:
        path = self._path(request.state.browser, file_id)
        if path is None:
            raise HTTPException(404)
        return file_response(path, mimetypes.guess_type(name)[0] or "", name)

    def take(self, browser: str, paths: Sequence[str]) -> list[IncomingFile]:
        """The files of a message, as `_receive` named them. A file that is gone is taken as empty, so that it gets refused."""
        return [self._incoming(browser, *path.partition("/")[::2]) for path in paths]

    def _incoming(self, browser: str, file_id: str, name: str) -> IncomingFile:
        path = self._path(browser, file_id)

        async def fetch() -> bytes:
            return await asyncio.to_thread(_take, path) if path else b""

        return IncomingFile(name=name, size=path.stat().st_size if path else 0, fetch=fetch)

    def _path(self, browser: str, file_id: str) -> Path | None:
        path = self._folder / browser / file_id
        return path if FILE_ID.fullmatch(file_id) and path.is_file() else None


def _keep(upload: UploadFile, path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(data)


def _take(path: Path) -> bytes:
    """Read once: from here on the store has it. A message that was refused outright was never fetched and keeps its files."""
    content = path.read_bytes()
    path.unlink(missing_ok=True)
    return content


def _sweep(root: Path) -> dict[str, int]:
    """Drop what was never sent; the bytes of what is left, by browser."""
    sizes: dict[str, int] = {}
    for path in root.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # sent meanwhile
            stat = path.stat()
            if stat.st_mtime < time.time() - KEPT_SECONDS:
                path.unlink()
            else:
                sizes[path.parent.name] = sizes.get(path.parent.name, 0) + stat.st_size
    return sizes
