"""What Discord and Telegram have in common: from a heard message, a command or a pressed button to what is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from bot.calling import Heard, is_for_us, with_quoted
from bot.chat.base import Address, Incoming, RunningTurn, Sender
from bot.chat.ended import EndedTurn
from bot.chat.place import Button, Flooded, Hiccup, Place, PlaceError, Shut
from bot.commands import COMMANDS, MAX_MEMORY, Request
from bot.errors import JnanaError, NotTrained, TurnError
from bot.importing import Importing
from bot.presses import MakePlace, Pressed, Presser, press
from bot.privacy import Privacy
from bot.reply import INLINE_WAIT, Reply
from bot.retraining import Retrainings
from bot.running import LiveTurn
from bot.store import Store
from bot.store.records import TurnPlace
from bot.teaching import Said, Teaching
from bot.texts import LANGUAGES, Text, say, text
from bot.turn import Turns, told

EDIT_SECONDS = 60.0
"""How long after a question its edit is answered by itself; later the button answers the edited question."""

SETTLE_SECONDS = 5.0
"""For an answer that has ended to write its last words before another one takes its place."""

SAY_ATTEMPTS = 3

log = structlog.get_logger(__name__)


class Desk:
    """One for all platforms. Owns a task for every answer that is being shown, and for what goes on aside."""

    name = "Jñāna"

    def __init__(
        self,
        turns: Turns,
        store: Store,
        privacy: Privacy,
        personas: Mapping[str, str],
        model: Callable[[], Text | str],
        version: str,
        retrainings: Retrainings | None = None,
    ) -> None:
        """`retrainings`: None where nothing can be trained."""
        self.turns = turns
        self.store = store
        self.privacy = privacy
        self.teaching = Teaching(store)
        self.importing = Importing(store, self.teaching)
        self.retrainings = retrainings
        self._personas = personas
        self._model = model
        self._version = version
        self._replies: dict[int, asyncio.Task[None]] = {}
        self._aside: set[asyncio.Task[None]] = set()
        self._recovered: list[LiveTurn] = []
        self._closed: set[tuple[str, str]] = set()
        self._resuming = asyncio.Lock()

    # --- What adapters hand in ---

    async def hear(self, heard: Heard, place: Place) -> None:
        """A message of a person: answer it if it is for us."""
        if not is_for_us(heard) or self.turns.access.is_denied(heard.incoming):
            return
        incoming = with_quoted(heard)
        if not incoming.text and not incoming.files:
            await self.command("help", "", heard, place)
            return
        await self._told_errors(place, incoming, self.begin(incoming, place))

    async def command(self, name: str, argument: str, heard: Heard, place: Place) -> None:
        """One of `COMMANDS`; what follows it is its argument."""
        if heard.from_machine or self.turns.access.is_denied(heard.incoming):
            return
        language = await self.language(heard.incoming)
        request = Request(heard, argument.strip(), place, language)
        await self._told_errors(place, heard.incoming, COMMANDS[name].do(self, request))

    async def press(self, action: str, presser: Presser, make_place: MakePlace) -> Pressed:
        """A button: `action` is what `Button` was made with. Also of answers from before a restart, and pressed twice."""
        language = await self.language_of(presser.address.platform, presser.sender)
        try:
            return await press(self, action, presser, make_place, language)
        except JnanaError as error:
            return Pressed(told(error, language))

    async def better(self, turn_id: int, presser: Presser, better: str) -> Said:
        """What a person would rather have read; what they are told."""
        language = await self.language_of(presser.address.platform, presser.sender)
        try:
            return await self.teaching.correct(turn_id, presser.address, presser.server_id, presser.sender, better, language)
        except JnanaError as error:
            return Said(told(error, language))

    async def ask_asker(self, turn_id: int, presser: Presser, make_place: MakePlace) -> None:
        """Whose question was corrected by somebody else is asked, once and where they asked it, whether it may be learnt from:
        without their yes nobody's correction of it is."""
        found = await self.store.place_of(turn_id, presser.address)
        said = None if found is None else await self.teaching.asker(found, presser.sender, found.language)
        if found is None or said is None:
            return
        if not await self.say(make_place(found.address, found.message_id), said.words, said.buttons):
            await self.store.unask(found.address.platform, found.asker)

    async def edited(self, heard: Heard, place: Place) -> None:
        """A person changed a message: their newest question is answered again at once, an older one by its button."""
        address = heard.incoming.address
        found = await self.store.place_of_message(address, heard.incoming.message_id)
        incoming = with_quoted(heard)
        if found is None or found.asker != heard.incoming.sender.platform_id or found.text == incoming.text:
            return
        await self.store.reword(found.turn_id, incoming.text)
        age = (datetime.now(UTC) - found.created_at).total_seconds()
        # While its files arrive the model was not asked yet, and will be asked the new words; stopped, it would lose the files.
        if age <= EDIT_SECONDS and not found.pending_files:
            await self._told_errors(place, incoming, self.again(found, place, incoming, stop=True))

    async def deleted(self, address: Address, message_id: str) -> None:
        """A question was deleted: nobody waits for its answer."""
        found = await self.store.place_of_message(address, message_id)
        if found is not None:
            await self.turns.stop(found.turn_id, address)

    async def moved(self, platform: str, old: str, new: str) -> None:
        """A chat got another id."""
        await self.store.move_chat(platform, old, new)

    async def closed(self, platform: str, chat_id: str, reason: str) -> None:
        """Blocked or kicked."""
        self._closed.add((platform, chat_id))
        await self.store.close_chat(platform, chat_id, reason)
        log.info("chat closed", platform=platform, reason=reason)

    async def resume(self, platform: str, make_place: MakePlace) -> None:
        """Show what a restart or a broken connection left unshown. Whenever a platform is connected."""
        async with self._resuming:
            await self._resume(platform, make_place)
            if self.retrainings is not None:
                await self.retrainings.resume(platform, make_place, self.say)

    async def _resume(self, platform: str, make_place: MakePlace) -> None:
        self._closed |= {(platform, chat_id) for chat_id in await self.store.closed_chats(platform)}
        mine = [live for live in self._recovered if live.address.platform == platform]
        self._recovered = [live for live in self._recovered if live.address.platform != platform]
        for live in mine:
            self._show(live, make_place(live.address, live.message_id), live.language, live.stored.reply_ids)
        being_shown = set(self._replies)  # now: such a one may be told by the time that it is looked at
        for found in await self.store.untold(platform):
            view = await self.store.turn(found.turn_id)
            if found.turn_id in being_shown or found.turn_id in self._replies:
                continue
            if view is None or (platform, found.address.chat_id) in self._closed:
                await self.store.shown(found.turn_id, found.reply_ids, told=True)
                continue
            self._show(EndedTurn(view), make_place(found.address, found.message_id), found.language, found.reply_ids)

    def recovered(self, turns: Sequence[LiveTurn]) -> None:
        """Turns that a restart interrupted; `resume` shows them when their platform is there."""
        self._recovered += turns

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109  # what is not shown in time is shown after the next start
        if tasks := {*self._replies.values(), *self._aside}:
            _, left = await asyncio.wait(tasks, timeout=timeout)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    # --- For commands ---

    async def begin(self, incoming: Incoming, place: Place) -> None:
        """A turn, and its answer at `place`. Raises TurnError."""
        key = (incoming.address.platform, incoming.address.chat_id)
        if key in self._closed:
            self._closed.discard(key)
            await self.store.open_chat(*key)
        live = await self.turns.start(incoming)
        self._show(live, place, live.language)

    async def again(self, found: TurnPlace, place: Place, wanted: Incoming, *, fresh: bool = False, stop: bool = False) -> None:
        """Answer a turn again; the messages of the old answer show the new one, unless it is to be a `fresh` one.

        Args:
            wanted: who wants that and where; it counts like a message.
            stop: end an answer that is still being written, instead of leaving it at that.

        Raises:
            TurnError: not allowed, or it is still being answered.
        """
        await self.turns.access.check(wanted)
        if stop:
            await self.turns.stop(found.turn_id, found.address)
        if not any(live.turn_id == found.turn_id for live in self.turns.running(found.address)):
            await self._settle(found.turn_id)
        live = await self.turns.regenerate(found.turn_id, found.address)
        now = await self.store.place_of(found.turn_id, found.address)
        self._show(live, place, live.language, () if fresh or now is None else now.reply_ids)

    async def _settle(self, turn_id: int) -> None:
        """The old answer's ids are all noted, or it is not written any more: two writers would make two answers."""
        if (before := self._replies.get(turn_id)) is not None:
            await asyncio.wait({before}, timeout=SETTLE_SECONDS)
            before.cancel()
            await asyncio.wait({before})

    def aside(self, place: Place, incoming: Incoming, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        """Do what takes long while the chat goes on. `close` ends it."""
        task = asyncio.create_task(self._told_errors(place, incoming, work), name="aside")
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        return task

    async def say(self, place: Place, words: str, buttons: Sequence[Button] = ()) -> bool:
        """A short message that is no answer of the model; whether it was said."""
        for attempt in range(SAY_ATTEMPTS):
            try:
                await place.send(words, buttons)
            except Flooded as flood:
                if flood.seconds > INLINE_WAIT:
                    log.info("nothing said, flood control", platform=place.address.platform, seconds=flood.seconds)
                    return False
                await asyncio.sleep(flood.seconds)
            except Hiccup:
                await asyncio.sleep(attempt + 1)
            except Shut as error:
                await self.closed(place.address.platform, place.address.chat_id, str(error))
                return False
            except PlaceError as error:
                log.warning("nothing said", platform=place.address.platform, error=str(error))
                return False
            else:
                return True
        return False

    async def send_file(self, place: Place, name: str, data: bytes, words: str) -> bool:
        try:
            return await place.send_file(name, data, words)
        except PlaceError as error:
            log.info("file not sent", platform=place.address.platform, error=str(error))
            return False

    def is_admin(self, heard: Heard) -> bool:
        """Of this chat."""
        return heard.chat_admin or self.turns.access.is_admin(heard.incoming.address, heard.incoming.sender)

    def is_community_admin(self, heard: Heard) -> bool:
        """Of what is taught here and in the chats that belong with this one."""
        return heard.community_admin or self.turns.access.is_admin(heard.incoming.address, heard.incoming.sender)

    def training(self) -> Retrainings:
        """Raises NotTrained where nothing can be trained."""
        if self.retrainings is None:
            raise NotTrained(text("retrain-not-here"))
        return self.retrainings

    def choices(self) -> dict[str, list[str]]:
        """What can be set, and to what."""
        memory = [str(number) for number in range(MAX_MEMORY + 1)]
        return {"language": list(LANGUAGES), "memory": memory, "persona": list(self._personas)}

    def status(self, language: str) -> str:
        how = self._model()
        model = how.to(language) if isinstance(how, Text) else how
        return say(language, "status", model=model, turns=self.turns.under_way, version=self._version)

    async def language(self, incoming: Incoming) -> str:
        return await self.language_of(incoming.address.platform, incoming.sender)

    async def language_of(self, platform: str, sender: Sender) -> str:
        try:
            return await self.store.language(platform, sender.platform_id, sender.language)
        except JnanaError:  # whatever follows says that the store failed
            return sender.language

    # --- Inside ---

    def _show(self, turn: RunningTurn, place: Place, language: str, ids: Sequence[str] = ()) -> None:
        reply = Reply(turn, place, self.store, language=language, ids=ids)
        task = asyncio.create_task(self._shown(reply, turn, place), name=f"reply-{turn.turn_id}")
        self._replies[turn.turn_id] = task

    async def _shown(self, reply: Reply, turn: RunningTurn, place: Place) -> None:
        try:
            await self._run(reply, place)
        except JnanaError as error:
            log.warning("reply not noted", turn_id=turn.turn_id, reason=error.sentence, cause=repr(error.__cause__))
        except Exception:
            log.exception("reply failed", turn_id=turn.turn_id, request_id=turn.request_id)
        finally:
            if self._replies.get(turn.turn_id) is asyncio.current_task():
                del self._replies[turn.turn_id]

    async def _run(self, reply: Reply, place: Place) -> None:
        try:
            await reply.run()
        except Shut as error:
            await self.closed(place.address.platform, place.address.chat_id, str(error))

    async def _told_errors(self, place: Place, incoming: Incoming, work: Coroutine[Any, Any, object]) -> None:
        """Do `work`; what it is refused for is said in the person's language."""
        try:
            await work
        except JnanaError as error:
            if not isinstance(error, TurnError):
                log.warning("command failed", reason=error.sentence, cause=repr(error.__cause__))
            await self.say(place, f"⚠️ {told(error, await self.language(incoming))}")
        except Exception as error:
            log.exception("command failed", platform=place.address.platform)
            await self.say(place, f"⚠️ {say(await self.language(incoming), 'internal', id=type(error).__name__)}")
