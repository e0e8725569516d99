"""What is said on the page that is no answer of the model: with buttons, as on the other platforms."""

from __future__ import annotations

import base64
import html
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence

from markdown_it import MarkdownIt

from bot.chat.base import Address
from bot.chat.place import Button
from bot.teaching import Said

CLOCK_SECONDS = 1.0  # between two changes of what grows; the page looks as often
LIMIT_CHARACTERS = 20_000  # a page scrolls
BUSY_SECONDS = 60.0  # nothing shows it here

KeepFile = Callable[[str, bytes], Awaitable[str]]
"""Keeps a file for who asked; its address."""

QUOTED_LINE = re.compile(r"^(>.*\n)(?!>|\n)", re.MULTILINE)

MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(["image", "link", "autolink"])
"""Of what people and models wrote, nothing is to be fetched or followed."""


class Screen:
    """Implements `bot.chat.place.Place`: one message, in memory, as it stands now. `file`: address of what was handed out;
    `picture`: what stands below the words, as HTML."""

    clock = CLOCK_SECONDS
    limit = LIMIT_CHARACTERS
    busy_seconds = BUSY_SECONDS

    def __init__(self, address: Address, keep: KeepFile | None = None, said: Said | None = None) -> None:
        self.address = address
        self.said = said or Said("")
        self.file = ""
        self.picture = ""
        self._keep = keep

    def length(self, text: str) -> int:
        return len(text)

    async def acknowledge(self) -> None:
        """Nothing to see."""

    async def busy(self) -> None:
        """Nothing to see."""

    async def send(self, text: str, buttons: Sequence[Button] = ()) -> str:
        self.said = Said(text, tuple(buttons))
        return secrets.token_hex(4)

    async def edit(self, message_id: str, text: str, buttons: Sequence[Button] = ()) -> str | None:
        self.said = Said(text, tuple(buttons))
        return None

    async def delete(self, message_id: str) -> None:
        self.said = Said("")

    async def send_file(self, name: str, data: bytes, text: str) -> bool:
        if self._keep is None:
            return False
        self.file = await self._keep(name, data)
        self.said = Said(text)
        return True

    async def send_picture(self, name: str, data: bytes, text: str) -> None:
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        self.picture = f'<img src="{source}" alt="{html.escape(text)}">'

    def html(self) -> str:
        return shown(self.said, self.file, self.picture)


def shown(said: Said, file: str = "", picture: str = "") -> str:
    """As HTML: words, a picture, what to download, buttons that carry their action."""
    if not said.words:
        return ""
    link = f'<p><a href="{html.escape(file)}" download>{html.escape(file.rpartition("/")[2])}</a></p>' if file else ""
    buttons = "".join(
        f'<button type="button" data-action="{html.escape(button.action)}">{html.escape(button.label)}</button>'
        for button in said.buttons
    )
    row = f'<div class="jn-buttons">{buttons}</div>' if buttons else ""
    return f'<div class="jn-card" role="status">{inert(rendered(said.words))}{picture}{link}{row}</div>'


def rendered(words: str) -> str:
    """As HTML. A quotation ends with its line, as on the other platforms; Markdown would draw the next line into it."""
    return str(MARKDOWN.render(QUOTED_LINE.sub(r"\1\n", words)))


def inert(markup: str) -> str:
    """Without the marks that gradio's templates read something into."""
    return markup.replace("{", "&#123;").replace("$", "&#36;").replace("`", "&#96;")
