"""The report: whole, inert, and honest about what is missing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page

from tests.training.made_run import config, info, make_run, step, write_preset
from tests.web.browser import PHONE, chromium, needs_chromium
from training import samples
from training.card import model_card
from training.charts import Curve, Look, draw, thinned
from training.curves import ORIGINAL_TOKENS
from training.errors import TrainingError
from training.history import read, smooth
from training.metrics import Start
from training.report import write_report
from training.runs import RunFolder

EVIL = """</script><script>document.title="owned"</script><img src=x onerror=alert(1)> $x^2$ "quoted" & 'single'"""
VOID = {"meta", "img", "input", "br", "link", "hr", "wbr"}


class Checked(HTMLParser):
    """Every element is closed where it should be; what it refers to and its ids are noted."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, ...]:
    photo, clear, damaged = tmp_path / "photo.png", tmp_path / "clear.png", tmp_path / "damaged.jpg"
    Image.new("RGB", (2000, 1000), "red").save(photo)
    Image.new("RGBA", (40, 90), (0, 0, 255, 120)).save(clear)
    damaged.write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    return photo, clear, damaged, tmp_path / "gone.jpg"


@pytest.fixture
def page(tmp_path: Path, pictures: tuple[Path, ...]) -> Path:
    preset = write_preset(tmp_path / "preset.yaml", optimizer={"lr": 2e-3, "warmup_steps": 20})
    made = make_run(tmp_path / "run", name=EVIL, steps=40, pictures=pictures, caption=EVIL, preset=str(preset))
    return write_report([made], price=2.5)


def test_page_is_whole_and_refers_to_nothing_outside(page: Path) -> None:
    text = page.read_text("utf-8")
    checked = Checked(text)
    outside = [address for address in checked.references if not address.startswith(("#", "data:image/jpeg;base64,"))]
    assert outside == []
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text
    assert len(page.parent.joinpath("report.html").read_bytes()) < 600_000


def test_what_comes_from_data_is_text(page: Path) -> None:
    checked = Checked(page.read_text("utf-8"))
    assert checked.tags.count("script") == 1
    assert checked.text.count(EVIL) >= 8  # expected and answered for four pictures, and the title
    assert checked.tags.count("img") == 2  # two of the four pictures can be shown
    assert checked.text.count("the picture is not there any more") == 2


def test_page_shows_curves_cost_and_what_differs_from_the_preset(page: Path) -> None:
    text = page.read_text("utf-8")
    for title in (
        "Learning rate",
        "Gradient norm",
        "Tokens a second",
        "Waiting for data",
        "Memory",
        "MFU",
        "Validation loss by length",
    ):
        assert f'aria-label="{title}"' in text
    assert text.count("aria-label=&#34;loss") + text.count('aria-label="loss') == 4  # wide and narrow, linear and logarithmic
    assert re.search(r'<dd class="changed">0.001 <small>preset: 0.002</small>', text)
    assert len(re.findall(r'<dd class="changed"', text)) == 1
    assert "at 2.5 a device hour" in text
    assert "resumed from the checkpoint of step 20" in text
    assert "CC BY 4.0" in text
    assert "not told" in text
    assert "original" not in Checked(text).text


def test_pretraining_is_held_against_the_original(tmp_path: Path) -> None:
    original = make_run(tmp_path / "a", stage="pretrain", name="original", steps=525, floor=6.4, start=10.9)
    short = make_run(tmp_path / "b", stage="pretrain", name="best", steps=40, floor=6.0, start=10.9, seed=2)
    text = Checked(write_report([original, short], tmp_path / "both.html").read_text("utf-8")).text
    history = read(original)
    assert history.steps[-1].tokens == ORIGINAL_TOKENS
    assert f"{np.mean(history.column('loss')[-10:]):.4g}" in text
    assert "6.67" in text
    assert "ln(51200) = 10.84" in text
    assert "not reached (81,920 tokens)" in text
    assert not (original / "report.html").exists()


