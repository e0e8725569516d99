"""The worker's API, spoken to by the real openai client over loopback; the mind behind it is tiny."""

from __future__ import annotations

import base64
import io
from typing import Any

import openai
import pytest
import structlog
import torch
from PIL import Image

from model.inputs import MAX_IMAGE_PIXELS
from tests.bot.samples import huge_png
from tests.model.fake_mind import CONTEXT
from tests.model.serving import Running


def data_uri(image: Image.Image, form: str = "PNG", **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def photo(url: str, text: str = "What is this?") -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]


async def test_an_answer_is_the_same_streamed_and_whole(server: Running) -> None:
    server.mind.say("Grüße, 世界! 🎈")
    whole = await server.ask()
    pieces, usage, reasons = [], None, []
    async for chunk in await server.ask(stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            reasons.append(choice.finish_reason)
    assert whole.choices[0].message.content == "".join(pieces) == "Grüße, 世界! 🎈"
    assert len([piece for piece in pieces if piece]) == len("Grüße, 世界! 🎈")  # it grew by whole characters
    assert reasons[-1] == whole.choices[0].finish_reason == "stop"
    assert usage == whole.usage
    assert whole.usage.completion_tokens == len("Grüße, 世界! 🎈".encode()) + 1
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


async def test_the_answer_says_what_was_seen_heard_and_how_long_it_took(server: Running) -> None:
    server.mind.say("A cat.")
    voice = {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"what is it").decode(), "format": "ogg"}}
    message: Any = [photo(data_uri(Image.new("RGB", (30, 20))))[0], voice]
    whole = await server.ask(message)
    told = whole.model_extra["jnana"]
    assert told["hints"] == ["30x20"]
    assert told["transcripts"] == [{"text": "what is it", "language": "en", "duration": 1.5}]
    assert set(told["timings"]) == {"queue", "speech", "vision", "ocr", "prefill", "decode"}
    assert told["preset"] == "pocket"
    assert server.mind.seen[-1][0].parts[1] == "what is it"

    chunks = [chunk async for chunk in await server.ask(message, stream=True)]
    first, last = chunks[0].model_extra["jnana"], chunks[-1].model_extra["jnana"]
    assert (first["hints"], first["transcripts"]) == (told["hints"], told["transcripts"])
    assert last["preset"] == "pocket"
    assert set(last["timings"]) == set(told["timings"])


async def test_stop_strings_end_the_answer_and_never_show(server: Running) -> None:
    server.mind.say("one two three STOP four")
    for stop in ("STOP", ["nothing", "three S"]):
        whole = await server.ask(stop=stop)
        assert whole.choices[0].finish_reason == "stop"
        assert whole.choices[0].message.content == "one two three STOP".split(stop if stop == "STOP" else "three S")[0]
    pieces = [chunk.choices[0].delta.content or "" async for chunk in await server.ask(stop="STOP", stream=True)]
    assert "".join(pieces) == "one two three "


async def test_max_tokens_ends_the_answer_with_the_reason_length(server: Running) -> None:
    whole = await server.ask(max_tokens=5)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 5
    other = await server.ask(max_tokens=5, max_completion_tokens=3)
    assert other.usage.completion_tokens == 3


async def test_a_seed_repeats_a_sampled_answer_and_temperature_0_needs_none(server: Running) -> None:
    async def answers(**options: Any) -> list[str]:
        return [(await server.ask(**options)).choices[0].message.content for _ in range(2)]

    one, again = await answers(temperature=1.5, seed=7)
    other, another = await answers(temperature=1.5)
    greedy, same = await answers()
    assert one == again
    assert len({one, other, another, greedy}) == 4
    assert greedy == same
    narrow, _ = await answers(temperature=1.5, top_p=0.0001)
    assert narrow == greedy


