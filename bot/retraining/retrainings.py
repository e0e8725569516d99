"""Retrainings as admins see them: asked for, watched, judged, decided. One at a time; the others wait."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from bot.chat.base import Address
from bot.chat.place import Button, Place, PlaceError
from bot.errors import JnanaError, NotTrained, WorkerRefused
from bot.retraining import words
from bot.retraining.lessons import write
from bot.retraining.trainer import ARTEFACT, Progress, Trainer, TrainerError, Verdict
from bot.settings import Settings
from bot.store import Store
from bot.store.records import RunState, StoredRun
from bot.teaching import Said
from bot.texts import say, text
from bot.worker import ModelClient

EDIT_EVERY = 5.0
"""Seconds between two edits of the message that shows how far a run is: it is watched for hours."""

LESSONS = "lessons"
KEPT = (ARTEFACT, "run.json", "metrics.jsonl", "config.yaml")
"""Of a run's folder when somebody in it is forgotten: nothing that repeats people's words."""

Tell = Callable[[Place, str, Sequence[Button]], Coroutine[Any, Any, None]]
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
        self._tasks: dict[int, asyncio.Task[None]] = {}

    # --- What admins do ---

    async def begin(self, here: str, place: Place, tell: Tell, *, by: str, note: str, language: str) -> None:
        """Retrain on what was taught `here`, and show at `place` how it goes. Raises NotTrained: there is nothing to learn."""
        examples = await self._store.usable(here)
        if not examples:
            raise NotTrained(text("retrain-nothing"))
        run = await self._store.add_run(
            self._settings.model_preset,
            here,
            place.address,
            by=by,
            note=note,
            language=language,
            examples=[example.example_id for example in examples],
        )
        await asyncio.to_thread(write, examples, self._folder(run.run_id) / LESSONS, self._settings.attachments)
        shown = words.queued(run, len(examples)) if self._one.locked() else words.preparing(run, len(examples))
        message_id = await place.send(shown, words.cancel_button(run))
        await self._store.set_run(run.run_id, "queued", message_id=message_id)
        await self._launch(run.run_id, place, tell)

    async def resume(self, platform: str, make_place: MakePlace, tell: Tell) -> None:
        """Go on with what a restart interrupted, and tell what nobody was told. Whenever a platform is connected."""
        for run in await self._store.runs(("queued", "running", "judged")):
            if run.address.platform == platform and run.run_id not in self._tasks:
                await self._launch(run.run_id, make_place(run.address, ""), tell)

    async def press(self, verb: str, run_id: int, by: str, language: str) -> Said:
        """A button of a retraining's message: what it says from now on."""
        run = await self._store.run(run_id)
        if run is None:
            return Said(say(language, "not-here"))
        if verb == "retrain-cancel":
            return await self._cancel(run, language)
        verdict = await asyncio.to_thread(Verdict.read, self._folder(run_id))
        if verdict is None or not verdict.offered or run.state not in ("judged", "told"):
            return Said(say(language, "retrain-decided"))
        if verb.startswith("retrain-blind"):
            return words.revealed(run, verdict, verb.removeprefix("retrain-blind-"), language)
        if verb == "retrain-drop":
            await self._store.set_run(run_id, "dropped")
            return Said(say(language, "retrain-dropped", number=run_id))
        return await self._use(run, by, language)

    async def use(self, name: str, by: str, language: str) -> str:
        """Answer with an adapter that is there; what the admin is told."""
        before = await self._client.adapters()
        if name not in before.names:
            return say(language, "adapter-unknown", name=name, names=", ".join(before.names))
        await self._client.use_adapter(name)
        await self._store.note_use(name, before.default, by)
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
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # --- bot.privacy.PersonalData ---

    async def forget(self, platform: str, platform_id: str) -> int:
        """Called before the store forgets which examples were theirs: of runs that saw one, only weights and figures stay."""
        theirs = await self._store.examples_of(platform, platform_id)
        for run in await self._store.runs(("queued", "running", "judged", "told", "used", "dropped", "failed", "cancelled")):
            if theirs.intersection(run.examples):
                await self._stop(run.run_id)
                await asyncio.to_thread(_clear, self._folder(run.run_id))
                if run.state in ("queued", "running", "judged", "told"):
                    await self._store.set_run(run.run_id, "cancelled")
        return 0

    async def export(self, platform: str, platform_id: str) -> dict[str, Any]:
        saw = await self.saw(platform, platform_id)
        return {"adapters": saw} if saw else {}

    async def saw(self, platform: str, platform_id: str) -> list[str]:
        """Names of the adapters that learnt from something of a person's."""
        theirs = await self._store.examples_of(platform, platform_id)
        used: tuple[RunState, ...] = ("used",)
        runs = await self._store.runs(used)
        return await self._store.adapters_of([run.run_id for run in runs if theirs.intersection(run.examples)])

    # --- One run ---

    async def _launch(self, run_id: int, place: Place, tell: Tell) -> None:
        task = asyncio.create_task(self._owned(run_id, place, tell), name=f"retraining-{run_id}")
        self._tasks[run_id] = task
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
        if run is None or run.state not in ("queued", "running", "judged"):
            return
        folder = self._folder(run_id)
        verdict = await asyncio.to_thread(Verdict.read, folder)
        if verdict is None:
            await self._store.set_run(run_id, "running")
            shown = _Shown(place, run)
            try:
                verdict = await self._trainer.retrain(folder / LESSONS, folder, shown.hear)
            except TrainerError as error:
                await self._store.set_run(run_id, "failed", failure=error.sentence)
                await tell(place, say(run.language, "retrain-failed", number=run_id, reason=error.sentence), ())
                return
            finally:
                await shown.close()
            await self._store.set_run(run_id, "judged")
        said = words.verdict(run, verdict)
        await tell(place, said.words, said.buttons)
        await self._store.set_run(run_id, "told" if verdict.offered else "dropped")

    async def _cancel(self, run: StoredRun, language: str) -> Said:
        if run.state not in ("queued", "running"):
            return Said(say(language, "retrain-decided"))
        await self._stop(run.run_id)
        await self._store.set_run(run.run_id, "cancelled")
        return Said(say(language, "retrain-cancelled", number=run.run_id))

    async def _stop(self, run_id: int) -> None:
        if (task := self._tasks.get(run_id)) is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _use(self, run: StoredRun, by: str, language: str) -> Said:
        before = (await self._client.adapters()).default
        try:
            name = await self._trainer.adopt(self._folder(run.run_id) / ARTEFACT)
        except TrainerError as error:
            return Said(say(language, "retrain-failed", number=run.run_id, reason=error.sentence))
        await self._store.note_use(name, before, by, run.run_id)
        await self._store.set_run(run.run_id, "used")
        log.info("adapter used", name=name, before=before, run=run.run_id)
        return Said(say(language, "adapter-used", name=name))

    def _folder(self, run_id: int) -> Path:
        return self._settings.jnana_home / "retraining" / f"retrained-{run_id}"


class _Shown:
    """The message that shows how far a run is: edited now and then, and a failed edit is no matter."""

    def __init__(self, place: Place, run: StoredRun) -> None:
        self._place = place
        self._run = run
        self._newest: Progress | None = None
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._show(), name=f"retraining-{run.run_id}-shown")

    def hear(self, progress: Progress) -> None:
        self._newest = progress
        self._news.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _show(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            began = monotonic()
            assert self._newest is not None  # noqa: S101  # there are news
            with suppress(PlaceError):
                shown = words.progress(self._run, self._newest)
                await self._place.edit(self._run.message_id, shown, words.cancel_button(self._run))
            await asyncio.sleep(max(0.0, max(EDIT_EVERY, self._place.clock) - (monotonic() - began)))


def _clear(folder: Path) -> None:
    """Blocking."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
