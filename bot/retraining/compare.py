"""Two adapters side by side, by name: what each says to questions whose answers people taught."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import structlog

from bot.chat.place import Button, Place
from bot.errors import TurnTimeout, WorkerRefused
from bot.memory import PromptMessage, recall
from bot.retraining import words
from bot.settings import Settings
from bot.store import RememberedTurn, Store
from bot.store.records import StoredExample, Thumbs
from bot.texts import say, text
from bot.worker import ModelClient, Piece

COMPARE_SECONDS = 600.0
"""For all answers of a comparison together; Discord takes no answer to a command after 900."""
ANSWER_TOKENS = 200
"""Of one answer: its beginning is shown (words.LONGEST)."""

Tell = Callable[[Place, str, Sequence[Button]], Coroutine[Any, Any, bool]]
"""Says something at a place; whether it was said."""

log = structlog.get_logger(__name__)


class Comparisons:
    """Part of `bot.retraining.Retrainings`. Nothing of a comparison is stored: nobody asked these questions now."""

    _store: Store
    _settings: Settings
    _client: ModelClient

    async def compare(
        self, names: tuple[str, str], here: str, place: Place, tell: Tell, *, counted: str, language: str
    ) -> words.Comparison | None:
        """Ask both what was taught `here` and may be shown at `place`, and show it there. `counted`: where thumbs are counted.

        None: it was said there why they were not asked. Raises TurnError.
        """
        try:
            async with asyncio.timeout(COMPARE_SECONDS):
                return await self._compare(names, here, place, tell, counted, language)
        except TimeoutError:
            raise TurnTimeout(text("took-too-long-minutes", minutes=round(COMPARE_SECONDS / 60))) from None

    async def _compare(
        self, names: tuple[str, str], here: str, place: Place, tell: Tell, counted: str, language: str
    ) -> words.Comparison | None:
        examples = await self._store.newest_showable(here, place.address, words.SHOWN)
        if (refused := await self._refused(names, examples, language)) is not None:
            await tell(place, refused, ())
            return None
        first, second = names
        if not await tell(place, say(language, "compare-asking", first=first, second=second, questions=len(examples)), ()):
            return None
        for name in names:
            await self._client.load_adapter(name)  # so that an admin hears why it does not fit
        answers = [(example, await self._answers(names, example, here)) for example in examples]
        liked = await self._store.thumbs(counted)
        thumbs = (liked.get(first, Thumbs()), liked.get(second, Thumbs()))
        found = words.Comparison(names, thumbs, counted, tuple(answers))
        await tell(place, words.side_by_side(found, place, language), ())
        log.info("adapters compared", first=first, second=second, questions=len(answers), community=here)
        return found

    async def _refused(self, names: Sequence[str], examples: Sequence[StoredExample], language: str) -> str | None:
        """Why these two cannot be compared."""
        try:
            there = (await self._client.adapters()).names
        except WorkerRefused:
            return say(language, "adapters-none")
        for name in names:
            if name not in there:
                return say(language, "adapter-unknown", name=name, names=", ".join(there))
        return None if examples else say(language, "compare-nothing")

    async def _answers(self, names: tuple[str, str], example: StoredExample, here: str) -> tuple[str, str]:
        """One after the other: people who are waiting for answers come in between."""
        prompt = await self._prompt(example)
        first, second = [await self._answer(name, prompt, here) for name in names]
        return first, second

    async def _prompt(self, example: StoredExample) -> list[PromptMessage]:
        """As the first message of a conversation."""
        info = await self._client.info()
        return await recall(
            self._settings.system_prompt,
            [RememberedTurn("", example.question.strip(), pictures=example.pictures)],
            group=False,
            limit=info.context_length - min(ANSWER_TOKENS, info.context_length // 2),
            picture_tokens=info.picture_tokens,
            count=self._client.count_tokens,
        )

    async def _answer(self, name: str, prompt: Sequence[PromptMessage], here: str) -> str:
        stream = self._client.chat(
            prompt,
            request_id=f"compare-{secrets.token_hex(6)}",
            conversation=f"compare-{here}",
            max_tokens=min(ANSWER_TOKENS, (await self._client.info()).context_length // 2),
            temperature=0.0,
            adapter=name,
        )
        async with aclosing(stream):
            return "".join([event.text async for event in stream if isinstance(event, Piece)])
