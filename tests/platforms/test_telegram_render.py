"""Markdown as Telegram's HTML: readable, well-formed whatever the model writes, never longer than it was, pinging nobody."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.chat.telegram.render import render
from tests.platforms.telegram_text import units, visible

CASES = {
    "bold": ("**so** and *so*", "<b>so</b> and <i>so</i>"),
    "both": ("***so***", "<i><b>so</b></i>"),
    "struck out": ("~~no~~ yes", "<s>no</s> yes"),
    "heading": ("# Title\n\nText", "<b>Title</b>\n\nText"),
    "list": ("- one\n- two", "• one\n• two"),
    "numbers": ("3. three\n4. four", "3. three\n4. four"),
    "quotation": ("> said", "<blockquote>said</blockquote>"),
    "code": ("`a < b`", "<code>a &lt; b</code>"),
    "block of code": ("```python\nx = 1 & 2\n```", '<pre><code class="language-python">x = 1 &amp; 2</code></pre>'),
    "link": ("[page](https://example.org/?a=1&b=2)", '<a href="https://example.org/?a=1&amp;b=2">page</a>'),
    "script": ("[page](javascript:alert(1))", "[page](javascript:alert(1))"),
    "somebody by id": ("[Ann](tg://user?id=5)", "Ann"),
    "somebody by name": ("ask @someone_else", "ask <code>@someone_else</code>"),
    "mail": ("a@b.example", "a@b.example"),
    "tags": ("<b>x</b> & <script>", "&lt;b&gt;x&lt;/b&gt; &amp; &lt;script&gt;"),
    "never closed": ("**never `closed", "**never `closed"),
}


@pytest.mark.parametrize("name", CASES)
def test_markdown(name: str) -> None:
    markdown, html = CASES[name]
    assert render(markdown) == html


def test_a_table_is_drawn_in_columns() -> None:
    text, entities = visible(render("| a | bb |\n|---|----|\n| ccc | d |"), "HTML", [])
    assert [line.count("|") for line in text.split("\n") if "-" not in line] == [1, 1]
    assert entities[0]["type"] == "pre"


PIECES = ["**", "*", "_", "~~", "`", "```", "\n", "\n\n", "> ", "- ", "1. ", "# ", "[", "](", ")"]
PIECES += ["<b>", "&amp;", "|", "---", "😀", "@name_x"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=25).map("".join))
@example("|a|\n|-|\n|😀|")
@example("1. > ```\n   > x")
def test_whatever_is_written_telegram_takes_it_and_it_is_no_longer(markdown: str) -> None:
    text, _ = visible(render(markdown), "HTML", [])
    assert units(text) <= units(markdown)
