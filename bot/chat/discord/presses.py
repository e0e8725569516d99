"""Buttons and forms: a pressed button goes to the desk, also one from before a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import discord
import structlog

from bot.chat.base import Address
from bot.chat.discord.faults import ALREADY_ACKNOWLEDGED, EXPIRED, UNKNOWN_INTERACTION
from bot.chat.discord.hearing import Interaction, presser_of
from bot.chat.discord.place import LIMIT, PREFIX, view_of
from bot.chat.discord.render import render
from bot.chat.place import Button, Place
from bot.desk import Desk
from bot.presses import Pressed
from bot.teaching import Said
from bot.texts import say

PATIENCE = 2.0
"""Seconds until a press is acknowledged without its outcome; Discord waits for 3."""

FORM_SECONDS = 15 * 60.0
"""How long a form waits for its person."""

LONGEST = 2000
"""Characters that people may type into a form (Discord takes up to 4,000; a message has 2,000)."""

BETTER = f"{PREFIX}better:"

Asked = Callable[[Interaction, str], Awaitable[None]]

log = structlog.get_logger(__name__)


class Presses:
    """What people do with our components."""

    def __init__(self, desk: Desk, make_place: Callable[[Address, str], Place]) -> None:
        self._desk = desk
        self._make_place = make_place

    async def hear(self, interaction: Interaction) -> None:
        """Every interaction; those that are not ours are left alone."""
        data: Any = interaction.data or {}
        custom_id = str(data.get("custom_id", ""))
        try:
            if interaction.type is discord.InteractionType.component and custom_id.startswith(PREFIX):
                await self._press(interaction, custom_id.removeprefix(PREFIX))
            elif interaction.type is discord.InteractionType.modal_submit and custom_id.startswith(BETTER):
                await self._better(interaction, custom_id.removeprefix(BETTER))
        except discord.InteractionResponded:
            log.info("interaction answered already")
        except discord.HTTPException as error:
            if error.code not in (*EXPIRED, UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
                log.warning("interaction not answered", code=error.code, status=error.status)
                return
            log.info("interaction came too late", code=error.code)

    async def _press(self, interaction: Interaction, action: str) -> None:
        presser = presser_of(interaction)
        press = asyncio.ensure_future(self._desk.press(action, presser, self._make_place))
        done, _ = await asyncio.wait({press}, timeout=PATIENCE)
        if not done:
            await interaction.response.defer()
        pressed: Pressed = await press
        if pressed.instead is not None:
            await _change(interaction, pressed.instead)
        elif pressed.better is not None and not interaction.response.is_done():
            await interaction.response.send_modal(better_form(str(interaction.locale), pressed.better))
        elif pressed.toast:
            await tell(interaction, pressed.toast)
        elif not interaction.response.is_done():
            await interaction.response.defer()

    async def _better(self, interaction: Interaction, turn_id: str) -> None:
        if not turn_id.isdecimal():
            return
        said = await self._desk.better(int(turn_id), presser_of(interaction), typed(interaction))
        await tell(interaction, said.words, said.buttons)
        await self._desk.ask_asker(int(turn_id), presser_of(interaction), self._make_place)


async def tell(interaction: Interaction, words: str, buttons: Sequence[Button] = ()) -> None:
    """To the person alone."""
    view = view_of(buttons) or discord.utils.MISSING
    if interaction.response.is_done():
        await interaction.followup.send(words, view=view, ephemeral=True)
    else:
        await interaction.response.send_message(words, view=view, ephemeral=True)


async def _change(interaction: Interaction, said: Said) -> None:
    """What the message with the button says from now on."""
    content, view = render(said.words, LIMIT), view_of(said.buttons)
    if interaction.response.is_done():
        await interaction.edit_original_response(content=content, view=view)
    else:
        await interaction.response.edit_message(content=content, view=view)


def typed(interaction: Interaction) -> str:
    """What was typed into the one field of a form, whatever it is wrapped in."""
    data: Any = interaction.data or {}
    waiting = list(data.get("components", ()))
    while waiting:
        part = waiting.pop(0)
        if "value" in part:
            return str(part["value"])
        waiting += part.get("components", ())
        waiting += [part["component"]] if "component" in part else []
    return ""


def better_form(language: str, turn_id: int) -> discord.ui.Modal:
    """`Presses.hear` hears of it, also after a restart; discord.py need not remember it."""
    form = discord.ui.Modal(title=say(language, "better-title"), custom_id=f"{BETTER}{turn_id}", timeout=FORM_SECONDS)
    form.add_item(_field(say(language, "better-question")))
    form.stop()
    return form


class QuestionModal(discord.ui.Modal):
    """A question about the message that was chosen. It is gone after a restart: the message would be unknown then."""

    def __init__(self, language: str, asked: Asked) -> None:
        super().__init__(title=say(language, "menu-ask"), timeout=FORM_SECONDS)
        self._asked = asked
        self.add_item(_field(say(language, "option-question")))

    async def on_submit(self, interaction: Interaction) -> None:
        await self._asked(interaction, typed(interaction))

    async def on_error(self, interaction: Interaction, error: Exception, *_item: Any) -> None:
        log.error("form failed", error=type(error).__name__)


def _field(question: str) -> discord.ui.Label[Any]:
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(
        style=discord.TextStyle.paragraph, custom_id="text", max_length=LONGEST
    )
    return discord.ui.Label(text=question[:45], component=field)
