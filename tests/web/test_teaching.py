"""What people teach on the page, and what its owner makes of it, in a real browser."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from bot.chat.base import Sender
from bot.chat.web import WebPage
from bot.desk import Desk
from bot.retraining import Retrainings, curve
from bot.retraining.trainer import Progress
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.retraining import BETTER, FakeTrainer, trainer
from tests.processes import ROOT
from tests.web.browser import PHONE, Visitor, needs_chromium, open_page
from tests.web.conftest import web_desk, web_page
from tests.web.owner import ANN, page, panel, picture, retrainings, stored, teach, until

__all__ = ["page", "retrainings", "trainer"]  # fixtures

pytestmark = [needs_chromium, pytest.mark.chromium]

PICTURES = ROOT / "docs" / "images"


class Restarted:
    """The page as it comes up again, on the same data."""

    def __init__(self, turns: Turns, store: Store, settings: Settings, trainer: FakeTrainer, client: ModelClient) -> None:
        self.store = store
        self._make = lambda: Retrainings(store, settings, trainer, client)
        self._turns, self._settings = turns, settings
        self.desk: Desk

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[WebPage]:
        retrainings = self._make()
        self.desk = web_desk(self._turns, self.store, self._settings, retrainings)
        page = web_page(self._turns, self.store, self._settings, desk=self.desk)
        await page.start()
        yield page
        await page.stop()
        await retrainings.close()


@pytest.fixture
def restarted(turns: Turns, store: Store, settings: Settings, trainer: FakeTrainer, client: ModelClient) -> Restarted:
    return Restarted(turns, store, settings, trainer, client)


def card_of_run(owner: Page) -> Locator:
    return owner.locator("#jn-retrainings .jn-card")


def card(visitor: Visitor) -> Locator:
    return visitor.page.locator("#jn-taught .jn-card")


async def correct(visitor: Visitor, better: str) -> None:
    await visitor.button("Dislike").last.click()
    await visitor.page.get_by_label("What would have been a better answer?").fill(better)
    await card(visitor).get_by_role("button", name="Send").click()


# --- People ---


async def test_a_better_answer_is_learnt_from_once_its_person_says_yes(visitor: Visitor, store: Store, photo: Path) -> None:
    await visitor.ask("Whose badge is this?", photo)
    await visitor.answer(1)
    await correct(visitor, "The **rowing** club's {{x}} ${y}.")
    await expect(card(visitor)).to_contain_text("May the owner of this bot train me on what you teach me")
    assert await store.usable("web") == []
    await card(visitor).get_by_role("button", name="Yes, learn from it").click()
    await expect(card(visitor)).to_contain_text("may be used to train me")
    (example,) = await store.usable("web")
    assert (example.question, example.answer) == ("Whose badge is this?", "The **rowing** club's {{x}} ${y}.")
    assert example.pictures[0].path.exists()
    await visitor.ask("And this?")
    await visitor.answer(2)
    await expect(card(visitor)).to_have_count(0)
    await correct(visitor, "The chess club's.")
    await expect(card(visitor)).to_contain_text("I keep that")
    await expect(card(visitor).get_by_role("button")).to_have_count(0)
    assert len(await store.usable("web")) == 2
    await visitor.ask("/privacy")
    await expect(card(visitor)).to_contain_text("You allow that I am trained on what you teach me.")
    await card(visitor).get_by_role("button").click()
    await expect(card(visitor)).to_contain_text("is not used for training")
    assert await store.usable("web") == []
    assert visitor.errors == []


async def test_a_better_answer_is_nobodys_duty(visitor: Visitor, store: Store) -> None:
    await visitor.ask("hi")
    await visitor.answer(1)
    await visitor.button("Dislike").click()
    await expect(visitor.page.get_by_label("What would have been a better answer?")).to_be_focused()
    await card(visitor).get_by_role("button", name="Not now").click()
    await expect(card(visitor)).to_have_count(0)
    async with visitor.page.expect_response(lambda answer: "queue/join" in answer.url):  # two clicks may overtake each other
        await visitor.button("Disliked").click()
    await visitor.button("Dislike").click()
    await expect(card(visitor)).to_be_visible()
    await visitor.button("Like").click()
    await expect(card(visitor)).to_have_count(0)


async def test_nobody_says_yes_for_another_and_nothing_else_is_pressed_here(visitor: Visitor, store: Store) -> None:
    await store.teach("web", "web", ANN, "Q?", "A.", [])
    forged = "([box, action]) => { box.innerHTML = `<button data-action='${action}'>x</button>`; box.firstChild.click(); }"
    for action, said in ((f"teaching-yes:{ANN.platform_id}", "not yours"), ("retrain-use:1", "not part of this conversation")):
        await visitor.page.evaluate(forged, [await visitor.page.query_selector("#jn-taught .prose"), action])
        told = visitor.page.locator("#jn-taught .jn-card, #jn-problem [role=alert]").filter(has_text=said)
        await expect(told).to_be_visible()
    assert await store.usable("web") == []


async def test_teach_takes_a_question_an_answer_and_a_picture(visitor: Visitor, store: Store, photo: Path) -> None:
    await visitor.ask("/teach")
    await expect(visitor.problem).to_contain_text("the answer on the lines below it")
    await expect(visitor.box).to_have_value("/teach")
    await visitor.ask("/teach Whose badge?\nThe rowing club's.", photo)
    await card(visitor).get_by_role("button", name="Yes, learn from it").click()
    await expect(card(visitor)).to_contain_text("may be used")
    (example,) = await store.usable("web")
    assert (example.question, example.answer, len(example.pictures)) == ("Whose badge?", "The rowing club's.", 1)
    await expect(visitor.questions).to_have_count(0)


async def test_people_take_their_data_along_and_are_forgotten(visitor: Visitor, store: Store, model: FakeModel) -> None:
    await visitor.ask("My secret")
    await visitor.answer(1)
    await visitor.ask("/export")
    async with visitor.page.expect_download() as download:
        await card(visitor).get_by_role("link", name="jnana-export.zip").click()
    path = await (await download.value).path()
    assert "My secret" in zipfile.ZipFile(io.BytesIO(path.read_bytes())).read("jnana.json").decode()
    await visitor.ask("/forget")
    await card(visitor).get_by_role("button", name="Yes, forget me").click()
    await expect(card(visitor)).to_contain_text("I deleted 1 message")
    await expect(visitor.questions).to_have_count(0)
    await expect(visitor.conversations).to_have_count(0)
    assert len(model.chats) == 1


# --- Their owner ---


async def test_owner_rewords_keeps_and_drops(browser: Browser, page: WebPage, store: Store, photo: Path) -> None:
    await teach(store, 3, await picture(photo))
    await store.teach("web", "web", Sender("b" * 64, "You"), "Not allowed?", "No.", [])
    owner = await panel(browser, page)
    await expect(owner.locator("#jn-counts")).to_contain_text("3 to learn from (3 not looked at yet), 1 whose people")
    rows = owner.locator("#jn-examples tr")
    await expect(rows).to_have_count(3)
    await expect(owner.get_by_text("Not allowed?")).to_have_count(0)
    await expect(rows.first.get_by_role("img")).to_have_js_property("naturalWidth", 320)
    await expect(rows.first).to_contain_text("Visitor")
    save = rows.first.get_by_role("button", name="Save")
    await expect(save).to_be_disabled()
    await rows.first.get_by_role("textbox").fill("<b>The rowing club's.</b>")
    await save.click()
    await expect(rows.first).to_contain_text("✓ kept")
    await rows.nth(1).get_by_role("button", name="Drop").click()
    await expect(rows.nth(1)).to_contain_text("✗ dropped")
    await rows.nth(2).get_by_role("button", name="Keep").click()
    await expect(owner.locator("#jn-counts")).to_contain_text("2 to learn from (0 not looked at yet)")
    assert [(one.answer, one.state) for one in await stored(store)] == [
        ("<b>The rowing club's.</b>", "kept"),
        ("The club 1.", "dropped"),
        ("The club 0.", "kept"),
    ]
    await owner.get_by_label("Show").select_option("dropped")
    await expect(rows).to_have_count(1)
    await rows.first.get_by_role("button", name="Keep").click()
    await expect(rows.first).to_contain_text("✓ kept")
    assert len(await store.usable("web")) == 3


async def test_many_examples_come_in_parts_and_fit_a_phone(browser: Browser, page: WebPage, store: Store) -> None:
    await teach(store, 60)
    visitor = await open_page(browser, f"{page.url}", size=PHONE)
    await visitor.page.goto(f"{page.url}/teaching")
    rows = visitor.page.locator("#jn-examples tr")
    await expect(rows).to_have_count(50)
    await visitor.page.get_by_role("button", name="Show more").click()
    await expect(rows).to_have_count(60)
    await expect(rows.last).to_contain_text("Whose badge is 0?")
    await expect(visitor.page.get_by_role("button", name="Show more")).to_be_hidden()
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_a_retraining_grows_is_judged_and_used(
    browser: Browser, page: WebPage, store: Store, trainer: FakeTrainer, model: FakeModel
) -> None:
    visitor = await open_page(browser, page.url)
    await visitor.ask("Whose badge?")
    await visitor.answer(1)
    await correct(visitor, "The rowing club's.")
    await card(visitor).get_by_role("button", name="Yes, learn from it").click()
    await expect(card(visitor)).to_contain_text("may be used")
    await teach(store, 2)
    owner = await panel(browser, page)
    run = card_of_run(owner)
    await owner.get_by_label("A note for the record").fill("badges")
    await owner.get_by_role("button", name="Retrain").click()
    await expect(run).to_contain_text("Retraining 1: 3 examples")
    await until(lambda: trainer.heard is not None)
    assert trainer.heard is not None
    trainer.heard(Progress(30, 60, 0.75, 240.0))
    await expect(run).to_contain_text("▰▰▰▰▰▱▱▱▱▱ 50 %, loss 0.75, about 4 min left")
    trainer.go.set()
    await expect(run).to_contain_text("Which answers do you like more?")
    await expect(run).to_contain_text("The rowing club's.")
    await run.get_by_role("button", name="A", exact=True).click()
    await expect(run).to_contain_text("is the new one")
    await expect(run).to_contain_text("✓ loss on what was held out: 2.50 → 0.50")
    await run.get_by_role("button", name="Use it everywhere").click()
    name = trainer.running[0].name
    await expect(run).to_contain_text(f"I answer with {name}")
    await expect(owner.locator("#jn-adapters")).to_contain_text(f"{name} answers now")
    assert model.adapter == name
    await owner.get_by_role("button", name="Back to the one before").click()
    await expect(owner.locator("#jn-adapters")).to_contain_text("first answers now")
    await owner.locator("#jn-adapters li").filter(has_text=name).get_by_role("button", name="Use").click()
    await expect(owner.locator("#jn-adapters")).to_contain_text(f"{name} answers now")
    assert model.adapter == name
    (made,) = await store.runs(("used",))
    assert (made.note, made.community) == ("badges", "web")


async def test_what_cannot_be_trained_says_why_and_a_cancelled_run_ends(
    browser: Browser, page: WebPage, store: Store, trainer: FakeTrainer
) -> None:
    owner = await panel(browser, page)
    await owner.get_by_role("button", name="Retrain").click()
    await expect(owner.locator("#jn-problem")).to_contain_text("nothing to learn from here")
    await teach(store, 3)
    await owner.get_by_role("button", name="Retrain").click()
    run = card_of_run(owner)
    await run.get_by_role("button", name="Cancel").click()
    await expect(run).to_contain_text("Retraining 1 was cancelled")
    await expect(owner.locator("#jn-problem")).to_be_hidden()
    assert len(await store.runs(("cancelled",))) == 1


async def test_a_failed_retraining_is_tried_again_where_it_stands(
    browser: Browser, page: WebPage, store: Store, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "draw", lambda folder: (PICTURES / "retraining-curve.png").read_bytes())
    await teach(store, 3)
    owner = await panel(browser, page)
    await owner.get_by_role("button", name="Retrain").click()
    run = card_of_run(owner)
    trainer.verdict = "The disk is full."
    trainer.go.set()
    await expect(run).to_contain_text("The disk is full.")
    trainer.verdict = BETTER
    await run.get_by_role("button", name="Try again").click()
    await expect(run).to_have_count(1)
    await expect(run).to_contain_text("Which answers do you like more?")
    await expect(run.get_by_role("img")).to_be_visible()
    assert await run.get_by_role("img").evaluate("image => image.naturalWidth") == 640


async def test_a_retraining_outlives_restarts_and_ends_when_its_people_are_forgotten(
    browser: Browser, page: WebPage, retrainings: Retrainings, trainer: FakeTrainer, restarted: Restarted
) -> None:
    await teach(restarted.store, 3)
    owner = await panel(browser, page)
    await owner.get_by_role("button", name="Retrain").click()
    await until(lambda: bool(trainer.running))
    await page.stop()
    await retrainings.close()
    async with restarted() as page:
        owner = await panel(browser, page)
        await expect(card_of_run(owner).get_by_role("button", name="Cancel")).to_be_visible()
        trainer.go.set()
        await expect(card_of_run(owner)).to_contain_text("Which answers do you like more?")
        assert trainer.running == [trainer.running[0]] * 2
    async with restarted() as page:
        owner = await panel(browser, page)
        await expect(card_of_run(owner)).to_contain_text("Which answers do you like more?")
        await restarted.desk.privacy.forget("web", ANN.platform_id)
        await expect(card_of_run(owner)).to_contain_text("was cancelled")
        await expect(owner.get_by_text("The rowing club's.")).to_have_count(0)
