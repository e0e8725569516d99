"""The client of the model API: the real openai library against a fake worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot import worker
from bot.errors import PromptTooLong, TurnError, WorkerBusy, WorkerError, WorkerLost, WorkerRefused, WorkerUnreachable
from bot.memory import PromptMessage
from bot.store import StoredPicture
from bot.worker import Details, ModelClient, ModelInfo, Piece, Position
from tests.bot.fake_model import Failure, FakeModel

HELLO = [PromptMessage("user", "hello")]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "UNREACHABLE_PATIENCE", 0.2)
    monkeypatch.setattr(worker, "RETRY_PAUSE", 0.05)


async def chat(client: ModelClient, messages: list[PromptMessage] = HELLO) -> list[Any]:
    stream = client.chat(messages, request_id="req-1", conversation="7", max_tokens=99, temperature=0.5)
    return [event async for event in stream]


async def refused(client: ModelClient) -> TurnError:
    with pytest.raises(TurnError) as caught:
        await chat(client)
    return caught.value


async def test_a_streamed_answer_comes_with_positions_hints_and_numbers(model: FakeModel, client: ModelClient) -> None:
    model.say("Hel", "lo", positions=(2, 1), hints=("cat, sure",), finish="length")
    *before, details = await chat(client)
    assert before[:5] == [Position(2), Position(1), Details(hints=("cat, sure",)), Piece("Hel"), Piece("lo")]
    assert details == Details(
        truncated=True,
        preset="fake",
        hints=("cat, sure",),
        timings={"prefill": 0.25, "decode": 0.5},
        prompt_tokens=7,
        answer_tokens=2,
    )


async def test_the_request_says_what_was_asked_for_by_whom(model: FakeModel, client: ModelClient) -> None:
    await chat(client)
    sent = model.chats[0]
    assert (sent["max_tokens"], sent["temperature"], sent["prompt_cache_key"], sent["stream"]) == (99, 0.5, "7", True)
    assert model.headers[0]["x-request-id"] == "req-1"


async def test_pictures_travel_as_data(model: FakeModel, client: ModelClient, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"cat")
    await chat(client, [PromptMessage("user", "What?", (StoredPicture(tmp_path / "cat.jpg", "image/jpeg"),))])
    assert model.prompt() == [
        (
            "user",
            [
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,Y2F0"}},
                {"type": "text", "text": "What?"},
            ],
        )
    ]


async def test_recordings_are_transcribed(model: FakeModel, client: ModelClient, tmp_path: Path) -> None:
    (tmp_path / "v.ogg").write_bytes(b"sound")
    model.hear(" Hello there. ", "en")
    heard = await client.transcribe(tmp_path / "v.ogg", "audio/ogg", request_id="req-2")
    assert (heard.text, heard.language, model.recordings) == ("Hello there.", "en", [b"sound"])


async def test_the_model_is_asked_what_it_can_take(model: FakeModel, client: ModelClient) -> None:
    assert await client.info() == ModelInfo("fake", 8192, 300)
    assert await client.count_tokens(["a b", "c"]) == [2, 1]
    assert len(model.tokenized) == 1


async def test_a_text_that_the_server_will_not_count_is_estimated_and_later_ones_are_counted(
    model: FakeModel, client: ModelClient
) -> None:
    model.uncounted = Failure(413, "request_too_large")
    assert await client.count_tokens(["abcdef"]) == [2]
    model.uncounted = None
    assert await client.count_tokens(["abcdef"]) == [1]


async def test_any_openai_compatible_server_will_do() -> None:
    with FakeModel(plain=True) as plain:
        client = ModelClient(plain.url + "/v1/", "key", model="another")
        assert await client.info() == ModelInfo("fake", worker.DEFAULT_CONTEXT, worker.DEFAULT_PICTURE_TOKENS)
        assert await client.count_tokens(["abcdef"]) == [2]
        assert await client.health() == {"status": "ready"}
        plain.say("fine")
        assert [event.text for event in await chat(client) if isinstance(event, Piece)] == ["fine"]
        assert plain.headers[0]["authorization"] == "Bearer key"
        await client.close()


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (400, "context_length_exceeded", PromptTooLong, "too long for the model"),
        (400, "invalid_image", WorkerRefused, "could not use this: enqueued failure"),
        (413, "too_large", WorkerRefused, "could not use this"),
        (401, "invalid_api_key", WorkerError, "MODEL_API_KEY"),
        (404, "model_not_found", WorkerRefused, "cannot do this"),
        (500, "server_error", WorkerError, "failed to answer"),
    ],
)
async def test_errors_are_told_in_a_sentence(
    model: FakeModel, client: ModelClient, status: int, code: str, kind: type[TurnError], words: str
) -> None:
    model.fail(status, code)
    error = await refused(client)
    assert type(error) is kind
    assert words in error.sentence


async def test_a_full_queue_is_tried_again_and_then_told(model: FakeModel, client: ModelClient) -> None:
    model.fail(429, "queue_full", retry_after="0")
    model.say("now")
    assert Piece("now") in await chat(client)
    for _ in range(worker.BUSY_TRIES):
        model.fail(429, "queue_full", retry_after="0.01")
    assert isinstance(await refused(client), WorkerBusy)


async def test_a_loading_worker_is_waited_for(model: FakeModel, client: ModelClient) -> None:
    for _ in range(10):
        model.fail(503, "loading", retry_after="0.05")
    model.say("loaded")
    assert Piece("loaded") in await chat(client)


async def test_a_worker_that_dies_while_it_answers_is_noticed(model: FakeModel, client: ModelClient) -> None:
    model.say("half an", drop=True)
    assert type(await refused(client)) is WorkerLost


async def test_a_stream_that_ends_without_an_end_is_half_an_answer(model: FakeModel, client: ModelClient) -> None:
    model.say("half an", finish="")
    assert type(await refused(client)) is WorkerLost


async def test_a_worker_that_is_not_there_is_waited_for_and_then_told(unused_client: ModelClient) -> None:
    assert type(await refused(unused_client)) is WorkerUnreachable
    with pytest.raises(WorkerUnreachable):
        await unused_client.health()


async def test_a_worker_that_comes_back_in_time_is_used(unused_client: ModelClient, unused_port: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(worker, "UNREACHABLE_PATIENCE", 30)
    monkeypatch.setattr(worker, "RETRY_PAUSE", 0.3)
    waiting = asyncio.create_task(chat(unused_client))
    await asyncio.sleep(0.1)
    with FakeModel(port=unused_port):
        assert Piece("ok") in await waiting


async def test_nobody_waits_for_a_worker_that_was_given_up(unused_port: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(worker, "UNREACHABLE_PATIENCE", 1000)
    client = ModelClient(f"http://127.0.0.1:{unused_port}", failure=lambda: "The model is broken.")
    assert (await refused(client)).sentence == "The model is broken."
    await client.close()


async def test_leaving_the_stream_cancels_the_generation(model: FakeModel, client: ModelClient) -> None:
    answer = model.say("one", "two", hold=True)
    stream = client.chat(HELLO, request_id="r", conversation="7", max_tokens=9, temperature=0)
    async for event in stream:
        if isinstance(event, Piece):
            break
    await stream.aclose()
    assert await asyncio.to_thread(answer.cancelled.wait, 10)


@pytest.fixture
async def unused_client(unused_port: int) -> AsyncIterator[ModelClient]:
    client = ModelClient(f"http://127.0.0.1:{unused_port}")
    yield client
    await client.close()
