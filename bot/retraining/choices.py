"""Which adapter answers where: chosen for everybody or for a community, tried with a part first, taken back, counted."""

from __future__ import annotations

import structlog

from bot.adapters import Adapters, Origin
from bot.errors import WorkerLost, WorkerRefused
from bot.store import Store
from bot.store.choices import EVERYWHERE
from bot.store.records import Choice, Thumbs
from bot.texts import say
from bot.worker import ModelClient

EVERYBODYS = "default"
"""What admins write for everybody's adapter, where their community has one of its own."""
TRIED_PERCENT, MOST_PERCENT = 10, 99
"""Of a hundred conversations that try an adapter, if nothing is said, and at most: with all of them it is no trial."""

log = structlog.get_logger(__name__)


class Choices:
    """Part of `bot.retraining.Retrainings`. `here` is a community. What is tried in one that has an adapter or a trial of its
    own is tried only there, and else wherever everybody's answers; the same goes for what is taken back."""

    _store: Store
    _client: ModelClient

    async def use(
        self, name: str, by: str, language: str, run_id: int | None = None, *, here: str = EVERYWHERE, said_in: str = EVERYWHERE
    ) -> str:
        """Answer with an adapter that is there, everywhere or `here` only (EVERYBODYS: no longer with one of its own); what
        the admin is told, who says it in the community `said_in`. It ends what was tried there."""
        there = await self._client.adapters()
        own = name if here == EVERYWHERE or name != EVERYBODYS else ""
        if own and own not in there.names:
            return say(language, "adapter-unknown", name=name, names=", ".join(there.names))
        if here == EVERYWHERE:
            before = there.default
            await self._switch(name)
        else:
            before = (await self._store.choice(here)).name
            await self._fits(own)
        await self._store.choose(here, own, before, by, run_id)
        log.info("adapter used", name=own or EVERYBODYS, before=before or EVERYBODYS, community=here, run=run_id)
        if not own:
            return say(language, "adapter-used-everybodys", name=there.default)
        if here != EVERYWHERE:
            return say(language, "adapter-used-here", name=own)
        stays = await self._stays(said_in, by)
        if stays != own and stays in there.names:  # one that went is answered for by everybody's
            return say(language, "adapter-used-elsewhere", name=own, own=stays)
        return say(language, "adapter-used", name=own)

    async def _stays(self, community: str, by: str) -> str:
        """The adapter that a community keeps for itself while everybody's changes, "" for none: then what was tried there
        beside everybody's has ended, too, for /adapters back is to take back the change."""
        if community == EVERYWHERE:
            return ""
        choice = await self._store.choice(community)
        if choice.tried and not choice.name:
            await self._store.end_trial(community, by)
        return choice.name

    async def attempt(
        self, name: str, percent: int, by: str, language: str, *, here: str, only_here: bool = False, run_id: int | None = None
    ) -> str:
        """Answer a part of the conversations with an adapter first; what the admin is told. `only_here`: also where everybody's
        adapter answers."""
        there = await self._client.adapters()
        if name not in there.names:
            return say(language, "adapter-unknown", name=name, names=", ".join(there.names))
        if not 1 <= percent <= MOST_PERCENT:
            return say(language, "adapter-try-how", most=MOST_PERCENT)
        scope, choice = (here, await self._store.choice(here)) if only_here else await self._in_force(here)
        if name == (choice.name or there.default):
            return say(language, "adapter-answers-already", name=name)
        await self._fits(name)
        await self._store.try_adapter(scope, name, percent, by, run_id)
        log.info("adapter tried", name=name, percent=percent, community=scope)
        return say(language, "adapter-tried", name=name, percent=percent, where=where(scope))

    async def back(self, by: str, language: str, *, here: str = EVERYWHERE) -> str:
        """End what is tried; or else answer with the one that answered before."""
        scope, choice = await self._in_force(here)
        now = choice.name or (await self._client.adapters()).default
        if choice.tried:
            await self._store.end_trial(scope, by)
            log.info("trial ended", name=choice.tried, community=scope)
            return say(language, "adapter-trial-ended", tried=choice.tried, name=now)
        previous = await self._store.previous_adapter(scope, now)
        if previous is None:
            return say(language, "adapter-no-way-back", name=now)
        return await self.use(previous or EVERYBODYS, by, language, here=scope)

    async def answering(self, here: str) -> str:
        """Name of the one that answers in a community. Raises WorkerRefused: the model server knows of none."""
        return await self._answering(here, await self._client.adapters())

    async def _answering(self, here: str, there: Adapters) -> str:
        own = (await self._store.choice(here)).name
        return own if own in there.names else there.default

    async def overview(self, language: str, *, here: str = EVERYWHERE, counted: str | None = None) -> str:
        """Which adapters there are, and which one answers. `counted`: where thumbs are counted, None for nowhere."""
        try:
            there = await self._client.adapters()
        except WorkerRefused:
            return say(language, "adapters-none")
        choice, everywhere = await self._store.choices_for(here) if here else (Choice(), await self._store.choice(EVERYWHERE))
        thumbs = None if counted is None else await self._store.thumbs(counted)
        lines = [_line(name, there, choice.name, thumbs, language) for name in there.names]
        if thumbs is not None:
            lines.append(say(language, "adapters-counted", where=where(counted or EVERYWHERE)))
        for scope, trial, now in ((here, choice, choice.name or there.default), (EVERYWHERE, everywhere, there.default)):
            if trial.tried:
                lines += await self._trial(scope, trial, now, counted, language)
        return "\n".join([say(language, "adapters"), *lines])

    async def _trial(self, scope: str, trial: Choice, now: str, counted: str | None, language: str) -> list[str]:
        since = f"{trial.since:%Y-%m-%d %H:%M} UTC"
        said = say(language, "adapters-trial", since=since, name=trial.tried, percent=trial.percent, where=where(scope))
        if counted is None:
            return ["", said]
        thumbs = await self._store.thumbs(scope or counted, trial.since)
        shown = [f"- {name} {shown_thumbs(thumbs.get(name, Thumbs()))}" for name in (now, trial.tried)]
        return ["", f"{said} {say(language, 'adapters-since')}", *shown]

    async def _in_force(self, here: str) -> tuple[str, Choice]:
        """Where what is decided in a community counts, and what was chosen there."""
        own, everywhere = await self._store.choices_for(here)
        return (here, own) if here and (own.name or own.tried) else (EVERYWHERE, everywhere)

    async def _switch(self, name: str) -> None:
        """For everybody. A worker that dies meanwhile may have kept the choice: then it was made, and has to be noted here."""
        try:
            await self._client.use_adapter(name)
        except WorkerLost:
            if (await self._client.adapters()).default != name:
                raise

    async def _fits(self, name: str) -> None:
        """Loaded now, so that an admin hears why it does not fit, and nobody waits for it later."""
        if name:
            await self._client.load_adapter(name)


def shown_thumbs(thumbs: Thumbs) -> str:
    return f"👍 {thumbs.up} 👎 {thumbs.down}"


def where(scope: str) -> str:
    """A variant of the catalogue."""
    return "everywhere" if scope == EVERYWHERE else "here"


def _line(name: str, there: Adapters, own: str, thumbs: dict[str, Thumbs] | None, language: str) -> str:
    places = [key for key, answers in (("here", own), ("everywhere", there.default)) if name == answers]
    shown = f"**{name}** ← {', '.join(say(language, f'adapters-{key}') for key in places)}" if places else name
    liked = f" {shown_thumbs(thumbs.get(name, Thumbs()))}" if thumbs is not None else ""
    return f"- {shown}{liked}{_shown_origin(there.origins.get(name, Origin()), language)}"


def _shown_origin(origin: Origin, language: str) -> str:
    if not origin.made:
        return ""
    return f" – {say(language, 'adapters-origin', parent=origin.parent, date=origin.made) if origin.parent else origin.made}"
