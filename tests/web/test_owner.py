"""Who the page's owner is, and that nobody else finds anything of what is theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from bot.chat.base import Sender
from bot.chat.web import WebPage
from bot.errors import SettingsError
from bot.settings import Settings, load_settings
from bot.store import Store
from bot.turn import Turns
from tests.web.browser import Visitor, needs_chromium, open_page
from tests.web.conftest import web_page

EVENTS: list[tuple[str, str, Any]] = [
    ("GET", "/teaching", None),
    ("GET", "/teaching/examples", None),
    ("POST", "/teaching/examples/1", {"state": "dropped"}),
    ("POST", "/teaching/examples/1", {"answer": "Mine."}),
    ("GET", "/teaching/examples/1/0", None),
    ("POST", "/teaching/sharing", {"shared": True}),
    ("GET", "/teaching/import", None),
    ("POST", "/teaching/import", {"path": "file/badges.jsonl"}),
    ("GET", "/teaching/retrainings", None),
    ("POST", "/teaching/retrainings", {"note": "mine"}),
    ("POST", "/teaching/retrainings", {"action": "retrain-use:1"}),
    ("GET", "/teaching/adapters", None),
    ("POST", "/teaching/adapters", {"name": "mine"}),
    ("POST", "/teaching/adapters", {}),
    ("GET", "/teaching/comparison", None),
    ("POST", "/teaching/comparison", {"first": "mine", "second": "none"}),
]
VISITOR, OWNER = "open sesame", "open barley"


@asynccontextmanager
async def served(page: WebPage) -> AsyncIterator[WebPage]:
    await page.start()
    yield page
    await page.stop()


@asynccontextmanager
async def opened(page: WebPage, password: str = "", **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with its cookie, logged in if there is a password."""
    async with httpx.AsyncClient(base_url=page.url, headers=headers) as client:
        await client.get("/")
        if password:
            assert (await client.post("/login", data={"password": password})).headers["location"] == "/"
        yield client


async def taught(store: Store, answer: str = "Ours.") -> None:
    sender = Sender("somebody", "You")
    await store.set_teaches("web", sender, True)
    await store.teach("web", "web", sender, "Whose badge?", answer, [])


async def codes(client: httpx.AsyncClient) -> set[int]:
    return {(await client.request(method, path, json=body)).status_code for method, path, body in EVENTS}


async def test_who_opens_a_page_without_passwords_on_this_machine_is_its_owner(page: WebPage) -> None:
    async with opened(page) as client:
        assert (await client.get("/teaching")).status_code == 200
        assert (await client.get("/teaching/examples")).json()["examples"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:7860"},  # a name that its owner lets mean 127.0.0.1
        {"X-Forwarded-For": "198.51.100.1"},
        {"Forwarded": "for=198.51.100.1"},
        {"Origin": "http://127.0.0.1:1"},  # a page of another program on this machine
        {"Host": "[::1"},
    ],
)
async def test_what_comes_through_others_is_not_the_owners(page: WebPage, store: Store, headers: dict[str, str]) -> None:
    await taught(store)
    async with opened(page, **headers) as client:
        assert await codes(client) == {404}
    assert [one.state for one in await store.examples("web", states=("new", "dropped", "kept"), limit=9)] == ["new"]


async def test_a_form_of_another_page_cannot_be_sent(page: WebPage, store: Store) -> None:
    """Browsers send text/plain to anybody without asking first."""
    await taught(store)
    async with opened(page) as client:
        forged = await client.post(
            "/teaching/examples/1", content='{"state": "dropped"}', headers={"Content-Type": "text/plain"}
        )
        assert forged.status_code == 422
    assert len(await store.usable("web")) == 1


async def test_visitors_password_makes_no_owner(turns: Turns, store: Store, settings: Settings) -> None:
    await taught(store)
    async with served(web_page(turns, store, settings, password=VISITOR)) as page, opened(page, VISITOR) as client:
        assert (await client.get("/")).status_code == 200
        assert await codes(client) == {404}
    assert len(await store.usable("web")) == 1


async def test_owners_password_opens_both(turns: Turns, store: Store, settings: Settings) -> None:
    async with served(web_page(turns, store, settings, password=VISITOR, owner_password=OWNER)) as page:
        async with opened(page) as client:
            assert await codes(client) == {401}
        async with opened(page, VISITOR) as client:
            assert await codes(client) == {404}
            await client.post("/login", data={"password": OWNER})
            assert (await client.get("/teaching/examples")).status_code == 200
            proof = dict(client.cookies)
        async with httpx.AsyncClient(base_url=page.url, cookies={"jnana_login": proof["jnana_login"]}) as thief:
            assert await codes(thief) == {401}


@needs_chromium
@pytest.mark.chromium
async def test_visitors_see_nothing_of_it_until_the_owner_logs_in(
    turns: Turns, store: Store, settings: Settings, browser: Browser
) -> None:
    async with served(web_page(turns, store, settings, owner_password=OWNER)) as page:
        visitor: Visitor = await open_page(browser, page.url)
        await visitor.ask("hi")
        await visitor.answer(1)
        link = visitor.page.get_by_role("link", name="Teaching")
        await expect(link).to_have_count(0)
        await visitor.page.goto(f"{page.url}/login")
        await visitor.page.get_by_label("Password").fill(OWNER)
        await visitor.page.get_by_role("button", name="Log in").click()
        await visitor.ready()
        await link.click()
        await expect(visitor.page.get_by_role("heading", name="What people taught")).to_be_visible()


def test_the_owner_has_a_password_of_their_own(tmp_path: Path) -> None:
    Path(".env").write_text("WEB_PASSWORD=same\nWEB_OWNER_PASSWORD=same")
    with pytest.raises(SettingsError, match=r"WEB_OWNER_PASSWORD=\(hidden\): must differ"):
        load_settings()
