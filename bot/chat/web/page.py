"""The page itself: what is on it and what happens when it is used.

A page shows one conversation at a time. Everything that changes it (a message, a click in the list, a reload) only says what
is wanted and then begins to watch; the watch alone draws the conversation, from the store and the running turns. So several
tabs, a reload in the middle of an answer and two questions at once need nothing special.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import structlog

from bot.chat.base import History, Incoming, IncomingFile, TurnService
from bot.chat.web.asking import CONVERSATION_ID, PLATFORM, address_of, browser_of, is_owner, problem_of, sender_of
from bot.chat.web.lessons import TRIGGERS, Lessons, better_form
from bot.chat.web.live import Watch
from bot.chat.web.uploads import Uploads
from bot.chat.web.view import Chat, chat, conversation_list
from bot.desk import Desk
from bot.errors import JnanaError

log = structlog.get_logger(__name__)

ASSETS = Path(__file__).parent.parent / "assets"
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif"]
MONOSPACE = ["ui-monospace", "SF Mono", "Cascadia Code", "Menlo", "Consolas", "monospace"]
EXAMPLES = {"photo": ("example.jpg", "What is in this photo?"), "voice": ("example.ogg", "")}
RESET = "/reset"
FORGOTTEN = (
    '<p role="status">Forgotten: what was said so far is no longer used. It still stands here, and nothing is deleted.</p>'
)
RATINGS: dict[bool | str, Literal[-1, 0, 1]] = {True: 1, False: -1}
HEADER = """
<header class="jn-header"><h1>Jñāna</h1>
<p id="jn-status" role="status" data-ready="false"><span class="jn-dot"></span>
<span class="jn-status-text">Connecting</span></p></header>
"""
OWNERS_TOOLS = '<a href="teaching">Teaching</a>'
WELCOME = """
<div class="jn-welcome"><h2>What would you like to know?</h2>
<p>Send a photo, record a voice note, or just write. Or try one of these:</p>
<div class="jn-examples">
<button type="button" data-example="photo"><img src="jnana/example.jpg" alt=""><span>What is in this photo?</span></button>
<button type="button" data-example="voice"><span class="jn-wave" aria-hidden="true"><i></i><i></i><i></i><i></i><i></i></span>
<span>Ask with a voice note</span></button>
</div></div>
"""
TRIGGER_EXAMPLE = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-example]');
  if (button) trigger('example', {name: button.dataset.example});
});
"""
TRIGGER_PICK = """
element.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-id]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  jnana.show(link.dataset.id);
  trigger('pick', {id: link.dataset.id});
});
"""


