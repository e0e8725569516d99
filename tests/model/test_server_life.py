"""How the worker behaves under load, while it loads, when clients go away, and when it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import SecretStr

from model import answer, gate
from model.engine import Engine
from model.settings import WorkerSettings, read_settings
from model.weights import Progress, WeightsError
from model.worker import Parts
from tests.model.fake_mind import fake_parts
from tests.model.serving import PATIENCE, Running, running

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait, which is what is looked at here."""
    monkeypatch.setattr(Engine, "slots", 1)


async def test_a_client_that_goes_away_frees_the_worker(server: Running) -> None:
    server.mind.say("tick " * 60, pause=0.01)
    async with await server.ask(stream=True, max_tokens=300) as stream:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
    await server.wait_for_health(busy=False)
    text = (await server.http.get("/metrics")).text
    written = float(re.search(r"^jnana_answer_tokens_total (.+)$", text, re.MULTILINE).group(1))  # type: ignore[union-attr]
    assert written < 300
    assert "jnana_requests_cancelled_total 1.0" in text

    whole = asyncio.create_task(server.ask(max_tokens=300))
    await server.wait_for_health(busy=True)
    whole.cancel()
    await server.wait_for_health(busy=False)
    assert "jnana_requests_cancelled_total 2.0" in (await server.http.get("/metrics")).text


async def test_a_client_that_stops_waiting_leaves_the_queue(server: Running) -> None:
    with server.held():
        first = asyncio.create_task(server.ask())
        await server.wait_for_health(busy=True)
        second = asyncio.create_task(server.ask())
        await server.wait_for_health(queue=1)
        second.cancel()
        await server.wait_for_health(queue=0)
    assert (await first).choices


async def test_who_waits_is_told_each_place_in_the_queue(server: Running) -> None:
    async def positions(user: str) -> list[int]:
        told = []
        async for chunk in await server.ask(stream=True, user=user):
            assert chunk.choices[0].delta  # clients look at the first choice of whatever comes
            told += [(chunk.model_extra.get("jnana") or {}).get("queue_position")]
        return [place for place in told if place is not None]

    tasks = []
    with server.held():
        for waiting, user in enumerate("abc"):
            tasks.append(asyncio.create_task(positions(user)))
            await server.wait_for_health(busy=True, queue=waiting)
    assert await asyncio.gather(*tasks) == [[], [1], [2, 1]]


async def test_conversations_take_turns(server: Running) -> None:
    done: list[str] = []

    async def ask(name: str) -> None:
        await server.ask(name, prompt_cache_key=name[0])
        done.append(name)

    tasks = []
    with server.held():
        for waiting, name in enumerate(["a1", "a2", "a3", "a4", "b1"]):
            tasks.append(asyncio.create_task(ask(name)))
            await server.wait_for_health(busy=True, queue=waiting)
    await asyncio.gather(*tasks)
    assert done == ["a1", "b1", "a2", "a3", "a4"]


async def test_a_full_queue_turns_away_with_retry_after() -> None:
    async with running(MODEL_QUEUE=1) as server:
        tasks = []
        with server.held():
            for waiting in range(2):
                tasks.append(asyncio.create_task(server.ask()))
                await server.wait_for_health(busy=True, queue=waiting)
            for stream in (False, True):
                with pytest.raises(openai.RateLimitError) as refused:
                    await server.ask(stream=stream)
                assert refused.value.code == "queue_full"
                assert int(refused.value.response.headers["retry-after"]) > 0
        assert all(whole.choices for whole in await asyncio.gather(*tasks))


async def test_while_it_loads_it_says_so_and_answers_503() -> None:
    go_on = threading.Event()

    def loader(settings: WorkerSettings, progress: Progress) -> Parts:
        progress("Converting", 1, 4)
        go_on.wait(PATIENCE)
        return fake_parts(settings, progress)

    async with running(loader, load=False) as server:
        load = asyncio.create_task(server.worker.load())
        await server.wait_for_health(status="loading", detail="Converting: 25 %", busy=False, preset="pocket")
        with pytest.raises(openai.InternalServerError) as refused:
            await server.ask()
        assert (refused.value.status_code, refused.value.code) == (503, "loading")
        assert int(refused.value.response.headers["retry-after"]) > 0
        go_on.set()
        assert await load is None
        await server.wait_for_health(status="ready", device="cpu")
        assert (await server.ask()).choices


