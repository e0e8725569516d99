"""The owner's switch: whether retrainings in other servers and chats learn from what was taught on the page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser, expect

from bot.chat.web import WebPage
from bot.store import Store
from tests.bot.retraining import trainer
from tests.web.browser import needs_chromium
from tests.web.owner import ANN, page, panel, retrainings, teach

__all__ = ["page", "retrainings", "trainer"]  # fixtures

pytestmark = [needs_chromium, pytest.mark.chromium]

THERE = "discord:chat:100"


async def test_owner_shares_with_other_chats_and_ends_it(browser: Browser, page: WebPage, store: Store) -> None:
    await teach(store, 2)
    owner = await panel(browser, page)
    counts, switch = owner.locator("#jn-counts"), owner.get_by_role("switch", name="other servers and chats")
    await expect(switch).not_to_be_checked()
    await switch.check()
    today = datetime.now(UTC).date().isoformat()
    await expect(counts).to_contain_text(f"Since {today} my other servers and chats learn from these, too: the page's owner")
    await expect(owner.get_by_text("It is not shown there.")).to_be_visible()
    await expect(owner.get_by_text("/examples")).to_have_count(0)  # no command of this page
    assert len(await store.learnable(THERE)) == 2
    await owner.reload()
    await expect(switch).to_be_checked()
    await switch.uncheck()
    await expect(owner.get_by_text("for here alone again")).to_be_visible()
    await expect(counts).not_to_contain_text("Since")
    assert await store.learnable(THERE) == []


async def test_owner_sees_how_many_others_share(browser: Browser, page: WebPage, store: Store) -> None:
    await store.set_teaches("web", ANN, True)
    await store.teach(THERE, "web", ANN, "A secret question?", "Theirs.", [])
    await store.share(THERE, "Boss")
    owner = await panel(browser, page)
    await expect(owner.locator("#jn-counts")).to_contain_text("learns from 1 of other servers and chats")
    await expect(owner.get_by_role("switch")).not_to_be_checked()
    await expect(owner.get_by_text("A secret question?")).to_have_count(0)


async def test_a_switch_that_the_bot_did_not_hear_goes_back(browser: Browser, page: WebPage, store: Store) -> None:
    owner = await panel(browser, page)
    await owner.route("**/teaching/sharing", lambda route: route.abort())
    await owner.get_by_role("switch").click()
    await expect(owner.locator("#jn-problem")).to_contain_text("cannot be reached")
    await expect(owner.get_by_role("switch")).not_to_be_checked()
    assert await store.shared("web") is None
