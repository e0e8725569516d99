from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.model.serving import Running, running


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """A ready worker around a tiny mind."""
    async with running() as client:
        yield client