async def test_weights_that_do_not_load_are_explained_at_health() -> None:
    def loader(settings: WorkerSettings, progress: Progress) -> Parts:
        raise WeightsError("model.bin is damaged: run `jnana models pull pocket`.")

    async with running(loader) as server:
        await server.wait_for_health(status="failed", detail="model.bin is damaged: run `jnana models pull pocket`.")
        with pytest.raises(openai.InternalServerError) as refused:
            await server.ask()
        assert refused.value.code == "load_failed"


async def test_a_silent_stream_is_kept_alive(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "KEEP_ALIVE_SECONDS", 0.05)
    server.mind.say("slow", pause=0.3)
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 2}
    text = (await server.http.post("/v1/chat/completions", json=body, timeout=PATIENCE)).text
    assert ": still working" in text
    assert text.rstrip().endswith("data: [DONE]")


async def test_a_request_that_is_too_large_is_refused(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_BODY_BYTES", 100_000)

    async def chunks() -> Any:  # no Content-Length: the limit holds while reading
        for _ in range(20):
            yield b"x" * 10_000

    told = await server.http.post("/v1/chat/completions", content=b"x" * 200_000)
    streamed = await server.http.post("/v1/audio/transcriptions", content=chunks())
    with pytest.raises(openai.APIStatusError) as refused:
        await server.openai.audio.transcriptions.create(model="m", file=("a.wav", b"x" * 200_000))
    assert told.status_code == streamed.status_code == refused.value.status_code == 413
    assert told.json()["error"]["code"] == "request_too_large"
    assert (await server.ask()).choices


async def test_with_a_key_only_health_is_open() -> None:
    async with running(MODEL_API_KEY=SecretStr("s3cret")) as server:
        assert (await server.ask()).choices
        wrong = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="guess", max_retries=0)
        with pytest.raises(openai.AuthenticationError) as refused:
            await wrong.models.list()
        await wrong.close()
        assert refused.value.code == "invalid_api_key"
        assert (await server.http.get("/metrics")).status_code == 401
        assert (await server.health())["status"] == "ready"


async def test_without_a_key_pages_of_other_sites_are_refused(server: Running) -> None:
    for origin, status in (
        ("http://evil.example:8765", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://localhost:3000", 200),
        ("", 200),
    ):
        answer = await server.http.get("/v1/models", headers={"Origin": origin} if origin else {})
        assert answer.status_code == status
    async with running(MODEL_API_KEY=SecretStr("s3cret")) as kept:
        allowed = {"Origin": "https://chat.example", "Authorization": "Bearer s3cret"}
        assert (await kept.http.get("/v1/models", headers=allowed)).status_code == 200


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    settings, problems = read_settings(MODEL_API_KEY="jñāna")
    assert settings is None
    assert problems[0].startswith("MODEL_API_KEY=")
    assert "jñ" not in problems[0]


async def test_metrics_count_what_happened(server: Running) -> None:
    whole = await server.ask()
    await server.openai.audio.transcriptions.create(model="m", file=("a.ogg", b"hello"))
    [chunk async for chunk in await server.ask(stream=True)]
    text = (await server.http.get("/metrics")).text
    assert "jnana_requests_cancelled_total 0.0" in text
    assert f"jnana_prompt_tokens_total {2.0 * whole.usage.prompt_tokens}" in text
    assert f"jnana_answer_tokens_total {2.0 * whole.usage.completion_tokens}" in text
    assert 'jnana_requests_total{route="/v1/chat/completions",status="200"} 2.0' in text
    assert "jnana_speech_seconds_total 1.5" in text
    assert "jnana_time_to_first_token_seconds_count 2.0" in text
    assert "jnana_ready 1.0" in text
    assert re.search(r"^jnana_kv_cache_bytes [1-9]", text, re.M), "what was read is kept for the next question"


def test_beyond_loopback_it_does_not_start_without_a_key() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "jnana.example.org"):  # noqa: S104
        settings, problems = read_settings(MODEL_HOST=host)
        assert settings is None
        assert problems == [f"MODEL_API_KEY=: must be set because MODEL_HOST={host} can be reached by other machines"]
        assert read_settings(MODEL_HOST=host, MODEL_API_KEY="k")[1] == []
    for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1"):
        assert read_settings(MODEL_HOST=host)[1] == []


