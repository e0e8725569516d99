"""The `jnana` command.

Exit codes: 0 done · 1 failed (one sentence on standard error) · 2 wrong settings or arguments · 130 interrupted.

The commands of model/ and training/ hang on this one and are imported only when they are called, so that a bot on a machine
without torch lists them all the same.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import SecretStr

from bot.errors import JnanaError, SettingsError, StoreError
from bot.logs import configure_logging
from bot.settings import Settings, load_settings

cli = typer.Typer(
    name="jnana",
    help="A self-hosted assistant that sees pictures, hears voice notes and remembers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
T = TypeVar("T")

database = typer.Typer(help="The database: migrate it, copy it, look it over.", no_args_is_help=True)
cli.add_typer(database, name="db")
discord_app = typer.Typer(help="The Discord bot: bring it into a server.", no_args_is_help=True)
cli.add_typer(discord_app, name="discord")

FAILED, WRONG_SETTINGS, INTERRUPTED = 1, 2, 130

Images = Annotated[list[Path] | None, typer.Option("--image", "-i", help="A picture; may be given several times.")]
Voices = Annotated[list[Path] | None, typer.Option("--voice", "-v", help="A voice note; may be given several times.")]


@cli.command()
def run() -> None:
    """Start the bot: its page, and the worker with the model."""
    from bot.app import run as run_bot

    settings = _settings(local_worker=True)
    _configure(settings, settings.log_level)
    raise typer.Exit(_wait(run_bot(settings, say=print_line)))


@cli.command()
def ask(
    text: Annotated[str, typer.Argument(help="What to ask; may be left out with a picture or a voice note.")] = "",
    image: Images = None,
    voice: Voices = None,
    as_json: Annotated[bool, typer.Option("--json", help="Also transcripts, hints, timings, tokens; as JSON.")] = False,
) -> None:
    """Ask one question and print the answer."""
    from bot.chat.terminal import ask as ask_once
    from bot.chat.terminal import missing

    files = [path.expanduser() for path in [*(image or []), *(voice or [])]]
    if nowhere := missing(files):
        print(*(f"There is no file {path}." for path in nowhere), sep="\n", file=sys.stderr)
        raise typer.Exit(WRONG_SETTINGS)
    settings = _settings(local_worker=True)
    _configure(settings, "error")
    raise typer.Exit(_wait(ask_once(settings, text, files, as_json=as_json)))


@cli.command()
def chat() -> None:
    """Talk in this terminal; /help lists what can be typed."""
    from bot.chat.terminal import chat as chat_on

    settings = _settings(local_worker=True)
    _configure(settings, "error")
    raise typer.Exit(_wait(chat_on(settings)))


@database.command()
def upgrade() -> None:
    """Bring the database to this version; a copy is made first if anything changes."""
    from bot.store import migrate

    settings = _settings()
    done = _wait(asyncio.to_thread(migrate.upgrade, settings.database, settings.backups))
    if done.before == done.after:
        print_line(f"The database is at revision {done.after}, the newest.")
    else:
        print_line(f"The database went from revision {done.before or 'nothing'} to {done.after}.")
    if done.backup:
        print_line(f"A copy of how it was: {done.backup}")


@database.command()
def backup() -> None:
    """Copy the database into the backups folder, while the bot runs if need be. Photos and voice notes are files beside it."""
    from bot.store import migrate

    settings = _settings()
    print_line(f"Copied to {_wait(asyncio.to_thread(migrate.backup, settings.database, settings.backups))}")


@database.command()
def check() -> None:
    """Look for damage: the database itself, its version, and files that are missing, changed or belong to nobody."""
    from bot.store import migrate

    settings = _settings()
    found = _wait(asyncio.to_thread(migrate.check, settings.database, settings.attachments))
    for line in found.problems:
        print_line(line)
    if found.orphans:
        print_line(f"{len(found.orphans)} files belong to no turn and only take up room, e.g. {found.orphans[0]}")
    if found.problems:
        raise typer.Exit(FAILED)
    print_line(f"The database is in order: revision {found.revision}, {found.attachments} attachments.")


@discord_app.command()
def invite() -> None:
    """Print the link that brings the bot into a server, and the switches to flip before."""
    from bot.chat.discord.invite import invite as invite_bot

    settings = _settings()
    _configure(settings, "error")
    _wait(invite_bot(settings, print_line))


def _later(module: str, name: str, help_text: str) -> None:
    """Hang a command of another package on ours without importing that package before it is called."""

    @cli.command(
        name,
        help=help_text,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def command(context: typer.Context) -> None:
        try:
            target = importlib.import_module(module)
        except ModuleNotFoundError as missing:
            print(f"jnana {name} needs the package {missing.name}, which is not installed: run `make setup`.", file=sys.stderr)
            raise typer.Exit(FAILED) from None
        target.app([name, *context.args], prog_name="jnana")


_later("model.cli", "serve", "Start only the model worker, an OpenAI-compatible server.")
_later("model.cli", "models", "The presets: where their weights are, size, licence, state; get them.")
_later("model.cli", "adapters", "What training made of a preset: which there are, which is loaded; merge, export, import.")
_later("training.cli", "train", "Make the mind: pretrain, align, instruct, and plan what that costs.")
_later("training.cli", "data", "What training learns from: check it, prepare it.")
_later("training.cli", "evaluate", "How good a mind is, beside what can be had without looking.")
_later("training.cli", "report", "Curves, samples, settings and cost of a training run as one page.")
_later("training.cli", "runs", "The training runs in a folder: stage, steps, loss, state.")


def print_line(line: str) -> None:
    """A line for the owner, on standard output, at once even when it is no terminal."""
    print(line, flush=True)


def _settings(*, local_worker: bool = False) -> Settings:
    """The settings, or every mistake in them at once; with `local_worker` those of the worker, too."""
    mistakes: list[str] = []
    settings: Settings | None = None
    try:
        settings = load_settings(also_known=_worker_settings())
    except SettingsError as error:
        mistakes = error.mistakes
    if local_worker and (settings is None or not settings.model_url):
        mistakes += [mistake for mistake in _worker_mistakes() if mistake not in mistakes]
    if mistakes or settings is None:
        print("These settings need a change (.env or the environment):", file=sys.stderr)
        for mistake in mistakes:
            print(f"  {mistake}", file=sys.stderr)
        raise typer.Exit(WRONG_SETTINGS)
    return settings


def _worker_settings() -> set[str]:
    """Names of the worker's settings, which stand in the same .env; none where model/ is not installed."""
    try:
        from model.settings import known_settings
    except ModuleNotFoundError:
        return set()
    return known_settings()


def _worker_mistakes() -> list[str]:
    try:
        from model.settings import read_settings
    except ModuleNotFoundError as missing:
        return [f"MODEL_URL=: must be set, because the package {missing.name} for a worker on this machine is not installed"]
    return read_settings()[1]


def _configure(settings: Settings, level: str) -> None:
    secrets = [value for value in settings.model_dump().values() if isinstance(value, SecretStr)]
    configure_logging(level, settings.log_format, [secret.get_secret_value() for secret in secrets])


def _wait(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; an expected failure becomes its sentence and exit code 1."""
    try:
        return asyncio.run(work)
    except JnanaError as error:
        print(error.sentence, file=sys.stderr)
        if isinstance(error, StoreError) and error.__cause__ is not None:  # what the database itself said helps its owner
            print(f"({type(error.__cause__).__name__}: {str(error.__cause__).splitlines()[0]})", file=sys.stderr)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def main() -> None:
    """Entry point of the `jnana` command."""
    cli(prog_name="jnana")


if __name__ == "__main__":
    main()
