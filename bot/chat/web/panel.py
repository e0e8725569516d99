"""The page's owner looks through what was taught, retrains and chooses adapters: a page of its own, and what it asks for.

For nobody else: every request is checked here, and to others none of this exists.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel
from starlette.responses import FileResponse, JSONResponse, Response

from bot.chat.web.asking import PLATFORM
from bot.chat.web.board import OWNER, OWNER_NAME, Board
from bot.chat.web.comparing import Comparing, pictures_of
from bot.chat.web.imports import Imports
from bot.chat.web.page import ASSETS
from bot.chat.web.screen import MARKDOWN
from bot.chat.web.uploads import Uploads, file_response
from bot.desk import Desk
from bot.errors import JnanaError
from bot.store.choices import EVERYWHERE
from bot.store.records import ExampleState, StoredExample
from bot.texts import DEFAULT, say
from bot.turn import told

COMMUNITY = PLATFORM
"""What was taught on the page, by whomever (bot.teaching.community)."""

ROWS = 50  # examples that are fetched at once
EVERY: tuple[ExampleState, ...] = ("new", "kept", "dropped")


class Review(BaseModel):
    """What becomes of an example: another answer, or kept or dropped as it is."""

    answer: str = ""
    state: Literal["kept", "dropped"] = "kept"


class Sharing(BaseModel):
    """Whether retrainings in other communities learn from what was taught here."""

    shared: bool


class Wish(BaseModel):
    """Of a retraining: `note` begins one, `action` is that of a button."""

    note: str = ""
    action: str = ""


class Choice(BaseModel):
    """An adapter by name; none: back to the one before."""

    name: str = ""


class Import(BaseModel):
    """`path`: of an uploaded file that is to be learnt from; `action`: a button below what came of it."""

    path: str = ""
    action: str = ""


class Pair(BaseModel):
    """Two adapters by name."""

    first: str
    second: str


def _for_owner(request: Request) -> None:
    if request.state.owner is not True:
        raise HTTPException(404)


async def told_as_json(request: Request, error: Exception) -> Response:
    """What is refused, in one sentence."""
    sentence = told(error, DEFAULT) if isinstance(error, JnanaError) else str(error)
    return JSONResponse({"problem": sentence}, 409)


class Panel:
    def __init__(self, desk: Desk, board: Board, uploads: Uploads) -> None:
        self._desk = desk
        self._board = board
        self._comparing = Comparing(desk)
        self._imports = Imports(desk, uploads)
        self.router = APIRouter(prefix="/teaching", dependencies=[Depends(_for_owner)])
        add = self.router.add_api_route
        add("", self._page, response_model=None)
        add("/examples", self._examples)
        add("/examples/{example_id}", self._review, methods=["POST"])
        add("/examples/{example_id}/{number}", self._picture, response_model=None)
        add("/sharing", self._share, methods=["POST"])
        add("/import", self._imported)
        add("/import", self._import, methods=["POST"])
        add("/retrainings", self._retrainings)
        add("/retrainings", self._wish, methods=["POST"])
        add("/adapters", self._adapters)
        add("/adapters", self._choose, methods=["POST"])
        add("/comparison", self._comparison)
        add("/comparison", self._compare, methods=["POST"])

    async def _page(self) -> Response:
        return FileResponse(ASSETS / "teaching.html", headers={"Cache-Control": "no-cache"})

    # --- What was taught ---

    async def _examples(
        self, request: Request, state: ExampleState | None = None, before: int | None = None
    ) -> dict[str, object]:
        store = self._desk.store
        found = await store.examples(COMMUNITY, states=(state,) if state else EVERY, before=before, limit=ROWS)
        own = await store.examples_of(PLATFORM, request.state.browser)
        return {
            **await self._overview(),
            "more": len(found) == ROWS,
            "examples": [_row(one, own=one.example_id in own) for one in found],
        }

    async def _review(self, example_id: int, review: Review) -> dict[str, object]:
        if review.answer.strip():
            said = await self._desk.teaching.reword(example_id, COMMUNITY, review.answer, DEFAULT)
        else:
            done = await self._desk.store.review(example_id, COMMUNITY, review.state)
            said = "" if done else say(DEFAULT, "example-gone", number=example_id)
        return {"said": said, **await self._overview()}

    async def _share(self, sharing: Sharing) -> dict[str, object]:
        change = self._desk.teaching.share if sharing.shared else self._desk.teaching.unshare
        return {"said": await change(COMMUNITY, OWNER_NAME, DEFAULT), **await self._overview()}

    async def _overview(self) -> dict[str, object]:
        """How many examples there are, and with whom they are shared: in words, and as the switch shows it."""
        counts = await self._desk.teaching.counts(COMMUNITY, DEFAULT)
        shared = await self._desk.store.shared(COMMUNITY) is not None
        return {"counts": str(MARKDOWN.renderInline(counts)), "shared": shared}

    async def _imported(self) -> dict[str, object]:
        return self._imports.shown()

    async def _import(self, wish: Import, request: Request) -> dict[str, object]:
        """Takes minutes where there are many pictures: the page looks again."""
        if wish.action:
            await self._imports.press(request.state.browser, wish.action)
        else:
            self._imports.begin(request.state.browser, wish.path, COMMUNITY)
        return await self._imported()

    async def _picture(self, example_id: int, number: int) -> Response:
        example = await self._desk.store.example(example_id, COMMUNITY)
        if example is None or not 0 <= number < len(example.pictures):
            raise HTTPException(404)
        picture = example.pictures[number]
        return file_response(picture.path, picture.mime, picture.path.name)

    # --- What is made of it ---

    async def _retrainings(self) -> dict[str, object]:
        return {"retrainings": await self._board.shown()}

    async def _wish(self, wish: Wish) -> dict[str, object]:
        if wish.action:
            await self._board.press(wish.action)
        else:
            await self._board.begin(wish.note)
        return await self._retrainings()

    async def _adapters(self) -> dict[str, object]:
        training = self._desk.training()
        if (there := await training.adapters()) is None:
            return {"default": "", "names": []}
        return {"default": await training.answering(COMMUNITY), "names": list(there.names)}

    async def _choose(self, choice: Choice) -> dict[str, object]:
        """For everybody, unless the page has an adapter of its own."""
        training = self._desk.training()
        if choice.name:
            own = (await self._desk.store.choice(COMMUNITY)).name
            said = await training.use(choice.name, OWNER, DEFAULT, here=COMMUNITY if own else EVERYWHERE, said_in=COMMUNITY)
        else:
            said = await training.back(OWNER, DEFAULT, here=COMMUNITY)
        return {"said": said, **await self._adapters()}

    async def _comparison(self) -> dict[str, object]:
        return await self._comparing.shown()

    async def _compare(self, pair: Pair) -> dict[str, object]:
        """Takes minutes where the model is slow: nobody waits here, and the page looks again."""
        self._comparing.begin((pair.first, pair.second))
        return await self._comparison()


def _row(example: StoredExample, *, own: bool) -> dict[str, object]:
    return {
        "id": example.example_id,
        "question": example.question,
        "answer": example.answer,
        "pictures": pictures_of(example),
        "from": "You" if own else f"Visitor {example.teacher_id}",
        "state": example.state,
    }
