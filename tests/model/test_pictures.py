"""Photos take seconds to open and to look at, in which others are answered."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from typing import Any

import pytest
from PIL import Image

from model.attached import Attached
from model.sight import Picture
from tests.model.serving import PATIENCE, Running, running


def photo(number: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, "PNG")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"}}


def about(*numbers: int) -> list[dict[str, Any]]:
    return [*map(photo, numbers), {"type": "text", "text": "What is this?"}]


async def test_text_is_answered_while_a_crowds_photos_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = threading.Event()
    async with running() as server:
        monkeypatch.setattr(server.mind, "open", lambda picture, attached: opening.wait(PATIENCE))
        asked = [asyncio.create_task(server.ask(about(number))) for number in range(20)]
        await server.wait_for_health(busy=True, queue=19)
        assert (await server.ask("hello")).choices
        opening.set()
        assert all(answer.choices for answer in await asyncio.gather(*asked))


async def test_photos_of_who_has_gone_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = threading.Event()
    opened: list[str] = []

    def open_slowly(picture: Picture, attached: Attached) -> None:
        opened.append(picture.digest)
        opening.wait(PATIENCE)

    async with running() as server:
        monkeypatch.setattr(server.mind, "open", open_slowly)
        gone = asyncio.create_task(server.ask(about(1, 2, 3)))
        await server.wait_for_health(busy=True)
        gone.cancel()
        await asyncio.wait([gone])
        await server.wait_for_health(busy=False)
        opening.set()
        assert (await server.ask(about(4))).choices
        assert len(opened) == 2


async def test_answers_grow_between_the_photos_of_one_request(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    server.mind.say("la " * 400, pause=0.005)
    forward = server.mind.model.model.language_model.forward
    done: list[str] = []

    def passes(*arguments: Any, **options: Any) -> Any:
        done.append("pass")
        return forward(*arguments, **options)

    monkeypatch.setattr(server.mind.model.model.language_model, "forward", passes)
    look = server.mind.look

    def looked(picture: Picture, attached: Attached) -> dict[str, float]:
        done.append("look")
        return look(picture, attached)

    monkeypatch.setattr(server.mind, "look", looked)
    other = await server.ask(stream=True, max_tokens=400)
    await anext(aiter(other))
    assert (await server.ask(about(1, 2, 3, 4), max_tokens=2)).choices
    await other.close()
    assert done.count("look") == 4
    assert "look look" not in " ".join(done)
