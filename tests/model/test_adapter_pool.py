"""Adapters are asked for by name, beside each other, and the default changes while answers grow."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import shutil
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from PIL import Image
from structlog.testing import capture_logs

from bot.adapters import Origin
from bot.errors import WorkerRefused
from bot.memory import PromptMessage
from bot.worker import Details, ModelClient, Piece, Position
from model import adapter_pool, attached, shelf
from model.adapters import CARD, PROJECTOR, Source
from model.files import MANIFEST, write_manifest
from model.lora import layers
from model.presets import PHI2
from model.weights import PreparedWeights
from model.worker import load_parts
from tests.model import tiny_home
from tests.model.fake_mind import DeafSpeech
from tests.model.serving import Running, running

torch.set_num_threads(1)


NAMES = ("one", "other", "third")


@pytest.fixture
def weights(tmp_path: Path) -> PreparedWeights:
    return tiny_home.prepared(tmp_path)


@pytest.fixture
def home(weights: PreparedWeights, tmp_path: Path) -> Path:
    """With three adapters, each with an opinion of its own."""
    for seed, name in enumerate(NAMES):
        made = tiny_home.adapter(tmp_path / "runs" / name, weights, seed=seed, name=name)
        shelf.install(made, PHI2, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def no_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny speech model is none."""
    monkeypatch.setattr("model.worker.Speech", DeafSpeech)


def settings(home: Path, **more: object) -> dict[str, Any]:
    return {
        "JNANA_HOME": home,
        "MODEL_PRESET": "phi2",
        "MODEL_DEVICE": "cpu",
        "MODEL_PRECISION": "fp32",
        "MODEL_OCR": False,
        **more,
    }


@pytest.fixture
async def server(home: Path) -> AsyncIterator[Running]:
    async with running(load_parts, **settings(home)) as server:
        yield server


def photo() -> dict[str, Any]:
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"}}


QUESTIONS: list[Any] = ["Hello, you", [photo(), {"type": "text", "text": "What is this?"}], "end of question"]


