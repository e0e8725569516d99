"""Who may talk, and how much."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from bot.access import Access
from bot.chat.base import Address, Incoming, Sender
from bot.errors import BudgetSpent, NotWelcome, TooFast, TurnError
from bot.settings import Settings

ROOM = Address("discord", "100", "5")
SERVER = "9"


class Scene:
    def __init__(self, used: int = 0, **settings: Any) -> None:
        self.now = 0.0
        self.used = used
        self.access = Access(Settings(**settings), self._count, lambda: self.now)

    async def _count(self, platform: str, person: str, since: datetime) -> int:
        assert since.tzinfo is not None
        return self.used

    async def refusal(self, person: str = "1", *, roles: tuple[str, ...] = (), group: bool = True, **more: Any) -> str:
        sender = Sender(person, "Ann", roles=roles)
        try:
            await self.access.check(Incoming(more.pop("address", ROOM), sender, "hi", group=group, server_id=SERVER, **more))
        except TurnError as error:
            return type(error).__name__
        return ""


@pytest.mark.parametrize(
    ("allow", "how", "refused"),
    [
        ("", {}, ""),
        ("discord:server:9", {}, ""),
        ("discord:server:8", {}, NotWelcome.__name__),
        ("discord:chat:100", {}, ""),
        ("discord:chat:5", {}, ""),
        ("discord:role:3", {"roles": ("3",)}, ""),
        ("discord:role:3", {"roles": ("4",)}, NotWelcome.__name__),
        ("discord:person:1", {}, ""),
        ("discord:person:2", {}, NotWelcome.__name__),
        ("telegram:person:1", {}, NotWelcome.__name__),
        ("telegram:chat:-3", {"address": Address("telegram", "-3")}, ""),
        ("telegram:chat:-3", {"address": Address("web", "b")}, ""),
        ("telegram:chat:-3/7", {"address": Address("telegram", "-3", "7")}, ""),
        ("telegram:chat:7", {"address": Address("telegram", "-3", "7")}, NotWelcome.__name__),
    ],
)
async def test_the_allow_list(allow: str, how: dict[str, Any], refused: str) -> None:
    assert await Scene(allow=allow).refusal(**how) == refused


@pytest.mark.parametrize("deny", ["discord:server:9", "discord:chat:100", "discord:role:3", "discord:person:1"])
async def test_the_deny_list_wins(deny: str) -> None:
    scene = Scene(allow="discord:person:1", deny=deny)
    assert await scene.refusal(roles=("3",)) == "NotWelcome"
    assert scene.access.is_denied(Incoming(ROOM, Sender("1", "Ann", roles=("3",)), "hi", server_id=SERVER))


async def test_admins_pass_everything() -> None:
    scene = Scene(used=99, admins="discord:person:1", deny="discord:person:1", messages_per_minute=1, guest_per_minute=1)
    assert [await scene.refusal() for _ in range(3)] == [""] * 3
    assert not scene.access.is_admin(Address("telegram", "1"), Sender("1", "Not Ann"))


async def test_guests_in_private() -> None:
    scene = Scene(allow="discord:server:9,discord:person:2", guests_in_private=False)
    assert await scene.refusal("1", group=False) == "NotWelcome"
    assert await scene.refusal("1") == ""
    assert await scene.refusal("2", group=False) == ""


async def test_the_rate_is_a_persons_own_and_passes() -> None:
    scene = Scene(guest_per_minute=2)
    assert [await scene.refusal() for _ in range(3)] == ["", "", TooFast.__name__]
    assert await scene.refusal("2") == ""
    scene.now = 61
    assert await scene.refusal() == ""


async def test_daily_budgets_of_members_and_guests() -> None:
    scene = Scene(used=5, allow="discord:person:1,discord:server:9", messages_per_day=10, guest_per_day=5)
    assert await scene.refusal("1") == ""
    assert await scene.refusal("2") == BudgetSpent.__name__
    scene.used = 10
    assert await scene.refusal("1") == BudgetSpent.__name__
