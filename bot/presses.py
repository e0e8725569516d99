"""Buttons, the same on every platform: who may press what, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.chat.base import Address, Incoming, Sender, community
from bot.chat.place import Place
from bot.errors import NotAnswered, NotWelcome
from bot.teaching import Said
from bot.texts import say, text

if TYPE_CHECKING:
    from bot.desk import Desk

OF_A_PERSON = ("forget", "keep", "teaching-yes", "teaching-no")
"""Verbs of buttons that carry whose they are."""

MakePlace = Callable[[Address, str], Place]
"""A platform's place that answers the message with that id."""


@dataclass(frozen=True, slots=True)
class Presser:
    """Who pressed a button, and where. `chat_admin`, `community_admin`: as in `Heard`. `server_id`: the Discord server."""

    address: Address
    sender: Sender
    chat_admin: bool = False
    community_admin: bool = False
    server_id: str = ""


@dataclass(frozen=True, slots=True)
class Pressed:
    """What the person who pressed is told. `better`: ask them for a better answer to this turn. `instead`: what the message
    with the button says from now on."""

    toast: str = ""
    better: int | None = None
    instead: Said | None = None


async def press(desk: Desk, action: str, presser: Presser, make_place: MakePlace, language: str) -> Pressed:
    """`action`: what `Button` was made with. Raises JnanaError."""
    verb, _, rest = action.partition(":")
    if verb in OF_A_PERSON:
        return await _press_own(desk, verb, rest, presser, language)
    if verb.startswith("retrain-"):
        return await _press_retraining(desk, verb, rest, presser, make_place, language)
    if verb.startswith("example-"):
        return await _press_example(desk, verb, rest, presser, language)
    if not rest.isdecimal():
        return Pressed(say(language, "not-here"))
    return await _press_turn(desk, verb, int(rest), presser, make_place, language)


async def _press_turn(desk: Desk, verb: str, turn_id: int, presser: Presser, make_place: MakePlace, language: str) -> Pressed:
    found = await desk.store.place_of(turn_id, presser.address)
    if found is None:
        return Pressed(say(language, "not-here"))
    pressed = Incoming(found.address, presser.sender, group=found.group, server_id=presser.server_id)
    if desk.turns.access.is_denied(pressed):
        raise NotWelcome(text("not-on-list"))
    admin = presser.chat_admin or desk.turns.access.is_admin(presser.address, presser.sender)
    may = found.asker == presser.sender.platform_id or admin
    if verb in ("stop", "again") and not may:
        return Pressed(say(language, "not-yours"))
    if verb == "stop":
        stopped = await desk.turns.stop(turn_id, presser.address)
        return Pressed(say(language, "stopping" if stopped else "already-ended"))
    if verb == "again":
        await desk.again(found, make_place(found.address, found.message_id), pressed)
        return Pressed("")
    if verb in ("good", "bad"):
        await desk.turns.rate(turn_id, presser.address, presser.sender, 1 if verb == "good" else -1)
        return Pressed(say(language, "thanks"), better=turn_id if verb == "bad" else None)
    raise NotAnswered(text("not-here"))


async def _press_own(desk: Desk, verb: str, person: str, presser: Presser, language: str) -> Pressed:
    """A button that only the person themselves may press."""
    if person != presser.sender.platform_id:
        return Pressed(say(language, "not-your-button"))
    platform = presser.address.platform
    if verb == "forget":
        await desk.turns.stop_all((platform, person))
        saw = await desk.retrainings.saw(platform, person) if desk.retrainings is not None else []
        said = say(language, "forget-done", turns=await desk.privacy.forget(platform, person))
        if saw:
            said += f"\n\n{say(language, 'forget-adapters', names=', '.join(saw))}"
    elif verb == "keep":
        said = say(language, "forget-not")
    else:
        said = await desk.teaching.allow(platform, presser.sender, verb == "teaching-yes", language)
        if verb == "teaching-no" and desk.retrainings is not None:
            await desk.retrainings.withdrawn(platform, person)
    return Pressed(instead=Said(said))


async def _press_retraining(desk: Desk, verb: str, run: str, presser: Presser, make_place: MakePlace, language: str) -> Pressed:
    """What answers everybody is decided by the bot's own admins."""
    if not desk.turns.access.is_admin(presser.address, presser.sender) or not run.isdecimal():
        return Pressed(say(language, "owners-only"))
    said = await desk.training().press(verb, int(run), presser.sender.name, language, make_place, desk.say)
    return Pressed(instead=said)


async def _press_example(desk: Desk, verb: str, example: str, presser: Presser, language: str) -> Pressed:
    admin = presser.community_admin or desk.turns.access.is_admin(presser.address, presser.sender)
    if not admin or not example.isdecimal():
        return Pressed(say(language, "admins-only"))
    here = community(presser.address, presser.server_id)
    return Pressed(instead=await desk.teaching.review(verb, int(example), here, language))
