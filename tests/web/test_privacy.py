"""Nobody sees what is somebody else's, and nothing leaves the machine."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from bot.chat.web import WebPage
from bot.chat.web.gate import BROWSER_COOKIE, LOGIN_COOKIE, MAX_PAYLOAD_BYTES
from bot.chat.web.uploads import MAX_UPLOAD_BYTES
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from tests.bot.fake_model import FakeModel
from tests.web.browser import Visitor, needs_chromium, open_page
from tests.web.conftest import web_page

in_browser = lambda test: needs_chromium(pytest.mark.chromium(test))  # noqa: E731


@pytest.fixture
async def ann(page: WebPage) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a face: what can be asked for with the cookie of its own."""
    async with httpx.AsyncClient(base_url=page.url) as client:
        await client.get("/")
        yield client


@pytest.fixture
async def eve(page: WebPage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=page.url) as client:
        await client.get("/")
        yield client


@in_browser
async def test_two_browsers_never_see_each_other(visitor: Visitor, browser: Browser, page: WebPage, photo: Path) -> None:
    await visitor.ask("My secret", photo)
    await visitor.answer(1)
    picture = await visitor.questions.last.locator("img").get_attribute("src")
    assert picture
    eve = await open_page(browser, visitor.page.url)  # the address names Ann's conversation
    await expect(eve.page.locator("#jn-welcome")).to_be_visible()
    await expect(eve.questions).to_have_count(0)
    await expect(eve.conversations).to_have_count(0)
    stolen = await eve.context.request.get(f"{page.url}/{picture.removeprefix(page.url).lstrip('/')}")
    own = await visitor.context.request.get(f"{page.url}/{picture.removeprefix(page.url).lstrip('/')}")
    assert (stolen.status, own.status) == (404, 200)


@in_browser
async def test_nothing_is_asked_of_other_machines(visitor: Visitor, model: FakeModel, photo: Path) -> None:
    model.say(
        "![spy](http://198.51.100.1/spy.png) <img src='http://198.51.100.1/spy.png'> $$x^2$$ `code`\n\n```python\nx = 1\n```"
    )
    await visitor.ask("Hello", photo)
    await visitor.answer(1)
    await expect(visitor.answers.last.locator("img[src*='198.51.100.1']")).to_have_count(1)  # drawn, but never loaded
    assert "http://198.51.100.1/spy.png" in visitor.blocked
    assert visitor.strangers() == set()


async def test_cookie_is_random_and_out_of_reach_of_scripts(page: WebPage) -> None:
    cookies = []
    for _ in range(2):
        async with httpx.AsyncClient(base_url=page.url) as client:
            header = (await client.get("/")).headers["set-cookie"]
            assert "HttpOnly" in header
            assert "SameSite=Lax" in header
            cookies.append(client.cookies[BROWSER_COOKIE])
            assert "set-cookie" not in (await client.get("/")).headers
    assert cookies[0] != cookies[1]
    assert all(len(cookie) >= 43 for cookie in cookies)  # 43 characters of base64: 256 bits


async def test_upload_on_its_way_belongs_to_its_browser(ann: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    [path] = (await ann.post("/gradio_api/upload", files={"files": ("cat.png", b"\x89PNG")})).json()
    own = await ann.get(f"/gradio_api/file={path}")
    assert (own.content, own.headers["content-type"]) == (b"\x89PNG", "image/png")
    assert own.headers["x-content-type-options"] == "nosniff"
    assert own.headers["content-security-policy"].startswith("sandbox")
    assert (await eve.get(f"/gradio_api/file={path}")).status_code == 404


async def test_page_of_somebody_can_only_be_downloaded(ann: httpx.AsyncClient) -> None:
    [path] = (await ann.post("/gradio_api/upload", files={"files": ("x.html", b"<script>alert(1)</script>")})).json()
    answer = await ann.get(f"/gradio_api/file={path}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../etc/passwd",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/call/open/1",
        "/gradio_api/stream/1/1/1/playlist.m3u8",
        "/monitoring",
        "/docs",
        "/openapi.json",
        "/login",
        "/files/1",
        "/files/x",
        "/jnana/login.html",
        "/jnana/../page.py",
        "/static/../../../../../../etc/passwd",
    ],
)
async def test_what_the_page_does_not_need_is_not_there(ann: httpx.AsyncClient, path: str) -> None:
    assert (await ann.get(path)).status_code in (404, 422)


