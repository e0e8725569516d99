"""Attachments as files named by the sha256 of their content: written atomically, stored once however often they are sent."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

from bot.store.database import plain_errors

SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "audio/ogg": ".ogg", "text/plain": ".txt"}
"""What media.py produces. The suffix follows from the content, so it keeps names unique and lets browsers play a file."""


class AttachmentFiles:
    """The folder of attachments: `root/ab/abcdef….jpg`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.changing = asyncio.Lock()
        """Held from storing a file until it is referred to, and from seeing that nothing does until it is removed: so none is
        removed that somebody has just sent again."""

    def path(self, sha256: str, mime: str) -> Path:
        return self.root / sha256[:2] / f"{sha256}{SUFFIXES[mime]}"

    async def put(self, data: bytes, mime: str) -> str:
        """Store `data` and return its sha256 in hex.

        Raises:
            StoreError: the disk is full or read-only; nothing is left behind.
        """
        return await asyncio.to_thread(self._put, data, mime)

    def _put(self, data: bytes, mime: str) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256, mime)
        with plain_errors():
            # The size tells a whole file from one that a crash of the machine cut off.
            if not path.exists() or path.stat().st_size != len(data):
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_atomically(path, data)
        return sha256

    async def remove(self, sha256: str, mime: str) -> None:
        """Delete a file that nothing refers to any more."""
        with plain_errors():
            await asyncio.to_thread(self.path(sha256, mime).unlink, missing_ok=True)


def _write_atomically(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
