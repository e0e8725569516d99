"""The terminal as a chat platform: `jnana ask` (one turn) and `jnana chat` (a conversation)."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import shlex
import signal
import sys
import threading
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bot.app import Core, open_core
from bot.chat.base import (
    Address,
    Delta,
    Failed,
    Finished,
    Incoming,
    IncomingFile,
    Notice,
    Queued,
    Restarted,
    RunningTurn,
    Sender,
    Transcribed,
)
from bot.errors import TurnError
from bot.settings import Settings

ANSWERED, FAILED = 0, 1

HELP = """\
/image FILE…   pictures for the next message        /voice FILE…   voice notes for the next message
/reset         forget what was said so far           /quit          leave (Ctrl-D does, too)
Ctrl-C stops an answer."""


async def ask(settings: Settings, text: str, files: Sequence[Path], *, as_json: bool) -> int:
    """One turn in a conversation of its own; the answer goes to standard output, everything else to standard error."""
    async with open_core(settings, say=_aside) as core:
        await core.model.start()
        address = Address("terminal", _person().platform_id, uuid.uuid4().hex)
        turn = await _turn(core, address, text, files, show=not as_json)
        if as_json:
            print(json.dumps(turn, ensure_ascii=False, indent=2))
        return FAILED if turn["error"] else ANSWERED


async def chat(settings: Settings) -> int:
    """A conversation, line by line, until the person leaves. Ctrl-C stops an answer, or leaves where none is running."""
    async with open_core(settings, say=_aside) as core:
        await core.model.start()
        address = Address("terminal", _person().platform_id, uuid.uuid4().hex)
        keyboard = _Keyboard()
        loop = asyncio.get_running_loop()
        stops: set[asyncio.Task[bool]] = set()

        def interrupt() -> None:
            running = core.turns.running(address)
            for turn in running:
                stops.add(asyncio.ensure_future(core.turns.stop(turn.turn_id, address)))
            if not running:
                keyboard.leave()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            _aside("Ask something; /help lists what can be typed.")
            await _converse(core, address, keyboard)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
    return ANSWERED


async def _converse(core: Core, address: Address, keyboard: _Keyboard) -> None:
    files: list[Path] = []
    while (line := await keyboard.line()) is not None:
        command, _, rest = line.strip().partition(" ")
        match command:
            case "/quit":
                return
            case "/help":
                print(HELP)
            case "/reset":
                await _reset(core, address)
            case "/image" | "/voice":
                files += _named(rest)
                if files:
                    _aside(f"Waiting for your question about {', '.join(file.name for file in files)}")
            case _ if line.strip() or files:
                await _turn(core, address, line.strip(), files, show=True)
                files = []


async def _reset(core: Core, address: Address) -> None:
    try:
        await core.turns.reset(address)
    except TurnError as error:
        _aside(error.sentence)
    else:
        _aside("Forgotten. What was said stays in the database but is no longer used.")


def _named(words: str) -> list[Path]:
    """The files that are named, with quotes where names have spaces; those that are not there are told."""
    try:
        paths = [Path(word).expanduser() for word in shlex.split(words)]
    except ValueError:
        paths = [Path(words.strip()).expanduser()]  # an apostrophe in a name
    for path in missing(paths):
        _aside(f"There is no file {path}.")
    return [path for path in paths if path.is_file()]


def missing(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if not path.is_file()]


class _Keyboard:
    """Lines from standard input. Daemon threads read, since nothing can end a blocked `input`."""

    def __init__(self) -> None:
        self._line: asyncio.Future[str | None] | None = None

    async def line(self) -> str | None:
        """The next line, None at the end."""
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str | None] = loop.create_future()
        self._line = line

        def read() -> None:
            try:
                text: str | None = input("> " if sys.stdin.isatty() else "")
            except EOFError:
                text = None
            with contextlib.suppress(RuntimeError):  # the loop is closed: the person left by Ctrl-C
                loop.call_soon_threadsafe(self._typed, line, text)

        threading.Thread(target=read, name="keyboard", daemon=True).start()
        return await line

    @staticmethod
    def _typed(line: asyncio.Future[str | None], text: str | None) -> None:
        if not line.done():
            line.set_result(text)

    def leave(self) -> None:
        """As if the person had closed standard input."""
        if self._line:
            self._typed(self._line, None)


async def _turn(core: Core, address: Address, text: str, files: Sequence[Path], *, show: bool) -> dict[str, object]:
    """Run one turn and, with `show`, print it as it grows; returns what `--json` prints."""
    turn: dict[str, object] = {"answer": None, "error": None, "transcripts": [], "notices": [], "hints": [], "timings": {}}
    incoming = Incoming(address, _person(), text, [_file(path) for path in files])
    try:
        running = await core.turns.start(incoming)
    except TurnError as error:
        _aside(error.sentence)
        return turn | {"error": error.sentence}
    try:
        await _show(running, turn, show=show)
    except asyncio.CancelledError:  # Ctrl-C: nobody waits for the answer any more
        await core.turns.stop(running.turn_id, address)
        raise
    record = await core.store.answer(running.turn_id, address)
    if record is not None:
        turn |= {
            "preset": record.preset,
            "hints": list(record.hints),
            "timings": record.timings,
            "tokens": {"prompt": record.prompt_tokens, "answer": record.answer_tokens},
            "truncated": record.truncated,
        }
    return turn


async def _show(running: RunningTurn, turn: dict[str, object], *, show: bool) -> None:
    """Follow a turn to its end: into `turn` and, with `show`, onto the terminal."""
    shown = ""
    async for event in running.events():
        match event:
            case Queued(position):
                _aside(f"{position - 1} before you" if position > 1 else "next in line")
            case Transcribed(heard, language):
                _aside(f"heard ({language}): {heard}")
                turn["transcripts"] = [*_list(turn["transcripts"]), {"text": heard, "language": language}]
            case Notice(sentence):
                _aside(sentence)
                turn["notices"] = [*_list(turn["notices"]), sentence]
            case Delta(piece) if show and sys.stdout.isatty():
                print(piece, end="", flush=True)
                shown += piece
            case Restarted() if shown:
                _aside("\nThe model was restarted; once more:")
                shown = ""
            case Finished(answer, truncated=truncated):
                if show:
                    print(answer.removeprefix(shown) if shown else answer)
                if truncated:
                    _aside("(cut off here: this is as long as an answer may be)")
                turn["answer"] = answer
            case Failed(sentence, request_id):
                _aside(f"{sentence} ({request_id})")
                turn["error"] = sentence


def _file(path: Path) -> IncomingFile:
    try:
        size: int | None = path.stat().st_size
    except OSError:
        size = None  # `fetch` says what is wrong with it
    return IncomingFile(path.name, size, partial(asyncio.to_thread, path.read_bytes))


def _person() -> Sender:
    name = getpass.getuser()
    return Sender(name, name)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _aside(line: str) -> None:
    """A line that is not the answer."""
    print(line, file=sys.stderr, flush=True)
