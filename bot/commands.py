"""The commands, the same on every platform: what there is, and what each does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot.calling import Heard, with_quoted
from bot.chat.base import Incoming, IncomingFile, community
from bot.chat.place import Button, Place, PlaceError
from bot.errors import EmptyMessage, NotAllowed, NotAnswered, WrongExample
from bot.importing import LIST_NAME
from bot.memory import PICTURE_QUESTION
from bot.retraining.choices import TRIED_PERCENT
from bot.store.choices import EVERYWHERE
from bot.store.records import Manner
from bot.texts import LANGUAGES, closest, say, text

if TYPE_CHECKING:
    from bot.desk import Desk

NOTE_LENGTH = 200
"""Characters of an admin's note on a retraining."""

IMPORT = "import"
"""Behind /teach, and nothing else: a question always has its answer below it."""

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
    """Only with pictures of the person's own: whose the one is that they reply to, nobody was asked. `/teach import` with a
    file is for admins."""
    incoming = request.heard.incoming
    await desk.turns.access.check(incoming)
    if request.argument.lower() == IMPORT:
        await import_(desk, request)
        return
    said = await desk.teaching.teach(
        incoming.address, incoming.server_id, incoming.sender, request.argument, incoming.files, request.language
    )
    await desk.say(request.place, said.words, said.buttons)


async def import_(desk: Desk, request: Request) -> None:
    """Looks at every record and decodes every picture, which may take minutes: beside other messages of the chat."""
    if not desk.is_community_admin(request.heard):
        raise NotAllowed(text("admins-only"))
    incoming = request.heard.incoming
    if len(incoming.files) != 1:
        raise WrongExample(text("import-how"))
    desk.aside(request.place, incoming, _imported(desk, request, incoming.files[0]))


async def _imported(desk: Desk, request: Request, file: IncomingFile) -> None:
    incoming, language = request.heard.incoming, request.language
    with suppress(PlaceError):
        await request.place.acknowledge()
    here = community(incoming.address, incoming.server_id)
    told = await desk.importing.run(here, incoming.address.platform, incoming.sender, file, language)
    await desk.say(request.place, told.said.words, told.said.buttons)
    if told.all_bad and not await desk.send_file(request.place, LIST_NAME, told.all_bad, say(language, "import-list")):
        await desk.say(request.place, say(language, "import-list-private"))


async def examples(desk: Desk, request: Request) -> None:
    """`/examples` shows those that nobody has looked at; `/examples 12 The rowing club.` gives one a better answer;
    `/examples share` lets other communities learn from them, `/examples unshare` ends that."""
    if not desk.is_community_admin(request.heard):
        raise NotAllowed(text("admins-only"))
    here = community(request.place.address, request.heard.incoming.server_id)
    by, verb = request.heard.incoming.sender.name, request.argument.lower()
    if verb in ("share", "unshare"):
        await desk.say(request.place, await _shared(desk, verb, here, by, request.language))
        return
    number, _, answer = request.argument.partition(" ")
    if number.isdecimal() and answer.strip():
        await desk.say(request.place, await desk.teaching.reword(int(number), here, answer, request.language))
        return
    said = await desk.teaching.next_example(here, request.language)
    await desk.say(request.place, said.words, said.buttons)


async def _shared(desk: Desk, verb: str, here: str, by: str, language: str) -> str:
    if verb == "unshare":
        return await desk.teaching.unshare(here, by, language)
    return f"{await desk.teaching.share(here, by, language)} {say(language, 'examples-share-how-ended')}"


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
    """`/adapters` lists them. `/adapters use NAME` chooses one for everybody, `/adapters here NAME` for this community,
    `/adapters try NAME 10` for a part of the conversations; `/adapters back` takes the last choice back. `/adapters compare
    NAME NAME` asks both the same."""
    verb, _, rest = request.argument.partition(" ")
    name, _, more = rest.strip().partition(" ")
    incoming, language = request.heard.incoming, request.language
    verb, by, here = verb.lower(), incoming.sender.name, community(incoming.address, incoming.server_id)
    if verb in ("use", "here", "try", "back"):
        _require_owner(desk, incoming)
    if verb == "use" and name:
        said = await desk.training().use(name, by, language, said_in=here)
    elif verb == "here" and name:
        said = await desk.training().use(name, by, language, here=here)
    elif verb == "try" and name:
        said = await desk.training().attempt(name, _percent(more), by, language, here=here)
    elif verb == "back":
        said = await desk.training().back(by, language, here=here)
    elif verb == "compare" and more:
        await _compare(desk, request, (name, more.strip()), here)
        return
    else:
        said = await desk.training().overview(language, here=here, counted=_counted(desk, request, here))
    await desk.say(request.place, said)


def _percent(written: str) -> int:
    """0 for what is none."""
    number = written.removesuffix("%").strip()
    return int(number) if number.isdecimal() else 0 if number else TRIED_PERCENT


async def _compare(desk: Desk, request: Request, names: tuple[str, str], here: str) -> None:
    """Takes minutes where the model is slow: beside other messages of the chat. It counts like a message."""
    counted, incoming = _counted(desk, request, here), request.heard.incoming
    if counted is None:
        raise NotAllowed(text("admins-only"))
    await desk.turns.access.check(incoming)
    asking = desk.training().compare(names, here, request.place, desk.say, counted=counted, language=request.language)
    desk.aside(request.place, incoming, asking)


def _counted(desk: Desk, request: Request, here: str) -> str | None:
    """Where somebody sees how adapters are liked: the bot's own admins everywhere, those of a chat there."""
    if desk.turns.access.is_admin(request.heard.incoming.address, request.heard.incoming.sender):
        return EVERYWHERE
    return here if desk.is_community_admin(request.heard) else None


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
