"""Two adapters side by side on the owner's page."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from bot.chat.web import WebPage
from bot.store import Store
from tests.bot.fake_model import FakeModel
from tests.bot.retraining import FakeTrainer, trainer
from tests.web.browser import needs_chromium
from tests.web.owner import ANN, page, panel, picture, retrainings, teach

__all__ = ["page", "retrainings", "trainer"]  # fixtures

PAIR = {"first": "first", "second": "none"}


async def compare(owner: Page) -> None:
    await owner.get_by_role("button", name="Ask both").click()


@needs_chromium
@pytest.mark.chromium
async def test_both_are_asked_beside_the_pictures_while_the_page_goes_on(
    browser: Browser, page: WebPage, store: Store, model: FakeModel, trainer: FakeTrainer, photo: Path
) -> None:
    model.adapters.append("second")
    await teach(store, 1, await picture(photo))
    owner = await panel(browser, page)
    await expect(owner.get_by_label("The one")).to_have_value("first")
    await owner.get_by_label("The other").select_option("none")
    await owner.get_by_role("button", name="Back to the one before").click()
    await expect(owner.get_by_label("The other")).to_have_value("none")
    held = model.say("A <b>cat</b>.\nOr two.", hold=True)
    model.say(" ")
    await compare(owner)
    box = owner.locator("#jn-comparison")
    await expect(box).to_have_text("I am asking first and none the same question.")
    await expect(owner.get_by_role("button", name="Ask both")).to_be_disabled()
    await owner.locator("#jn-examples tr").get_by_role("button", name="Keep").click()
    await expect(owner.locator("#jn-counts")).to_contain_text("0 not looked at yet")
    await owner.reload()
    await expect(owner.get_by_role("button", name="Ask both")).to_be_disabled()
    held.release()
    await expect(box).to_contain_text("first 👍 0 👎 0 and none 👍 0 👎 0, asked the same:")
    shown = box.locator(".jn-card").last
    await expect(shown.locator("blockquote")).to_have_text("Whose badge is 0?")
    await expect(shown.locator("p")).to_have_text(["wanted: The club 0.", "first: A <b>cat</b>.\nOr two.", "none: –"])
    await expect(shown.get_by_role("img")).to_have_js_property("naturalWidth", 320)
    await expect(owner.get_by_role("button", name="Ask both")).to_be_enabled()
    assert [chat["model"] for chat in model.chats] == ["fake/first", "fake/none"]
    await store.set_teaches("web", ANN, False)
    await owner.reload()
    await expect(box).to_contain_text("asked the same")
    await expect(owner.get_by_text("The club 0.")).to_have_count(0)


@needs_chromium
@pytest.mark.chromium
async def test_what_cannot_be_compared_says_why_and_another_try_works(
    browser: Browser, page: WebPage, store: Store, model: FakeModel
) -> None:
    owner = await panel(browser, page)
    box = owner.locator("#jn-comparison")
    await compare(owner)
    await expect(box).to_contain_text("no question here that I could ask both")
    await teach(store, 5)
    model.fail(404, "model_not_found", message="It was made for other weights.")
    await compare(owner)
    await expect(box).to_contain_text("It was made for other weights.")
    await compare(owner)
    await expect(box.locator("blockquote")).to_have_text([f"Whose badge is {number}?" for number in (4, 3, 2)])


async def test_one_comparison_at_a_time(page: WebPage, store: Store, model: FakeModel, trainer: FakeTrainer) -> None:
    await teach(store, 1)
    held = model.say("A c", hold=True)
    async with httpx.AsyncClient(base_url=page.url) as client:
        await client.get("/teaching")
        assert (await client.post("/teaching/comparison", json=PAIR)).json()["under_way"]
        await held.wait_begun()
        refused = await client.post("/teaching/comparison", json={"first": "none", "second": "first"})
        assert (refused.status_code, "already" in refused.json()["problem"]) == (409, True)
        shown = (await client.get("/teaching/comparison")).json()
        assert "first and none" in shown["said"]
        forged = await client.post("/teaching/comparison", content=b"{}", headers={"Content-Type": "text/plain"})
        assert forged.status_code == 422
    held.release()
