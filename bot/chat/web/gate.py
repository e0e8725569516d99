"""Who a browser is, and what it may ask for.

Gradio keeps no borders between visitors: its file route serves any upload to whoever knows (or computes) its path, its queue
hands a page's events to whoever names its session, and a payload may name files and network addresses of its own choosing.
So every request passes this gate first: a cookie says which browser it is, only the endpoints our page uses exist, a gradio
session belongs to the browser that opened it, and payloads cannot carry files (those go through uploads.py).

It also knows the page's owner: who logged in with the owner's password or, where the page has no password at all, who opens
it on this very machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.settings import is_loopback

BROWSER_COOKIE = "jnana_browser"
LOGIN_COOKIE = "jnana_login"
COOKIE_SECONDS = 400 * 24 * 3600  # 400 days: the longest lifetime browsers grant (RFC 6265bis)
COOKIE_BYTES = 32  # 256 random bits
MAX_PAYLOAD_BYTES = 4 * 2**20  # an event of the page: the longest text a person may try to send, and some
MAX_SESSIONS = 10_000  # open pages remembered; one costs about 200 bytes
LOGIN_DELAY_SECONDS = 1.0  # after a wrong password
LOGIN_ATTEMPTS_AT_ONCE = 5  # so that nobody tries more than this many passwords a second

MAX_LOGIN_BYTES = 4096  # a form with a password
LOGIN_SECONDS = 10.0  # until that has arrived
FILE_KEYS = frozenset({"path", "url", "meta"})  # of gradio's FileData; any of them, however it is spelt in JSON

API = "/gradio_api"
OPEN_PATHS = ("/jnana/style.css", "/favicon.ico")
PATHS = re.compile(
    r"/|/config|/status|/teaching(?:/.+)?|/theme\.css|/manifest\.json|/robots\.txt"
    r"|/(?:assets|static|jnana|files)/.+"
    rf"|{API}/(?:queue/join|queue/data|cancel|reset|upload|startup-events|app_id|heartbeat/\w+|file=[\w-]+/[^/]+)"
)
SESSION_PATH = re.compile(rf"{API}/heartbeat/(\w+)")
TOKEN = re.compile(r"[\w-]{43}")

# The page needs inline scripts and eval (gradio compiles event code in the browser), but nothing from anywhere else.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HOST = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(?::\d+)?")  # RFC 9110, 7.2; the name without the port
PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")  # headers of proxies
LOGIN_PAGE = (Path(__file__).parent.parent / "assets" / "login.html").read_text(encoding="utf-8")


class Gate:
    """ASGI middleware. Behind it `request.state.browser` is a sha256 (hex) that names the browser but cannot log in as it, and
    `request.state.owner` says whether the page's owner asks."""

    def __init__(self, app: ASGIApp, password: str = "", owner_password: str = "") -> None:
        self._app = app
        self._password = password
        self._owner_password = owner_password
        self._owners: OrderedDict[str, str] = OrderedDict()  # gradio session -> browser
        self._attempts = asyncio.Semaphore(LOGIN_ATTEMPTS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        cookies = _cookies(headers)
        token = cookies.get(BROWSER_COOKIE, "")
        known = TOKEN.fullmatch(token) is not None
        if not known:
            token = secrets.token_urlsafe(COOKIE_BYTES)
        browser = hashlib.sha256(token.encode()).hexdigest()
        proof = cookies.get(LOGIN_COOKIE, "")
        owner = self._is_owner(scope, headers, token, proof)
        scope.setdefault("state", {}).update(browser=browser, owner=owner)
        path = scope["path"]
        welcomed = path in ("/", "/login", "/teaching")
        send = _with_headers(send, token if welcomed and not known else None, scope["scheme"] == "https")

        if (self._password or self._owner_password) and path == "/login":
            await (await self._login(Request(scope, receive), token))(scope, receive, send)
            return
        answer = self._refuse(path, known, owner or self._logged_in(token, proof))
        if answer is None:
            receive, answer = await self._check_session(scope, receive, browser)
        await (answer or self._app)(scope, receive, send)

    def _refuse(self, path: str, known: bool, logged_in: bool) -> Response | None:
        if path in OPEN_PATHS:
            return None
        if not PATHS.fullmatch(path):
            return PlainTextResponse("Not found", 404)
        if not logged_in:
            return RedirectResponse("/login", 303) if path == "/" else PlainTextResponse("Log in first", 401)
        if not known and path.startswith((API, "/files/", "/teaching/")):
            return PlainTextResponse("Open the page first; it needs a cookie", 401)
        return None

    async def _check_session(self, scope: Scope, receive: Receive, browser: str) -> tuple[Receive, Response | None]:
        """Whether the gradio session a request names is this browser's own; the first to use one owns it."""
        path = scope["path"]
        session = ""
        if path == f"{API}/queue/data":
            session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        elif match := SESSION_PATH.fullmatch(path):
            session = match[1]
        elif path in (f"{API}/queue/join", f"{API}/cancel"):
            body = await _read(receive)
            if body is None:
                return receive, PlainTextResponse("Too large", 413)
            try:
                event = orjson.loads(body)
                session = str(event["session_hash"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                return receive, PlainTextResponse("Not understood", 400)
            if _names_files(event):
                return receive, PlainTextResponse("Files are uploaded, not named", 400)
            receive = _replay(orjson.dumps(event), receive)  # what gradio reads is what was looked at here
        else:
            return receive, None
        owner = self._owners.setdefault(session, browser)
        self._owners.move_to_end(session)
        if len(self._owners) > MAX_SESSIONS:
            self._owners.popitem(last=False)
        return receive, None if owner == browser else PlainTextResponse("Not your session", 403)

    def _logged_in(self, token: str, proof: str) -> bool:
        return not self._password or _same(proof, _proof(self._password, token))

    def _is_owner(self, scope: Scope, headers: Headers, token: str, proof: str) -> bool:
        """A page with a password is meant for others, too, and proxies make everybody local: then only a password tells."""
        if self._owner_password:
            return _same(proof, _proof(self._owner_password, token))
        return not self._password and _is_here(scope, headers)

    def _opened_by(self, given: str) -> str:
        """The password that was given, "" if it is none of ours. All are compared, however the first comes out."""
        right = [password for password in (self._owner_password, self._password) if password and _same(given, password)]
        return right[0] if right else ""

    async def _login(self, request: Request, token: str) -> Response:
        if request.method != "POST":
            return HTMLResponse(LOGIN_PAGE.replace("{problem}", ""))
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                body = await _read(request.receive, MAX_LOGIN_BYTES) or b""
        except TimeoutError:
            return PlainTextResponse("Too slow", 408)
        given = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
        async with self._attempts:
            if password := self._opened_by(given):
                answer = RedirectResponse("/", 303)
                secure = request.url.scheme == "https"
                answer.set_cookie(
                    LOGIN_COOKIE, _proof(password, token), COOKIE_SECONDS, httponly=True, samesite="lax", secure=secure
                )
                return answer
            await asyncio.sleep(LOGIN_DELAY_SECONDS)
        return HTMLResponse(LOGIN_PAGE.replace("{problem}", "That is not the password."), 403)


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def _proof(password: str, token: str) -> str:
    """Logged in: good for one browser, for as long as the password stays the same, restarts included."""
    return hmac.new(password.encode(), f"login:{token}".encode(), "sha256").hexdigest()


def _is_here(scope: Scope, headers: Headers) -> bool:
    """Whether a request comes from this machine, from our own page in a browser, and was not passed on by a proxy.

    A page of somebody else reaches us through the browser of who sits here: under a name of its own that it lets mean this
    machine, or from where it is, which `Origin` tells.
    """
    client, host = scope.get("client"), headers.get("host", "")
    if client is None or not is_loopback(client[0]) or any(name in headers for name in PASSED_ON):
        return False
    name = HOST.fullmatch(host)
    origin = headers.get("origin", "")
    return name is not None and is_loopback(name[1]) and origin in ("", f"{scope['scheme']}://{host}")


def _names_files(value: object) -> bool:
    """Whether gradio would take some part of a payload for a file, which it fetches or copies from wherever it is said to be.

    Our page never sends one: uploads are named by the strings that uploads.py gave out.
    """
    if isinstance(value, dict):
        return not FILE_KEYS.isdisjoint(value) or any(_names_files(part) for part in value.values())
    return isinstance(value, list) and any(_names_files(part) for part in value)


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _with_headers(send: Send, new_token: str | None, secure: bool) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", PAGE_POLICY)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            if new_token:
                cookie = f"{BROWSER_COOKIE}={new_token}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
                headers.append("Set-Cookie", cookie + "; Secure" * secure)
        await send(message)

    return sending


async def _read(receive: Receive, limit: int = MAX_PAYLOAD_BYTES) -> bytes | None:
    """The body, or None when it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def receiving() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
