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
from bot.chat.growing import Growing
from bot.chat.web.live import Snapshot

TITLE_CHARACTERS = 60
TAG = re.compile(r"<(?=[A-Za-z/!?])")
FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})(.*)")  # indent, marks, what follows
INLINE_CODE = re.compile(r"(`[^`]+`)")
COLOURED = {
    "bash", "c", "css", "go", "html", "java", "javascript", "js", "json", "latex", "py", "python", "rust", "sh", "sql", "ts",
    "typescript", "xml", "yaml", "yml",
}  # fmt: skip
COLOURED_AS = {"c++": "c", "cpp": "c", "jsx": "js", "shell": "sh", "tsx": "ts"}
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


def question(turn: TurnView, live: Growing | None) -> str:
    parts = [_attachment(attachment) for attachment in turn.attachments]
    transcripts = turn.transcripts or tuple(live.transcripts if live else ())
    parts += [f'<div class="jn-heard" title="What was heard">{_plain(text)}</div>' for text in transcripts if text]
    if turn.text:
        parts.append(f'<div class="jn-text">{_plain(turn.text)}</div>')
    notices = turn.notices or tuple(live.notices if live else ())
    parts += [f'<div class="jn-notice">{_plain(notice)}</div>' for notice in notices if notice not in (turn.failure or "")]
    return f'<div class="jn-said">{"".join(parts)}</div>'


def answer(turn: TurnView, live: Growing | None) -> str:
    if live is None or (live.final is not None and turn.state not in ("received", "running")):
        return _stored_answer(turn)  # with why another answer failed, if it did
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
    """Markdown whose HTML is shown as text, and with its last block of code closed, so that something may follow.

    Only blocks of code that begin at the margin are surely code (CommonMark 0.31, section 4.5) and are left alone, until
    something was seen that parsers read in different ways. Where it is not sure, tags are broken by an invisible character:
    an entity would show in code.
    """
    lines: list[str] = []
    fence, sure = "", True
    for line in markdown.split("\n"):
        marks = FENCE.match(line)
        closes = bool(fence) and marks is not None and marks[2].startswith(fence) and not marks[3].strip(" ")
        if marks and (marks[1] or (fence and not closes)):
            sure = False
        opens = not fence and marks is not None
        if opens and marks:
            line = f"{marks[1]}{marks[2]}{_language(marks[3])}"
        lines.append(line if sure and (fence or opens) else _broken(line, code=bool(fence or opens)))
        fence = marks[2] if opens and marks else "" if closes else fence
    return "\n".join([*lines, fence] if fence else lines)


def _language(info: str) -> str:
    """What a block of code is coloured as. Of languages built on others gradio's highlighter draws nothing, not even text."""
    name = info.strip().split(" ")[0].lower()
    return COLOURED_AS.get(name, name if name in COLOURED else "")


def _broken(line: str, *, code: bool) -> str:
    """Without tags that could be read as such."""
    pieces = [line] if code else INLINE_CODE.split(line)
    return "".join(TAG.sub("<\u2060" if code or index % 2 else "&lt;", piece) for index, piece in enumerate(pieces))


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
    if attachment.kind == "text":
        return f'<a class="jn-file" href="{url}" download="{name}">{name}</a>'
    return f'<audio class="jn-voice" controls preload="metadata" src="{url}"></audio>'


def _stored_answer(turn: TurnView) -> str:
    parts = [inert(turn.answer or "")]
    if turn.state == "stopped":
        parts.append('<div class="jn-aside">Stopped.</div>')
    elif turn.truncated:
        parts.append('<div class="jn-aside">Cut off here: this is as long as an answer may be.</div>')
    if turn.state in ("received", "running"):  # and nobody is at it: not even its failure could be stored
        parts.append(_problem("This has not been answered. You can ask for the answer again."))
    elif turn.failure or turn.state == "failed":
        parts.append(_problem(turn.failure or "This could not be answered."))
    return "\n\n".join(part for part in parts if part)


def _problem(sentence: str) -> str:
    return f'<div class="jn-problem" role="status">{_plain(sentence)}</div>'


def _waiting(what: str) -> str:
    return f'<div class="jn-waiting" role="status">{what}<span class="jn-dots"><i></i><i></i><i></i></span></div>'


def _plain(text: str) -> str:
    """Escaped on one line, so that neither markdown nor gradio's templates read anything into it."""
    escaped = html.escape(text, quote=True).replace("{", "&#123;").replace("$", "&#36;").replace("`", "&#96;")
    return escaped.replace("\r\n", "\n").replace("\n", "<br>")
