"""Telegram's texts: lengths in UTF-16 units, its HTML, and the entities that it finds by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.platforms.telegram.faults import ApiError

Json = dict[str, Any]

KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "span": "spoiler",
    "tg-spoiler": "spoiler",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
PIECE = re.compile(
    r"<(?P<end>/?)(?P<tag>[^\s>/]*)(?P<attributes>[^>]*)(?P<close>>?)|&(?P<named>lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);"
)
ATTRIBUTE = re.compile(r"""([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+)))?""")
FOUND = (
    ("mention", re.compile(r"(?<!\w)@[A-Za-z]\w{3,31}")),
    ("bot_command", re.compile(r"(?<![\w/])/[A-Za-z0-9_]{1,64}(?:@\w+)?")),
    ("url", re.compile(r"https?://\S+")),
)


def units(text: str) -> int:
    """Length as Telegram counts it: an emoji outside the basic plane is two."""
    return len(text.encode("utf-16-le")) // 2


def found_entities(text: str) -> list[Json]:
    """What Telegram marks in a person's message without being told."""
    spans = [(match.start(), match.group(), kind) for kind, pattern in FOUND for match in pattern.finditer(text)]
    return [{"type": kind, "offset": units(text[:start]), "length": units(what)} for start, what, kind in sorted(spans)]


@dataclass
class _Open:
    """A tag that waits for its end."""

    tag: str
    start: int
    attributes: dict[str, str]


class _Html:
    """One pass over a text in Telegram's HTML; the complaints are worded as Telegram words them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.text = ""
        self.entities: list[Json] = []
        self.open: list[_Open] = []

    def parse(self) -> tuple[str, list[Json]]:
        at = 0
        for match in PIECE.finditer(self.source):
            self.text += self.source[at : match.start()]
            at = match.end()
            if match["named"]:
                self.text += self._character(match["named"])
            elif match["end"]:
                self._end(match)
            else:
                self._start(match)
        self.text += self.source[at:]
        if self.open:
            raise self._wrong(f'Can\'t find end tag corresponding to start tag "{self.open[-1].tag}"')
        return self.text, sorted(self.entities, key=lambda entity: (entity["offset"], -entity["length"]))

    @staticmethod
    def _wrong(what: str) -> ApiError:
        return ApiError(400, f"Bad Request: can't parse entities: {what}")

    @staticmethod
    def _character(name: str) -> str:
        if name in NAMED:
            return NAMED[name]
        return chr(int(name[2:], 16) if name[1] == "x" else int(name[1:]))

    def _where(self, match: re.Match[str]) -> str:
        return f"at byte offset {len(self.source[: match.start()].encode())}"

    def _start(self, match: re.Match[str]) -> None:
        tag = match["tag"].lower()
        if tag not in KINDS:
            raise self._wrong(f'Unsupported start tag "{tag}" {self._where(match)}')
        if not match["close"]:
            raise self._wrong(f"Unclosed start tag {self._where(match)}")
        attributes = {found[0].lower(): found[1] or found[2] or found[3] for found in ATTRIBUTE.findall(match["attributes"])}
        if tag == "span" and attributes.get("class") != "tg-spoiler":
            raise self._wrong(f'Tag "span" must have class "tg-spoiler" {self._where(match)}')
        self.open.append(_Open(tag, units(self.text), attributes))

    def _end(self, match: re.Match[str]) -> None:
        tag = match["tag"].lower()
        if not match["close"]:
            raise self._wrong(f"Unclosed end tag {self._where(match)}")
        if not self.open:
            raise self._wrong(f"Unexpected end tag {self._where(match)}")
        opened = self.open.pop()
        if opened.tag != tag:
            raise self._wrong(f'Unmatched end tag {self._where(match)}, expected "</{opened.tag}>", found "</{tag}>"')
        self._add(opened)

    def _add(self, opened: _Open) -> None:
        entity: Json = {"type": KINDS[opened.tag], "offset": opened.start, "length": units(self.text) - opened.start}
        if opened.tag == "a":
            if "href" not in opened.attributes:
                return
            entity["url"] = opened.attributes["href"]
        if opened.tag == "blockquote" and "expandable" in opened.attributes:
            entity["type"] = "expandable_blockquote"
        outside = [tag.tag for tag in self.open]
        if opened.tag == "code" and outside[-1:] == ["pre"]:
            language = opened.attributes.get("class", "").removeprefix("language-")
            self.open[-1].attributes["language"] = language
            return
        if opened.tag == "pre" and opened.attributes.get("language"):
            entity["language"] = opened.attributes["language"]
        if entity["length"] and not {"pre", "code"} & set(outside):
            self.entities.append(entity)


def _trimmed(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """Telegram cuts white space at both ends and moves the entities along."""
    visible = text.strip()
    cut, end = units(text[: len(text) - len(text.lstrip())]), units(visible)
    kept = []
    for entity in entities:
        start = max(entity["offset"] - cut, 0)
        stop = min(entity["offset"] + entity["length"] - cut, end)
        if stop > start:
            kept.append(entity | {"offset": start, "length": stop - start})
    return visible, kept


def visible(text: str, parse_mode: str | None, entities: list[Json]) -> tuple[str, list[Json]]:
    """The text as people see it, with its entities; parse_mode is none or HTML."""
    if not parse_mode:
        return _trimmed(text, entities)
    if parse_mode.lower() != "html":
        raise ApiError(400, "Bad Request: unsupported parse_mode")
    return _trimmed(*_Html(text).parse())