async def ask(server: Running, question: Any, model: Any = "phi2", **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": question}]
    return await server.openai.chat.completions.create(
        model=model, messages=messages, max_tokens=options.pop("max_tokens", 12), **options
    )


async def said(server: Running, question: Any, model: str = "phi2") -> str:
    text: str = (await ask(server, question, model)).choices[0].message.content
    return text


async def alone(home: Path, name: str) -> list[str]:
    """What a worker answers that has nothing else."""
    async with running(load_parts, **settings(home, MODEL_ADAPTER=name)) as server:
        return [await said(server, question) for question in QUESTIONS]


async def use(server: Running, name: str) -> Any:
    return await server.http.put("/v1/adapters/default", json={"name": name})


async def test_a_crowd_is_answered_by_whom_each_asks(server: Running, home: Path) -> None:
    names = (*NAMES, "none")
    asked = [(question, name) for question in QUESTIONS for name in names]
    together = await asyncio.gather(*(said(server, question, f"phi2/{name}") for question, name in asked))
    expected = {name: await alone(home, name) for name in names}
    assert together == [expected[name][at] for at in range(len(QUESTIONS)) for name in names]
    assert len({tuple(answers) for answers in expected.values()}) == len(names)
    # What one has read is not taken for another's.
    assert [await said(server, QUESTIONS[1], f"phi2/{name}") for name in names] == [expected[name][1] for name in names]


async def test_the_bot_asks_for_an_adapter_and_hears_who_writes_before_the_first_word(server: Running) -> None:
    client = ModelClient(server.url)
    await client.load_adapter("other")
    with pytest.raises(WorkerRefused, match="There is no adapter 'gone'"):
        await client.load_adapter("gone")
    how: dict[str, Any] = {"request_id": "r", "conversation": "1", "max_tokens": 12, "temperature": 0.0}
    prompt = [PromptMessage("user", "Hello, you")]
    events = [event async for event in client.chat(prompt, adapter="other", **how) if not isinstance(event, Position)]
    assert isinstance(events[0], Details)
    assert (events[0].adapter, events[-1].adapter) == ("other", "other")  # type: ignore[union-attr]
    assert "".join(event.text for event in events if isinstance(event, Piece)) == await said(server, "Hello, you", "phi2/other")
    with pytest.raises(WorkerRefused):
        [event async for event in client.chat(prompt, adapter="gone", **how)]
    await client.close()


async def test_the_default_changes_while_answers_grow_and_drops_none(server: Running, home: Path) -> None:
    await use(server, "one")
    long = (await ask(server, QUESTIONS[0], max_tokens=300)).choices[0].message.content
    whole = await said(server, QUESTIONS[0])
    text, when_switched = "", ""
    async for chunk in await ask(server, QUESTIONS[0], stream=True, max_tokens=300):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        if text and not when_switched:
            assert (await use(server, "other")).status_code == 200
            when_switched = text
    assert when_switched
    assert text == long
    answer = await ask(server, QUESTIONS[0])
    assert answer.model_extra["jnana"]["adapter"] == (await server.health())["adapter"] == "other"
    assert answer.choices[0].message.content == (await alone(home, "other"))[0] != whole
    assert shelf.default_name(PHI2, home) == "other"
    await use(server, "one")
    assert await said(server, QUESTIONS[0]) == whole


async def test_what_the_command_line_chose_is_taken_with_the_next_message(server: Running, home: Path) -> None:
    before = await said(server, QUESTIONS[0])
    shelf.set_default("one", PHI2, home)
    assert await said(server, QUESTIONS[0]) != before
    shelf.set_default("none", PHI2, home)
    assert await said(server, QUESTIONS[0]) == before


async def test_a_broken_one_leaves_the_old_one_serving(server: Running, home: Path) -> None:
    await use(server, "one")
    before = await said(server, QUESTIONS[0])
    file = shelf.folder_of(PHI2, home) / "other" / PROJECTOR
    file.write_bytes(file.read_bytes()[:-8] + b"8 bytes!")
    refused = await use(server, "other")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "adapter_refused")
    assert "is damaged" in refused.json()["error"]["message"]
    assert shelf.default_name(PHI2, home) == "one"
    for name in ("other", "nowhere"):
        shelf.set_default(name, PHI2, home)
        with capture_logs() as logs:
            assert [await said(server, QUESTIONS[0]) for _ in range(3)] == [before] * 3
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["default_adapter_refused"]
    shelf.set_default("third", PHI2, home)
    assert await said(server, QUESTIONS[0]) != before


async def test_an_adapter_that_is_not_there_is_refused_by_name(server: Running, weights: PreparedWeights) -> None:
    for name in ("phi2/cat", "phi2/", "phi2/../phi2/one", f"phi2/{weights.tower}"):
        with pytest.raises(openai.NotFoundError, match="there are one, other, third") as refused:
            await ask(server, "Hello", name)
        assert refused.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="This worker serves phi2, and no pocket"):
        await ask(server, "Hello", "pocket/none")
    for name in ("gpt-4o", "openai/gpt-4o", "", None):  # other servers' names: the default answers
        answer = await ask(server, "Hello", name)
        assert (answer.model, answer.model_extra["jnana"]["adapter"]) == ("phi2", "none")


async def test_an_answer_bears_the_name_that_was_asked_for(server: Running) -> None:
    assert (await ask(server, "Hello", "phi2/one")).model == "phi2/one"
    assert {chunk.model async for chunk in await ask(server, "Hello", "phi2/one", stream=True)} == {"phi2/one"}


async def test_models_lists_all_that_may_be_asked_for(server: Running) -> None:
    await use(server, "one")
    cards = {card.id: card.model_extra for card in (await server.openai.models.list()).data}
    assert list(cards) == ["phi2", "phi2/none", "phi2/one", "phi2/other", "phi2/third"]
    assert cards["phi2"] is not None
    assert cards["phi2"]["adapter"] == "one"
    assert (await server.openai.models.retrieve("phi2/other")).id == "phi2/other"


