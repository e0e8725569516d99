"""The page itself: what is on it and what happens when it is used.

A page shows one conversation at a time. Everything that changes it (a message, a click in the list, a reload) only says what
is wanted and then begins to watch; the watch alone draws the conversation, from the store and the running turns. So several
tabs, a reload in the middle of an answer and two questions at once need nothing special.
"""

from __future__ import annotations

import asyncio
import html
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import structlog

from bot.chat.base import Address, History, Incoming, IncomingFile, Sender, TurnService
from bot.chat.web.live import Watch
from bot.chat.web.uploads import Uploads
from bot.chat.web.view import Chat, chat, conversation_list
from bot.errors import JnanaError, NotAllowed, TurnError

log = structlog.get_logger(__name__)

ASSETS = Path(__file__).parent.parent / "assets"
PLATFORM = "web"
SENDER_NAME = "You"
CONVERSATION_ID = re.compile(r"[\w-]{16}")
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

    def __init__(self, turns: TurnService, history: History, uploads: Uploads) -> None:
        self._turns = turns
        self._history = history
        self._uploads = uploads
        self._watches: dict[str, Watch] = {}  # by gradio session: one a page

    # --- What people do ---

    async def open(self, request: gr.Request) -> str:
        """The conversation the address names, or a new one."""
        wanted = str(request.query_params.get("c", ""))
        return wanted if CONVERSATION_ID.fullmatch(wanted) else new_conversation()

    async def send(self, message: dict[str, Any], conversation: str, request: gr.Request) -> str:
        """Send what was typed, uploaded and recorded. Returns what is wrong with it, "" if nothing."""
        text, paths = str(message.get("text", "")), [str(path) for path in message.get("files", [])]
        if text.strip().lower() == RESET and not paths:
            return await _problem(lambda: self._turns.reset(_address(conversation, request))) or FORGOTTEN
        files = await asyncio.to_thread(self._uploads.take, _browser(request), paths)
        return await self._start(text, files, conversation, request)

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
        address = _address(conversation, request)
        for running in self._turns.running(address)[:1]:
            await self._turns.stop(running.turn_id, address)

    async def regenerate(self, turn_ids: list[int], conversation: str, request: gr.Request) -> str:
        return await _problem(lambda: self._turns.regenerate(turn_ids[-1], _address(conversation, request)))

    async def rate(self, event: gr.LikeData, turn_ids: list[int], conversation: str, request: gr.Request) -> str:
        def rating() -> Awaitable[None]:
            turn_id = turn_ids[int(event.index) // 2]  # type: ignore[arg-type]  # two messages a turn
            return self._turns.rate(turn_id, _address(conversation, request), _sender(request), RATINGS.get(event.liked, 0))

        return await _problem(rating)

    async def _start(self, text: str, files: Sequence[IncomingFile], conversation: str, request: gr.Request) -> str:
        return await _problem(
            lambda: self._turns.start(Incoming(_address(conversation, request), _sender(request), text, files))
        )

    # --- What people see ---

    async def watch(self, conversation: str, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Draw the conversation, and draw it again while it changes.

        Yields chatbot, turn ids, message box (its stop button), welcome, list of conversations.
        """
        address = _address(conversation, request)
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
        then_watch(new.click(new_conversation, None, conversation, **quiet))
        then_watch(listed.pick(page.pick, None, conversation, **quiet))
        sync.click(page.watch, conversation, **drawn, **quiet)
        conversation.change(None, conversation, None, js="(id) => jnana.show(id)", **quiet)

        sent = box.submit(None, box, [outgoing, box], js="(message) => jnana.take(message)", **quiet)
        tried = sent.then(page.send, [outgoing, conversation], problem, **quiet)
        tried.then(None, [problem, box], box, js="(problem, box) => jnana.settle(problem, box)", **quiet)
        then_watch(tried)
        then_watch(welcome.example(page.example, conversation, problem, **quiet))
        then_watch(chatbot.retry(page.regenerate, [turn_ids, conversation], problem, **quiet))
        chatbot.like(page.rate, [turn_ids, conversation], problem, **quiet)
        box.stop(page.stop, conversation, None, **quiet)
    blocks.queue(default_concurrency_limit=None, api_open=False)
    return blocks


def theme() -> gr.themes.Base:
    """Fonts of the reader's own system: nothing is fetched from anywhere."""
    return gr.themes.Base(primary_hue="teal", neutral_hue="stone", font=FONT, font_mono=MONOSPACE, radius_size="lg")


def new_conversation() -> str:
    return secrets.token_urlsafe(12)


def _browser(request: gr.Request) -> str:
    return str(request.state.browser)


def _address(conversation: str, request: gr.Request) -> Address:
    if not CONVERSATION_ID.fullmatch(conversation):
        raise NotAllowed("This is no conversation of this page. Please reload it.")
    return Address(PLATFORM, _browser(request), conversation)


def _sender(request: gr.Request) -> Sender:
    return Sender(_browser(request), SENDER_NAME)


async def _problem(attempt: Callable[[], Awaitable[object]]) -> str:
    """What the person is told when it was refused or went wrong, as HTML; "" when it did not."""
    try:
        await attempt()
    except TurnError as error:
        sentence = error.sentence
    except Exception:
        request_id = secrets.token_hex(8)
        log.exception("turn_not_started", platform=PLATFORM, request_id=request_id)
        sentence = f"Something went wrong on my side. The bot's owner can look for {request_id} in the log."
    else:
        return ""
    return f'<p role="alert">{html.escape(sentence)}</p>'
