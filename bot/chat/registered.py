"""Commands are registered with a platform when they changed, not at every start: Discord takes 200 new ones a day
(https://discord.com/developers/docs/interactions/application-commands#registering-a-command)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any


class Registered:
    """What a platform was told last on behalf of which bot; commands as a hash in `file`."""

    def __init__(self, file: Path, bot_id: int | None, commands: Any) -> None:
        """`commands`: JSON values, everything that is to be told."""
        digest = hashlib.sha256(json.dumps(commands, sort_keys=True).encode()).hexdigest()
        self._file = file
        self._told = {"bot": str(bot_id), "commands": digest}

    async def is_current(self) -> bool:
        return await asyncio.to_thread(self._read) == self._told

    async def note(self) -> None:
        """It was told. Raises OSError."""
        await asyncio.to_thread(self._file.write_text, json.dumps(self._told), "utf-8")

    def _read(self) -> object:
        try:
            told: object = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return told
