"""Examples from a file on the owner's page."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from bot.chat.web import WebPage
from bot.importing import FEW
from bot.store import Store
from tests.bot.retraining import trainer
from tests.bot.test_importing import lines, record, seen, zipped
from tests.web.browser import Visitor, needs_chromium
from tests.web.owner import page, panel, retrainings, stored

__all__ = ["page", "retrainings", "trainer"]  # fixtures


@needs_chromium
@pytest.mark.chromium
async def test_what_is_good_is_taken_the_rest_is_named_and_the_owner_is_asked(
    browser: Browser, page: WebPage, store: Store, photo: Path, tmp_path: Path
) -> None:
    badge = await asyncio.to_thread(photo.read_bytes)
    bad = [record(answer="") for _ in range(FEW + 2)]
    (tmp_path / "club.zip").write_bytes(
        zipped(club_jsonl=lines(seen("badge.jpg"), record("Who rows?", "We do."), *bad), badge_jpg=badge)
    )
    owner = await panel(browser, page)
    await owner.get_by_label("From a file").set_input_files(tmp_path / "club.zip")
    await owner.get_by_role("button", name="Take its examples").click()
    told = owner.locator("#jn-imported")
    await expect(told).to_contain_text(f"2 taken, 0 I had already, {len(bad)} could not be used.")
    await expect(told).to_contain_text("Record 3: the answer is missing or empty")
    async with owner.expect_download() as downloading:
        await told.get_by_role("link", name="import.txt").click()
    whole = await asyncio.to_thread((await (await downloading.value).path()).read_text)
    assert [line.split(":")[0] for line in whole.splitlines()] == [f"Record {number}" for number in range(3, 3 + len(bad))]
    assert await stored(store) == []  # nobody's yes is taken for granted, the owner's neither
    await told.get_by_role("button", name="Yes").click()
    await expect(told.get_by_role("button")).to_have_count(0)
    await expect(owner.locator("#jn-examples tr")).to_have_count(2)
    await expect(owner.locator("#jn-examples img")).to_have_js_property("naturalWidth", 320)
    assert [one.state for one in await stored(store)] == ["kept", "kept"]
    await owner.get_by_label("From a file").set_input_files(tmp_path / "club.zip")
    await owner.get_by_role("button", name="Take its examples").click()
    await expect(told).to_contain_text("0 taken, 2 I had already")


@needs_chromium
@pytest.mark.chromium
async def test_a_file_that_cannot_be_used_says_why_and_another_works(browser: Browser, page: WebPage, tmp_path: Path) -> None:
    (tmp_path / "club.json").write_bytes(b"[{]")
    (tmp_path / "club.jsonl").write_bytes(lines(record()))
    owner = await panel(browser, page)
    told = owner.locator("#jn-imported")
    for name, says in (("club.json", "club.json: this is not valid JSON (line 1, column 3)."), ("club.jsonl", "1 taken")):
        await owner.get_by_label("From a file").set_input_files(tmp_path / name)
        await owner.get_by_role("button", name="Take its examples").click()
        await expect(told).to_contain_text(says)


@needs_chromium
@pytest.mark.chromium
async def test_the_command_leads_the_owner_there(visitor: Visitor) -> None:
    await visitor.ask("/teach import")
    await expect(visitor.page.get_by_text("A file of examples is taken on the page Teaching.")).to_be_visible()


async def test_a_file_of_another_browser_is_not_taken(page: WebPage, store: Store) -> None:
    async with httpx.AsyncClient(base_url=page.url) as other, httpx.AsyncClient(base_url=page.url) as owner:
        await other.get("/")
        await owner.get("/teaching")
        sent = await other.post("/gradio_api/upload", files={"files": ("club.jsonl", lines(record()))})
        assert (await owner.post("/teaching/import", json={"path": sent.json()[0]})).json()["under_way"]
        while (shown := (await owner.get("/teaching/import")).json())["under_way"]:
            pass
        assert "there are no records in it" in shown["said"]
    assert await stored(store) == []
