"""Forget and export, as a contract that every store of personal data implements.

Whoever keeps anything about a person (the database today, training sets tomorrow) implements `PersonalData` and is given to
`Privacy`; there is no other place from which data can be missed.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol


class PersonalData(Protocol):
    """Something that keeps data about people."""

    async def forget(self, platform: str, platform_id: str) -> int:
        """Delete everything about a person, derived data included; how many messages that were."""
        ...

    async def export(self, platform: str, platform_id: str) -> dict[str, Any]:
        """Everything about a person, as JSON values; {} if nothing is kept. A value under "file" names a file of `folder`."""
        ...


class Privacy:
    """All stores together. `attachments`: the folder in which exported "file" names are found."""

    def __init__(self, stores: Sequence[PersonalData], attachments: Path) -> None:
        self._stores = stores
        self._attachments = attachments

    async def forget(self, platform: str, platform_id: str) -> int:
        return sum([await store.forget(platform, platform_id) for store in self._stores])

    async def export(self, platform: str, platform_id: str) -> bytes:
        """A zip archive: jnana.json, and the pictures and recordings under files/."""
        found: dict[str, Any] = {}
        for store in self._stores:
            found |= await store.export(platform, platform_id)
        return await asyncio.to_thread(self._zip, found)

    def _zip(self, found: dict[str, Any]) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("jnana.json", json.dumps(found, ensure_ascii=False, indent=2))
            for name in sorted(_files(found)):
                path = self._attachments / name[:2] / name
                if path.exists():
                    archive.write(path, f"files/{name}")
        return packed.getvalue()


def _files(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["file"]} if isinstance(value.get("file"), str) else set()
        return own.union(*(_files(item) for item in value.values()))
    return set().union(*(_files(item) for item in value)) if isinstance(value, list) else set()
