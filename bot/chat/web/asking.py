"""Who asks for something on the page, and where; and what they are told when it goes wrong."""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Awaitable, Callable

import gradio as gr
import structlog

from bot.chat.base import WEB, Address, Sender
from bot.errors import NotAllowed, TurnError

log = structlog.get_logger(__name__)

PLATFORM = WEB
SENDER_NAME = "You"
CONVERSATION_ID = re.compile(r"[\w-]{16}")


def browser_of(request: gr.Request) -> str:
    return str(request.state.browser)


def is_owner(request: gr.Request) -> bool:
    return request.state.owner is True


def address_of(conversation: str, request: gr.Request) -> Address:
    if not CONVERSATION_ID.fullmatch(conversation):
        raise NotAllowed("This is no conversation of this page. Please reload it.")
    return Address(PLATFORM, browser_of(request), conversation)


def sender_of(request: gr.Request) -> Sender:
    return Sender(browser_of(request), SENDER_NAME)


async def problem_of(attempt: Callable[[], Awaitable[object]]) -> str:
    """What the person is told when it was refused or went wrong, as HTML; "" when it did not."""
    try:
        await attempt()
    except TurnError as error:
        sentence = error.sentence
    except Exception:
        request_id = secrets.token_hex(8)
        log.exception("not_done", platform=PLATFORM, request_id=request_id)
        sentence = f"Something went wrong on my side. The bot's owner can look for {request_id} in the log."
    else:
        return ""
    return f'<p role="alert">{html.escape(sentence)}</p>'
