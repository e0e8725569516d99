"""Markdown as Telegram's HTML: readable, well-formed whatever the model writes, never longer than it was, pinging nobody."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.chat.telegram.render import render
from tests.platforms.telegram.text import found_entities, units, visible

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
    "nested": ("**a *b* ~~c~~**", "<b>a <i>b</i> <s>c</s></b>"),
    "heading with more": ("## A *b* `c`", "<b>A <i>b</i> <code>c</code></b>"),
    "list in a list": ("- one\n  - two\n    - three\n- four", "• one\n  • two\n    • three\n• four"),
    "list in numbers": ("1. one\n   - a\n   - b\n2. two", "1. one\n  • a\n  • b\n2. two"),
    "numbers in a list": ("- one\n  1. a\n  2. b", "• one\n  1. a\n  2. b"),
    "list apart": ("- one\n\n- two", "• one\n\n• two"),
    "quotation in a quotation": ("> a\n> > b", "<blockquote>a\nb</blockquote>"),
    "list in a quotation": ("> - a\n> - b", "<blockquote>• a\n• b</blockquote>"),
    "language that is none": ("```<b>\nx\n```", "<pre>x</pre>"),
    "indented code": ("    x < y", "<pre>x &lt; y</pre>"),
    "line": ("a\n\n---\n\nb", "a\n\n———\n\nb"),
    "line that ends": ("a  \nb", "a\nb"),
    "bold link": ("[**b**](https://example.org)", '<a href="https://example.org"><b>b</b></a>'),
    "address alone": ("<https://example.org>", '<a href="https://example.org">https://example.org</a>'),
    "quote in an address": ('[c](https://example.org/"x)', '<a href="https://example.org/%22x">c</a>'),
    "image": ("![cat](https://example.org/c.png)", '<a href="https://example.org/c.png">cat</a>'),
    "image without words": ("![](https://example.org/c)", '<a href="https://example.org/c">https://example.org/c</a>'),
    "link inside Telegram": ("[c](tg://resolve?domain=x)", '<a href="tg://resolve?domain=x">c</a>'),
    "somebody in capitals": ("[Ann](TG://User?id=5)", "Ann"),
    "somebody without slashes": ("[Ann](tg:user?id=5)", "Ann"),
    "picture of somebody": ("![Ann](tg://user?id=5)", "Ann"),
    "name in code": ("`@someone_else`", "<code>@someone_else</code>"),
    "name in a block of code": ("```\n@someone_else\n```", "<pre>@someone_else</pre>"),
    "name as a reference": ("&#64;someone_else", "<code>@someone_else</code>"),
    "name taken apart": ("ask @**someone_else**", "ask @**someone_else**"),
    "name half in italics": ("ask @so*meone_else*", "ask @so*meone_else*"),
    "name after a sign": ("@@someone_else or/@someone_else", "@<code>@someone_else</code> or/<code>@someone_else</code>"),
    "name in an address": ("https://example.org/@someone_else", "https://example.org/@someone_else"),
    "address of somebody elsewhere": ("**@ann_x@example.org**", "<b><code>@ann_x</code>@example.org</b>"),
    "table": ("| a | b |\n|---|---|\n| c | d |", "<pre>a|b\n-+-\nc|d</pre>"),
    "nothing": ("", ""),
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


@settings(max_examples=300, deadline=None)
@given(st.text() | st.lists(st.sampled_from([*PIECES, "@", "name_x", "so", "&#64;", "\\"]), max_size=20).map("".join))
@example("@**name_x**")
@example("@na*me_x*")
@example("`a.`@na*me_x*")
@example("@name_x@name_x *x*")
def test_whatever_is_written_pings_nobody(markdown: str) -> None:
    text, marked = visible(render(markdown), "HTML", [])
    found = found_entities(text)
    # In code and in addresses, Telegram looks for no names.
    nameless = [one for one in marked if one["type"] in ("code", "pre")] + [one for one in found if one["type"] == "url"]
    spans = [range(one["offset"], one["offset"] + one["length"]) for one in nameless]
    assert not [one for one in found if one["type"] == "mention" and not any(one["offset"] in span for span in spans)]
