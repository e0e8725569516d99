"""Markdown as Telegram's HTML (https://core.telegram.org/bots/api#html-style): always well-formed, never longer than it was."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode as Node

from bot.chat.pages import utf16_length

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
"""Raw HTML stays text, and is escaped as such."""

TAGS = {"strong": "b", "em": "i", "s": "s"}
LINKS = ("http", "https", "tg")
RULE = "———"
INDENT = "  "

MENTION = re.compile(r"https?://\w[\w./~%@-]*|(?<!\w)(?P<name>@[A-Za-z]\w{3,})")
"""Telegram notifies whom a message names, also when the message is a bot's. In code and addresses it looks for no names."""

SOMEBODY = re.compile(r"tg:(?://)?user(?:[/?#]|$)", re.IGNORECASE)
"""A link that notifies somebody; Telegram takes it without the slashes, too."""

LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
TAG = re.compile(r"<[^>]*>")
CODE = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)


def render(text: str) -> str:
    """HTML that shows `text`; if that would show more characters than `text` has, its source, escaped."""
    shown = _blocks(Node(MARKDOWN.parse(text)).children, text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    visible = visible_text(shown)
    # A name that Markdown takes apart: Telegram would read it whole. What is before a name decides whether it is one.
    outside = visible_text(CODE.sub(lambda code: " " + html.escape(visible_text(code[0])[-1:]), shown))
    if any(match["name"] for match in MENTION.finditer(outside)):
        return _text(text)
    return shown if visible.strip() and utf16_length(visible) <= utf16_length(text) else _text(text)


def visible_text(rendered: str) -> str:
    """What people see of HTML that `render` made: every < of the text itself is escaped."""
    return html.unescape(TAG.sub("", rendered))


def _text(text: str) -> str:
    pieces, at = [], 0
    for match in MENTION.finditer(text):
        if not match["name"]:
            continue
        pieces += [html.escape(text[at : match.start()]), f"<code>{html.escape(match.group())}</code>"]
        at = match.end()
    return "".join([*pieces, html.escape(text[at:])])


# --- Blocks ---


def _blocks(nodes: Sequence[Node], lines: Sequence[str], *, quoted: bool = False, depth: int = 0) -> str:
    """Blocks below each other, with an empty line where the source has one."""
    shown = ""
    end = 0
    for node in nodes:
        block = _block(node, lines, quoted=quoted, depth=depth)
        if not block:
            continue
        start, stop = node.map or (end, end)
        if shown:
            apart = any(not line.strip(" \t>") for line in lines[max(end - 1, 0) : start])
            shown += "\n\n" if apart else "\n"
        shown += block
        end = stop
    return shown


def _block(node: Node, lines: Sequence[str], *, quoted: bool, depth: int) -> str:
    match node.type:
        case "paragraph":
            return _inline(node)
        case "heading":
            words = _inline(node)
            return f"<b>{words}</b>" if words else ""
        case "hr":
            return RULE
        case "fence" | "code_block":
            return _code(node.content, node.info)
        case "blockquote":
            inside = _blocks(node.children, lines, quoted=True, depth=depth)
            # Telegram does not nest quotations.
            return f"<blockquote>{inside}</blockquote>" if inside and not quoted else inside
        case "bullet_list" | "ordered_list":
            return _list(node, lines, quoted=quoted, depth=depth)
        case "table":
            return _table(node, lines)
        case _:
            return _text(node.content)


def _list(node: Node, lines: Sequence[str], *, quoted: bool, depth: int) -> str:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    shown = ""
    for index, item in enumerate(node.children):
        mark = "•" if number is None else f"{number + index}."
        inside = _blocks(item.children, lines, quoted=quoted, depth=depth + 1)
        if index:
            start = item.map[0] if item.map else 0
            shown += "\n\n" if start and not lines[start - 1].strip(" \t>") else "\n"
        shown += f"{INDENT * depth}{mark} {inside.removeprefix(INDENT * (depth + 1))}".rstrip()
    return shown


def _code(content: str, info: str = "") -> str:
    code = html.escape(content.rstrip("\n"))
    if not code:
        return ""
    language = (info.split() or [""])[0]
    if LANGUAGE.fullmatch(language):
        return f'<pre><code class="language-{html.escape(language)}">{code}</code></pre>'
    return f"<pre>{code}</pre>"


def _table(node: Node, lines: Sequence[str]) -> str:
    """In columns; as it was written, if columns take more room than that."""
    rows = [[visible_text(_inline(cell)) for cell in row.children] for part in node.children for row in part.children]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    drawn = ["|".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    drawn.insert(1, "+".join("-" * width for width in widths))
    aligned = "\n".join(drawn)
    start, end = node.map or (0, 0)
    written = "\n".join(lines[start:end]).strip("\n")
    return _code(aligned if utf16_length(aligned) <= utf16_length(written) else written)


# --- Inside a block ---


def _inline(node: Node) -> str:
    """The words of a paragraph, heading or cell."""
    return "".join(_span(span) for child in node.children for span in child.children)


def _span(node: Node) -> str:
    match node.type:
        case "text":
            return _text(node.content)
        case "softbreak" | "hardbreak":
            return "\n"
        case "code_inline":
            return f"<code>{html.escape(node.content)}</code>" if node.content.strip() else html.escape(node.content)
        case "link":
            words = "".join(map(_span, node.children))
            return _link(str(node.attrs.get("href", "")), words)
        case "image":
            source = str(node.attrs.get("src", ""))
            return _link(source, "".join(map(_span, node.children)) or html.escape(source))
        case "strong" | "em" | "s":
            words = "".join(map(_span, node.children))
            return f"<{TAGS[node.type]}>{words}</{TAGS[node.type]}>" if words else ""
        case _:
            return _text(node.content)


def _link(address: str, words: str) -> str:
    """Addresses that Telegram opens, unless they notify somebody."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return words
    if parts.scheme.lower() not in LINKS or SOMEBODY.match(address):
        return words
    return f'<a href="{html.escape(address)}">{words or html.escape(address)}</a>'
