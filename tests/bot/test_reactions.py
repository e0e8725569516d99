"""A thumb at an answer is its person's rating of it, given and taken back, with the checks that buttons have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.chat.base import Sender
from bot.desk import Desk
from bot.reactions import Reacted, react
from bot.settings import Settings
from bot.store import Store
from bot.store.records import TurnPlace
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.room import ANN, BOB, ROOM, Room


class Reactions:
    """Reactions to the answer of a question of Ann's."""

    def __init__(self, room: Room, message_id: str) -> None:
        self.room = room
        self.message_id = message_id

    async def change(self, before: str, after: str, sender: Sender = ANN) -> TurnPlace | None:
        changed = Reacted("discord", "100", self.message_id, sender, before.split(), after.split())
        return await react(self.room.desk, changed)

    async def rating(self) -> int:
        """On balance of all people."""
        return (await self.room.store.turns(ROOM))[-1].rating


@pytest.fixture
async def answer(room: Room) -> Reactions:
    place = await room.answered("What club is this?")
    return Reactions(room, next(iter(place.shown)))


@pytest.mark.parametrize(
    ("changes", "rating"),
    [
        ([("", "👍")], 1),
        ([("", "👎")], -1),
        ([("", "👍🏿")], 1),
        ([("", "👎🏻")], -1),
        ([("", "👍\ufe0f")], 1),
        ([("", "❤ 👀 thumbs")], 0),
        ([("", "👍"), ("👍", "")], 0),
        ([("", "👍🏽"), ("👍🏽", "")], 0),
        ([("", "👍"), ("👍", "👎")], -1),
        ([("", "👍"), ("❤", "")], 1),
        ([("", "👍"), ("", "👎"), ("👍", "")], -1),  # Discord: both stand there, and the older one is taken away
        ([("", "👍"), ("👍", "👍 👎"), ("👍 👎", "👍")], 1),  # Telegram Premium: the one that stays counts
    ],
)
async def test_thumbs_are_ratings(answer: Reactions, changes: list[tuple[str, str]], rating: int) -> None:
    for before, after in changes:
        await answer.change(before, after)
    assert await answer.rating() == rating


async def test_everybody_rates_for_themselves_and_a_button_said_later_stays(answer: Reactions, room: Room) -> None:
    await answer.change("", "👎", BOB)
    await answer.change("", "👍", ANN)
    assert await answer.rating() == 0
    turn = (await room.store.turns(ROOM))[-1].turn_id
    await room.press(f"bad:{turn}", ANN)
    await answer.change("👍", "", ANN)
    assert await answer.rating() == -1
    await answer.change("👎", "", BOB)
    assert [one["value"] for one in (await room.store.export("discord", ANN.platform_id))["ratings"]] == [-1]
    assert (await room.store.export("discord", BOB.platform_id))["ratings"] == []


async def test_a_reaction_without_a_name_leaves_the_name(answer: Reactions, room: Room) -> None:
    await answer.change("", "👍", replace(ANN, name=""))
    assert (await room.store.export("discord", ANN.platform_id))["person"]["name"] == "Ann"


@pytest.mark.parametrize("message_id", ["m1", "999", "a", "%", "0"])
async def test_other_messages_are_nothing(answer: Reactions, message_id: str) -> None:
    answer.message_id = message_id
    await answer.change("", "👍")
    assert await answer.rating() == 0


async def test_the_same_number_elsewhere_is_another_message(answer: Reactions, room: Room) -> None:
    for platform, chat in (("telegram", "100"), ("discord", "101")):
        await react(room.desk, Reacted(platform, chat, answer.message_id, ANN, (), ("👍",)))
    assert await answer.rating() == 0


async def test_who_is_denied_rates_nothing(model: FakeModel, store: Store, settings: Settings, desk: Desk, room: Room) -> None:
    place = await room.answered("What club is this?")
    client = ModelClient(model.url)
    desk.turns = Turns(store, client, settings.model_copy(update={"deny": ("discord:person:2",)}))
    answer = Reactions(room, next(iter(place.shown)))
    await answer.change("", "👎", BOB)
    assert await answer.rating() == 0
    await answer.change("", "👍", ANN)
    assert await answer.rating() == 1
    await client.close()


async def test_only_in_private_can_somebody_be_asked_what_would_be_better(answer: Reactions) -> None:
    assert await answer.change("", "👎") is None  # a group: everybody would read the question


async def test_an_answer_that_is_still_written_cannot_be_rated(room: Room, model: FakeModel) -> None:
    held = model.say("Slowly", " on", hold=True)
    place = await room.say("What club is this?")
    await place.until(lambda place: any("Slowly" in words for words in place.texts))
    growing = Reactions(room, next(iter(place.shown)))
    await growing.change("", "👍")
    held.release()
    await place.until(lambda place: "again" in place.actions)
    assert await growing.rating() == 0
    await growing.change("", "👍")
    assert await growing.rating() == 1
