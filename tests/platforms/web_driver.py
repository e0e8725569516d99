"""A person on the web page without a browser: what the page's own script sends to Gradio, and what it is told."""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self

import httpx
from gradio_client.utils import apply_diff

from .drivers import PATIENCE, Sent

LOOK_AGAIN = 0.1
"""Seconds until a conversation that stands still is looked at again."""


class OnWeb:
    """Implements Driver."""

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self.client = httpx.AsyncClient(base_url=url, timeout=patience)
        self.patience = patience
        self.functions: dict[str, int] = {}
        self.conversation = ""
        self.messages: list[dict[str, Any]] = []
        self.turn_ids: list[int] = []
        self.busy = False

    async def __aenter__(self) -> Self:
        await self.client.get("/")
        config = (await self.client.get("/config")).json()
        self.functions = {one["api_name"]: one["id"] for one in config["dependencies"] if one["api_name"]}
        self.conversation = (await self._done("open", []))[0]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def ask(self, text: str = "", *files: Sent) -> None:
        paths = []
        for file in files:
            upload = {"files": (file.name, file.data, file.mime)}
            paths += (await self.client.post("/gradio_api/upload", files=upload)).json()
        self.messages = []
        problem, _ = await self._done("send", [{"text": text, "files": paths}, self.conversation])
        assert not problem, problem

    async def shows(self, words: str = "", *, ended: bool = True) -> str:
        async with asyncio.timeout(self.patience):
            while True:
                async with aclosing(self._call("watch", [self.conversation])) as drawn:
                    async for picture in drawn:
                        self._look(picture)
                        if self.messages and words in self._shown() and not (ended and self.busy):
                            return self._shown()
                await asyncio.sleep(LOOK_AGAIN)

    async def press(self, verb: str) -> None:
        if verb == "stop":
            await self._done("stop", [self.conversation])
        else:
            await self._done("regenerate", [self.turn_ids, self.conversation])

    def bold(self) -> list[str]:
        return re.findall(r"\*\*(.+?)\*\*", _text(self.messages[-1]))

    def answers(self) -> int:
        """Since the newest question: the page shows two messages a turn."""
        roles = [message["role"] for message in self.messages]
        return len(roles) - 1 - max(index for index, role in enumerate(roles) if role == "user")

    def _look(self, picture: list[Any]) -> None:
        """What `bot.chat.web.page.Page.watch` yields; what it skips stays as it was."""
        chatbot, turn_ids, box, *_ = picture
        self.messages = chatbot.get("value", self.messages)
        self.turn_ids = turn_ids if isinstance(turn_ids, list) else self.turn_ids
        self.busy = box.get("stop_btn", self.busy)

    def _shown(self) -> str:
        """The page puts what was heard and left out under the question."""
        return html.unescape("\n".join(_text(message) for message in self.messages[-2:]))

    async def _done(self, name: str, data: list[Any]) -> list[Any]:
        """What a handler returns in the end."""
        async with aclosing(self._call(name, data)) as told:
            return [outputs async for outputs in told][-1]

    async def _call(self, name: str, data: list[Any]) -> AsyncGenerator[list[Any], None]:
        """What a handler yields, in Gradio's own protocol: the first output whole, then what changes."""
        session = secrets.token_hex(6)
        event = {"data": data, "fn_index": self.functions[name], "session_hash": session, "event_data": None}
        joined = await self.client.post("/gradio_api/queue/join", json=event)
        assert joined.status_code == 200, joined.text
        drawn: list[Any] | None = None
        async with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                told = json.loads(line.removeprefix("data:"))
                if told["msg"] == "process_generating":
                    new = told["output"]["data"]
                    drawn = new if drawn is None else [apply_diff(*pair) for pair in zip(drawn, new, strict=True)]
                    yield drawn
                elif told["msg"] == "process_completed":
                    assert told["success"], told
                    yield told["output"]["data"]
                    return


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