async def test_models_tells_where_an_adapter_comes_from(
    server: Running, home: Path, weights: PreparedWeights, tmp_path: Path
) -> None:
    data = (Source(name="badges", licence=None), Source(name="badges", licence="CC0"), Source(name="club", licence=None))
    first = tiny_home.adapter(tmp_path / "runs" / "first", weights, name="first", data=data)
    second = tiny_home.adapter(tmp_path / "runs" / "second", weights, name="second", parent=first.sha256)
    for made in (first, second, tiny_home.adapter(tmp_path / "runs" / "orphan", weights, name="orphan", parent="0" * 64)):
        shelf.install(made, PHI2, home)
    (shelf.folder_of(PHI2, home) / "third" / CARD).write_text("{")
    await use(server, "first")
    told = {card.id: card.model_extra or {} for card in (await server.openai.models.list()).data}
    made_on = first.card.created.date().isoformat()
    card = {"created": made_on, "data": ["badges", "club"], "text_only": first.card.text_only}
    for name in ("phi2", "phi2/first"):
        assert (told[name]["parent"], told[name]["card"]) == ("phi2/none", card)
    assert (told["phi2/second"]["parent"], told["phi2/orphan"]["parent"]) == ("phi2/first", None)
    assert told["phi2/orphan"]["card"]["created"] == made_on
    for name in ("none", "third"):
        assert (told[f"phi2/{name}"]["parent"], told[f"phi2/{name}"]["card"]) == (None, None)
    client = ModelClient(str(server.openai.base_url))
    assert (await client.adapters()).origins["second"] == Origin("first", made_on)
    await client.close()


async def test_those_that_nobody_uses_make_room(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_pool, "MOST_ATTACHED", 1)
    before = [await said(server, QUESTIONS[1], f"phi2/{name}") for name in NAMES]
    assert {key for layer in layers(server.mind.model) for key in layer.lora_A} == {"lora2"}
    crowd = [name for name in NAMES for _ in range(3)]
    together = await asyncio.gather(*(said(server, QUESTIONS[1], f"phi2/{name}") for name in crowd))
    assert together == [before[NAMES.index(name)] for name in crowd]
    assert [await said(server, QUESTIONS[1], f"phi2/{name}") for name in NAMES] == before


async def test_who_is_let_go_is_freed(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_pool, "MOST_ATTACHED", 1)
    await said(server, QUESTIONS[1], "phi2/one")
    pool = server.worker.parts.adapters
    seen = [weakref.ref(attached) for attached in pool._attached.values() if attached.name == "one"]
    for name in ("other", "third"):
        await said(server, QUESTIONS[1], f"phi2/{name}")
    gc.collect()
    assert [ref() for ref in seen] == [None]