async def test_session_of_a_page_belongs_to_its_browser(ann: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    event = {"data": [], "event_data": None, "fn_index": 0, "trigger_id": None, "session_hash": "annspage"}
    assert (await ann.post("/gradio_api/queue/join", json=event)).status_code == 200
    assert (await eve.get("/gradio_api/queue/data", params={"session_hash": "annspage"})).status_code == 403
    assert (await eve.post("/gradio_api/queue/join", json=event)).status_code == 403
    assert (await eve.post("/gradio_api/cancel", json={**event, "event_id": "x"})).status_code == 403
    assert (await eve.get("/gradio_api/heartbeat/annspage")).status_code == 403


@pytest.mark.parametrize("spelt", ["gradio.FileData", "\\u0067radio.FileData"])
async def test_payload_cannot_name_files_or_addresses(ann: httpx.AsyncClient, spelt: str) -> None:
    file = {"path": "http://127.0.0.1:1/x", "meta": {"_type": "SPELT"}}
    event = {"data": [{"text": "", "files": [file]}], "fn_index": 0, "session_hash": "s"}
    body = json.dumps(event).replace("SPELT", spelt)
    assert (await ann.post("/gradio_api/queue/join", content=body)).status_code == 400


async def test_half_sent_passwords_do_not_lock_anybody_out(turns: Turns, store: Store, settings: Settings) -> None:
    page = web_page(turns, store, settings, password="open sesame")
    await page.start()
    address = httpx.URL(page.url)
    half_sent = []
    try:
        for _ in range(10):
            _, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npass")
            half_sent.append(writer)
        async with httpx.AsyncClient(base_url=page.url) as client:
            assert (await client.post("/login", data={"password": "open sesame"})).headers["location"] == "/"
    finally:
        for writer in half_sent:
            writer.close()
        await page.stop()


async def test_what_is_too_large_is_refused_before_it_is_read(page: WebPage, ann: httpx.AsyncClient) -> None:
    assert (await ann.post("/gradio_api/queue/join", content=b" " * (MAX_PAYLOAD_BYTES + 1))).status_code == 413
    address = httpx.URL(page.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    cookie = f"{BROWSER_COOKIE}={ann.cookies[BROWSER_COOKIE]}"
    announced = f"Host: x\r\nCookie: {cookie}\r\nContent-Length: {MAX_UPLOAD_BYTES + 1}"
    writer.write(f"POST /gradio_api/upload HTTP/1.1\r\n{announced}\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"413"
    writer.close()


async def test_password_is_asked_for_and_remembered(turns: Turns, store: Store, settings: Settings) -> None:
    page = web_page(turns, store, settings, password="open sesame")
    await page.start()
    try:
        async with httpx.AsyncClient(base_url=page.url) as client:
            assert (await client.get("/")).headers["location"] == "/login"
            assert "Password" in (await client.get("/login")).text
            for closed in ("/config", "/status", "/gradio_api/heartbeat/x", "/files/1", "/jnana/example.jpg"):
                assert (await client.get(closed)).status_code == 401
            wrong = await client.post("/login", data={"password": "open barley"})
            assert wrong.status_code == 403
            assert "not the password" in wrong.text
            assert (await client.get("/")).status_code == 303
            assert (await client.post("/login", data={"password": "open sesame"})).status_code == 303
            assert (await client.get("/")).status_code == 200
            proof = client.cookies[LOGIN_COOKIE]
        async with httpx.AsyncClient(base_url=page.url, cookies={LOGIN_COOKIE: proof}) as thief:
            assert (await thief.get("/")).status_code == 303
    finally:
        await page.stop()


async def test_port_in_use_is_one_sentence(page: WebPage, turns: Turns, store: Store, settings: Settings) -> None:
    port = int(page.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}.*set WEB_PORT") as caught:
        await web_page(turns, store, settings, port=port).start()
    assert caught.value.errno == errno.EADDRINUSE
