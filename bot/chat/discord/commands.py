"""Slash commands and context menus: what Discord is told about them, and what they hand to the desk."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import discord
import structlog
from discord import app_commands
from discord.app_commands import locale_str

from bot.calling import Quoted
from bot.chat.base import IncomingFile
from bot.chat.discord.answers import AnswerPlace
from bot.chat.discord.faults import ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION
from bot.chat.discord.hearing import Hearing, Interaction, attached, presser_of
from bot.chat.discord.place import GetClient
from bot.chat.discord.presses import QuestionModal
from bot.chat.registered import Registered
from bot.commands import COMMANDS, MAX_MEMORY, Command
from bot.desk import Desk
from bot.texts import LANGUAGES, say

LOCALES = {
    discord.Locale.german: "de",
    discord.Locale.spain_spanish: "es",
    discord.Locale.latin_american_spanish: "es",
    discord.Locale.hindi: "hi",
    discord.Locale.brazil_portuguese: "pt",
    discord.Locale.russian: "ru",
}
"""Discord's languages that we speak (https://discord.com/developers/docs/reference#locales)."""

MAX_CHOICES = 25
"""Of one option (https://discord.com/developers/docs/interactions/application-commands)."""

MENUS = ("ask", "describe", "transcribe")

REMEMBERED = "discord-commands.json"
"""In JNANA_HOME: what Discord was told last."""

Callback = Callable[..., Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)


class Translator(app_commands.Translator):
    """`extras["key"]` of a `locale_str` is a key of the catalogue."""

    async def translate(
        self, string: locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        language, key = LOCALES.get(locale), string.extras.get("key")
        if language is None or key is None:
            return None
        return say(language, key)


class Commands:
    """One for every client."""

    def __init__(self, client: discord.Client, desk: Desk, hearing: Hearing, get_client: GetClient) -> None:
        self._desk = desk
        self._hearing = hearing
        self._get_client = get_client
        self.tree: app_commands.CommandTree[Any] = app_commands.CommandTree(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=False),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        self.tree.error(self._failed)
        for command in COMMANDS.values():
            self.tree.add_command(self._slash(command))
        for name in MENUS:
            self.tree.add_command(self._menu(COMMANDS[name]))

    async def sync(self, home: Path) -> None:
        """Tell Discord what commands there are, if that is not what it was told last."""
        translator = Translator()
        await self.tree.set_translator(translator)
        payloads = [
            await command.get_translated_payload(self.tree, translator)
            for kind in (discord.AppCommandType.chat_input, discord.AppCommandType.message)
            for command in self.tree.get_commands(type=kind)
        ]
        registered = Registered(home / REMEMBERED, self.tree.client.application_id, payloads)
        if await registered.is_current():
            return
        try:
            await self.tree.sync()
            await registered.note()
        except (discord.DiscordException, OSError) as error:  # people can still write
            log.warning("commands not registered", error=type(error).__name__)

    async def run(
        self,
        name: str,
        interaction: Interaction,
        *arguments: str,
        files: tuple[IncomingFile, ...] = (),
        quoted: Quoted | None = None,
    ) -> None:
        """Defer at once, then do the command with each of its `arguments`."""
        private = COMMANDS[name].private
        if not await deferred(interaction, private=private):
            return
        heard = self._hearing.interaction(interaction, files=files, quoted=quoted)
        place = AnswerPlace(self._get_client, presser_of(interaction).address, interaction, private=private)
        for argument in arguments or ("",):
            await self._desk.command(name, argument, heard, place)

    # --- What there is ---

    def _slash(self, command: Command) -> app_commands.Command[Any, Any, Any]:
        callback = self._settings() if command.name == "settings" else self._callback(command)
        return app_commands.Command(name=command.name, description=_text(command.description), callback=callback)

    def _callback(self, command: Command) -> Callback:
        run, name = self.run, command.name

        async def plain(interaction: discord.Interaction[Any]) -> None:
            await run(name, interaction)

        async def with_file(interaction: discord.Interaction[Any], file: discord.Attachment | None = None) -> None:
            await run(name, interaction, files=(attached(file),) if file else ())

        async def with_text(
            interaction: discord.Interaction[Any], question: str | None = None, file: discord.Attachment | None = None
        ) -> None:
            await run(name, interaction, question or "", files=(attached(file),) if file else ())

        async def with_answer(
            interaction: discord.Interaction[Any],
            question: str,
            answer: str | None = None,
            file: discord.Attachment | None = None,
        ) -> None:
            lesson = f"{' '.join(question.split())}\n{answer or ''}"
            await run(name, interaction, lesson, files=(attached(file),) if file else ())

        if command.takes_answer:
            options = {name: _text(f"option-{name}") for name in ("question", "answer", "file")}
            return app_commands.describe(**options)(with_answer)

        async def with_words(interaction: discord.Interaction[Any], words: str | None = None) -> None:
            await run(name, interaction, words or "")

        if command.takes_text and not command.takes_file:
            described = app_commands.describe(words=_text(f"option-{command.takes_text}"))(with_words)
            return app_commands.rename(words=command.takes_text)(described)
        if command.takes_text:
            return app_commands.describe(question=_text("option-question"), file=_text("option-file"))(with_text)
        return app_commands.describe(file=_text("option-file"))(with_file) if command.takes_file else plain

    def _settings(self) -> Callback:
        run = self.run

        @app_commands.describe(
            language=_text("option-language"), memory=_text("option-memory"), persona=_text("option-persona")
        )
        @app_commands.choices(
            language=[app_commands.Choice(name=name, value=code) for code, name in LANGUAGES.items()],
            persona=[app_commands.Choice(name=name, value=name) for name in self._desk.choices()["persona"][:MAX_CHOICES]],
        )
        async def settings(
            interaction: discord.Interaction[Any],
            language: str | None = None,
            memory: app_commands.Range[int, 0, MAX_MEMORY] | None = None,
            persona: str | None = None,
        ) -> None:
            options = {"language": language, "memory": memory, "persona": persona}
            await run("settings", interaction, *(f"{name} {value}" for name, value in options.items() if value is not None))

        return settings

    def _menu(self, command: Command) -> app_commands.ContextMenu:
        async def chosen(interaction: discord.Interaction[Any], message: discord.Message) -> None:
            quoted = self._hearing.quote(message)
            if command.name != "ask":
                await self.run(command.name, interaction, quoted=quoted)
                return

            async def asked(submitted: Interaction, question: str) -> None:
                await self.run("ask", submitted, question, quoted=quoted)

            await interaction.response.send_modal(QuestionModal(str(interaction.locale), asked))

        return app_commands.ContextMenu(name=_text(f"menu-{command.name}"), callback=chosen)

    async def _failed(self, interaction: Interaction, error: app_commands.AppCommandError) -> None:
        cause = error.__cause__ or error
        name = interaction.command.name if interaction.command else ""
        if isinstance(cause, discord.HTTPException) and cause.code in (UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
            log.info("interaction came too late", command=name, code=cause.code)
            return
        log.error("command failed", command=name, error=type(cause).__name__)


async def deferred(interaction: Interaction, *, private: bool) -> bool:
    """Say within 3 seconds that an answer is on its way. False: it is too late, or somebody else answers."""
    try:
        await interaction.response.defer(ephemeral=private, thinking=True)
    except discord.InteractionResponded:
        return False
    except discord.HTTPException as error:
        if error.code not in (UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
            raise
        log.info("interaction came too late", code=error.code)
        return False
    return True


def _text(key: str) -> locale_str:
    return locale_str(say("en", key), key=key)
