"""How turns look: stored and running ones as messages of gradio's chatbot, conversations as a list.

What people wrote is escaped and shown as it is; what the model wrote is markdown, its HTML made inert.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.chat.base import AttachmentView, ConversationView, Failed, TurnView
from bot.chat.web.live import LiveTurn, Snapshot

TITLE_CHARACTERS = 60
TAG = re.compile(r"<(?=[A-Za-z/!?])")
CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
HIDDEN_RATING = {1: "Like", -1: "Dislike", 0: None}


@dataclass(frozen=True)
class Chat:
    """`messages` has two a turn; `turn_ids` and `ratings` (the words of gradio's buttons) one a turn."""

    messages: list[dict[str, Any]]
    turn_ids: list[int]
    ratings: list[str | None]


def chat(snapshot: Snapshot) -> Chat:
    messages: list[dict[str, Any]] = []
    for turn in snapshot.stored:
        live = snapshot.live.get(turn.turn_id)
        messages.append({"role": "user", "content": question(turn, live)})
        messages.append({"role": "assistant", "content": answer(turn, live)})
    return Chat(
        messages,
        [turn.turn_id for turn in snapshot.stored],
        [HIDDEN_RATING[turn.rating] for turn in snapshot.stored],
    )


def question(turn: TurnView, live: LiveTurn | None) -> str:
    parts = [_attachment(attachment) for attachment in turn.attachments]
    transcripts = turn.transcripts or tuple(live.transcripts if live else ())
    parts += [f'<div class="jn-heard" title="What was heard">{_plain(text)}</div>' for text in transcripts if text]
    if turn.text:
        parts.append(f'<div class="jn-text">{_plain(turn.text)}</div>')
    notices = turn.notices or tuple(live.notices if live else ())
    parts += [f'<div class="jn-notice">{_plain(notice)}</div>' for notice in notices]
    return f'<div class="jn-said">{"".join(parts)}</div>'


def answer(turn: TurnView, live: LiveTurn | None) -> str:
    if live is None or (live.final is not None and turn.state not in ("received", "running")):
        return _stored_answer(turn)
    if isinstance(live.final, Failed):
        return _problem(live.final.sentence)
    if live.text:
        return inert(live.text)
    if live.position is not None:
        return _waiting(queue_sentence(live.position))
    return _waiting("Thinking")


def queue_sentence(position: int) -> str:
    return "Waiting: next in line" if position <= 1 else f"Waiting: {position - 1} before you"


def inert(markdown: str) -> str:
    """Markdown whose HTML is shown as text. In code nothing needs escaping: it is never read as HTML."""
    pieces = CODE.split(markdown)
    return "".join(piece if index % 2 else TAG.sub("&lt;", piece) for index, piece in enumerate(pieces))


def conversation_list(conversations: Sequence[ConversationView], current: str) -> str:
    """Links, so that a conversation can be opened in another tab; a plain click stays in this one (page.js)."""
    if not conversations:
        return '<p class="jn-empty">Your conversations will be listed here.</p>'
    lines = [_conversation(conversation, current) for conversation in conversations]
    return f'<nav aria-label="Conversations">{"".join(lines)}</nav>'


def _conversation(conversation: ConversationView, current: str) -> str:
    conversation_id = html.escape(conversation.address.thread_id)
    title = _plain(conversation.title[:TITLE_CHARACTERS] or "New conversation")
    here = ' aria-current="page"' if conversation.address.thread_id == current else ""
    return f'<a href="?c={conversation_id}" data-id="{conversation_id}"{here}>{title}</a>'


def _attachment(attachment: AttachmentView) -> str:
    url = f"files/{attachment.attachment_id}"
    name = html.escape(attachment.name, quote=True)
    if attachment.kind == "picture":
        return f'<img class="jn-picture" src="{url}" alt="Picture: {name}">'
    return f'<audio class="jn-voice" controls preload="metadata" src="{url}"></audio>'


def _stored_answer(turn: TurnView) -> str:
    text = inert(turn.answer or "")
    if turn.state == "failed":
        return f"{text}\n\n{_problem(turn.failure or 'This could not be answered.')}".strip()
    if turn.state == "stopped":
        return f'{text}\n\n<div class="jn-aside">Stopped.</div>'.strip()
    return text or _waiting("Thinking")


def _problem(sentence: str) -> str:
    return f'<div class="jn-problem" role="status">{_plain(sentence)}</div>'


def _waiting(what: str) -> str:
    return f'<div class="jn-waiting" role="status">{what}<span class="jn-dots"><i></i><i></i><i></i></span></div>'


def _plain(text: str) -> str:
    """Escaped on one line, so that neither markdown nor gradio's templates read anything into it."""
    escaped = html.escape(text, quote=True).replace("{", "&#123;").replace("$", "&#36;").replace("`", "&#96;")
    return escaped.replace("\r\n", "\n").replace("\n", "<br>")