class Page:
    """The handlers of the page's events. Who asks is read from the request (gate.py), never from the page."""

    def __init__(self, desk: Desk, uploads: Uploads) -> None:
        self._turns: TurnService = desk.turns
        self._history: History = desk.store
        self._uploads = uploads
        self.lessons = Lessons(desk, uploads)
        self._watches: dict[str, Watch] = {}  # by gradio session: one a page

    # --- What people do ---

    async def open(self, request: gr.Request) -> str:
        """The conversation the address names, or a new one."""
        wanted = str(request.query_params.get("c", ""))
        return wanted if CONVERSATION_ID.fullmatch(wanted) else new_conversation()

    async def tools(self, request: gr.Request) -> str:
        """What only the page's owner has."""
        return OWNERS_TOOLS if is_owner(request) else ""

    async def send(self, message: dict[str, Any], conversation: str, request: gr.Request) -> tuple[str, object]:
        """Send what was typed, uploaded and recorded. Returns what is wrong with it, "" if nothing, and what a command says."""
        text, paths = str(message.get("text", "")), [str(path) for path in message.get("files", [])]
        if text.strip().lower() == RESET and not paths:
            return await problem_of(lambda: self._turns.reset(address_of(conversation, request))) or FORGOTTEN, gr.skip()
        files = await asyncio.to_thread(self._uploads.take, browser_of(request), paths)
        if self.lessons.is_command(text):
            return await self.lessons.command(text, files, conversation, request)
        return await self._start(text, files, conversation, request), gr.skip()

    async def example(self, event: gr.EventData, conversation: str, request: gr.Request) -> str:
        file, text = EXAMPLES[event.name]
        path = ASSETS / file

        async def fetch() -> bytes:
            return await asyncio.to_thread(path.read_bytes)

        return await self._start(text, [IncomingFile(file, path.stat().st_size, fetch)], conversation, request)

    async def pick(self, event: gr.EventData) -> str:
        return event.id if CONVERSATION_ID.fullmatch(event.id) else new_conversation()

    async def stop(self, conversation: str, request: gr.Request) -> None:
        """End the answer that is being written; questions behind it get their turn."""
        address = address_of(conversation, request)
        for running in self._turns.running(address)[:1]:
            await self._turns.stop(running.turn_id, address)

    async def regenerate(self, turn_ids: list[int], conversation: str, request: gr.Request) -> str:
        return await problem_of(lambda: self._turns.regenerate(turn_ids[-1], address_of(conversation, request)))

    async def rate(self, event: gr.LikeData, turn_ids: list[int], conversation: str, request: gr.Request) -> tuple[str, object]:
        """Returns what is wrong, and for a thumb down where a better answer is written."""
        value = RATINGS.get(event.liked, 0)

        def rating() -> Awaitable[None]:
            return self._turns.rate(_rated(event, turn_ids), address_of(conversation, request), sender_of(request), value)

        problem = await problem_of(rating)
        return problem, better_form(_rated(event, turn_ids)) if value < 0 and not problem else ""

    async def _start(self, text: str, files: Sequence[IncomingFile], conversation: str, request: gr.Request) -> str:
        return await problem_of(
            lambda: self._turns.start(Incoming(address_of(conversation, request), sender_of(request), text, files))
        )

    # --- What people see ---

    async def watch(self, conversation: str, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Draw the conversation, and draw it again while it changes.

        Yields chatbot, turn ids, message box (its stop button), welcome, list of conversations.
        """
        address = address_of(conversation, request)
        watch = Watch(self._turns, self._history, address)
        session = request.session_hash or ""
        before = self._watches.get(session)
        self._watches[session] = watch
        if before:
            await before.end()
        drawn: tuple[Chat, bool] | None = None
        try:
            async for snapshot in watch.snapshots():
                view = chat(snapshot)
                if drawn == (view, snapshot.busy):
                    continue
                only_text = drawn is not None and (drawn[0].turn_ids, drawn[1]) == (view.turn_ids, snapshot.busy)
                drawn = (view, snapshot.busy)
                shown = gr.update(value=view.messages, feedback_value=view.ratings, visible=bool(view.messages))
                if only_text:
                    yield shown, gr.skip(), gr.skip(), gr.skip(), gr.skip()
                    continue
                conversations = await self._history.conversations(PLATFORM, address.chat_id)
                yield (
                    shown,
                    view.turn_ids,
                    gr.update(stop_btn=snapshot.busy),
                    gr.update(visible=not view.messages),
                    conversation_list(conversations, conversation),
                )
            if watch.ended:
                # Gradio repeats what was yielded last when this ends, and another conversation may be shown by then. (Only
                # now: it would change what was yielded before where that still waits to be drawn.)
                yield gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        except JnanaError as error:
            log.warning("conversation_unreadable", code=error.code, reason=error.sentence)
            raise gr.Error("This conversation cannot be read at the moment.", print_exception=False) from error
        finally:
            if self._watches.get(session) is watch:
                del self._watches[session]


def build(page: Page) -> gr.Blocks:
    """Lay the page out and connect it. Mounted by WebPage; never launched."""
    blocks = gr.Blocks(title="Jñāna", analytics_enabled=False, fill_height=True)
    with blocks:
        conversation = gr.Textbox(visible=False)
        turn_ids = gr.JSON([], visible=False)
        outgoing = gr.JSON(visible=False)
        with gr.Sidebar(open=True, width=280, elem_id="jn-sidebar"):
            new = gr.Button("New conversation", elem_id="jn-new", size="md")
            tools = gr.HTML("", js_on_load=None, elem_id="jn-tools")
            listed = gr.HTML(conversation_list([], ""), js_on_load=TRIGGER_PICK, elem_id="jn-list")
        gr.HTML(HEADER, js_on_load=None)
        chatbot = gr.Chatbot(
            elem_id="jn-chat",
            label="Conversation",
            show_label=False,
            container=False,
            visible=False,
            buttons=["copy"],
            height="100%",
            allow_tags=False,
            latex_delimiters=[],  # view.inert decides what is code, and formulas would have a say in it
            allow_file_downloads=False,
            group_consecutive_messages=False,
            layout="bubble",
        )
        welcome = gr.HTML(WELCOME, js_on_load=TRIGGER_EXAMPLE, elem_id="jn-welcome", visible=False)
        taught = gr.HTML("", js_on_load=TRIGGERS, elem_id="jn-taught")
        problem = gr.HTML("", js_on_load=None, elem_id="jn-problem", elem_classes="jn-notices")
        gr.HTML('<p id="jn-hint" role="alert"></p>', js_on_load=None, elem_classes="jn-notices")
        box = gr.MultimodalTextbox(
            elem_id="jn-box",
            label="Message",
            show_label=False,
            container=False,
            placeholder="Ask anything",
            sources=["upload", "microphone"],
            file_count="multiple",
            autofocus=True,
            max_lines=8,
            max_plain_text_length=1_000_000,  # pasted text stays text; its limit is bot/turn.py's to explain
        )
        sync = gr.Button("Refresh", elem_id="jn-sync", visible="hidden")  # pressed by page.js

        drawn: dict[str, Any] = {"outputs": [chatbot, turn_ids, box, welcome, listed]}
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
            "trigger_mode": "multiple",  # or else gradio drops what is clicked while the same event still runs
        }

        def then_watch(event: Any) -> None:
            event.then(page.watch, conversation, **drawn, **quiet)

        then_watch(blocks.load(page.open, None, conversation, **quiet))
        blocks.load(page.tools, None, tools, **quiet)
        then_watch(new.click(new_conversation, None, conversation, **quiet))
        then_watch(listed.pick(page.pick, None, conversation, **quiet))
        sync.click(page.watch, conversation, **drawn, **quiet)
        conversation.change(None, conversation, taught, js="(id) => { jnana.show(id); return ''; }", **quiet)

        sent = box.submit(None, box, [outgoing, box, taught], js="(message) => jnana.take(message)", **quiet)
        tried = sent.then(page.send, [outgoing, conversation], [problem, taught], **quiet)
        tried.then(None, [problem, box], box, js="(problem, box) => jnana.settle(problem, box)", **quiet)
        then_watch(tried)
        then_watch(welcome.example(page.example, conversation, problem, **quiet))
        then_watch(chatbot.retry(page.regenerate, [turn_ids, conversation], problem, **quiet))
        in_order = quiet | {"concurrency_limit": 1}  # or else an earlier press may be answered last, and take the card away
        chatbot.like(page.rate, [turn_ids, conversation], [problem, taught], **in_order)
        taught.better(page.lessons.better, conversation, [problem, taught], **quiet)
        then_watch(taught.press(page.lessons.press, conversation, [problem, taught], **quiet))
        box.stop(page.stop, conversation, None, **quiet)
    blocks.queue(default_concurrency_limit=None, api_open=False)
    return blocks


def theme() -> gr.themes.Base:
    """Fonts of the reader's own system: nothing is fetched from anywhere."""
    return gr.themes.Base(primary_hue="teal", neutral_hue="stone", font=FONT, font_mono=MONOSPACE, radius_size="lg")


def new_conversation() -> str:
    return secrets.token_urlsafe(12)


def _rated(event: gr.LikeData, turn_ids: Sequence[int]) -> int:
    return turn_ids[int(event.index) // 2]  # type: ignore[arg-type]  # two messages a turn
