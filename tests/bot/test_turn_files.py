"""Turns with pictures and voice notes, good and bad: a sentence for each file that cannot be used, and the next turn works."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from bot.chat.base import Delta, Failed, Finished, Incoming, Notice, Transcribed
from bot.errors import TextTooLong
from bot.memory import PICTURE_QUESTION
from bot.store import Store
from bot.turn import Turns
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, huge_png, long_recording, photo, picture, sound
from tests.bot.sending import HERE, end_of, events_of, file, message

PHOTO = encoded(photo(), "JPEG")
VOICE = sound(0.5)


async def test_a_photo_and_a_question(turns: Turns, store: Store, model: FakeModel) -> None:
    model.say("A gradient.")
    assert await end_of(await turns.start(message("What is this?", file("p.jpg", PHOTO)))) == Finished("A gradient.")
    (role, parts) = model.prompt()[-1]
    assert (role, parts[1]) == ("user", {"type": "text", "text": "What is this?"})
    assert parts[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    await end_of(await turns.start(message("Which colours?")))
    assert model.prompt()[1][1] == parts, "the follow-up question needs the picture"


async def test_a_photo_without_words_is_described(turns: Turns, model: FakeModel) -> None:
    await end_of(await turns.start(message("", file("p.jpg", PHOTO))))
    assert model.prompt()[-1][1][1]["text"] == PICTURE_QUESTION


async def test_a_voice_note_alone_is_a_full_question(turns: Turns, store: Store, model: FakeModel) -> None:
    model.hear("What is the capital of France?", "en")
    model.say("Paris.")
    turn = await turns.start(message("", file("voice.ogg", VOICE)))
    assert await events_of(turn) == [
        Transcribed("What is the capital of France?", "en"),
        Delta("Paris."),
        Finished("Paris."),
    ]
    assert model.recordings[0].startswith(b"OggS")
    assert model.prompt()[-1] == ("user", "What is the capital of France?")
    [view] = await store.turns(HERE)
    assert (view.transcripts, view.attachments[0].kind) == (("What is the capital of France?",), "voice")
    assert (await store.conversations("web", "browser-1"))[0].title == "What is the capital of France?"


async def test_a_text_file_is_read_and_remembered(turns: Turns, store: Store, model: FakeModel) -> None:
    code = "def f():\n    return '```'\n"
    await end_of(await turns.start(message("What is wrong?", file("f.py", code.encode()))))
    assert model.prompt()[-1] == ("user", f"f.py:\n````\n{code}````\n\nWhat is wrong?")
    await end_of(await turns.start(message("And now?")))
    assert code in model.prompt()[1][1]
    assert (await store.turns(HERE))[0].attachments[0].kind == "text"


async def test_a_text_file_that_was_deleted_by_hand_does_not_end_its_conversation(
    turns: Turns, store: Store, model: FakeModel
) -> None:
    await end_of(await turns.start(message("What is wrong?", file("f.py", b"def f(): pass"))))
    (stored,) = store.files.root.rglob("*.txt")
    stored.unlink()
    assert await end_of(await turns.start(message("And now?"))) == Finished("ok")
    assert "(the file was deleted)" in model.prompt()[1][1]


async def test_text_picture_and_voice_go_together(turns: Turns, model: FakeModel) -> None:
    model.hear("and the colours?")
    files = (file("voice.ogg", VOICE), file("p.jpg", PHOTO), file("q.png", encoded(picture(), "PNG")))
    await end_of(await turns.start(message("What is this?", *files)))
    parts = model.prompt()[-1][1]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    assert parts[2]["text"] == "and the colours?\n\nWhat is this?"


async def test_a_recording_is_heard_once(turns: Turns, model: FakeModel) -> None:
    turn = await turns.start(message("", file("voice.ogg", VOICE)))
    await end_of(turn)
    assert (await events_of(await turns.regenerate(turn.turn_id, HERE)))[0] == Transcribed("hello", "en")
    assert len(model.recordings) == 1


async def test_a_recording_without_speech_is_told(turns: Turns, store: Store, model: FakeModel) -> None:
    model.hear("")
    failed = await end_of(await turns.start(message("", file("hum.ogg", VOICE))))
    assert isinstance(failed, Failed)
    assert failed.sentence == "I could not hear any speech in hum.ogg."
    assert model.chats == []
    model.hear("")
    turn = await turns.start(message("Hello?", file("hum.ogg", VOICE)))
    assert await events_of(turn) == [Notice("I could not hear any speech in hum.ogg."), Delta("ok"), Finished("ok")]
    assert (await store.turns(HERE))[-1].notices == ("I could not hear any speech in hum.ogg.",)
    again = await events_of(await turns.regenerate(turn.turn_id, HERE))
    assert again.count(Notice("I could not hear any speech in hum.ogg.")) == 1


async def test_a_recording_that_the_worker_refuses_is_told(turns: Turns, model: FakeModel) -> None:
    model.fail_hearing(400, "invalid_audio")
    failed = await end_of(await turns.start(message("", file("odd.ogg", VOICE))))
    assert isinstance(failed, Failed)
    assert failed.sentence == "odd.ogg: I could not listen to this recording."


async def test_transcription_survives_a_worker_that_is_lost(turns: Turns, model: FakeModel) -> None:
    model.fail_hearing(503, "loading", retry_after="0.01")
    assert await end_of(await turns.start(message("", file("voice.ogg", VOICE)))) == Finished("ok")


BAD = {
    "truncated.jpg": (PHOTO[: len(PHOTO) // 2], "damaged or incomplete"),
    "empty.png": (b"", "an empty file"),
    "huge.png": (huge_png(50_000), "too many pixels"),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG"),
    "renamed.jpg": (b"%PDF-1.7 Dear diary", "a PDF"),
    "long.flac": (long_recording(3 * 3600), "180 minutes long"),
    "broken.ogg": (b"OggS" + b"\x07" * 300, "damaged"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_file_alone_is_a_sentence_that_names_it(turns: Turns, store: Store, name: str) -> None:
    data, words = BAD[name]
    failed = await end_of(await turns.start(message("", file(name, data))))
    assert isinstance(failed, Failed)
    assert failed.sentence.startswith(f"{name}: ")
    assert words in failed.sentence
    [view] = await store.turns(HERE)
    assert view.failure == failed.sentence
    again = await end_of(await turns.regenerate(view.turn_id, HERE))
    assert isinstance(again, Failed)
    assert again.sentence == failed.sentence
    assert await end_of(await turns.start(message("Still there?"))) == Finished("ok")


async def test_a_question_about_a_file_that_cannot_be_used_is_not_answered_without_it(turns: Turns, model: FakeModel) -> None:
    failed = await end_of(await turns.start(message("What is in this photo?", file("p.jpg", PHOTO[: len(PHOTO) // 2]))))
    assert isinstance(failed, Failed)
    assert failed.sentence == "p.jpg: the picture is damaged or incomplete. Please send it again, or ask without it."
    assert model.chats == []


async def test_bad_files_beside_good_ones_are_noticed_and_the_turn_goes_on(
    turns: Turns, store: Store, model: FakeModel
) -> None:
    files = [file(name, data) for name, (data, _) in BAD.items()]
    turn = await turns.start(message("", *files, file("p.jpg", PHOTO)))
    events = await events_of(turn)
    notices = [event.sentence for event in events if isinstance(event, Notice)]
    assert len(notices) == len(BAD)
    assert events[-1] == Finished("ok")
    [view] = await store.turns(HERE)
    assert view.notices == tuple(notices)
    assert [attachment.name for attachment in view.attachments] == ["p.jpg"]


@pytest.mark.parametrize("words", ["What is it?", ""])
async def test_pictures_in_odd_formats_are_understood(turns: Turns, model: FakeModel, words: str) -> None:
    odd = [
        encoded(picture("CMYK", colour=(0, 255, 255, 0)), "JPEG"),
        encoded(picture("I;16", colour=300), "PNG"),
        encoded(picture("P", colour=0), "PNG", transparency=0),
        encoded(picture(), "GIF", save_all=True, append_images=[picture(colour="blue")]),
    ]
    await end_of(await turns.start(message(words, *[file(f"{number}", data) for number, data in enumerate(odd)])))
    assert [part["type"] for part in model.prompt()[-1][1]] == ["image_url"] * 4 + ["text"]


async def test_a_file_announced_as_too_large_is_not_fetched(turns: Turns) -> None:
    never = file("film.mp4", AssertionError("fetched"), size=2**30)
    failed = await end_of(await turns.start(message("", never)))
    assert isinstance(failed, Failed)
    assert failed.sentence == "film.mp4: the file has 1024 MB; I can take 25 MB."


async def test_a_file_that_cannot_be_fetched_keeps_its_address_to_itself(turns: Turns, store: Store) -> None:
    secret = "https://platform/file/bot-token/photo.jpg"
    failed = await end_of(await turns.start(message("", file("p.jpg", RuntimeError(secret)))))
    assert isinstance(failed, Failed)
    assert failed.sentence == "p.jpg: the file could not be fetched. Please send it again."
    database = (store.files.root.parent / "jnana.db").read_bytes() + (store.files.root.parent / "jnana.db-wal").read_bytes()
    assert b"bot-token" not in database


async def test_a_picture_deleted_by_hand_does_not_spoil_the_conversation(turns: Turns, store: Store, model: FakeModel) -> None:
    await end_of(await turns.start(message("What is this?", file("p.jpg", PHOTO))))
    (await store.turns(HERE))[0].attachments[0].path.unlink()
    assert await end_of(await turns.start(message("Which colours?"))) == Finished("ok")
    assert [part["type"] for part in model.prompt()[1][1]] == ["text", "text"]


async def test_a_slow_file_does_not_change_the_order(turns: Turns, model: FakeModel) -> None:
    arrived = asyncio.Event()

    async def fetch() -> bytes:
        await arrived.wait()
        return PHOTO

    incoming: Incoming = message("first", file("p.jpg", b""))
    slow = Incoming(incoming.address, incoming.sender, "first", (type(incoming.files[0])("p.jpg", None, fetch),))
    one = await turns.start(slow)
    two = await turns.start(message("second"))
    await asyncio.sleep(0.1)
    assert model.chats == []
    arrived.set()
    await end_of(one)
    await end_of(two)
    assert model.prompt(1)[-1] == ("user", "second")
    assert model.prompt(0)[-1][1][1]["text"] == "first"


async def test_every_refusal_is_a_line_in_the_log_with_the_id_of_the_request(turns: Turns) -> None:
    logged = structlog.testing.LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, logged])
    try:
        turn = await turns.start(message("look", file("photo.jpg", b"%PDF-1.7"), file("p.png", encoded(photo(), "PNG")[:200])))
        await end_of(turn)
        with pytest.raises(TextTooLong):
            await turns.start(message("x" * 100_000))
    finally:
        structlog.reset_defaults()
    refused = [line for line in logged.entries if line["event"] == "file refused"]
    assert [line["reason"].split(":")[0] for line in refused] == ["photo.jpg", "p.png"]
    assert {line["request_id"] for line in refused} == {turn.request_id}
    assert [len(line["request_id"]) for line in logged.entries if line["event"] == "turn refused"] == [16]
