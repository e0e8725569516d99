"""What the desk keeps, forgets and takes up again: privacy, restarts, chats that move or close."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from dataclasses import replace
from typing import Any

from bot.chat.base import Address
from bot.chat.place import Flooded, Shut
from bot.desk import Desk
from bot.errors import StoreError
from bot.privacy import Privacy
from bot.settings import Settings
from bot.store import Store
from bot.teaching import Said
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.fake_place import FakePlace
from tests.bot.room import ANN, BOB, ROOM, Room
from tests.bot.samples import encoded, photo
from tests.bot.sending import file

# --- Privacy ---


async def test_forget_asks_checks_who_presses_and_leaves_nothing(room: Room, store: Store, settings: Settings) -> None:
    picture = encoded(photo(), "JPEG")
    await room.answered("My secret", ANN, file("photo.jpg", picture))
    answer = await room.answered("Bob's own", BOB)
    await room.press(answer.press("good"))
    await room.command("settings language pt")
    await room.command("settings language en")
    place = await room.command("forget")
    assert "not yours" in (await room.press(place.press("forget"), replace(BOB, language="en"))).toast
    assert (await room.press(place.press("keep"))).instead == Said("Nothing was deleted.")
    done = (await room.press(place.press("forget"))).instead
    assert done is not None
    assert "1 message" in done.words
    assert await store.export("discord", "1") == {}
    assert [view.sender_name for view in await store.turns(ROOM)] == ["Bob"]
    assert [view.rating for view in await store.turns(ROOM)] == [0]
    assert not [path for path in settings.attachments.rglob("*") if path.is_file()]
    database = settings.jnana_home / "jnana.db"
    await store.close()
    assert b"My secret" not in database.read_bytes()


async def test_forget_keeps_a_file_that_somebody_else_sent_too(room: Room, settings: Settings) -> None:
    picture = encoded(photo(), "JPEG")
    await room.answered("mine", ANN, file("a.jpg", picture))
    await room.answered("mine, too", BOB, file("b.jpg", picture))
    place = await room.command("forget")
    await room.press(place.press("forget"))
    assert len([path for path in settings.attachments.rglob("*") if path.is_file()]) == 1


async def test_forget_keeps_a_file_that_somebody_sends_meanwhile(room: Room, store: Store, settings: Settings) -> None:
    picture = encoded(photo(), "JPEG")
    await room.answered("mine", ANN, file("a.jpg", picture))
    theirs: list[asyncio.Task[FakePlace]] = []
    remove = store.files.remove

    async def slowly(sha256: str, mime: str) -> None:
        theirs.append(asyncio.create_task(room.answered("mine, too", BOB, file("b.jpg", picture))))
        await asyncio.sleep(0.3)
        await remove(sha256, mime)

    store.files.remove = slowly  # type: ignore[method-assign]
    place = await room.command("forget")
    await room.press(place.press("forget"))
    await theirs[0]
    assert len([path for path in settings.attachments.rglob("*") if path.is_file()]) == 1


async def test_export_holds_everything(room: Room) -> None:
    await room.answered("My question", ANN, file("photo.jpg", encoded(photo(), "JPEG")))
    place = await room.command("export")
    [(_, packed)] = place.files
    archive = zipfile.ZipFile(io.BytesIO(packed))
    found = json.loads(archive.read("jnana.json"))
    assert found["messages"][0]["text"] == "My question"
    assert found["messages"][0]["answers"][0]["text"] == "ok"
    assert f"files/{found['messages'][0]['files'][0]['file']}" in archive.namelist()


# --- Restarts, moves, closed chats ---


async def test_what_was_answered_but_not_shown_is_shown_after_a_restart(room: Room, desk: Desk, turns: Turns) -> None:
    heard, _ = room.heard("?", message_id="q")
    turn = await turns.start(heard.incoming)
    async for _ in turn.events():
        pass
    place = FakePlace(ROOM)
    await desk.resume("discord", lambda address, message_id: place if message_id == "q" else FakePlace(address))
    await place.until(lambda place: place.texts == ["ok"])
    await desk.close(5)
    again = FakePlace(ROOM)
    await desk.resume("discord", lambda address, message_id: again)
    assert not again.history


async def test_a_restart_goes_on_in_the_same_message(
    room: Room, desk: Desk, turns: Turns, store: Store, client: ModelClient, settings: Settings, model: FakeModel
) -> None:
    held = model.say("half", hold=True)
    place = await room.say("?", message_id="q")
    await held.wait_begun()
    await place.until(lambda place: place.texts == ["half"])
    await turns.drain(0)
    await desk.close(5)
    model.say("the whole answer")
    after = Turns(store, client, settings)
    desk_after = Desk(after, store, Privacy([store], settings.attachments), {}, lambda: "", "1")
    desk_after.recovered(await after.recover(["discord"]))
    await desk_after.resume("discord", lambda address, message_id: place)
    await place.until(lambda place: place.texts == ["the whole answer"] and "again" in place.actions)
    await after.drain(1)
    await desk_after.close(5)


async def test_a_chat_with_a_new_id_keeps_its_memory(room: Room, desk: Desk, store: Store, model: FakeModel) -> None:
    await room.answered("My name is Ann.")
    new = Room(desk, store, Address("discord", "-100777"))
    await new.answered("early", BOB)
    await desk.moved("discord", "100", "-100777")
    await new.answered("What is my name?")
    assert "Ann: My name is Ann." in [content for _, content in model.prompt()]


async def test_a_chat_that_blocked_us_is_left_alone_until_it_writes(room: Room, desk: Desk, store: Store) -> None:
    heard, place = room.heard("?")
    place.errors.append(Shut("blocked"))
    await desk.hear(heard, place)
    await place.until(lambda place: len(place.history) == 1)
    await desk.close(5)
    assert await store.closed_chats("discord") == {"100"}
    await desk.resume("discord", lambda address, message_id: place)
    await room.answered("again")
    assert await store.closed_chats("discord") == set()


async def test_a_long_flood_does_not_hold_a_command(room: Room) -> None:
    heard, place = room.heard("help", command=True)
    place.errors.append(Flooded(3600))
    await room.desk.command("help", "", heard, place)
    assert len(place.history) == 1


async def test_a_store_that_fails_is_said_without_details(room: Room, store: Store, monkeypatch: Any) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(store, "receive", broken)
    assert "owner" in (await room.say("hi")).texts[0]
