"""A long answer as several messages: split by paragraphs, code fences closed and opened again.

The pages of a text that grows stay what they are: only the last one changes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
"""A line that opens or closes a block of code (CommonMark 4.5)."""

BREAKS = (re.compile(r"\n[ \t]*\n"), re.compile(r"\n"), re.compile(r"[.!?।…][\"')\]]*\s"), re.compile(r"\s"))
"""Where a page may end, best first: paragraph, line, sentence, word."""

JOINERS = "\u200d\ufe0f"
"""Hold an emoji together: zero-width joiner and variation selector."""


def utf16_length(text: str) -> int:
    """Length in UTF-16 units, as Telegram counts (https://core.telegram.org/api/entities#entity-length)."""
    return len(text.encode("utf-16-le")) // 2


def split(text: str, limit: int, length: Callable[[str], int] = len) -> list[str]:
    """`text` in pages of at most `limit` by `length`; [] if there is nothing to show."""
    pages = []
    opened = ""
    rest = text.strip("\n")
    while rest.strip():
        page, rest, opened = _first_page(opened, rest, limit, length)
        pages.append(page)
    return pages


def _first_page(opened: str, text: str, limit: int, length: Callable[[str], int]) -> tuple[str, str, str]:
    """The first page, what follows it, and the line that has to open the next page's code ("" if it ends outside of code)."""
    head = f"{opened}\n" if opened else ""
    whole = _closed(head + text)
    if length(whole) <= limit:
        return whole, "", ""
    room = limit - length(head) - len(_closing(opened or "```"))
    window = _prefix(text, room, length)
    cut = _cut(window)
    page = (head + text[:cut]).rstrip()
    still_open = _open_fence(page)
    # A fence that would only be opened here opens the next page instead.
    if still_open and page.endswith(still_open) and page != still_open:
        cut = text.rindex(still_open, 0, cut)
        page, still_open = (head + text[:cut]).rstrip(), ""
        if page:
            return page, text[cut:], ""
        cut = _cut(window)
        page = (head + text[:cut]).rstrip()
        still_open = _open_fence(page)
    return _closed(page), text[cut:].lstrip("\n") if not still_open else text[cut:].removeprefix("\n"), still_open


def _prefix(text: str, room: int, length: Callable[[str], int]) -> str:
    """The longest beginning that fits. Always at least one character, so that there is an end."""
    low, high = 1, min(len(text), max(room, 1))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle]) <= room else (low, middle - 1)
    return text[:low]


def _cut(window: str) -> int:
    for pattern in BREAKS:
        ends = [match.end() for match in pattern.finditer(window) if match.end() >= len(window) / 2]
        outside = [end for end in ends if not _open_fence(window[:end])]
        if pattern is BREAKS[0] and ends and not outside:
            continue  # an empty line within code is no better than any other line
        if ends:
            return (outside or ends)[-1]
    cut = len(window)
    while cut > 1 and (unicodedata.combining(window[cut - 1]) or window[cut - 1] in JOINERS):
        cut -= 1
    return cut


def _open_fence(text: str) -> str:
    """The line that opened the code in which `text` ends, "" if it ends outside of code."""
    opened, mark = "", ""
    for line in text.split("\n"):
        match = FENCE.match(line)
        if match is None:
            continue
        if not opened:
            opened, mark = line.strip(), match[1]
        elif match[1].startswith(mark) and not match[2].strip():
            opened = ""
    return opened


def _closing(opened: str) -> str:
    match = FENCE.match(opened)
    return f"\n{match[1]}" if match else ""


def _closed(page: str) -> str:
    opened = _open_fence(page)
    return page.rstrip("\n") + _closing(opened) if opened else page.rstrip()
