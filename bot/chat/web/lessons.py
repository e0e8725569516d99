"""What people teach on the page: a better answer, `/teach`, and whether it may be learnt from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

import gradio as gr

from bot.calling import Heard
from bot.chat.base import Incoming, IncomingFile
from bot.chat.place import Place
from bot.chat.web.asking import address_of, browser_of, is_owner, problem_of, sender_of
from bot.chat.web.screen import Screen, shown
from bot.chat.web.uploads import Uploads
from bot.commands import COMMANDS, IMPORT, Request
from bot.desk import Desk
from bot.errors import NotAllowed
from bot.presses import OF_A_PERSON, Presser
from bot.store.lessons import MAX_WORDS
from bot.teaching import Said
from bot.texts import DEFAULT, say, text

ON_PAGE = ("teach", "privacy", "forget", "export")
"""Commands that are no buttons here."""
COMMAND = re.compile(r"/(\w+)(?:\s+|$)(.*)", re.DOTALL)

TRIGGERS = """
element.addEventListener('submit', (event) => {
  event.preventDefault();
  trigger('better', {turn: Number(event.target.dataset.turn), text: event.target.elements.better.value});
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button?.dataset.action) trigger('press', {action: button.dataset.action});
  if (button?.hasAttribute('data-close')) props.value = '';
});
watch('value', () => element.querySelector('textarea')?.focus());
"""


class Lessons:
    """Handlers of the page's events. They return what is wrong, as HTML, and what is shown: a form, or words with buttons."""

    def __init__(self, desk: Desk, uploads: Uploads) -> None:
        self._desk = desk
        self._uploads = uploads

    async def better(self, event: gr.EventData, conversation: str, request: gr.Request) -> tuple[str, object]:
        """The answer that somebody would rather have read."""

        async def keep() -> Said:
            presser = Presser(address_of(conversation, request), sender_of(request))
            return await self._desk.better(int(event.turn), presser, str(event.text))

        return await _told(keep)

    async def press(self, event: gr.EventData, conversation: str, request: gr.Request) -> tuple[str, object]:
        """A button below words of ours: each carries whose it is."""

        async def press() -> Said:
            presser = Presser(address_of(conversation, request), sender_of(request))
            return await press_own(self._desk, str(event.action), presser)

        return await _told(press)

    def is_command(self, words: str) -> bool:
        return _split(words)[0] in ON_PAGE

    async def command(
        self, words: str, files: Sequence[IncomingFile], conversation: str, request: gr.Request
    ) -> tuple[str, object]:
        """`/teach` and the others: what they do is decided where it is for every platform."""
        screens: list[Screen] = []

        async def keep(name: str, data: bytes) -> str:
            return await self._uploads.offer(browser_of(request), name, data)

        async def run() -> None:
            name, argument = _split(words)
            if name == "teach" and argument.lower() == IMPORT and is_owner(request):
                raise NotAllowed("A file of examples is taken on the page Teaching.")
            incoming = Incoming(address_of(conversation, request), sender_of(request), words, files)
            screens.append(screen := Screen(incoming.address, keep))
            asked = Request(Heard(incoming, command=True), argument, screen, await self._desk.language(incoming))
            await COMMANDS[name].do(self._desk, asked)

        problem = await problem_of(run)
        return problem, "" if problem else screens[0].html()


async def press_own(desk: Desk, action: str, presser: Presser) -> Said:
    """A button that carries whose it is. Raises NotAllowed for any other."""
    if action.partition(":")[0] not in OF_A_PERSON:
        raise NotAllowed(text("not-here"))
    pressed = await desk.press(action, presser, _no_place)
    return pressed.instead or Said(pressed.toast)


def better_form(turn_id: int) -> str:
    """Where the better answer to a turn is written."""
    return (
        f'<form class="jn-card" data-turn="{turn_id}"><label>{say(DEFAULT, "better-question")}'
        f'<textarea name="better" rows="3" maxlength="{MAX_WORDS}" required></textarea></label>'
        '<div class="jn-buttons"><button type="submit">Send</button>'
        '<button type="button" data-close>Not now</button></div></form>'
    )


async def _told(attempt: Callable[[], Awaitable[Said]]) -> tuple[str, object]:
    said: list[Said] = []

    async def trying() -> None:
        said.append(await attempt())

    problem = await problem_of(trying)
    return problem, gr.skip() if problem else shown(said[0])


def _split(words: str) -> tuple[str, str]:
    """A command's name without its slash, "" if it is none, and what follows it."""
    match = COMMAND.fullmatch(words.strip())
    return (match[1].lower(), match[2]) if match else ("", "")


def _no_place(*_: object) -> Place:
    raise NotAllowed(text("not-here"))
