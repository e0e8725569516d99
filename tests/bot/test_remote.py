"""A model server that is somebody else's: the owner and the page are told when it is not there."""

from __future__ import annotations

import pytest

from bot import remote
from bot.remote import RemoteModel
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.test_supervisor import eventually


async def test_a_server_that_comes_later_is_noticed(unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LOOK_EVERY", 0.02)
    said: list[str] = []
    client = ModelClient(f"http://127.0.0.1:{unused_port}")
    model = RemoteModel(client, said.append)
    await model.start()
    try:
        assert said[0].startswith("MODEL_URL: The model is not running")
        assert model.status() == ("The model server does not answer", False)
        with FakeModel(port=unused_port) as server:
            await eventually(lambda: model.status() == ("Ready", True))
            server.status["status"] = "loading"
            await eventually(lambda: model.status() == ("The model is being loaded", False))
    finally:
        await model.stop()
        await client.close()


async def test_a_server_of_another_kind_is_ready() -> None:
    with FakeModel(plain=True) as server:
        client = ModelClient(server.url)
        model = RemoteModel(client, pytest.fail)
        await model.start()
        assert model.status() == ("Ready", True)
        await model.stop()
        await client.close()
