"""One `jnana run` on three platforms: whatever it can do, it does on the web page, on Telegram and on Discord alike."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.bot.fake_model import FakeModel
from tests.processes import free_port

from .drivers import PAPER, PHOTO, VOICE, Driver, OnDiscord, OnTelegram
from .process import Platforms, platforms, running
from .web_driver import OnWeb

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Bot:
    where: Platforms
    model: FakeModel
    url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bot]:
    port = free_port()
    home = tmp_path_factory.mktemp("process")
    with FakeModel() as model:
        async with platforms(home, MODEL_URL=model.url, WEB_PORT=str(port)) as where, running(where):
            yield Bot(where, model, f"http://127.0.0.1:{port}")


@pytest.fixture
def model(bot: Bot) -> FakeModel:
    return bot.model


@pytest_asyncio.fixture(params=["web", "telegram", "discord"], loop_scope="module")
async def driver(request: pytest.FixtureRequest, bot: Bot) -> AsyncIterator[Driver]:
    """A new person on a platform."""
    if request.param == "web":
        async with OnWeb(bot.url) as driver:
            yield driver
    elif request.param == "telegram":
        yield OnTelegram(bot.where.telegram)
    else:
        yield OnDiscord(bot.where.discord)


def asked(model: FakeModel) -> tuple[str, int]:
    """The words of the newest question that the model got, and its pictures."""
    content = model.prompt()[-1][1]
    if isinstance(content, str):
        return content, 0
    kinds = [part["type"] for part in content]
    return "".join(part.get("text", "") for part in content), kinds.count("image_url")


async def test_a_question_is_answered(driver: Driver, model: FakeModel) -> None:
    model.say("It is ", "Paris.")
    await driver.ask("What is the capital of France?")
    await driver.shows("It is Paris.")
    assert asked(model) == ("What is the capital of France?", 0)
    assert driver.answers() == 1


async def test_a_photo_is_seen(driver: Driver, model: FakeModel) -> None:
    model.say("A rainbow.")
    await driver.ask("What is this?", PHOTO)
    await driver.shows("A rainbow.")
    assert asked(model) == ("What is this?", 1)


async def test_a_voice_note_is_written_down_and_answered(driver: Driver, model: FakeModel) -> None:
    model.hear("What time is it?", "en")
    model.say("Noon.")
    await driver.ask("", VOICE)
    assert "What time is it?" in await driver.shows("Noon.")
    assert "What time is it?" in asked(model)[0]


async def test_a_follow_up_knows_what_was_said(driver: Driver, model: FakeModel) -> None:
    model.say("Nice to meet you, Ann.")
    await driver.ask("I am Ann.")
    await driver.shows("Nice to meet you, Ann.")
    model.say("You are Ann.")
    await driver.ask("Who am I?")
    await driver.shows("You are Ann.")
    assert [words for _, words in model.prompt()[-3:]] == ["I am Ann.", "Nice to meet you, Ann.", "Who am I?"]


async def test_a_file_that_cannot_be_read_is_named_and_the_rest_answered(driver: Driver, model: FakeModel) -> None:
    model.say("A rainbow.")
    await driver.ask("What are these?", PHOTO, PAPER)
    assert "paper.pdf: this is a PDF" in await driver.shows("A rainbow.")
    assert asked(model) == ("What are these?", 1)


async def test_a_long_answer_is_there_from_beginning_to_end(driver: Driver, model: FakeModel) -> None:
    model.say(*(f"This is line {number} of a long answer.\n\n" for number in range(200)), "The end.")
    await driver.ask("Tell me everything.")
    shown = await driver.shows("The end.")
    assert [int(number) for number in re.findall(r"line (\d+) of", shown)] == list(range(200))


async def test_an_answer_grows_and_is_stopped(driver: Driver, model: FakeModel) -> None:
    held = model.say("Once upon", " a time", hold=True)
    await driver.ask("Tell me a story.")
    await driver.shows("Once upon", ended=False)
    await driver.press("stop")
    assert " a time" not in await driver.shows("Once upon")
    assert held.cancelled.is_set()
    await driver.ask("And now?")
    await driver.shows("ok")


async def test_again_replaces_the_answer(driver: Driver, model: FakeModel) -> None:
    model.say("Heads.")
    await driver.ask("Heads or tails?")
    await driver.shows("Heads.")
    model.say("Tails it is.")
    await driver.press("again")
    await driver.shows("Tails it is.")
    assert driver.answers() == 1


async def test_an_error_of_the_model_is_one_clear_sentence(driver: Driver, model: FakeModel) -> None:
    model.fail(500, message='Traceback: File "/srv/secret.py", line 1')
    await driver.ask("Hello?")
    shown = await driver.shows("The model failed to answer. Please try again.")
    assert not re.search(r"Traceback|secret|Error|\.py", shown)
    await driver.ask("And now?")
    await driver.shows("ok")


async def test_markdown_is_kept(driver: Driver, model: FakeModel) -> None:
    model.say("Take **two** eggs & <b>salt</b>:\n\n```python\nx = 1 < 2\n```\n\nThe end.")
    await driver.ask("A recipe?")
    assert "x = 1 < 2" in await driver.shows("The end.")
    assert driver.bold() == ["two"]
