"""The HTTP API's words: OpenAI's chat completions and transcriptions, plus our own `jnana` extension and small routes.

Unknown fields are ignored, as OpenAI-compatible servers do: clients send many that a small model has no use for.
Reference: https://platform.openai.com/docs/api-reference/chat and /audio.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

MAX_STOPS = 4
"""Stop strings in one request (OpenAI's limit)."""

MAX_STOP_LENGTH = 256
"""Characters of a stop string: that much text may have to be held back."""

MAX_MESSAGES = 1000
"""Messages in one request; the context is used up long before."""

MAX_TEXTS = 1000
"""Texts to count in one request."""


def _whole(text: str) -> str:
    """With a replacement character for every half of a pair, which JSON may have (an emoji cut in two) and UTF-8 has not."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Text = Annotated[str, AfterValidator(_whole)]


class TextPart(BaseModel):
    type: Literal["text"]
    text: Text


class ImageUrl(BaseModel):
    url: str
    """data:image/...;base64,... only: this server fetches nothing."""


class ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: ImageUrl


class AudioData(BaseModel):
    data: str
    """Base64."""
    format: str = ""
    """Ignored: what a file is gets decided by its content."""


class AudioPart(BaseModel):
    type: Literal["input_audio"]
    input_audio: AudioData


Part = Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Part] | None = None
    name: str | None = None


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """What is optional may also be null. Temperature and `top_p` default to 0 and 1: the likeliest token."""

    model: Text | None = None
    """"<preset>/<adapter>" asks for an adapter, or the plain base as `none`; by other servers' names the default answers."""
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: Text | list[Text] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    user: str | None = None
    prompt_cache_key: str | None = None


class TokenizeRequest(BaseModel):
    input: list[Text] = Field(max_length=MAX_TEXTS)


class TokenizeResponse(BaseModel):
    counts: list[int]
    max_model_len: int


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TranscriptInfo(BaseModel):
    text: str
    language: str
    duration: float


class Jnana(BaseModel):
    """What our own clients are told beyond OpenAI's API. Timings in seconds."""

    hints: list[str] | None = None
    transcripts: list[TranscriptInfo] | None = None
    timings: dict[str, float] | None = None
    preset: str | None = None
    adapter: str | None = None
    """The one that answered, `none` for the plain base."""
    queue_position: int | None = None


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    index: int = 0
    message: AssistantMessage
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    jnana: Jnana


class Delta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    index: int = 0
    delta: Delta
    finish_reason: Literal["stop", "length"] | None = None

    @model_serializer(mode="wrap")
    def _with_null(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Absent fields are left out of chunks, but OpenAI's clients expect `finish_reason: null`."""
        return {**serialize(self), "finish_reason": self.finish_reason}


class ChatChunk(BaseModel):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    jnana: Jnana | None = None


class AdapterCard(BaseModel):
    """The short form of an adapter's card.json."""

    created: date
    data: tuple[str, ...]
    """Names of what it learnt from."""
    text_only: Literal["adapter", "base"]
    """Who answers conversations without a picture: this adapter or the plain base."""


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "jnana"
    max_model_len: int
    image_tokens: int
    capabilities: list[str]
    adapter: str
    """The one that answers by this id, `none` for the plain base."""
    parent: str | None = None
    """Id of what this adapter went on from; None: it is not here, or this is the plain base."""
    card: AdapterCard | None = None


class DefaultAdapter(BaseModel):
    name: Text


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Transcription(BaseModel):
    text: str


class TranscriptionSegment(BaseModel):
    id: int
    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


class VerboseTranscription(BaseModel):
    task: Literal["transcribe"] = "transcribe"
    language: str
    duration: float
    text: str
    segments: list[TranscriptionSegment]


class Health(BaseModel):
    status: Literal["loading", "ready", "failed"]
    busy: bool
    queue: int
    preset: str
    device: str
    precision: str
    """Of the language model's weights; auto while it loads, where it is to be chosen."""
    adapter: str | None
    """The default's name, `none` for the plain base; null while it loads."""
    detail: str


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    error: ErrorDetail
