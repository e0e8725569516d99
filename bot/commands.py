"""The commands, the same on every platform: what there is, and what each does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.calling import Heard, with_quoted
from bot.chat.base import Incoming
from bot.chat.place import Button, Place
from bot.errors import EmptyMessage, NotAllowed, NotAnswered
from bot.memory import PICTURE_QUESTION
from bot.store.records import Manner
from bot.teaching import community
from bot.texts import LANGUAGES, closest, say, text

if TYPE_CHECKING:
    from bot.desk import Desk

NOTE_LENGTH = 200
"""Characters of an admin's note on a retraining."""

MAX_MEMORY = 60
"""Earlier questions that a person may ask to be remembered (as many as bot.answering looks at)."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command as it was written. `argument`: what follows it. `language`: the person's."""

    heard: Heard
    argument: str
    place: Place
    language: str


Do = Callable[["Desk", Request], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Command:
    """`description`: a key of the catalogue. `takes_text` (what its text is called), `takes_answer`, `takes_file`: its options.
    `private`: only the person needs to see what comes of it."""

    name: str
    do: Do
    takes_text: str = ""
    takes_answer: bool = False
    takes_file: bool = False
    private: bool = False

    @property
    def description(self) -> str:
        return f"command-{self.name}"


async def ask(desk: Desk, request: Request) -> None:
    incoming = _asked(request)
    if not incoming.text and not incoming.files:
        raise EmptyMessage(text("nothing-to-ask"))
    await desk.begin(incoming, request.place)


async def describe(desk: Desk, request: Request) -> None:
    incoming = _asked(request)
    if not incoming.files:
        raise EmptyMessage(text("nothing-to-describe"))
    await desk.begin(replace(incoming, text=request.argument or PICTURE_QUESTION), request.place)


async def transcribe(desk: Desk, request: Request) -> None:
    incoming = _asked(request)
    if not incoming.files:
        raise EmptyMessage(text("nothing-to-transcribe"))
    await desk.begin(replace(incoming, text="", task="transcribe"), request.place)


async def reset(desk: Desk, request: Request) -> None:
    await desk.turns.reset(request.place.address)
    await desk.say(request.place, say(request.language, "reset-done"))


async def regenerate(desk: Desk, request: Request) -> None:
    newest = await desk.store.newest(request.place.address)
    if newest is None:
        raise NotAnswered(text("nothing-to-repeat"))
    if newest.asker != request.heard.incoming.sender.platform_id and not desk.is_admin(request.heard):
        raise NotAllowed(text("not-yours"))
    await desk.again(newest, request.place, request.heard.incoming, fresh=True)


async def stop(desk: Desk, request: Request) -> None:
    """All of the person's own turns in this conversation; an admin's /stop ends everybody's."""
    person = request.heard.incoming.sender.platform_id
    theirs = [
        live
        for live in desk.turns.running(request.place.address)
        if live.stored.asker == person or desk.is_admin(request.heard)
    ]
    stopped = [await desk.turns.stop(live.turn_id, request.place.address) for live in reversed(theirs)]
    await desk.say(request.place, say(request.language, "stopping" if any(stopped) else "nothing-running"))


async def settings(desk: Desk, request: Request) -> None:
    """`/settings` shows them, `/settings language de` sets one."""
    address, sender = request.place.address, request.heard.incoming.sender
    option, _, value = request.argument.partition(" ")
    option, value = option.strip().lower(), value.strip()
    if not option:
        await desk.say(request.place, await _settings_now(desk, request))
        return
    choices = desk.choices().get(option)
    if choices is None or value not in choices:
        known = ", ".join(choices if choices is not None else desk.choices())
        wrong = text("settings-unknown", option=option, value=value, choices=known)
        await desk.say(request.place, wrong.to(request.language))
        return
    if option == "language":
        await desk.store.set_language(address.platform, sender.platform_id, sender.name, value)
        await desk.say(request.place, say(value, "settings-done"))
        return
    if request.heard.incoming.group and not desk.is_admin(request.heard):
        raise NotAllowed(text("settings-admins"))
    manner = await desk.store.manner(address)
    changed = replace(manner, memory_turns=int(value)) if option == "memory" else replace(manner, persona=value)
    await desk.store.set_manner(address, changed)
    await desk.say(request.place, say(request.language, "settings-done"))


async def _settings_now(desk: Desk, request: Request) -> str:
    language = request.language
    manner: Manner = await desk.store.manner(request.place.address)
    memory = MAX_MEMORY if manner.memory_turns is None else manner.memory_turns
    spoken = LANGUAGES[closest(language)]
    lines = [
        say(language, "settings-now", language=spoken, memory=memory, persona=manner.persona or "default"),
        say(language, "settings-how", usage="`/settings language de`, `/settings memory 10`, `/settings persona poet`"),
    ]
    for option, choices in desk.choices().items():
        shown = f"0–{MAX_MEMORY}" if option == "memory" else ", ".join(choices)
        lines.append(say(language, "settings-choices", option=option, choices=shown))
    return "\n".join(lines)


async def privacy(desk: Desk, request: Request) -> None:
    person = request.heard.incoming.sender.platform_id
    stand = await desk.teaching.stand(request.place.address.platform, person, request.language)
    await desk.say(request.place, f"{say(request.language, 'privacy')}\n\n{stand.words}", stand.buttons)


async def teach(desk: Desk, request: Request) -> None:
    """Only with pictures of the person's own: whose the one is that they reply to, nobody was asked."""
    incoming = request.heard.incoming
    await desk.turns.access.check(incoming)
    said = await desk.teaching.teach(
        incoming.address, incoming.server_id, incoming.sender, request.argument, incoming.files, request.language
    )
    await desk.say(request.place, said.words, said.buttons)


async def examples(desk: Desk, request: Request) -> None:
    """`/examples` shows those that nobody has looked at; `/examples 12 The rowing club.` gives one a better answer."""
    if not desk.is_admin(request.heard):
        raise NotAllowed(text("admins-only"))
    here = community(request.place.address, request.heard.incoming.server_id)
    number, _, answer = request.argument.partition(" ")
    if number.isdecimal() and answer.strip():
        await desk.say(request.place, await desk.teaching.reword(int(number), here, answer, request.language))
        return
    said = await desk.teaching.next_example(here, request.language)
    await desk.say(request.place, said.words, said.buttons)


async def retrain(desk: Desk, request: Request) -> None:
    """What comes of it answers everybody, so that the bot's own admins decide."""
    incoming = request.heard.incoming
    _require_owner(desk, incoming)
    here = community(incoming.address, incoming.server_id)
    by = incoming.sender.name
    await desk.training().begin(
        here, request.place, desk.say, by=by, note=request.argument[:NOTE_LENGTH], language=request.language
    )


async def adapters(desk: Desk, request: Request) -> None:
    """`/adapters` lists them, `/adapters use NAME` chooses one, `/adapters back` takes the choice back."""
    verb, _, name = request.argument.partition(" ")
    verb, by = verb.lower(), request.heard.incoming.sender.name
    if verb in ("use", "back"):
        _require_owner(desk, request.heard.incoming)
    if verb == "use" and name.strip():
        said = await desk.training().use(name.strip(), by, request.language)
    elif verb == "back":
        said = await desk.training().back(by, request.language)
    else:
        said = await desk.training().overview(request.language)
    await desk.say(request.place, said)


def _require_owner(desk: Desk, incoming: Incoming) -> None:
    if not desk.turns.access.is_admin(incoming.address, incoming.sender):
        raise NotAllowed(text("owners-only"))


async def forget(desk: Desk, request: Request) -> None:
    """Asks first; the button carries whose it is."""
    person = request.heard.incoming.sender.platform_id
    buttons = (
        Button(f"forget:{person}", say(request.language, "button-forget")),
        Button(f"keep:{person}", say(request.language, "button-cancel")),
    )
    await desk.say(request.place, say(request.language, "forget-sure"), buttons)


async def export(desk: Desk, request: Request) -> None:
    sender = request.heard.incoming.sender
    packed = await desk.privacy.export(request.place.address.platform, sender.platform_id)
    sent = await desk.send_file(request.place, "jnana-export.zip", packed, say(request.language, "export-ready"))
    if not sent:
        await desk.say(request.place, say(request.language, "export-private"))
    elif request.heard.incoming.group:
        await desk.say(request.place, say(request.language, "export-sent"))


async def help_(desk: Desk, request: Request) -> None:
    lines = [
        say(request.language, "help-line", command=command.name, what=say(request.language, command.description))
        for command in COMMANDS.values()
    ]
    await desk.say(request.place, say(request.language, "help", name=desk.name) + "\n\n" + "\n".join(lines))


async def status(desk: Desk, request: Request) -> None:
    await desk.say(request.place, desk.status(request.language))


COMMANDS = {
    command.name: command
    for command in (
        Command("ask", ask, takes_text="question", takes_file=True),
        Command("describe", describe, takes_text="question", takes_file=True),
        Command("transcribe", transcribe, takes_file=True),
        Command("reset", reset),
        Command("regenerate", regenerate),
        Command("stop", stop),
        Command("teach", teach, takes_text="question", takes_answer=True, takes_file=True, private=True),
        Command("examples", examples, takes_text="example", private=True),
        Command("retrain", retrain, takes_text="note"),
        Command("adapters", adapters, takes_text="adapter", private=True),
        Command("settings", settings, private=True),
        Command("privacy", privacy, private=True),
        Command("forget", forget, private=True),
        Command("export", export, private=True),
        Command("help", help_, private=True),
        Command("status", status, private=True),
    )
}
"""By name, in the order in which platforms list them."""


def _asked(request: Request) -> Incoming:
    """The command's message with what it replies to; an answer of ours that is replied to lends its pictures, too."""
    heard = replace(request.heard, incoming=replace(request.heard.incoming, text=request.argument))
    return with_quoted(heard)
