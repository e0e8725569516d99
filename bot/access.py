"""Who may talk to the bot, and how much. The web page has its password instead; a terminal belongs to the owner."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from time import monotonic

from bot.chat.base import Address, Incoming, Sender
from bot.errors import BudgetSpent, NotWelcome, TooFast
from bot.settings import Settings
from bot.texts import text

CHECKED = ("discord", "telegram")
MINUTE = 60.0
REMEMBERED_PEOPLE = 10_000
"""People whose last messages are kept in memory for the rate limit; the one silent for longest goes first."""

Count = Callable[[str, str, datetime], Awaitable[int]]
"""Messages of a person (platform, id) since a time."""


class Access:
    """The owner's lists and limits. An entry is `platform:kind:id`, kind one of server, chat, role, person."""

    def __init__(self, settings: Settings, count: Count, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._count = count
        self._clock = clock
        self._allow = frozenset(settings.allow)
        self._deny = frozenset(settings.deny)
        self._admins = frozenset(settings.admins)
        self._recent: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def is_admin(self, address: Address, sender: Sender) -> bool:
        return _person(address, sender) in self._admins

    def is_denied(self, incoming: Incoming) -> bool:
        """On the deny list: such messages are not answered at all."""
        return bool(self._deny & set(_names(incoming))) and not self.is_admin(incoming.address, incoming.sender)

    async def check(self, incoming: Incoming) -> None:
        """Raises NotWelcome, TooFast or BudgetSpent. Counts the message."""
        address, sender, guest = incoming.address, incoming.sender, self._is_guest(incoming)
        if address.platform not in CHECKED or self.is_admin(address, sender):
            return
        if self.is_denied(incoming) or (self._allow and not self._allow & set(_names(incoming))):
            raise NotWelcome(text("not-on-list"))
        if guest and not incoming.group and not self._settings.guests_in_private:
            raise NotWelcome(text("guests-in-groups-only"))
        self._check_rate(address, sender, self._settings.guest_per_minute if guest else self._settings.messages_per_minute)
        limit = self._settings.guest_per_day if guest else self._settings.messages_per_day
        if limit and await self._count(address.platform, sender.platform_id, _midnight()) >= limit:
            raise BudgetSpent(text("budget-spent", limit=limit))

    def _is_guest(self, incoming: Incoming) -> bool:
        """Not on the list themselves, nor by a role; perhaps in a server or chat that is."""
        personal = {_person(incoming.address, incoming.sender), *_roles(incoming)}
        return not personal & self._allow

    def _check_rate(self, address: Address, sender: Sender, limit: int) -> None:
        if not limit:
            return
        key, now = (address.platform, sender.platform_id), self._clock()
        times = self._recent.setdefault(key, deque())
        self._recent.move_to_end(key)
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) >= limit:
            raise TooFast(text("too-fast", limit=limit))
        times.append(now)
        if len(self._recent) > REMEMBERED_PEOPLE:
            self._recent.popitem(last=False)


def _names(incoming: Incoming) -> Collection[str]:
    platform = incoming.address.platform
    names = [f"{platform}:chat:{incoming.address.chat_id}", _person(incoming.address, incoming.sender), *_roles(incoming)]
    if thread := incoming.address.thread_id:
        # Discord's threads have ids of their own, Telegram's topics only inside their group.
        names.append(f"{platform}:chat:{thread if platform == 'discord' else f'{incoming.address.chat_id}/{thread}'}")
    return [*names, f"{platform}:server:{incoming.server_id}"] if incoming.server_id else names


def _roles(incoming: Incoming) -> list[str]:
    return [f"{incoming.address.platform}:role:{role}" for role in incoming.sender.roles]


def _person(address: Address, sender: Sender) -> str:
    return f"{address.platform}:person:{sender.platform_id}"


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
