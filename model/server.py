"""The worker's HTTP API: OpenAI's chat completions and transcriptions, models, adapters, health, metrics, token counts.

Whatever name a client gives for the model, the loaded preset answers: one worker has one. "<preset>/<adapter>" asks for one of
its adapters, as vLLM has it (https://docs.vllm.ai/en/latest/features/lora.html).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from model.answer import Answer, EventStream
from model.chat import admission, stop_strings, transcribe
from model.errors import ApiError, bad_request, no_adapter
from model.gate import Gate
from model.schema import (
    AdapterCard,
    ChatRequest,
    DefaultAdapter,
    Health,
    ModelCard,
    ModelList,
    TokenizeRequest,
    TokenizeResponse,
    Transcription,
    TranscriptionSegment,
    VerboseTranscription,
)
from model.shelf import Origin
from model.speech import Transcript
from model.weights import WeightsError
from model.worker import Worker

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""Status for the log and the metrics when nobody is there to receive one (nginx's convention)."""


def create_app(worker: Worker) -> FastAPI:
    """The application around `worker`, which may still be loading."""
    app = FastAPI(title="Jñāna worker", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Gate, api_key=worker.settings.api_key.get_secret_value(), metrics=worker.metrics)
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    _add_status_routes(app, worker)
    _add_openai_routes(app, worker)
    return app


def _add_status_routes(app: FastAPI, worker: Worker) -> None:
    @app.get("/health")
    async def health() -> Health:
        return worker.health()

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(worker.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.post("/tokenize")
    async def tokenize(body: TokenizeRequest) -> TokenizeResponse:
        mind = worker.parts.mind
        counts = await asyncio.to_thread(mind.count_tokens, body.input)
        return TokenizeResponse(counts=counts, max_model_len=mind.context_length)


def _add_openai_routes(app: FastAPI, worker: Worker) -> None:
    @app.get("/v1/models")
    async def models() -> ModelList:
        return ModelList(data=await _cards(worker))

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> ModelCard:
        cards = await _cards(worker)
        if (card := next((card for card in cards if card.id == name), None)) is None:
            raise no_adapter(f"There is no model '{name}' here; there is '{cards[0].id}'.", "model")
        return card

    @app.put("/v1/adapters/default")
    async def use(body: DefaultAdapter) -> ModelCard:
        try:
            with admission():
                await worker.parts.adapters.set_default(body.name)
        except WeightsError as error:
            raise bad_request(str(error), code="adapter_refused", param="name") from error
        return (await _cards(worker))[0]

    @app.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:
        stop_strings(body)
        _ = worker.parts
        key = _conversation(request, body.prompt_cache_key or body.user)
        answer = Answer(worker, body, key=key, request_id=request.state.request_id)
        handed_over = False
        try:
            if not body.stream:
                completion = await _unless_gone(request, answer.whole())
                return _closed() if completion is None else JSONResponse(completion.model_dump(exclude_none=True))
            if not await _unless_gone(request, answer.begin()):
                return _closed()
            handed_over = True
            return EventStream(answer)
        finally:
            if not handed_over:
                await answer.close()

    @app.post("/v1/audio/transcriptions")
    async def transcriptions(
        request: Request,
        file: Annotated[UploadFile, File()],
        language: Annotated[str | None, Form()] = None,
        response_format: Annotated[Literal["json", "text", "verbose_json"], Form()] = "json",
        user: Annotated[str | None, Form()] = None,
    ) -> Response:
        _ = worker.parts
        data = await file.read()
        transcript = await _unless_gone(
            request, transcribe(worker, _conversation(request, user), data, language or None, "file")
        )
        if transcript is None:
            worker.metrics.cancelled.inc()
            return _closed()
        if response_format == "text":
            return PlainTextResponse(transcript.text + "\n")
        if response_format == "json":
            return JSONResponse(Transcription(text=transcript.text).model_dump())
        return JSONResponse(_verbose(transcript).model_dump())


async def _cards(worker: Worker) -> list[ModelCard]:
    """The preset as it answers by default, then with each adapter that may be asked for."""
    mind, adapters = worker.parts.mind, worker.parts.adapters
    names = {f"{mind.preset.name}/{name}": name for name in await adapters.names()}
    origins = await adapters.origins()
    return [
        ModelCard(
            id=model,
            created=worker.created,
            max_model_len=mind.context_length,
            image_tokens=mind.picture_tokens,
            capabilities=["text", "image", "audio"],
            adapter=name,
            **_origin(mind.preset.name, origins.get(name)),
        )
        for model, name in {mind.preset.name: adapters.default.name, **names}.items()
    ]


def _origin(model: str, origin: Origin | None) -> dict[str, Any]:
    """Fields of a ModelCard. vLLM, too, names the parent of a LoRA by its id."""
    if origin is None:
        return {}
    parent = None if origin.parent is None else f"{model}/{origin.parent}"
    return {"parent": parent, "card": AdapterCard(created=origin.made, data=origin.data, text_only=origin.text_only)}


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` returns; None, and `work` cancelled, when the client goes away first. Raises what `work` raises."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for future in (task, gone):
            future.cancel()
        await asyncio.wait({task, gone})


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _conversation(request: Request, key: str | None) -> str:
    """The key for fairness: what the client says, else its connection."""
    return key or (f"{request.client.host}:{request.client.port}" if request.client else "")


def _closed() -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _verbose(transcript: Transcript) -> VerboseTranscription:
    return VerboseTranscription(
        language=transcript.language,
        duration=transcript.duration,
        text=transcript.text,
        segments=[
            TranscriptionSegment(
                id=at,
                start=segment.start,
                end=segment.end,
                text=segment.text,
                avg_logprob=segment.avg_logprob,
                no_speech_prob=segment.no_speech_prob,
                compression_ratio=segment.compression_ratio,
            )
            for at, segment in enumerate(transcript.segments)
        ],
    )


async def _on_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - what it was registered for
    return error.response()


async def _on_invalid(_: Request, error: Exception) -> Response:
    """The first thing that is wrong, without the input: that may be megabytes of somebody's photo."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"][1:])
    if first["type"] == "json_invalid":
        return bad_request("The request is not valid JSON.").response()
    return bad_request(f"{where or 'The request'}: {first['msg']}", param=where or None).response()


async def _on_http_error(_: Request, error: Exception) -> Response:
    """Unknown routes, wrong methods, bodies that cannot be parsed."""
    assert isinstance(error, HTTPException)  # noqa: S101
    return ApiError(error.status_code, str(error.detail), code="not_found" if error.status_code == 404 else None).response()
