"""Retrainings as admins see them: asked for, watched, judged, decided. One at a time; the others wait."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from bot.chat.base import Address
from bot.chat.place import Button, Place
from bot.errors import JnanaError, NotTrained, WorkerRefused
from bot.retraining import words
from bot.retraining.lessons import example_of, write
from bot.retraining.shown import Shown
from bot.retraining.trainer import ARTEFACT, RUN, Trainer, TrainerError, Verdict
from bot.settings import Settings
from bot.store import Store
from bot.store.records import RunState, StoredRun
from bot.teaching import Said
from bot.texts import say, text
from bot.turn import told
from bot.worker import ModelClient

LESSONS = "lessons"
NONE = "none"
"""The adapter that is none (model/shelf.py)."""

OPEN: tuple[RunState, ...] = ("queued", "running", "judged")
"""Runs that something is still to be done for, by us."""
EVERY: tuple[RunState, ...] = ("preparing", *OPEN, "told", "failed", "cancelled", "used", "dropped")

Tell = Callable[[Place, str, Sequence[Button]], Coroutine[Any, Any, bool]]
"""Says something at a place; whether it was said."""
MakePlace = Callable[[Address, str], Place]

log = structlog.get_logger(__name__)


class Retrainings:
    """Implements `bot.privacy.PersonalData`, too: what was written out for training is derived from what people said."""

    def __init__(self, store: Store, settings: Settings, trainer: Trainer, client: ModelClient) -> None:
        self._store = store
        self._settings = settings
        self._trainer = trainer
        self._client = client
        self._one = asyncio.Lock()
        """Held by the run that trains."""
        self._changing = asyncio.Lock()
        """Held while it is decided what becomes of runs: nobody is forgotten between two halves of a beginning."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopping: set[int] = set()
        self._ways: dict[int, tuple[Place, Tell]] = {}

    # --- What admins do ---

    async def begin(self, here: str, place: Place, tell: Tell, *, by: str, note: str, language: str) -> None:
        """Retrain on what was taught `here`, and show at `place` how it goes. Raises NotTrained: there is nothing to learn, or
        nothing to go on from."""
        try:
            start = (await self._client.adapters()).default
        except WorkerRefused:
            raise NotTrained(text("retrain-not-here")) from None
        if start == NONE or self._settings.model_url:
            raise NotTrained(text("retrain-not-here" if self._settings.model_url else "retrain-no-start"))
        async with self._changing:
            examples = await self._store.usable(here)
            if not examples:
                raise NotTrained(text("retrain-nothing"))
            run = await self._store.add_run(
                self._settings.model_preset,
                here,
                place.address,
                start=start,
                by=by,
                note=note,
                language=language,
                examples=[example.example_id for example in examples],
            )
            try:
                shown = words.queued if self._one.locked() else words.preparing
                message_id = await place.send(shown(run, len(examples)), words.cancel_button(run))
            except BaseException:
                await self._store.set_run(run.run_id, "cancelled")
                raise
            await self._store.set_run(run.run_id, "queued", message_id=message_id)
            self._launch(run.run_id, place, tell)

    async def resume(self, platform: str, make_place: MakePlace, tell: Tell) -> None:
        """Go on with what a restart interrupted, and tell what nobody was told. Whenever a platform is connected."""
        async with self._changing:
            for run in await self._store.runs(OPEN):
                if run.address.platform == platform and run.run_id not in self._tasks:
                    self._launch(run.run_id, make_place(run.address, ""), tell)

    async def press(self, verb: str, run_id: int, by: str, language: str) -> Said:
        """A button of a retraining's message: what it says from now on."""
        async with self._changing:
            run = await self._store.run(run_id)
            if run is None:
                return Said(say(language, "not-here"))
            if verb == "retrain-cancel":
                return await self._cancel(run, language)
            verdict = await asyncio.to_thread(Verdict.read, self._folder(run))
            if verdict is None or not verdict.offered or run.state not in ("judged", "told"):
                return Said(say(language, "retrain-decided"))
            if verb.startswith("retrain-blind"):
                return words.revealed(run, verdict, verb.removeprefix("retrain-blind-"), language)
            if verb == "retrain-drop":
                await self._store.set_run(run_id, "dropped")
                return Said(say(language, "retrain-dropped", number=run_id))
            return await self._use(run, verdict, by, language)

    async def use(self, name: str, by: str, language: str, run_id: int | None = None) -> str:
        """Answer with an adapter that is there; what the admin is told."""
        before = await self._client.adapters()
        if name not in before.names:
            return say(language, "adapter-unknown", name=name, names=", ".join(before.names))
        await self._client.use_adapter(name)
        if name != before.default:
            await self._store.note_use(name, before.default, by, run_id)
            log.info("adapter used", name=name, before=before.default, run=run_id)
        return say(language, "adapter-used", name=name)

    async def back(self, by: str, language: str) -> str:
        """Answer with the one that answered before."""
        now = (await self._client.adapters()).default
        previous = await self._store.previous_adapter(now)
        if previous is None:
            return say(language, "adapter-no-way-back", name=now)
        return await self.use(previous, by, language)

    async def overview(self, language: str) -> str:
        """Which adapters there are, and which one answers."""
        try:
            there = await self._client.adapters()
        except WorkerRefused:
            return say(language, "adapters-none")
        lines = [f"- **{name}** ←" if name == there.default else f"- {name}" for name in there.names]
        return "\n".join([say(language, "adapters"), *lines])

    async def close(self) -> None:
        """Stop what is being trained; it goes on after the next start."""
        await asyncio.gather(*(self._stop(run_id) for run_id in list(self._tasks)))

    # --- What people decide about theirs ---

    async def withdrawn(self, platform: str, platform_id: str) -> None:
        """Somebody took back their yes: runs that learn from something of theirs, and nobody decided about yet, end."""
        async with self._changing:
            for run in await self._with_theirs(platform, platform_id, ("preparing", *OPEN, "told")):
                await self._abandon(run)
                if run.run_id in self._ways:
                    place, tell = self._ways[run.run_id]
                    await tell(place, say(run.language, "retrain-withdrawn", number=run.run_id), ())

    async def forget(self, platform: str, platform_id: str) -> int:
        """Called before the store forgets which examples were theirs: of runs that saw one, only the weights stay."""
        async with self._changing:
            for run in await self._with_theirs(platform, platform_id, EVERY):
                await self._abandon(run)
        return 0

    async def export(self, platform: str, platform_id: str) -> dict[str, Any]:
        """Which adapters learnt from something of theirs."""
        saw = await self.saw(platform, platform_id)
        return {"adapters": saw} if saw else {}

    async def saw(self, platform: str, platform_id: str) -> list[str]:
        """Names of the adapters that learnt from something of a person's, or go on from one that did."""
        theirs = await self._store.examples_of(platform, platform_id)
        used: tuple[RunState, ...] = ("used",)
        saw: list[str] = []
        for run in await self._store.runs(used):  # an adapter is older than those that go on from it
            if run.start in saw or theirs.intersection(run.examples):
                saw.append(run.folder)
        return saw

    async def _with_theirs(self, platform: str, platform_id: str, states: Collection[RunState]) -> list[StoredRun]:
        theirs = await self._store.examples_of(platform, platform_id)
        return [run for run in await self._store.runs(states) if theirs.intersection(run.examples)]

    async def _abandon(self, run: StoredRun) -> None:
        await self._stop(run.run_id)
        await asyncio.to_thread(_clear, self._folder(run))
        if run.state not in ("used", "dropped", "failed"):
            await self._store.set_run(run.run_id, "cancelled")

    # --- One run ---

    def _launch(self, run_id: int, place: Place, tell: Tell) -> None:
        task = asyncio.create_task(self._owned(run_id, place, tell), name=f"retraining-{run_id}")
        self._tasks[run_id], self._ways[run_id] = task, (place, tell)
        task.add_done_callback(lambda _: self._tasks.pop(run_id, None))

    async def _owned(self, run_id: int, place: Place, tell: Tell) -> None:
        try:
            async with self._one:
                await self._run(run_id, place, tell)
        except JnanaError as error:
            log.warning("retraining not noted", run=run_id, reason=error.sentence)
        except Exception:
            log.exception("retraining failed", run=run_id)

    async def _run(self, run_id: int, place: Place, tell: Tell) -> None:
        run = await self._store.run(run_id)
        if run is None or run.state not in OPEN:
            return
        failure, verdict = run.failure, None
        if not failure:
            try:
                verdict = await self._trained(run, place)
            except (TrainerError, OSError, ValueError, KeyError, TypeError) as error:
                failure = error.sentence if isinstance(error, TrainerError) else f"{type(error).__name__}; the log says more."
                log.warning("retraining failed", run=run_id, error=type(error).__name__)
            await self._store.set_run(run_id, "judged", failure=failure)
        if verdict is None:
            said, then = Said(say(run.language, "retrain-failed", number=run_id, reason=failure)), "failed"
        else:
            said, then = (
                words.verdict(run, await self._shareable(run, verdict), place),
                "told" if verdict.offered else "dropped",
            )
        if await tell(place, said.words, said.buttons):  # else at the next connection
            ended: RunState = then  # type: ignore[assignment]  # mypy widens it
            await self._store.set_run(run_id, ended, failure=failure)

    async def _trained(self, run: StoredRun, place: Place) -> Verdict:
        """Its verdict; what was done before a restart is not done again."""
        folder = self._folder(run)
        verdict = await asyncio.to_thread(Verdict.read, folder)
        if verdict is not None:
            return verdict
        await self._store.set_run(run.run_id, "running")
        if not await asyncio.to_thread((folder / RUN).exists):
            # Now, not when it was asked for: a yes may have been taken back meanwhile.
            usable = [one for one in await self._store.usable(run.community) if one.example_id in run.examples]
            await asyncio.to_thread(write, usable, folder / LESSONS, self._settings.attachments)
        shown = Shown(place, run)
        try:
            return await self._trainer.retrain(folder / LESSONS, folder, run.start, shown.hear)
        finally:
            await shown.close()

    async def _shareable(self, run: StoredRun, verdict: Verdict) -> Verdict:
        """With those questions only that were asked where the comparison is shown: other channels may be private."""
        chats = await self._store.chats_of([example_of(one.id) for one in verdict.answers])
        here = tuple(one for one in verdict.answers if chats.get(example_of(one.id)) in (None, run.address.chat_id))
        return replace(verdict, answers=here)

    async def _cancel(self, run: StoredRun, language: str) -> Said:
        if run.state not in ("queued", "running"):
            return Said(say(language, "retrain-decided"))
        await self._stop(run.run_id)
        await self._store.set_run(run.run_id, "cancelled")
        return Said(say(language, "retrain-cancelled", number=run.run_id))

    async def _stop(self, run_id: int) -> None:
        """Once: a second cancellation would cut short the first one's waiting for the process."""
        task = self._tasks.get(run_id)
        if task is None:
            return
        if run_id not in self._stopping:
            self._stopping.add(run_id)
            task.cancel()
        await asyncio.wait({task})
        self._stopping.discard(run_id)

    async def _use(self, run: StoredRun, verdict: Verdict, by: str, language: str) -> Said:
        try:
            name = await self._trainer.install(self._folder(run) / ARTEFACT)
            said = await self.use(name, by, language, run.run_id)
        except (TrainerError, JnanaError) as error:
            reason = error.sentence if isinstance(error, TrainerError) else told(error, language)
            shown = words.revealed(run, verdict, "", language)
            return Said(f"{say(language, 'retrain-failed', number=run.run_id, reason=reason)}\n\n{shown.words}", shown.buttons)
        await self._store.set_run(run.run_id, "used")
        return Said(said)

    def _folder(self, run: StoredRun) -> Path:
        return self._settings.jnana_home / "retraining" / run.folder


def _clear(folder: Path) -> None:
    """All but the weights: nothing that repeats people's words. Blocking."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path.name != ARTEFACT:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink(missing_ok=True)