# --- The process ---


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Process:
    """A worker process around the tiny mind, which is slow, loading or broken."""

    def __init__(self, port: int, kind: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.model.fake_mind", kind],
            cwd=ROOT,
            env={**os.environ, "MODEL_PORT": str(port)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until(self, **expected: Any) -> None:
        deadline = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.stderr.read() if self.process.stderr else ""
            try:
                if expected.items() <= httpx.get(f"{self.url}/health").json().items():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        pytest.fail(f"the worker never became {expected}")


@contextmanager
def started(port: int, kind: str) -> Iterator[Process]:
    process = Process(port, kind)
    try:
        process.wait_until(status="loading" if kind == "loading" else "ready")
        yield process
    finally:
        process.process.kill()
        process.process.communicate()


@pytest.fixture
def process(free_port: int) -> Iterator[Process]:
    with started(free_port, "slow") as process:
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_finishes_what_runs_and_sends_away_who_waits(process: Process, number: signal.Signals) -> None:
    client = openai.OpenAI(base_url=f"{process.url}/v1", api_key="none", max_retries=0)
    outcomes: dict[str, Any] = {}

    def ask(name: str) -> None:
        try:
            messages: Any = [{"role": "user", "content": "hi"}]
            outcomes[name] = client.chat.completions.create(model="m", messages=messages).choices[0].message.content
        except openai.APIStatusError as error:
            outcomes[name] = error.code

    running_one = threading.Thread(target=ask, args=["running"])
    running_one.start()
    process.wait_until(busy=True)
    waiting_one = threading.Thread(target=ask, args=["waiting"])
    waiting_one.start()
    process.wait_until(queue=1)
    process.process.send_signal(number)
    assert process.process.wait(PATIENCE) == 0
    running_one.join()
    waiting_one.join()
    client.close()
    assert outcomes == {"running": "tick " * 20, "waiting": "shutting_down"}


def test_asked_twice_it_ends_at_once(process: Process) -> None:
    lost: list[Exception] = []

    def ask() -> None:
        try:
            httpx.post(f"{process.url}/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
        except httpx.TransportError as error:
            lost.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    process.wait_until(busy=True)
    while process.process.poll() is None:
        process.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    asking.join()
    assert process.process.returncode == 130
    assert lost


def test_asked_to_stop_while_it_loads_it_ends(free_port: int) -> None:
    with started(free_port, "loading") as process:
        process.process.terminate()
        assert process.process.wait(PATIENCE) == 0


def test_a_lost_device_ends_the_process_so_that_it_is_restarted(free_port: int) -> None:
    with started(free_port, "broken") as process:
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{process.url}/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
        assert process.process.wait(PATIENCE) == 1


def test_an_idle_connection_is_the_clients_to_close(process: Process) -> None:
    """Else a request may meet a connection that is just being closed, and is lost."""
    with httpx.Client(base_url=process.url, limits=httpx.Limits(keepalive_expiry=None)) as client:
        client.get("/health")
        time.sleep((httpx.Limits().keepalive_expiry or 0) + 1)
        (connection,) = client._transport._pool.connections  # type: ignore[attr-defined]
        assert not connection.has_expired()  # it would be if the worker had closed it


def test_a_worker_ends_when_the_process_that_started_it_is_gone(free_port: int) -> None:
    # As the bot's supervisor does it: the parent holds the only end of the pipe that the worker's log goes into.
    starter = (
        "import os, subprocess, sys; os.environ['JNANA_PARENT_PID'] = str(os.getpid());"
        "command = [sys.executable, '-m', 'tests.model.fake_mind', 'slow'];"
        "print(subprocess.Popen(command, stderr=subprocess.PIPE).pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", starter],
        cwd=ROOT,
        env={**os.environ, "MODEL_PORT": str(free_port)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout
    worker = int(parent.stdout.readline())
    deadline = time.monotonic() + 3 * PATIENCE
    while not _answers(free_port) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.communicate()
    while _answers(free_port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _answers(free_port)
    while _exists(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _exists(worker)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


def _exists(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
