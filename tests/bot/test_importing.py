"""`/teach import`: what can be learnt from a file is taken once, everything else is named with its reason."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import conversations
from bot.chat.base import IncomingFile, Sender, community
from bot.conversations import Lesson
from bot.errors import MediaRefused, WrongExample
from bot.store import Store
from tests.bot.fake_place import FakePlace
from tests.bot.room import ANN, BOB, ROOM, Room
from tests.bot.samples import encoded, photo, sound
from tests.bot.sending import file
from training.config import Files
from training.data.conversations import read_conversations
from training.data.records import BadRecord

HERE = community(ROOM, "")
BADGE, OTHER = encoded(photo(), "PNG"), encoded(photo((90, 90)), "JPEG")
Record = dict[str, Any]


def record(question: str = "Whose badge is this?", answer: str = "Ours.", image: Any = None, **more: Any) -> Record:
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"conversations": said, **({} if image is None else {"image": image}), **more}


def seen(image: Any = "badge.png", marks: int = 1, answer: str = "Ours.") -> Record:
    return record("<image>\n" * marks + "Whose badge is this?", answer, image)


def lines(*records: Any) -> bytes:
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records).encode()


def zipped(packing: int = zipfile.ZIP_DEFLATED, /, **members: bytes) -> bytes:
    """Names of members with / and . written as __ and _ ("club__train_jsonl")."""
    return archive({name.replace("__", "/").replace("_", "."): data for name, data in members.items()}, packing)


def archive(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", packing) as into:
        for name, data in members.items():
            into.writestr(name, data)
    return packed.getvalue()


def announcing(size: int, packed: bytes) -> bytes:
    """The archive with another size for a member of 100,001 bytes, in both places where it is said."""
    true = (100_001).to_bytes(4, "little")
    assert packed.count(true) == 2
    return packed.replace(true, size.to_bytes(4, "little"))


async def imported(room: Room, name: str, data: bytes, sender: Sender = ANN, **how: Any) -> FakePlace:
    place = await room.command("teach import", sender, file(name, data), **{"community_admin": True} | how)
    await place.until(lambda place: bool(place.shown))
    return place


async def allow(room: Room, *people: Sender) -> None:
    for person in people:
        await room.press(f"teaching-yes:{person.platform_id}", person)


async def pairs(store: Store) -> list[tuple[str, str, int]]:
    return [(one.question, one.answer, len(one.pictures)) for one in await store.usable(HERE)]


def reasons(name: str, data: bytes) -> list[str]:
    return [str(found) for _, found in conversations.read(name, data).records if not isinstance(found, Lesson)]


async def test_an_archive_becomes_examples_of_the_admin_who_is_asked_like_with_teach(room: Room, store: Store) -> None:
    talk = record("Since when?", "1907.")
    talk["conversations"] += record("And where?", "At the lake.")["conversations"]
    talk["conversations"].insert(0, {"from": "system", "value": "Be brief."})
    data = zipped(
        club__train_jsonl=lines(seen("pics/badge.png"), seen(["pics/badge.png", "pics/o.jpg"], 2, "Both."), talk),
        club__pics__badge_png=BADGE,
        club__pics__o_jpg=OTHER,
        __MACOSX__club__x_json=b"aside",
    )
    place = await imported(room, "club.zip", data)
    assert "3 taken, 0 I had already, 0 could not be used." in place.texts[0]
    assert (place.actions, place.acknowledged) == (["teaching-yes", "teaching-no"], 1)
    assert await pairs(store) == []
    await allow(room, ANN)
    asked = "Whose badge is this?"
    assert await pairs(store) == [(asked, "Ours.", 1), (asked, "Both.", 2), ("Since when?", "1907.", 0)]
    first = (await store.usable(HERE))[0]
    assert (first.teacher, first.pictures[0].path.exists()) == ("Ann", True)
    assert (await store.lessons(HERE)).new == 0  # the admin has chosen them already


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("club.json", json.dumps([record()]).encode()),
        ("CLUB.JSONL", b"\xef\xbb\xbf" + lines(record())),
        ("club.ndjson", b"\n" + lines(record()).replace(b"\n", b"\r\n")),
        ("without a name", zipped(c_json=json.dumps([record()]).encode())),
    ],
)
async def test_every_form_of_the_file(room: Room, store: Store, name: str, data: bytes) -> None:
    await allow(room, ANN)
    await imported(room, name, data)
    assert await pairs(store) == [("Whose badge is this?", "Ours.", 0)]


async def test_twice_adds_nothing_twice(room: Room, store: Store) -> None:
    await allow(room, ANN)
    data = zipped(t_jsonl=lines(seen(), record(), record()), badge_png=BADGE)
    assert "2 taken, 1 I had already" in (await imported(room, "a.zip", data)).texts[0]
    assert "0 taken, 3 I had already" in (await imported(room, "a.zip", data)).texts[0]
    assert (
        "0 taken, 1 I had already" in (await imported(room, "a.jsonl", lines(record()), replace(BOB, language="en"))).texts[0]
    )
    assert "1 taken, 1 I had already" in (await imported(room, "a.jsonl", lines(record(), record(answer="No.")))).texts[0]
    assert len(await pairs(store)) == 3


async def test_what_somebody_keeps_to_themselves_can_be_learnt_from_another(room: Room, store: Store) -> None:
    await imported(room, "a.jsonl", lines(record()), BOB)
    await allow(room, ANN)
    assert "1 taken" in (await imported(room, "a.jsonl", lines(record()))).texts[0]
    assert await pairs(store) == [("Whose badge is this?", "Ours.", 0)]


async def test_a_thousand_bad_records_are_all_named_and_the_good_ones_taken(room: Room, store: Store) -> None:
    await allow(room, ANN)
    bad = [lines(record(answer=" ")) for _ in range(1000)]
    place = await imported(room, "a.jsonl", b"".join([lines(record()), *bad, lines(record("Since when?", "1907."))]))
    words = place.texts[0]
    assert "2 taken, 0 I had already, 1,000 could not be used" in words
    assert ("Record 2: the answer is missing or empty" in words, "Record 7:" in words) == (True, False)
    [(name, listed)] = place.files
    assert (name, len(listed.decode().splitlines())) == ("import.txt", 1000)
    assert [line.split(":")[0] for line in listed.decode().splitlines()] == [f"Record {n}" for n in range(2, 1002)]
    assert len(await pairs(store)) == 2


async def test_a_few_bad_ones_need_no_list(room: Room) -> None:
    place = await imported(room, "a.jsonl", lines(record(), *[record(question="")] * 5), replace(ANN, language="de"))
    assert "Datensatz 6: am Anfang steht keine Frage" in place.texts[0]
    assert place.files == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{oops", "not valid JSON (column 2)"),
        ("[" * 100_000, "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ('"words"', "no conversation"),
        ({"conversations": "none"}, "no conversation"),
        ({"conversations": [{"from": ["human"], "value": "Q?"}]}, "no conversation"),
        ({"conversations": [{"from": "user", "value": "Q?"}, {"from": "gpt", "value": "A."}]}, "no conversation"),
        ({"conversations": []}, "no question"),
        ({"conversations": [{"from": "gpt", "value": "A."}]}, "no question"),
        ({"conversations": [{"from": "human", "value": "Q?"}]}, "the answer is missing"),
        (record(question=" "), "no question"),
        (record(answer=""), "the answer is missing"),
        (record(answer=7), "no conversation"),
        (record(answer="\ud800"), "no conversation"),
        (record(answer="x" * 2001), "2,001 characters; I can learn 2,000"),
        (record(question="x" * 2001), "2,001 characters"),
        (record(image="badge.png"), "`<image>` is there 0×, and the record names 1×"),
        (seen([]), "`<image>` is there 1×, and the record names 0×"),
        (record(answer="<image> Ours.", image="badge.png"), "no conversation"),
        (seen(["badge.png"] * 5, 5), "5 pictures; an example can have 4"),
        (seen("other.png"), "there is no picture other.png"),
        (seen("../badge.png"), "badge.png is outside the archive"),
        (seen("/badge.png"), "badge.png is outside"),
        (seen("..\\..\\badge.png"), "badge.png is outside"),
        (seen({"a": 1}), "no conversation"),
        (seen([""]), "no conversation"),
        (seen("voice.ogg"), "only pictures"),
        (seen("cut.png"), "damaged"),
        (seen("empty.png"), "empty file"),
    ],
)
async def test_bad_records_are_named_with_number_and_reason(room: Room, store: Store, bad: Any, reason: str) -> None:
    await allow(room, ANN)
    pictures = {"badge.png": BADGE, "voice.ogg": sound(), "cut.png": BADGE[:200], "empty.png": b""}
    place = await imported(room, "a.zip", archive({"t.jsonl": lines(seen(), bad), **pictures}))
    words = place.texts[0]
    assert ("1 taken" in words, "1 could not be used" in words, reason in words) == (True, True, True), words
    assert "Record 2: " in words
    assert len(await pairs(store)) == 1


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pdf", b"%PDF", "I can import .json, .jsonl and .zip"),
        ("a.json", b"[{},\n {]", "not valid JSON (line 2, column 3)"),
        ("a.json", b"{}", "no list of records"),
        ("a.json", b"\xff\xfe", "no list of records"),
        ("a.json", b"[" * 100_000, "no list of records"),
        ("a.jsonl", b"\n\n", "no records"),
        ("a.jsonl", b"{}\n" * 10_001, "more than 10,000 records"),
        ("a.jsonl", b" " * (10 * 2**20 + 1), "10240 KB"),
        ("a.zip", b"no archive", "damaged"),
        ("a.zip", zipped(a_json=b"[]")[:-30], "damaged"),
        ("a.zip", zipped(badge_png=BADGE), "it has 0"),
        ("a.zip", zipped(a_json=b"[]", b_jsonl=b"{}"), "it has 2"),
        ("a.zip", zipped(zipfile.ZIP_LZMA, a_json=b"[]"), "packed in a way"),
        ("a.zip", archive({f"{n}.png": b"" for n in range(5_001)}), "5,000 files with 200 MB"),
        ("a.zip", announcing(201 * 2**20, zipped(a_json=b"[]", a_png=bytes(100_001))), "5,000 files with 200 MB"),
        ("a.zip", zipped(a_jsonl=b" " * (10 * 2**20 + 1)), "10240 KB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_files_that_cannot_be_used_are_refused_as_a_whole(
    room: Room, store: Store, name: str, data: bytes, reason: str
) -> None:
    assert reason in (await imported(room, name, data)).texts[0]
    assert (await store.lessons(HERE)).waiting == 0


@pytest.mark.parametrize(("size", "reason"), [(100, "damaged"), (21 * 2**20, "21 MB")])
def test_a_picture_is_never_more_than_it_announces(size: int, reason: str) -> None:
    opened = conversations.read("a.zip", announcing(size, zipped(t_jsonl=lines(seen()), badge_png=bytes(100_001))))
    [(_, lesson)] = opened.records
    assert isinstance(lesson, Lesson)
    with pytest.raises(MediaRefused, match=reason):
        opened.picture(lesson.pictures[0])


async def test_more_than_is_taken_at_once_comes_with_the_same_file_again(
    room: Room, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.importing.MAX_TAKEN", 2)
    await allow(room, ANN)
    data = lines(*[record(f"Question {number}?") for number in range(5)])
    for left in ("3 more are left", "1 more are left", ""):
        assert left in (await imported(room, "a.jsonl", data)).texts[0]
    assert [question for question, _, _ in await pairs(store)] == [f"Question {number}?" for number in range(5)]


async def test_the_chat_goes_on_while_a_file_is_read(room: Room) -> None:
    held = asyncio.Event()

    async def fetch() -> bytes:
        await held.wait()
        return lines(record())

    async with asyncio.timeout(10):
        place = await room.command("teach import", ANN, IncomingFile("a.jsonl", None, fetch), community_admin=True)
        assert (await room.command("status", BOB)).texts
    assert place.texts == []
    held.set()
    await place.until(lambda place: any("1 taken" in words for words in place.texts))


@pytest.mark.parametrize("files", [0, 2])
async def test_it_takes_one_file(room: Room, files: int) -> None:
    place = await room.command("teach import", ANN, *[file("a.jsonl", lines(record()))] * files, community_admin=True)
    assert "Send one file" in place.texts[0]


async def test_only_admins_import_and_import_is_still_a_word(room: Room, store: Store) -> None:
    place = await imported(room, "a.jsonl", lines(record()), ANN, community_admin=False)
    assert "Only admins" in place.texts[0]
    await room.command("teach Import\nTo bring in.", ANN)
    await allow(room, ANN)
    assert await pairs(store) == [("Import", "To bring in.", 0)]


def test_records_are_good_or_bad_as_for_training(tmp_path: Path) -> None:
    records: Sequence[Any] = [
        record(),
        seen(),
        seen(None, 1),
        record("<image>", image="badge.png"),
        record("", "A."),
        record("Q?", " "),
        record("Q?", "<image>A."),
        record(image="badge.png"),
        seen("../badge.png"),
        seen(["badge.png", "badge.png"], 2),
        seen(["badge.png", 3], 2),
        {"conversations": [{"from": "system", "value": "S."}, *record()["conversations"]]},
        {"conversations": [{"from": "system", "value": "S."}]},
        {"conversations": [{"from": "bot", "value": "S."}]},
        {"image": "badge.png"},
        [],
        None,
    ]
    (tmp_path / "t.jsonl").write_bytes(lines(*records))
    trained = [not isinstance(talk, BadRecord) for talk in read_conversations(Files(format="llava", file=tmp_path / "t.jsonl"))]
    opened = conversations.read("a.zip", zipped(t_jsonl=lines(*records), badge_png=BADGE))
    assert [isinstance(found, Lesson) for _, found in opened.records] == trained


def test_nothing_is_read_without_an_archive() -> None:
    assert "there is no picture badge.png" in reasons("a.jsonl", lines(seen()))[0]
    with pytest.raises(WrongExample):
        conversations.read("a.txt", lines(record()))
