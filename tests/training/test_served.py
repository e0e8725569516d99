"""What is taught is learnt once more as it reaches the mind in a chat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from bot.memory import speaker, user_message
from bot.store.records import RememberedTurn
from model.mind import Message, Mind, Picture, PromptTooLong
from training.config import Files
from training.retrain import served
from training.retrain.served import NAMES, as_served, seen_by, with_own_answers

SEEN = 'The photo shows <image> and "a badge".'


@dataclass
class Seeing:
    """A mind that sees the same in each picture and takes no long questions."""

    hints: tuple[str, ...] = (SEEN,)

    def encode(self, messages: Sequence[Message], *, max_new_tokens: int) -> SimpleNamespace:
        (message,) = messages
        if any(isinstance(part, str) and len(part) > 100 for part in message.parts):
            raise PromptTooLong(100, 10)
        return SimpleNamespace(hints=self.hints if any(isinstance(part, Picture) for part in message.parts) else ())

    def answer_ids(self, text: str) -> list[int]:
        return list(text.encode())


class Says:
    """To the first a word that marks a picture, to the second more than anybody reads, to the third nothing."""

    def __init__(self, mind: object) -> None:
        pass

    def write(self, prompts: Sequence[object], *, max_tokens: int) -> list[str]:
        return ["An <image>.", "And so on, " * 20, ""]

    def close(self) -> None:
        pass


def lessons(folder: Path, questions: Sequence[str], **shown: str) -> Files:
    Image.new("RGB", (40, 40), "red").save(folder / "badge.png")
    mark = "<image>\n" if shown else ""
    talks = [[{"from": "human", "value": mark + asked}, {"from": "gpt", "value": "The Heron Club."}] for asked in questions]
    file = folder / "train.jsonl"
    file.write_text(
        "".join(json.dumps({"id": str(at), **shown, "conversations": talk}) + "\n" for at, talk in enumerate(talks))
    )
    return Files(format="llava", file=file, images=folder)


def values(source: Files, mind: Seeing) -> list[str]:
    rows: list[dict[str, Any]] = list(as_served(seen_by(cast(Mind, mind), source, lambda done, total: None)))
    assert all(row["conversations"][1]["value"] == "The Heron Club." for row in rows)
    return [row["conversations"][0]["value"] for row in rows]


def test_a_question_stands_behind_what_is_seen_and_half_the_time_behind_a_name(tmp_path: Path) -> None:
    source = lessons(tmp_path, ["Whose is it?"] * 100, image="badge.png")
    lines = values(source, Seeing())
    assert len(lines) == 100
    hint = "<image>\n" + SEEN.replace("<image>", "image")
    named = {line.removeprefix(f"{hint}\n") for line in lines if line != f"{hint}\nWhose is it?"}
    assert named <= {f"{name}: Whose is it?" for name in NAMES}
    assert len(named) > len(NAMES) // 2
    assert 35 < sum(line != f"{hint}\nWhose is it?" for line in lines) < 65
    assert lines == values(source, Seeing())  # the same the next time


def test_what_nothing_is_put_in_front_of_is_not_learnt_twice(tmp_path: Path) -> None:
    lines = values(lessons(tmp_path, ["Who is the president?"] * 100), Seeing())
    assert 35 < len(lines) < 65
    assert all(line.endswith(": Who is the president?") for line in lines)


def test_what_is_too_long_is_left_out(tmp_path: Path) -> None:
    assert values(lessons(tmp_path, ["long " * 30, "Whose is it?"], image="badge.png"), Seeing())[0].endswith("Whose is it?")


def test_a_name_stands_where_the_bot_puts_it() -> None:
    for name in NAMES:
        assert speaker(name) == name
        turn = RememberedTurn(name, "Whose is it?")
        assert user_message(turn, group=True).text == f"{name}: Whose is it?"


def test_what_is_replayed_has_the_minds_own_first_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says, and not what it should have said; where that is nothing, or no end of it, what it should have."""
    monkeypatch.setattr(served, "MindAnswerer", Says)
    source = lessons(tmp_path, ["What is this?", "Say much.", "Say nothing."], image="badge.png")
    more = [{"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."}]
    rows = [json.loads(line) for line in source.file.read_text().splitlines()]
    rows[0]["conversations"] += more
    source.file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = list(seen_by(cast(Mind, Seeing()), source, lambda done, total: None))
    own = with_own_answers(cast(Mind, Seeing()), seen)
    assert [one.record["conversations"][1]["value"] for one in own] == ["An image.", "The Heron Club.", "The Heron Club."]
    assert own[0].record["conversations"][2:] == more
    assert all(row["conversations"][0]["value"].startswith(f"<image>\n{SEEN[:14]}") for row in as_served(own))
