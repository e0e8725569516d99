"""What people teach: better answers and examples of their own; learnt from if everybody whose words are in them says yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from bot.answering import fetch
from bot.chat.base import Address, IncomingFile, Sender, community
from bot.chat.place import Button
from bot.errors import MediaRefused, TextTooLong, WrongExample
from bot.media import Media, MediaDecoder
from bot.store import Store
from bot.store.lessons import MAX_WORDS
from bot.store.records import ExampleState, StoredExample, TurnPlace
from bot.texts import say, text

MAX_PICTURES = 4
"""Of one example: that many fit into the contexts that adapters are trained with."""

SHOWN = 700
"""Characters of a question and of an answer that admins are shown: both fit into a message of any platform."""

REVIEWS: dict[str, ExampleState] = {"example-keep": "kept", "example-drop": "dropped"}
"""By the verbs of buttons."""


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What a person is told, and what they can press."""

    words: str
    buttons: tuple[Button, ...] = ()


class Teaching:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._decoder = MediaDecoder(at_once=1)

    # --- Who allows it ---

    async def allow(self, platform: str, sender: Sender, allowed: bool, language: str) -> str:
        """A person says whether what they teach may be learnt from; what they are told."""
        await self._store.set_teaches(platform, sender, allowed)
        return say(language, "teaching-allowed" if allowed else "teaching-forbidden")

    async def stand(self, platform: str, platform_id: str, language: str) -> Said:
        """What a person said about that, and the button that changes it."""
        allowed = bool(await self._store.teaches(platform, platform_id))
        words = say(language, "teaching-is-allowed" if allowed else "teaching-is-forbidden")
        verb = "teaching-no" if allowed else "teaching-yes"
        return Said(words, (Button(f"{verb}:{platform_id}", say(language, f"button-{verb}")),))

    async def thanks(self, platform: str, sender: Sender, language: str, words: str) -> Said:
        """Thanks, with the question whether it may be used: asked once, and until it is answered the answer is no."""
        allowed = await self._store.teaches(platform, sender.platform_id)
        if allowed is None:
            await self._store.set_teaches(platform, sender, False)
            return Said(f"{words}\n\n{say(language, 'teaching-may-i')}", _consent(sender.platform_id, language))
        return Said(words if allowed else f"{words} {say(language, 'teaching-unused')}")

    async def asker(self, found: TurnPlace, teacher: Sender, language: str) -> Said | None:
        """The same question for who asked what somebody else corrected; None: there is nobody to ask."""
        name = await self._store.ask_asker(found.turn_id, found.address, teacher.platform_id)
        if name is None:
            return None
        return Said(say(language, "teaching-may-i-asker", name=name), _consent(found.asker, language))

    # --- What they teach ---

    async def correct(self, turn_id: int, address: Address, server_id: str, sender: Sender, better: str, language: str) -> Said:
        """What a person would rather have read."""
        better = _within(better)
        here = community(address, server_id)
        kept = bool(better) and await self._store.correct(turn_id, address, sender.platform_id, better, here)
        if not kept:
            return Said(say(language, "nothing-to-rate"))
        return await self.thanks(address.platform, sender, language, say(language, "better-kept"))

    async def teach(
        self,
        address: Address,
        server_id: str,
        sender: Sender,
        lesson: str,
        files: Sequence[IncomingFile],
        language: str,
    ) -> Said:
        """An example of a person's own. `lesson`: the question on the first line, the answer behind it.

        Raises WrongExample, TextTooLong and MediaRefused.
        """
        question, _, answer = lesson.partition("\n")
        if not question.strip() or not answer.strip():
            raise WrongExample(text("teach-how"))
        if len(files) > MAX_PICTURES:
            raise WrongExample(text("too-many-files", count=len(files), limit=MAX_PICTURES))
        words = _within(question), _within(answer)
        pictures = [await self._picture(file) for file in files]
        await self._store.teach(community(address, server_id), address.platform, sender, *words, pictures)
        return await self.thanks(address.platform, sender, language, say(language, "taught"))

    async def _picture(self, file: IncomingFile) -> Media:
        media = await self._decoder.decode(file.name, await fetch(file))
        if media.kind != "picture":
            raise MediaRefused(text("teach-pictures-only", name=media.name))
        return media

    # --- What admins make of it ---

    async def next_example(self, here: str, language: str, after: int = 0) -> Said:
        """How many there are, and the first behind `after` that nobody has looked at."""
        counts = await self.counts(here, language)
        example = await self._store.next_example(here, after)
        if example is None:
            return Said(counts)
        verbs = (*REVIEWS, "example-next")
        buttons = tuple(Button(f"{verb}:{example.example_id}", say(language, f"button-{verb}")) for verb in verbs)
        return Said(f"{counts}\n\n{_shown(example, language)}", buttons)

    async def counts(self, here: str, language: str) -> str:
        """How many examples there are, with whom they are shared, and how many others share."""
        lessons, shared = await self._store.lessons(here), await self._store.shared(here)
        lines = [say(language, "examples-count", usable=lessons.usable, waiting=lessons.waiting, new=lessons.new)]
        if shared is not None:
            lines.append(say(language, "examples-shared", since=f"{shared.since:%Y-%m-%d}", name=shared.by))
        if lessons.others:
            lines.append(say(language, "examples-of-others", count=lessons.others))
        return "\n".join(lines)

    async def share(self, here: str, by: str, language: str) -> str:
        """Let other communities learn from the examples `here`; what the admin is told."""
        await self._store.share(here, by)
        log.info("examples shared", community=here)
        return say(language, "examples-share-done")

    async def unshare(self, here: str, by: str, language: str) -> str:
        """No longer; what was trained meanwhile keeps what it learnt."""
        if not await self._store.unshare(here, by):
            return say(language, "examples-share-not")
        log.info("examples no longer shared", community=here)
        return say(language, "examples-share-ended")

    async def reword(self, example_id: int, here: str, answer: str, language: str) -> str:
        """Keep an example with another answer; what the admin is told. Raises TextTooLong."""
        done = await self._store.reword_example(example_id, here, _within(answer))
        return say(language, "example-reworded" if done else "example-gone", number=example_id)

    async def review(self, verb: str, example_id: int, here: str, language: str) -> Said:
        """Keep or drop an example, or leave it; the next one."""
        if verb in REVIEWS:
            await self._store.review(example_id, here, REVIEWS[verb])
        return await self.next_example(here, language, after=example_id)


def _consent(platform_id: str, language: str) -> tuple[Button, ...]:
    """For one person alone."""
    verbs = ("teaching-yes", "teaching-no")
    return tuple(Button(f"{verb}:{platform_id}", say(language, f"button-{verb}")) for verb in verbs)


def _shown(example: StoredExample, language: str) -> str:
    lines = [
        say(language, "example-from", number=example.example_id, name=example.teacher, pictures=len(example.pictures)),
        *(f"> {line}" for line in _cut(example.question).splitlines()),
        "",
        _cut(example.answer),
    ]
    return "\n".join(lines)


def _cut(words: str) -> str:
    return words if len(words) <= SHOWN else words[: SHOWN - 1] + "…"


def _within(words: str) -> str:
    words = words.replace("\x00", "").strip()
    if len(words) > MAX_WORDS:
        raise TextTooLong(text("text-too-long", length=len(words), limit=MAX_WORDS))
    return words
