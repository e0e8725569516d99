"""Retrainings as admins see them: asked for, watched, judged, decided. One at a time; the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import time

import structlog

from bot.adapters import Adapters, Origin
from bot.chat.base import Address
from bot.chat.place import Place, PlaceError
from bot.errors import JnanaError, NotTrained, WorkerRefused
from bot.retraining import curve, words
from bot.retraining.choices import TRIED_PERCENT, Choices
from bot.retraining.compare import Comparisons, Tell
from bot.retraining.hours import Hours
from bot.retraining.left import KEPT, clear
from bot.retraining.lessons import LEAST, LESSONS, distinct, example_of, write
from bot.retraining.shown import Shown
from bot.retraining.theirs import EVERY, OPEN, UNDECIDED, Theirs
from bot.retraining.trainer import ARTEFACT, RUN, Progress, Trainer, TrainerError, Verdict
from bot.settings import Settings
from bot.store import Store
from bot.store.choices import EVERYWHERE
from bot.store.records import RunState, StoredExample, StoredRun, Thumbs
from bot.teaching import Said
from bot.texts import Text, say, text
from bot.turn import told
from bot.worker import ModelClient

NONE = "none"
"""The adapter that is none (model/shelf.py)."""

TELL_PAUSES = (30.0, 60.0, 120.0, 240.0, 480.0, 960.0)
"""Seconds between two tries to tell how a run ended; after the last one it waits for the next connection. Platforms that are
flooded ask for a minute mostly, and say no word when it is over."""

MakePlace = Callable[[Address, str], Place]

log = structlog.get_logger(__name__)


class Retrainings(Choices, Comparisons, Theirs):
    """What becomes of runs. Owns a task for each that is under way."""

    def __init__(self, store: Store, settings: Settings, trainer: Trainer, client: ModelClient) -> None:
        self._store = store
        self._settings = settings
        self._trainer = trainer
        self._client = client
        self._hours = Hours.read(settings.retrain_hours)
        self._one = asyncio.Lock()
        """Held by the run that trains."""
        self._changing = asyncio.Lock()
        """Held while it is decided what becomes of runs: nobody is forgotten between two halves of a beginning."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopping: set[int] = set()
        self._untold: set[int] = set()
        """Runs whose task waits until it tries once more to tell."""
        self._ways: dict[int, tuple[Place, Tell]] = {}

    # --- What admins do ---

    async def begin(self, here: str, place: Place, tell: Tell, *, by: str, note: str, language: str) -> None:
        """Retrain on what was taught `here` and what others share, and show at `place` how it goes. Raises NotTrained: there is
        nothing to learn, or nothing to go on from."""
        try:
            there = await self._client.adapters()
        except WorkerRefused:
            raise NotTrained(text("retrain-not-here")) from None
        start = await self._answering(here, there)
        if start == NONE or self._settings.model_url:
            raise NotTrained(text("retrain-not-here" if self._settings.model_url else "retrain-no-start"))
        async with self._changing:
            examples = await self._store.learnable(here)
            if not examples:
                raise NotTrained(text("retrain-nothing"))
            pictures_only = there.origins.get(start, Origin()).pictures_only
            learnt = [example for example in examples if example.pictures or not pictures_only]
            if few := _too_few(learnt, len(examples) - len(learnt)):  # now, not after others have trained or in the quiet hours
                raise NotTrained(few)
            run = await self._store.add_run(
                self._settings.model_preset,
                here,
                place.address,
                start=start,
                by=by,
                note=note,
                language=language,
                examples=[example.example_id for example in learnt],
            )
            try:
                await self._enqueue(run, place, tell)
            except BaseException:
                await self._store.set_run(run.run_id, "cancelled")
                raise

    async def resume(self, platform: str, make_place: MakePlace, tell: Tell) -> None:
        """Go on with what a restart interrupted, and tell what nobody was told. Whenever a platform is connected.

        A run with something of theirs who took back their yes ends now: we may have died before `withdrawn`, or before what a
        run leaves was tidied away."""
        ended = []
        async with self._changing:
            for run in await self._store.runs(EVERY):
                if run.address.platform != platform:
                    continue
                if run.run_id in self._untold:  # now it can be told, and at the place that there is now
                    await self._stop(run.run_id)
                if run.run_id in self._tasks:
                    continue
                await self._tidy(run, run.state)
                if run.state in UNDECIDED and not await self._is_allowed(run):
                    await self._abandon(run)
                    self._ways[run.run_id] = make_place(run.address, ""), tell
                    ended.append(run)
                elif run.state in OPEN:
                    self._launch(run.run_id, make_place(run.address, ""), tell)
        await self._tell_ended(ended)

    async def standing(self, platform: str, place: Place) -> list[tuple[StoredRun, Said]]:
        """What is shown of runs that are under way or to be decided about, oldest first: for a platform that keeps no
        messages itself."""
        runs = [run for run in await self._store.runs((*OPEN, "told")) if run.address.platform == platform]
        return [(run, await self._standing(run, place)) for run in runs]

    async def _standing(self, run: StoredRun, place: Place) -> Said:
        verdict = await asyncio.to_thread(Verdict.read, self._folder(run)) if run.state == "told" else None
        if verdict is None:
            return Said(words.progress(run, Progress()), words.cancel_button(run))
        return words.verdict(run, await self._shareable(run, verdict), place)

    async def press(self, verb: str, run_id: int, by: str, language: str, make_place: MakePlace, tell: Tell) -> Said:
        """A button of a retraining's message: what it says from now on."""
        async with self._changing:
            run = await self._store.run(run_id)
            if run is None:
                return Said(say(language, "not-here"))
            if verb == "retrain-cancel":
                return await self._cancel(run, language)
            if verb == "retrain-again":
                return await self._again(run, language, make_place, tell)
            verdict = await asyncio.to_thread(Verdict.read, self._folder(run))
            if verdict is None or not verdict.offered or run.state not in ("judged", "told"):
                return Said(say(language, "retrain-decided"))
            if verb.startswith("retrain-blind"):
                thumbs = await self._thumbs(run)
                return words.revealed(run, verdict, verb.removeprefix("retrain-blind-"), language, thumbs)
            if verb == "retrain-drop":
                await self._end(run, "dropped")
                return Said(say(language, "retrain-dropped", number=run_id))
            return await self._use(verb, run, verdict, by, language)

    async def adapters(self) -> Adapters | None:
        """None: the model server knows of none."""
        try:
            return await self._client.adapters()
        except WorkerRefused:
            return None

    async def close(self) -> None:
        """Stop what is being trained; it goes on after the next start."""
        await asyncio.gather(*(self._stop(run_id) for run_id in list(self._tasks)))

    # --- One run ---

    async def _enqueue(self, run: StoredRun, place: Place, tell: Tell) -> None:
        shown = words.queued if self._one.locked() else words.preparing
        own = {example.example_id for example in await self._store.usable(run.community)}
        message_id = await place.send(shown(run, len(set(run.examples) - own)), words.cancel_button(run))
        await self._store.set_run(run.run_id, "queued", message_id=message_id)
        self._launch(run.run_id, place, tell)

    def _launch(self, run_id: int, place: Place, tell: Tell) -> None:
        task = asyncio.create_task(self._owned(run_id, place, tell), name=f"retraining-{run_id}")
        self._tasks[run_id], self._ways[run_id] = task, (place, tell)
        task.add_done_callback(lambda _: self._tasks.pop(run_id, None))

    async def _owned(self, run_id: int, place: Place, tell: Tell) -> None:
        try:
            if not await self._is_judged(run_id):
                async with self._one:
                    await self._judge(run_id, place)
            await self._announce(run_id, place, tell)
        except JnanaError as error:
            log.warning("retraining not noted", run=run_id, reason=error.sentence)
        except Exception:
            log.exception("retraining failed", run=run_id)

    async def _is_judged(self, run_id: int) -> bool:
        """Whether nothing is left but to tell it: then nobody who trains has to be waited for."""
        run = await self._store.run(run_id)
        return run is not None and run.state == "judged" and bool(run.failure or await self._verdict(run))

    async def _judge(self, run_id: int, place: Place) -> None:
        run = await self._store.run(run_id)
        if run is None or run.state not in OPEN:
            return
        failure = ""
        try:
            await self._trained(run, place)
        except (TrainerError, OSError, ValueError, KeyError, TypeError) as error:
            unforeseen = f"{type(error).__name__}; the log says more."
            failure = error.told(run.language) if isinstance(error, TrainerError) else unforeseen
            log.warning("retraining failed", run=run_id, error=type(error).__name__)
        await self._store.set_run(run_id, "judged", failure=failure)

    async def _announce(self, run_id: int, place: Place, tell: Tell) -> None:
        """Tell how it ended; as often as TELL_PAUSES has it, then at the next connection."""
        run = await self._store.run(run_id)
        if run is None or run.state != "judged":
            return
        verdict = None if run.failure else await self._verdict(run)
        if not await self._told(run, verdict, place, tell):
            log.warning("retraining not told", run=run_id)
            return
        ended: RunState = "failed" if verdict is None else "told" if verdict.offered else "dropped"
        await self._store.set_run(run_id, ended, failure=run.failure)
        if verdict is not None:
            await self._show_curve(run, place)
            await self._tidy(run, ended)

    async def _told(self, run: StoredRun, verdict: Verdict | None, place: Place, tell: Tell) -> bool:
        for pause in (*TELL_PAUSES, None):
            said = await self._outcome(run, verdict, place)  # anew: what may be shown changes
            if await tell(place, said.words, said.buttons):
                return True
            if pause is not None:
                await self._wait_untold(run.run_id, pause)
        return False

    async def _wait_untold(self, run_id: int, seconds: float) -> None:
        """Here, and not while it is being told, `resume` may begin anew: nothing is said twice."""
        self._untold.add(run_id)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._untold.discard(run_id)

    async def _outcome(self, run: StoredRun, verdict: Verdict | None, place: Place) -> Said:
        if verdict is None:
            return words.failed(run, run.failure)
        return words.verdict(run, await self._shareable(run, verdict), place, await self._thumbs(run))

    async def _verdict(self, run: StoredRun) -> Verdict | None:
        """None: there is none, or none that can be read."""
        try:
            return await asyncio.to_thread(Verdict.read, self._folder(run))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    async def _trained(self, run: StoredRun, place: Place) -> Verdict:
        """Its verdict; what was done before a restart is not done again."""
        folder = self._folder(run)
        verdict = await asyncio.to_thread(Verdict.read, folder)
        if verdict is not None:
            return verdict
        await self._hours.wait(lambda begin: self._show_waiting(run, place, begin))
        await self._store.set_run(run.run_id, "running")
        if not await asyncio.to_thread((folder / RUN).exists):
            async with self._changing:  # a thread goes on writing after its task was cancelled: nothing is forgotten meanwhile
                await self._write_lessons(run)
        shown = Shown(place, run)
        try:
            async with self._hours.last():
                return await self._trainer.retrain(folder / LESSONS, folder, run.start, shown.hear)
        except TimeoutError:
            log.info("retraining paused until its hours", run=run.run_id)
        finally:
            await shown.close()
        return await self._trained(run, place)

    async def _write_lessons(self, run: StoredRun) -> None:
        """Now, not when it was asked for: a yes may have been taken back meanwhile, or what others shared."""
        still = [one for one in await self._store.learnable(run.community) if one.example_id in run.examples]
        if few := _too_few(still):
            raise TrainerError(few)
        await asyncio.to_thread(write, still, self._folder(run) / LESSONS, self._settings.attachments)

    async def _show_waiting(self, run: StoredRun, place: Place, begin: time) -> None:
        with suppress(PlaceError):
            await place.edit(run.message_id, words.waiting(run, begin), words.cancel_button(run))

    async def _show_curve(self, run: StoredRun, place: Place) -> None:
        """No matter if it cannot be shown."""
        try:
            drawn = await asyncio.to_thread(curve.draw, self._folder(run))
            if drawn is not None:
                await place.send_picture(f"{run.folder}.png", drawn, say(run.language, "retrain-curve", number=run.run_id))
        except (PlaceError, OSError, ValueError, KeyError, TypeError) as error:
            log.info("curve not shown", run=run.run_id, error=type(error).__name__)

    async def _shareable(self, run: StoredRun, verdict: Verdict) -> Verdict:
        """With those questions only that may be shown where the comparison is shown."""
        ids = [example_of(one.id) for one in verdict.answers]
        showable = await self._store.showable(ids, run.community, run.address)
        return replace(verdict, answers=tuple(one for one in verdict.answers if example_of(one.id) in showable))

    async def _cancel(self, run: StoredRun, language: str) -> Said:
        if run.state not in OPEN:  # judged, too: nobody was told of anything that could be decided
            return Said(say(language, "retrain-decided"))
        await self._stop(run.run_id)
        await self._end(run, "cancelled")
        return Said(say(language, "retrain-cancelled", number=run.run_id))

    async def _again(self, run: StoredRun, language: str, make_place: MakePlace, tell: Tell) -> Said:
        """One that failed goes on from its last checkpoint."""
        if run.state != "failed":
            return Said(say(language, "retrain-decided"))
        try:
            await self._enqueue(run, make_place(run.address, ""), tell)
        except PlaceError as error:
            log.info("retraining not tried again, nothing can be said", run=run.run_id, error=str(error))
            return words.failed(run, run.failure)
        return words.failed(run, run.failure, again=False)

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

    async def _thumbs(self, run: StoredRun) -> Thumbs:
        """Of the adapter that it goes on from."""
        return (await self._store.thumbs(EVERYWHERE)).get(run.start, Thumbs())

    async def _use(self, verb: str, run: StoredRun, verdict: Verdict, by: str, language: str) -> Said:
        try:
            self._client.require_hope()  # before seconds go into installing what cannot be used now
            name = await self._trainer.install(self._folder(run) / ARTEFACT)
            if verb == "retrain-try":
                # Only where it was taught: elsewhere nobody was asked whether what was said there may be heard.
                said = await self.attempt(
                    name, TRIED_PERCENT, by, language, here=run.community, only_here=True, run_id=run.run_id
                )
            else:
                scope = run.community if verb == "retrain-here" else EVERYWHERE
                said = await self.use(name, by, language, run.run_id, here=scope, said_in=run.community)
        except (TrainerError, JnanaError) as error:
            reason = error.told(language) if isinstance(error, TrainerError) else told(error, language)
            shown = words.revealed(run, verdict, "", language, await self._thumbs(run))
            refused = say(language, "retrain-not-used", number=run.run_id, reason=reason)
            return Said(f"{refused}\n\n{shown.words}", shown.buttons)
        await self._end(run, "used")
        return Said(said)

    async def _end(self, run: StoredRun, state: RunState) -> None:
        """It was decided about."""
        await self._store.set_run(run.run_id, state)
        await self._tidy(run, state)

    async def _tidy(self, run: StoredRun, state: RunState) -> None:
        if state in KEPT:
            await asyncio.to_thread(clear, self._folder(run), KEPT[state])


def _too_few(examples: Sequence[StoredExample], without: int = 0) -> Text | None:
    """What is missing. `without`: so many more have no picture, which cannot be learnt from."""
    there = distinct(examples)
    if there >= LEAST:
        return None
    return text("retrain-too-few", examples=there, least=LEAST, missing=LEAST - there, without=without)