@pytest.mark.parametrize("name", ["http://example.org/cat.png", "https://example.org/cat.png", "file:///etc/passwd"])
async def test_pictures_are_never_fetched(server: Running, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await server.ask(photo(name))
    assert refused.value.code == "invalid_image"
    assert refused.value.param == "messages.0.content.0"


def broken_pictures() -> dict[str, str]:
    whole = data_uri(Image.effect_noise((100, 100), 50), "JPEG")
    side = int(MAX_IMAGE_PIXELS**0.5) + 1
    bomb = io.BytesIO()
    Image.new("1", (side, side)).save(bomb, "PNG")

    def uri(data: bytes) -> str:
        return f"data:image/png;base64,{base64.b64encode(data).decode()}"

    return {
        "truncated": whole[: len(whole) // 8 * 4],
        "empty": "data:image/png;base64,",
        "text": uri(b"not a picture at all"),
        "svg": uri(b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        "not base64": "data:image/png;base64,%%%",
        "no base64": "data:image/png,abc",
        "too many pixels": uri(bomb.getvalue()),
        "50,000 x 50,000": uri(huge_png(50_000)),
    }


@pytest.mark.parametrize(("what", "url"), broken_pictures().items(), ids=broken_pictures().keys())
async def test_a_picture_that_cannot_be_read_is_refused_in_one_sentence(server: Running, what: str, url: str) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        await server.ask(photo(url))
    assert refused.value.status_code == (413 if what in ("too many pixels", "50,000 x 50,000") else 400)
    assert refused.value.code == "invalid_image"
    assert "Traceback" not in refused.value.message
    assert (await server.ask()).choices  # and the next request works


def odd_pictures() -> dict[str, tuple[str, tuple[int, int, int]]]:
    """Pictures that need care, each with the colour of its middle once it is RGB."""
    turned = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    clear = Image.new("RGBA", (40, 20), (0, 0, 255, 0))
    palette = Image.new("P", (40, 20), 0)
    palette.putpalette([0, 255, 0])
    frames = [Image.new("RGB", (40, 20), colour) for colour in ("red", "blue")]
    return {
        "turned": (data_uri(turned, "PNG", exif=exif), (255, 0, 0)),
        "CMYK": (data_uri(Image.new("CMYK", (40, 20), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        "16 bit": (data_uri(Image.new("I;16", (40, 20), 65535), "PNG"), (255, 255, 255)),
        "16 bit, dark": (data_uri(Image.new("I;16", (40, 20), 32768), "PNG"), (127, 127, 127)),
        "clear": (data_uri(clear), (255, 255, 255)),
        "palette with clear colour": (data_uri(palette, "PNG", transparency=0), (255, 255, 255)),
        "animated": (data_uri(frames[0], "GIF", save_all=True, append_images=frames[1:]), (255, 0, 0)),
    }


@pytest.mark.parametrize(("url", "colour"), odd_pictures().values(), ids=odd_pictures().keys())
async def test_odd_pictures_reach_the_mind_as_upright_rgb(
    server: Running, url: str, colour: tuple[int, int, int], request: pytest.FixtureRequest
) -> None:
    await server.ask(photo(url))
    [image] = server.mind.images
    assert image.mode == "RGB"
    assert image.size == ((20, 40) if "turned" in request.node.name else (40, 20))
    assert image.getpixel((10, 10)) == pytest.approx(colour, abs=2)


async def test_a_heic_photo_is_understood_where_its_reader_is_installed(server: Running) -> None:
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    await server.ask(photo(data_uri(Image.new("RGB", (64, 64), "red"), "HEIF")))
    [image] = server.mind.images
    assert image.getpixel((10, 10)) == pytest.approx((255, 0, 0), abs=8)


async def test_a_large_photo_is_made_smaller(server: Running) -> None:
    await server.ask(photo(data_uri(Image.new("L", (6000, 3000)), "JPEG")))
    [image] = server.mind.images
    assert image.size == (2048, 1024)


async def test_a_recording_without_speech_is_told_apart(server: Running) -> None:
    silence = [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]
    with pytest.raises(openai.BadRequestError) as refused:
        await server.ask(silence)
    assert refused.value.code == "no_speech"
    assert (await server.ask([*silence, {"type": "text", "text": "and?"}])).choices


async def test_transcriptions_come_in_the_three_formats(server: Running) -> None:
    create: Any = server.openai.audio.transcriptions.create
    plain = await create(model="whisper-1", file=("a.ogg", b"good day"))
    verbose = await create(model="whisper-1", file=("a.ogg", b"good day"), response_format="verbose_json")
    text = await create(model="whisper-1", file=("a.ogg", b"good day"), response_format="text")
    silent = await create(model="whisper-1", file=("a.ogg", b""))
    assert plain.text == verbose.text == text.strip() == "good day"
    assert (verbose.language, verbose.duration, verbose.segments[0].text) == ("en", 1.5, "good day")
    assert silent.text == ""


async def test_models_and_tokenize_tell_what_a_prompt_may_hold(server: Running) -> None:
    models = await server.openai.models.list()
    assert [model.id for model in models.data[:2]] == ["pocket", "pocket/none"]
    extra: Any = models.data[0].model_extra
    assert (extra["max_model_len"], extra["image_tokens"]) == (CONTEXT, 10)
    assert extra["capabilities"] == ["text", "image", "audio"]
    assert extra["adapter"] == "none"
    counted = await server.http.post("/tokenize", json={"input": ["a", "bcd", ""]})
    assert counted.json() == {"counts": [1, 3, 0], "max_model_len": CONTEXT}


async def test_a_conversation_beyond_the_context_is_refused_as_such(server: Running) -> None:
    for text, limit in (("x" * 100_000, 10), ("x" * (CONTEXT - 10), 40)):
        with pytest.raises(openai.BadRequestError) as refused:
            await server.ask(text, max_tokens=limit)
        assert refused.value.code == "context_length_exceeded"
    for limit in (None, 100_000):  # many clients ask for more than there is
        fits = await server.ask("x" * (CONTEXT - 20), max_tokens=limit)
        assert fits.usage.total_tokens <= CONTEXT


async def test_what_is_optional_may_be_null(server: Running) -> None:
    nothing = ("temperature", "top_p", "stream", "stop", "seed", "max_tokens")
    body = {"messages": [{"role": "user", "content": "hi"}], "stream_options": {"include_usage": None}} | dict.fromkeys(nothing)
    answer = await server.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("options", [{"temperature": 1e-38}, {"temperature": 1e-46}, {"temperature": 1.0, "top_p": 0}])
async def test_hardly_any_randomness_is_none(server: Running, options: dict[str, float]) -> None:
    greedy = (await server.ask()).choices[0].message.content
    assert (await server.ask(**options)).choices[0].message.content == greedy


async def test_a_model_can_be_asked_for_by_name(server: Running) -> None:
    assert (await server.openai.models.retrieve("pocket")).id == "pocket"
    with pytest.raises(openai.NotFoundError):
        await server.openai.models.retrieve("gpt-4")


BAD_BODIES: dict[str, dict[str, Any]] = {
    "no messages": {"messages": []},
    "wrong role": {"messages": [{"role": "robot", "content": "hi"}]},
    "unknown part": {"messages": [{"role": "user", "content": [{"type": "video", "video": "x"}]}]},
    "hot": {"messages": [{"role": "user", "content": "hi"}], "temperature": 9},
    "nothing to say": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 0},
    "many stops": {"messages": [{"role": "user", "content": "hi"}], "stop": list("abcde")},
    "empty": {"messages": [{"role": "user", "content": "  "}]},
    "no question": {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]},
    "many pictures": {"messages": [{"role": "user", "content": photo("data:,") * 17}]},
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_bad_requests_get_openais_error_shape(server: Running, body: dict[str, Any]) -> None:
    answer = await server.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


async def test_half_a_character_is_replaced(server: Running) -> None:
    server.mind.say("ok")
    body = rb'{"model": "x\ud83d", "messages": [{"role": "user", "content": "cut \ud83d here"}], "stop": "\udd25"}'
    json_body = {"Content-Type": "application/json"}
    assert (await server.http.post("/v1/chat/completions", content=body, headers=json_body)).status_code == 200
    assert server.mind.seen[-1][0].parts == ("cut \N{REPLACEMENT CHARACTER} here",)
    counted = await server.http.post("/tokenize", content=rb'{"input": ["\ud83d", "\ud83d\ude00"]}', headers=json_body)
    assert counted.json()["counts"] == [len("\N{REPLACEMENT CHARACTER}".encode()), len("😀".encode())]
    refused = await server.http.put("/v1/adapters/default", content=rb'{"name": "\ud83d"}', headers=json_body)
    assert refused.status_code == 400


async def test_other_wrong_requests_get_the_same_shape(server: Running) -> None:
    for method, path, content, status in (
        ("GET", "/v1/nothing", b"", 404),
        ("DELETE", "/v1/models", b"", 405),
        ("POST", "/v1/chat/completions", b"{not json", 400),
        ("POST", "/v1/audio/transcriptions", b"", 400),
    ):
        answer = await server.http.request(method, path, content=content)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_defect_is_answered_with_a_request_id_and_no_traceback(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(server.mind, "encode", break_down)
    logged = structlog.testing.capture_logs([structlog.contextvars.merge_contextvars])
    with logged as lines, pytest.raises(openai.InternalServerError) as failed:
        await server.ask(extra_headers={"X-Request-Id": "turn-42"})
    assert failed.value.response.headers["x-request-id"] == "turn-42"
    assert "turn-42" in failed.value.message
    assert "secret" not in failed.value.response.text
    assert any(line["request_id"] == "turn-42" and line.get("exc_info") for line in lines)

    monkeypatch.undo()
    monkeypatch.setattr(server.mind.model.model.language_model, "forward", break_down)
    with structlog.testing.capture_logs(), pytest.raises(openai.APIError) as broken:
        async for _ in await server.ask(stream=True):
            pass
    assert "secret" not in broken.value.message


async def test_an_answer_that_does_not_fit_the_memory_says_so_and_the_next_one_works(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(server.mind.model.model.language_model, "forward", full)
        answer = await server.http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "out_of_memory")
    assert (await server.ask()).choices
    with monkeypatch.context() as patch:
        patch.setattr(server.mind, "encode", full)  # where pictures are looked at
        answer = await server.http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "out_of_memory")


async def test_request_ids_are_echoed_only_when_they_are_harmless(server: Running) -> None:
    given = await server.http.get("/health", headers={"X-Request-Id": "abc-1"})
    made = await server.http.get("/health", headers={"X-Request-Id": "a b" * 100})
    assert given.headers["x-request-id"] == "abc-1"
    assert made.headers["x-request-id"].startswith("req-")
