"""Two adapters side by side on the owner's page: what each says to examples, beside the pictures of these."""

from __future__ import annotations

import asyncio

from bot.chat.base import Address, Incoming, Sender, community
from bot.chat.web.asking import PLATFORM
from bot.chat.web.board import OWNER
from bot.chat.web.screen import Screen, shown
from bot.desk import Desk
from bot.errors import NotAllowed
from bot.retraining.words import Comparison, compared, question_of
from bot.store.choices import EVERYWHERE
from bot.store.records import StoredExample
from bot.teaching import Said
from bot.texts import DEFAULT, say, text

ADDRESS = Address(PLATFORM, OWNER)
HERE = community(ADDRESS, "")


class Comparing:
    """The comparison that was asked for last, in memory: shown until the next one, or the next start."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._screen = Screen(ADDRESS)
        self._found: Comparison | None = None
        self._asking: asyncio.Task[None] | None = None

    def begin(self, names: tuple[str, str]) -> None:
        """Raises NotTrained, and NotAllowed while another one is under way."""
        training = self._desk.training()
        if self._under_way:
            raise NotAllowed(text("compare-busy"))
        self._screen, self._found = Screen(ADDRESS), None

        async def asking() -> None:
            self._found = await training.compare(
                names, HERE, self._screen, self._desk.say, counted=EVERYWHERE, language=DEFAULT
            )

        self._asking = self._desk.aside(self._screen, Incoming(ADDRESS, Sender(OWNER, OWNER, DEFAULT), ""), asking())

    async def shown(self) -> dict[str, object]:
        """As it stands now: what is said as HTML, and the questions that were asked."""
        found = self._found
        return {
            "under_way": self._under_way,
            "said": self._screen.html() if found is None else shown(Said(compared(found, DEFAULT))),
            "questions": [] if found is None else await self._questions(found),
        }

    @property
    def _under_way(self) -> bool:
        return self._asking is not None and not self._asking.done()

    async def _questions(self, found: Comparison) -> list[dict[str, object]]:
        """What somebody had forgotten meanwhile, or may not be learnt from any more, is not shown."""
        labels = (say(DEFAULT, "compare-wanted"), *found.names)
        return [
            {
                "question": question_of(example),
                "pictures": pictures_of(example),
                "said": list(zip(labels, (example.answer, *answers), strict=True)),
            }
            for example, answers in found.answers
            if await self._desk.store.example(example.example_id, HERE) is not None
        ]


def pictures_of(example: StoredExample) -> list[str]:
    """Addresses, without a slash in front."""
    return [f"teaching/examples/{example.example_id}/{number}" for number in range(len(example.pictures))]
