"""What people do with the page, in a real browser."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path

import av
import pytest
from playwright.async_api import Browser, expect

from bot.chat.web import WebPage
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from tests.bot.fake_model import FakeModel
from tests.web.browser import PHONE, Visitor, chromium, needs_chromium, open_page
from tests.web.conftest import web_page

pytestmark = [needs_chromium, pytest.mark.chromium]


async def test_photo_and_question_are_answered_and_shown(visitor: Visitor, model: FakeModel, photo: Path) -> None:
    model.say("A red ", "**square**.")
    await visitor.ask("What is in this photo?", photo)
    assert await visitor.answer(1) == "A red square."
    assert await visitor.answers.last.locator("strong").inner_text() == "square"
    picture = visitor.questions.last.get_by_alt_text("Picture: red square.png")
    await expect(picture).to_have_js_property("naturalWidth", 320)
    [content] = [content for role, content in model.prompt() if role == "user"]
    assert {part["type"] for part in content} == {"image_url", "text"}
    await expect(visitor.box).to_have_value("")
    await expect(visitor.box).to_be_focused()
    assert visitor.errors == []


async def test_follow_up_knows_what_was_said(visitor: Visitor, model: FakeModel) -> None:
    model.say("Paris.")
    await visitor.ask("What is the capital of France?")
    await visitor.answer(1)
    model.say("About two million.")
    await visitor.ask("How many people live there?")
    assert await visitor.answer(2) == "About two million."
    assert [text for _, text in model.prompt()][-3:] == [
        "What is the capital of France?",
        "Paris.",
        "How many people live there?",
    ]


async def test_voice_note_alone_is_a_question(visitor: Visitor, model: FakeModel, example_voice: Path) -> None:
    model.hear("What is the capital of France?")
    model.say("Paris.")
    await visitor.ask("", example_voice)
    assert await visitor.answer(1) == "Paris."
    await expect(visitor.questions.last.locator(".jn-heard")).to_have_text("What is the capital of France?")
    voice = visitor.questions.last.locator("audio")
    await expect(voice).to_have_js_property("readyState", 4)  # HAVE_ENOUGH_DATA: it can be played
    assert len(model.recordings) == 1


async def test_voice_note_is_recorded_with_the_microphone(page: WebPage, model: FakeModel, spoken: Path) -> None:
    model.hear("What is the capital of France?")
    model.say("Paris.")
    async with chromium(microphone=spoken) as browser:
        visitor = await open_page(browser, page.url)
        await visitor.record(seconds=1.5)
        await visitor.box.press("Enter")
        assert await visitor.answer(1) == "Paris."
        await expect(visitor.questions.last.locator(".jn-heard")).to_have_text("What is the capital of France?")
    [heard] = model.recordings
    with av.open(io.BytesIO(heard)) as recording:
        frames = [frame.to_ndarray() for frame in recording.decode(audio=0)]
    assert sum(frame.shape[1] for frame in frames) > 24_000  # half a second at 48 kHz
    assert max(abs(frame).max() for frame in frames) > 0.05  # not silence


async def test_microphone_that_is_not_allowed_is_explained(page: WebPage, browser: Browser) -> None:
    visitor = Visitor(await browser.new_page())  # nobody there to allow it
    await visitor.go(page.url)
    await visitor.button("Record a voice note").click()
    await expect(visitor.page.locator("#jn-hint")).to_contain_text("does not let this page use a microphone")
    await visitor.ask("Then in words")
    assert await visitor.answer(1) == "ok"


async def test_examples_are_asked_with_one_click(visitor: Visitor, model: FakeModel) -> None:
    model.say("A cat.")
    await visitor.page.get_by_text("What is in this photo?").click()
    assert await visitor.answer(1) == "A cat."
    await visitor.button("New conversation").click()
    model.hear("What is the capital of France?")
    model.say("Paris.")
    await visitor.page.get_by_text("Ask with a voice note").click()
    await expect(visitor.answers.last).to_have_text("Paris.")
    await expect(visitor.conversations).to_have_count(2)


async def test_stop_keeps_what_was_written(visitor: Visitor, model: FakeModel) -> None:
    answer = model.say("Once upon a time", " there was more", hold=True)
    await visitor.ask("Tell me a story")
    await expect(visitor.answers.last).to_have_text("Once upon a time")
    await visitor.button("Stop answering").click()
    assert (await visitor.answer(1)).split("\n")[0] == "Once upon a time"
    await expect(visitor.answers.last.locator(".jn-aside")).to_have_text("Stopped.")
    assert answer.cancelled.wait(10)


async def test_answer_again_replaces_the_answer(visitor: Visitor, model: FakeModel) -> None:
    model.say("First.")
    model.say("Second.")
    await visitor.ask("Hello")
    assert await visitor.answer(1) == "First."
    await visitor.button("Answer again").click()
    await expect(visitor.answers.last).to_have_text("Second.")
    await visitor.reload()
    assert await visitor.answer(1) == "Second."


async def test_ratings_survive_a_reload_and_can_be_taken_back(visitor: Visitor) -> None:
    await visitor.ask("one")
    await visitor.answer(1)
    await visitor.ask("two")
    await visitor.answer(2)
    async with visitor.page.expect_response(re.compile("queue/data")):
        await visitor.button("Like").first.click()
    async with visitor.page.expect_response(re.compile("queue/data")):
        await visitor.button("Dislike").last.click()
    await visitor.reload()
    await expect(visitor.button("Liked")).to_have_count(1)
    await expect(visitor.button("Disliked")).to_have_count(1)
    async with visitor.page.expect_response(re.compile("queue/data")):
        await visitor.button("Liked").click()
    await visitor.reload()
    await expect(visitor.button("Disliked")).to_have_count(1)
    await expect(visitor.button("Liked")).to_have_count(0)


async def test_reload_in_the_middle_joins_the_answer(visitor: Visitor, model: FakeModel) -> None:
    answer = model.say("Once upon a time", " there was a cat.", hold=True)
    await visitor.ask("Tell me a story")
    await expect(visitor.answers.last).to_have_text("Once upon a time")
    await visitor.reload()
    await expect(visitor.answers.last).to_have_text("Once upon a time")
    answer.release()
    assert await visitor.answer(1) == "Once upon a time there was a cat."
    assert len(model.chats) == 1


async def test_closing_the_page_cancels_nothing(visitor: Visitor, model: FakeModel, page: WebPage) -> None:
    answer = model.say("Once upon a time", " there was a cat.", hold=True)
    await visitor.ask("Tell me a story")
    await expect(visitor.answers.last).to_have_text("Once upon a time")
    url, context = visitor.page.url, visitor.context
    await visitor.page.close()
    answer.release()
    again = await open_page(context, url)
    assert await again.answer(1) == "Once upon a time there was a cat."


async def test_conversations_are_listed_and_picked(visitor: Visitor, model: FakeModel) -> None:
    await visitor.ask("The first one")
    await visitor.answer(1)
    first = visitor.page.url
    await visitor.button("New conversation").click()
    await expect(visitor.questions).to_have_count(0)
    await visitor.ask("The second one")
    await visitor.answer(1)
    await expect(visitor.conversations).to_have_text(["The second one", "The first one"])
    await visitor.conversations.last.click()
    await expect(visitor.questions).to_have_text("The first one")
    assert visitor.page.url == first
    assert await visitor.conversations.last.get_attribute("aria-current") is not None


async def test_two_questions_at_once_are_answered_in_order(visitor: Visitor, model: FakeModel) -> None:
    first = model.say("One.", hold=True)
    model.say("Two.")
    await visitor.ask("First?")
    await expect(visitor.answers.first).to_have_text("One.")
    await visitor.ask("Second?")
    await expect(visitor.answers.last).to_contain_text("Waiting: next in line")
    first.release()
    assert await visitor.answer(2) == "Two."
    await expect(visitor.answers).to_have_text(["One.", "Two."])


async def test_another_conversation_can_be_read_while_one_is_answered(visitor: Visitor, model: FakeModel) -> None:
    await visitor.ask("The quiet one")
    await visitor.answer(1)
    await visitor.button("New conversation").click()
    await expect(visitor.questions).to_have_count(0)
    answer = model.say("Once", " more", hold=True)
    await visitor.ask("The busy one")
    await expect(visitor.answers).to_have_text("Once")
    await visitor.conversations.filter(has_text="quiet").click()
    await expect(visitor.questions).to_have_text("The quiet one")
    await expect(visitor.button("Stop answering")).to_have_count(0)
    await visitor.conversations.filter(has_text="busy").click()
    await expect(visitor.answers).to_have_text("Once")
    answer.release()
    assert await visitor.answer(1) == "Once more"


async def test_conversation_that_was_left_does_not_come_back_while_its_answer_grows(visitor: Visitor, model: FakeModel) -> None:
    await visitor.ask("The quiet one")
    await visitor.answer(1)
    await visitor.button("New conversation").click()
    await expect(visitor.questions).to_have_count(0)
    model.say(*(f" {number}" for number in range(150)), pause=0.02)
    await visitor.ask("The busy one")
    for _ in range(5):
        await expect(visitor.answers).to_contain_text("1")
        await visitor.conversations.filter(has_text="quiet").click()
        await expect(visitor.questions).to_have_text("The quiet one")
        await asyncio.sleep(0.3)  # what was on its way has arrived
        await expect(visitor.questions).to_have_text("The quiet one")
        await visitor.conversations.filter(has_text="busy").click()
        await expect(visitor.questions).to_have_text("The busy one")
    assert (await visitor.answer(1)).endswith("149")


async def test_two_tabs_of_a_browser_show_the_same_conversation(visitor: Visitor, model: FakeModel) -> None:
    first = model.say("One.", hold=True)
    model.say("Two.")
    await visitor.ask("First?")
    other = await open_page(visitor.context, visitor.page.url)
    await expect(other.answers).to_have_text("One.")
    await other.ask("Second?")
    await expect(visitor.questions).to_have_count(2)  # while the first is still being answered
    first.release()
    assert await other.answer(2) == "Two."
    assert await visitor.answer(2) == "Two."


async def test_refused_message_is_explained_and_not_lost(visitor: Visitor, photo: Path) -> None:
    long = "so long " * 13_000
    await visitor.ask(long, photo)
    await expect(visitor.problem).to_contain_text("characters; I can read 20,000 at once")
    await expect(visitor.box).to_have_value(long)
    await visitor.box.fill("short")
    await visitor.box.press("Enter")
    assert await visitor.answer(1) == "ok"
    await expect(visitor.problem).to_have_count(0)
    await expect(visitor.questions.last.get_by_alt_text("Picture: red square.png")).to_be_visible()


async def test_reset_forgets_what_was_said(visitor: Visitor, model: FakeModel) -> None:
    await visitor.ask("I am Ann.")
    await visitor.answer(1)
    await visitor.ask("/reset")
    await expect(visitor.page.locator("#jn-problem")).to_contain_text("Forgotten")
    await visitor.ask("Who am I?")
    await visitor.answer(2)
    assert [content for _, content in model.prompt()][-1:] == ["Who am I?"]
    assert "Ann" not in str(model.prompt())
    await expect(visitor.box).to_have_value("")


async def test_failed_regeneration_keeps_the_answer_and_says_why(visitor: Visitor, model: FakeModel) -> None:
    await visitor.ask("hi")
    await visitor.answer(1)
    model.fail(500)
    await visitor.button("Answer again").click()
    await expect(visitor.answers.last).to_contain_text("The model failed to answer")
    await expect(visitor.answers.last).to_contain_text("ok")


async def test_empty_message_is_explained(visitor: Visitor) -> None:
    await visitor.box.press("Enter")
    await expect(visitor.problem).to_contain_text("Your message is empty")


async def test_file_that_cannot_be_used_is_named_and_the_rest_answered(visitor: Visitor, photo: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.svg"
    notes.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    await visitor.ask("What is this?", photo, notes)
    await expect(visitor.questions.last.locator(".jn-notice")).to_contain_text("notes.svg")
    assert await visitor.answer(1) == "ok"


async def test_failure_is_one_sentence_and_the_next_turn_works(visitor: Visitor, model: FakeModel) -> None:
    model.fail(500)
    await visitor.ask("Hello")
    await visitor.answer(1)
    await expect(visitor.answers.last.locator(".jn-problem")).to_be_visible()
    await visitor.ask("Again")
    assert await visitor.answer(2) == "ok"


async def test_enter_sends_and_shift_enter_breaks_the_line(visitor: Visitor, model: FakeModel) -> None:
    await visitor.box.press_sequentially("first line")
    await visitor.box.press("Shift+Enter")
    await visitor.box.press_sequentially("second line")
    await visitor.box.press("Enter")
    await visitor.answer(1)
    assert model.prompt()[-1] == ("user", "first line\nsecond line")


async def test_pasted_picture_is_sent(visitor: Visitor, model: FakeModel, photo: Path) -> None:
    paste = """([box, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'pasted.png', {type: 'image/png'}));
        box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
    }"""
    await visitor.page.evaluate(paste, [await visitor.box.element_handle(), list(await asyncio.to_thread(photo.read_bytes))])
    await expect(visitor.page.locator("#jn-box .thumbnail-item")).to_have_count(1)
    await visitor.ask("What is this?")
    await visitor.answer(1)
    await expect(visitor.questions.last.get_by_alt_text("Picture: pasted.png")).to_be_visible()
    assert "image_url" in json.dumps(model.prompt()[-1])


async def test_phone_shows_everything_without_sideways_scrolling(
    page: WebPage, browser: Browser, model: FakeModel, photo: Path
) -> None:
    visitor = await open_page(browser, page.url, size=PHONE)
    model.say("A_very_long_word_" * 20 + "\n\n```\n" + "code " * 60 + "\n```")
    await visitor.ask("https://example.org/" + "x" * 200, photo)
    await visitor.answer(1)
    width = "Math.max(document.documentElement.scrollWidth, document.querySelector('#jn-chat .bubble-wrap').scrollWidth)"
    assert await visitor.page.evaluate(width) <= PHONE["width"]
    await expect(visitor.box).to_be_in_viewport()
    await visitor.button("Show or hide conversations").click()
    await expect(visitor.conversations.first).to_be_in_viewport()
    await visitor.conversations.first.click()
    await expect(visitor.conversations.first).not_to_be_in_viewport()


async def test_restart_of_the_bot_loses_nothing(
    visitor: Visitor, page: WebPage, turns: Turns, store: Store, settings: Settings
) -> None:
    await visitor.ask("Before")
    await visitor.answer(1)
    await page.stop()
    await visitor.ask("Is anybody there?")
    await expect(visitor.page.locator("#jn-hint")).to_contain_text("cannot be reached")
    await expect(visitor.box).to_have_value("Is anybody there?")
    again = web_page(turns, store, settings, port=int(page.url.rpartition(":")[2]))
    await again.start()
    try:
        await expect(visitor.page.locator("#jn-status")).to_have_text("Ready: fake")
        await visitor.reload()  # gradio may just be doing the same
        await expect(visitor.box).to_have_value("Is anybody there?")
        await visitor.ask("After")
        assert await visitor.answer(2) == "ok"
        await visitor.reload()
        await expect(visitor.questions).to_have_text(["Before", "After"])
    finally:
        await again.stop()


async def test_people_do_not_wait_for_each_other(visitor: Visitor, browser: Browser, page: WebPage, model: FakeModel) -> None:
    answer = model.say("Slow.", hold=True)
    await visitor.ask("Take your time")
    await expect(visitor.answers).to_have_text("Slow.")
    for number in range(3):
        other = await open_page(browser, page.url)
        await other.ask(f"Question {number}")
        assert await other.answer(1) == "ok"
    answer.release()
    assert await visitor.answer(1) == "Slow."


async def test_header_says_how_the_model_is(visitor: Visitor) -> None:
    await expect(visitor.page.locator("#jn-status")).to_have_text("Ready: fake")
    await expect(visitor.page.locator("#jn-status")).to_have_attribute("data-ready", "true")