async def test_what_is_kept_for_follow_ups_makes_room_for_an_adapter(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = await said(server, QUESTIONS[1], "phi2/one")
    prefixes = server.worker.parts.engine._prefixes
    assert prefixes.bytes
    put = attached.lora.put
    kept: list[int] = []

    def crowded(*arguments: Any, **options: Any) -> None:
        kept.append(prefixes.bytes)
        if prefixes.bytes:
            raise torch.OutOfMemoryError("CUDA out of memory")
        put(*arguments, **options)

    monkeypatch.setattr(attached.lora, "put", crowded)
    assert await said(server, QUESTIONS[1], "phi2/other") != expected
    assert (len(kept), kept[-1]) == (2, 0)
    assert await said(server, QUESTIONS[1], "phi2/one") == expected


async def test_a_default_without_room_is_tried_again_later_and_not_for_every_request(
    server: Running, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await said(server, QUESTIONS[0])
    tries: list[str] = []

    def full(*_: Any, **__: Any) -> None:
        tries.append("once more")
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(attached.lora, "put", full)
        shelf.set_default("one", PHI2, home)
        assert [await said(server, QUESTIONS[0]) for _ in range(3)] == [before] * 3
        assert len(tries) == 2  # with what is kept for follow-ups, and without
    assert await said(server, QUESTIONS[0]) == before
    server.worker.parts.adapters._try_again = 0.0
    assert await said(server, QUESTIONS[0]) != before


async def test_an_adapter_comes_although_who_asked_for_it_went(server: Running) -> None:
    pool = server.worker.parts.adapters

    async def ask_for_it() -> None:
        async with pool.hold("one"):
            raise AssertionError("it was there at once")

    asking = asyncio.create_task(ask_for_it())
    while not pool._coming:  # noqa: ASYNC110
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    first = await said(server, QUESTIONS[1], "phi2/one")
    assert {key for layer in layers(server.mind.model) for key in layer.lora_A} == {"lora0"}
    assert await said(server, QUESTIONS[1], "phi2/one") == first


def spoil(home: Path, name: str, **config: Any) -> None:
    """Whole by its manifest, and not fit all the same."""
    folder = shelf.folder_of(PHI2, home) / name
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    (folder / MANIFEST).unlink()
    write_manifest(folder, {}, lambda count: None)


@pytest.mark.parametrize(
    "config",
    [{"r": 7}, {"target_modules": ["fc2"]}, {"target_modules": "("}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}],
    ids=str,
)
async def test_one_that_does_not_fit_leaves_the_others_as_they_were(server: Running, home: Path, config: Any) -> None:
    before = [await said(server, QUESTIONS[1], f"phi2/{name}") for name in ("one", "none")]
    spoil(home, "other", **config)
    refused = await use(server, "other")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "adapter_refused"), refused.text
    shelf.set_default("other", PHI2, home)
    assert await said(server, QUESTIONS[1]) == before[1]
    assert [await said(server, QUESTIONS[1], f"phi2/{name}") for name in ("one", "none")] == before
    assert {key for layer in layers(server.mind.model) for key in layer.lora_A} == {"lora0"}


async def test_each_sees_with_its_own_layer_and_fit(
    server: Running, home: Path, weights: PreparedWeights, tmp_path: Path
) -> None:
    """What one has seen of a picture is not shown to another."""
    looks: list[dict[str, Any]] = [{"layer": -1, "fit": "pad"}, {"layer": -2, "fit": "pad"}, {"layer": -1, "fit": "crop"}]
    for number, look in enumerate(looks):
        made = tiny_home.adapter(tmp_path / f"look{number}", weights, name=f"look{number}", **look)
        shelf.install(made, PHI2, home)
    together = [await said(server, QUESTIONS[1], f"phi2/look{number}") for number in range(3)]
    assert together == [(await alone(home, f"look{number}"))[1] for number in range(3)]
    mind: Any = server.mind
    assert len({gaze for _, gaze in mind._eyes._seen}) == 3


async def test_one_that_was_replaced_in_place_is_taken_anew(
    server: Running, home: Path, weights: PreparedWeights, tmp_path: Path
) -> None:
    before = await said(server, QUESTIONS[1], "phi2/one")
    shutil.rmtree(shelf.folder_of(PHI2, home) / "one")
    shelf.install(tiny_home.adapter(tmp_path / "again", weights, seed=9, name="one"), PHI2, home)
    assert await said(server, QUESTIONS[1], "phi2/one") != before


async def test_a_default_chosen_while_it_loads_is_taken_with_the_first_message(home: Path) -> None:
    def load_slowly(settings: Any, progress: Any) -> Any:
        parts = load_parts(settings, progress)
        shelf.set_default("one", PHI2, home)
        return parts

    async with running(load_slowly, **settings(home)) as server:
        assert (await ask(server, "Hello")).model_extra["jnana"]["adapter"] == "one"
        assert (await ask(server, "Hello", "phi2/none")).model_extra["jnana"]["adapter"] == "none"


async def test_the_setting_wins_and_says_so(home: Path) -> None:
    async with running(load_parts, **settings(home, MODEL_ADAPTER="one")) as server:
        refused = await use(server, "other")
        assert "MODEL_ADAPTER=one is set and wins" in refused.json()["error"]["message"]
        shelf.set_default("other", PHI2, home)
        assert (await ask(server, "Hello")).model_extra["jnana"]["adapter"] == "one"