def test_another_vocabulary_is_not_held_against_the_original(tmp_path: Path) -> None:
    made = make_run(tmp_path / "a", stage="pretrain", name="tiny", steps=40)
    settings = (made / "config.yaml").read_text()
    (made / "config.yaml").write_text(settings.replace("vocab_size: 51200", "vocab_size: 512"))
    assert "6.67" not in Checked(write_report([made]).read_text("utf-8")).text


def test_run_that_has_only_begun(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", config(), info()) as run:
        run.append(Start(step=0, time=1.0))
        text = Checked(write_report([tmp_path / "run"]).read_text("utf-8")).text
        assert "No step is done yet" in text
        run.append(step(1))
        assert "running" in Checked(write_report([tmp_path / "run"]).read_text("utf-8")).text


def test_too_many_runs(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="7 runs do not fit one page"):
        write_report([tmp_path] * 7)


def test_pictures_that_claim_to_be_huge_are_not_opened(pictures: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert samples.thumbnail(pictures[0]) is not None
    monkeypatch.setattr(samples, "PIXELS", 1_000_000)
    assert samples.thumbnail(pictures[0]) is None


def test_thinned_curve_keeps_its_peaks() -> None:
    x = np.arange(1.0, 100_001.0)
    y = np.sin(x / 5000)
    y[41_234], y[7] = 9.0, -9.0
    for log in (False, True):
        few_x, few_y = thinned(x, y, 300, log=log)
        assert len(few_x) <= 600
        assert (few_y.max(), few_y.min()) == (9.0, -9.0)
        assert np.all(np.diff(few_x) > 0)


def test_charts_take_the_colours_of_the_page_and_no_markup() -> None:
    x = np.arange(1.0, 50.0)
    svg = draw([Curve("", x, x, 0), Curve("", x, -x, 1)], Look("<b>$loss$</b>", "</svg><script>$x$"))
    assert "var(--run-1)" in svg
    assert "var(--run-2)" in svg
    assert not re.search(r"#[0-9a-f]{6}[;\"]", svg)
    assert "<script>" not in svg
    assert "$x$" in svg
    assert "<b>" not in svg


def test_smoothed_curve_stays_where_a_steep_start_is() -> None:
    values = np.concatenate([np.linspace(10, 5, 20), np.full(200, 5.0), [np.nan]])
    smoothed = smooth(values, 21)
    assert np.max(np.abs(smoothed[:-1] - values[:-1])) < 0.5
    assert smoothed[-1] == 5.0


def test_card_has_metadata_and_no_markup_from_data(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", steps=40, caption="| a | [b](http://c) <script>\n# d")
    card = model_card(read(made))
    head, body = card.split("---\n", 2)[1:]
    assert "license: other" in head
    assert "pipeline_tag: image-text-to-text" in head
    assert "<script>" not in body
    assert r"\| a \| \[b\](http://c) &lt;script&gt; # d" in body
    for heading in ("Data and licences", "Procedure", "Results", "Limits"):
        assert f"## {heading}\n" in body
    assert "CC BY 4.0" in body


@needs_chromium
@pytest.mark.chromium
async def test_page_in_a_browser(page: Path) -> None:
    async with chromium() as browser:
        context = await browser.new_context(viewport=PHONE, color_scheme="dark")
        tab = await context.new_page()
        said: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url.split(":")[0]))
        await tab.goto(page.as_uri())
        assert await tab.title() != "owned"
        await reads_and_switches(tab)
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert (said, set(asked) - {"data"}) == ([], {"file"})


async def reads_and_switches(tab: Page) -> None:
    linear, logarithmic = tab.locator("figure.big .narrow.linear"), tab.locator("figure.big .narrow.log")
    assert (await linear.is_visible(), await logarithmic.is_visible()) == (True, False)
    await tab.get_by_text("logarithmic").click()
    assert (await linear.is_visible(), await logarithmic.is_visible()) == (False, True)
    assert not await tab.locator("figure.big .wide").first.is_visible()
    await logarithmic.locator("svg").hover()
    reading = tab.locator("figure.big .reading")
    assert re.search(r"smoothed [\d.]+ at \d+ steps", await reading.inner_text())
    values = json.loads(await tab.locator("figure.big").get_attribute("data-readings") or "")
    assert [line["label"] for line in values] == ["smoothed", "validation"]
