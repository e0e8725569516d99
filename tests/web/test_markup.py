"""What people and the model write is shown as text and markdown, never as live HTML; code is shown as code."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.bot.fake_model import FakeModel
from tests.web.browser import Visitor, needs_chromium

pytestmark = [needs_chromium, pytest.mark.chromium]


async def test_markup_of_people_and_model_is_only_text(visitor: Visitor, model: FakeModel) -> None:
    wicked = "<img src=x onerror=\"document.title='gone'\"><b>*bold*</b> $$x$$ {{y}} `z` [a](javascript:alert(1))"
    model.say(wicked + " ![spy](http://198.51.100.1/spy.png)")
    await visitor.ask(wicked)
    await visitor.answer(1)
    assert await visitor.questions.last.inner_text() == wicked
    assert await visitor.answers.last.locator("img[onerror], b, a[href^=javascript]").count() == 0
    assert await visitor.page.title() == "Jñāna"


@pytest.mark.parametrize(
    "start", ["Use ``` here ", "- a\n  ```\n", "```\na\n```~~\n", "- x\n  ```\n```\n<i>\n```\n", "$$\n```\n$$\n", "`a\nb` "]
)
async def test_what_only_looks_like_code_is_inert(visitor: Visitor, model: FakeModel, start: str) -> None:
    model.say(start + '<form action="/login"><input name="password"></form>')
    await visitor.ask("hi")
    await visitor.answer(1)
    await expect(visitor.answers).to_contain_text("password")
    assert await visitor.answers.locator("form, input").count() == 0


@pytest.mark.parametrize("language", ["cpp", "php", "typescript", "constructor", "brainfuck"])
async def test_code_in_any_language_is_shown(visitor: Visitor, model: FakeModel, language: str) -> None:
    model.say(f"```{language}\nx = 1\n```")
    await visitor.ask("hi")
    await expect(visitor.answers.locator("pre")).to_contain_text("x = 1")


async def test_code_is_shown_as_it_is_and_a_stopped_answer_says_so_below(visitor: Visitor, model: FakeModel) -> None:
    model.say("```cpp\nvector<int> a;\n", hold=True)
    await visitor.ask("hi")
    await expect(visitor.answers).to_contain_text("vector")
    await visitor.button("Stop answering").click()
    await visitor.answer(1)
    assert (await visitor.answers.locator("pre code").inner_text()).strip() == "vector<int> a;"
    await expect(visitor.answers.locator(".jn-aside")).to_have_text("Stopped.")
