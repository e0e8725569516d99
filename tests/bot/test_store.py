"""The store: what is kept, who may see it, and what happens when the disk or the database is not as it should be."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.orm import Session

from bot.chat.base import Address
from bot.errors import DatabaseNewer, DatabaseOutdated, DiskFull, ReadOnly, StoreError
from bot.media import Media
from bot.settings import Settings
from bot.store import AnswerRecord, Store, migrate
from bot.store.database import open_engine
from bot.store.files import AttachmentFiles
from bot.store.tables import Base, ClosedChat
from tests.bot.sending import ANN, BOB, ELSEWHERE, HERE, message

JPEG = Media("picture", "cat.jpg", b"not really a cat", "image/jpeg", width=4, height=3)


async def answered(store: Store, question: str = "Why?", answer: str = "Because.", address: Address = HERE) -> int:
    turn = await store.receive(message(question, address=address), "r")
    await store.begin(turn.turn_id, "r")
    await store.finish(turn.turn_id, AnswerRecord(answer))
    return turn.turn_id


def sql(settings: Settings, statement: str) -> None:
    with closing(sqlite3.connect(settings.jnana_home / "jnana.db")) as connection, connection:
        connection.execute(statement)


# --- Turns, attachments, ratings ---


async def test_of_a_long_conversation_the_first_remembered_turn_stays_for_a_while(store: Store) -> None:
    begins = []
    for number in range(13):
        turn_id = await answered(store, str(number))
        remembered, _ = await store.remembered(turn_id, 6)
        assert [turn.text for turn in remembered][-1] == str(number)
        begins.append(int(remembered[0].text))
        assert len(remembered) <= 7
    assert begins == [0, 0, 0, 0, 0, 0, 0, 2, 2, 4, 4, 6, 6]


async def test_a_turn_is_kept_over_a_restart(store: Store, settings: Settings) -> None:
    before = datetime.now(UTC)
    turn = await store.receive(message("Look", message_id="m1"), "r")
    await store.take_in(turn.turn_id, [JPEG], ["notes.svg: no."])
    await store.begin(turn.turn_id, "r")
    await store.finish(turn.turn_id, AnswerRecord("A cat.", hints=("cat",), timings={"decode": 1.5}, answer_tokens=2))
    await store.close()
    reopened = await Store.open(settings.database, settings.attachments)
    [view] = await reopened.turns(HERE)
    assert (view.sender_name, view.text, view.answer, view.state, view.notices) == (
        "Ann",
        "Look",
        "A cat.",
        "finished",
        ("notes.svg: no.",),
    )
    assert view.attachments[0].path.read_bytes() == JPEG.data
    assert before <= view.created_at <= datetime.now(UTC)
    details = await reopened.answer(turn.turn_id, HERE)
    assert details == AnswerRecord("A cat.", hints=("cat",), timings={"decode": 1.5}, answer_tokens=2)
    await reopened.close()


async def test_attachments_are_named_by_content_and_stored_once(store: Store, settings: Settings) -> None:
    for _ in range(2):
        turn = await store.receive(message("Look"), "r")
        await store.take_in(turn.turn_id, [JPEG], [])
    digest = hashlib.sha256(JPEG.data).hexdigest()
    files = [path for path in settings.attachments.rglob("*") if path.is_file()]
    assert files == [settings.attachments / digest[:2] / f"{digest}.jpg"]


async def test_a_file_cut_off_by_a_crash_is_written_again(store: Store) -> None:
    digest = await store.files.put(JPEG.data, JPEG.mime)
    store.files.path(digest, JPEG.mime).write_bytes(b"not re")
    await store.files.put(JPEG.data, JPEG.mime)
    assert store.files.path(digest, JPEG.mime).read_bytes() == JPEG.data


async def test_conversations_of_others_are_out_of_reach(store: Store) -> None:
    turn_id = await answered(store, "my secret")
    turn = await store.receive(message("Look"), "r")
    await store.take_in(turn.turn_id, [JPEG], [])
    attachment = (await store.turns(HERE))[-1].attachments[0]
    assert await store.turns(ELSEWHERE) == []
    assert await store.turns(Address("web", "browser-1", "2")) == []
    assert await store.turns(Address("discord", "browser-1", "1")) == []
    assert await store.conversations("web", ELSEWHERE.chat_id) == []
    assert await store.attachment(attachment.attachment_id, "web", ELSEWHERE.chat_id) is None
    assert await store.attachment(attachment.attachment_id, "web", HERE.chat_id) == attachment
    assert await store.answer(turn_id, ELSEWHERE) is None
    assert await store.ask_again(turn_id, ELSEWHERE, "r") is None
    assert not await store.rate(turn_id, ELSEWHERE, ANN, 1)


async def test_conversations_are_titled_by_their_first_words_newest_first(store: Store) -> None:
    await answered(store, "one")
    await answered(store, "word " * 30, address=Address("web", "browser-1", "2"))
    await answered(store, "later in the first")
    first, second = await store.conversations("web", "browser-1")
    assert (first.title, first.address) == ("one", HERE)
    assert second.title == "word " * 11 + "word…"


async def test_history_shows_the_newest_turns_oldest_first(store: Store) -> None:
    for number in range(5):
        await answered(store, str(number))
    assert [view.text for view in await store.turns(HERE, limit=3)] == ["2", "3", "4"]


async def test_rating_again_replaces_and_zero_takes_back(store: Store) -> None:
    turn_id = await answered(store)

    async def rating() -> int:
        return (await store.turns(HERE))[0].rating

    await store.rate(turn_id, HERE, ANN, 1)
    await store.rate(turn_id, HERE, ANN, -1)
    assert await rating() == -1
    await store.rate(turn_id, HERE, BOB, 1)
    assert await rating() == 0
    await store.rate(turn_id, HERE, ANN, 0)
    assert await rating() == 1


async def test_a_new_answer_replaces_the_old_one_which_is_kept(store: Store, settings: Settings) -> None:
    turn_id = await answered(store)
    await store.rate(turn_id, HERE, ANN, 1)
    await store.ask_again(turn_id, HERE, "r2")
    await store.finish(turn_id, AnswerRecord("Otherwise."))
    [view] = await store.turns(HERE)
    assert (view.answer, view.rating) == ("Otherwise.", 0)
    with closing(sqlite3.connect(settings.jnana_home / "jnana.db")) as connection:
        assert connection.execute("select text, is_current from answers order by id").fetchall() == [
            ("Because.", 0),
            ("Otherwise.", 1),
        ]


async def test_unfinished_turns_are_found_after_a_restart(store: Store) -> None:
    await answered(store)
    waiting = await store.receive(message("waiting"), "r")
    running = await store.receive(message("running"), "r")
    await store.begin(running.turn_id, "r")
    assert [(turn.text, turn.attempts) for turn in await store.unfinished(["web"])] == [("waiting", 0), ("running", 1)]
    assert waiting.address == HERE


async def test_many_turns_at_once_do_not_lock_each_other_out(store: Store) -> None:
    addresses = [Address("web", f"browser-{number % 7}", "1") for number in range(40)]
    turn_ids = await asyncio.gather(*(answered(store, address=address) for address in addresses))
    assert len(set(turn_ids)) == 40


async def test_a_transaction_whose_waiter_is_cancelled_is_whole_or_not_at_all(
    store: Store, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopping the bot cancels what waits for the store: nothing is left halfway, and the log shows no traceback."""
    begun, may_end = threading.Event(), threading.Event()

    def slowly(session: Session) -> None:
        session.add(ClosedChat(platform="discord", chat_id="1", reason="begun"))
        session.flush()
        begun.set()
        may_end.wait(10)
        session.add(ClosedChat(platform="discord", chat_id="2", reason="begun"))

    first = asyncio.create_task(store.database.write(slowly))
    second = asyncio.create_task(store.close_chat("discord", "3", "was still waiting"))
    await asyncio.to_thread(begun.wait, 10)
    for task in (first, second):
        task.cancel()
    assert [type(end) for end in await asyncio.gather(first, second, return_exceptions=True)] == [asyncio.CancelledError] * 2
    may_end.set()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.closed_chats("discord")
    reopened = await Store.open(settings.database, settings.attachments)
    assert await reopened.closed_chats("discord") == {"1", "2"}
    await reopened.close()
    assert not caplog.records


# --- The database itself ---


async def test_every_connection_has_the_settings(settings: Settings) -> None:
    engine = open_engine(settings.database)
    connections = [engine.connect() for _ in range(3)]
    for connection in connections:
        values = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("foreign_keys", "journal_mode", "busy_timeout", "synchronous")
        ]
        assert values == [1, "wal", 30_000, 1]
        connection.close()
    engine.dispose()


async def test_migrations_make_what_the_tables_say(settings: Settings) -> None:
    engine = open_engine(settings.database)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    engine.dispose()
    assert difference == []


async def test_communities_go_back_a_revision_and_come_again(store: Store, settings: Settings) -> None:
    await answered(store)
    await store.close()
    engine = open_engine(settings.database)
    with engine.begin() as connection:
        command.downgrade(migrate.alembic_config(connection), "c47a9e1f5d02")
        assert "adapter" not in {row[1] for row in connection.execute(text("PRAGMA table_info(answers)"))}
    engine.dispose()
    migrate.upgrade(settings.database, settings.backups)
    reopened = await Store.open(settings.database, settings.attachments)
    assert [view.answer for view in await reopened.turns(HERE)] == ["Because."]
    await reopened.close()


async def test_upgrade_makes_a_database_and_does_nothing_the_second_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a % b.db'}"
    first = migrate.upgrade(url, tmp_path / "backups")
    assert (first.before, first.backup) == (None, None)
    assert (migrate.upgrade(url, tmp_path / "backups")).before == first.after
    assert not (tmp_path / "backups").exists()


async def test_an_older_database_is_saved_before_it_is_changed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_known_revision", lambda before: "head")
    monkeypatch.setattr(migrate, "_migrate", lambda connection: connection.execute(text("CREATE TABLE half_done (id INTEGER)")))
    done = migrate.upgrade(settings.database, settings.backups)
    assert done.backup is not None
    with closing(sqlite3.connect(done.backup)) as copy:
        tables = {row[0] for row in copy.execute("select name from sqlite_master")}
    assert "turns" in tables
    assert "half_done" not in tables


async def test_a_failed_migration_changes_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_halfway(connection: object) -> None:
        connection.execute(text("CREATE TABLE half_done (id INTEGER)"))  # type: ignore[attr-defined]
        connection.execute(text("nonsense"))  # type: ignore[attr-defined]

    monkeypatch.setattr(migrate, "_known_revision", lambda before: "head")
    monkeypatch.setattr(migrate, "_migrate", fail_halfway)
    with pytest.raises(StoreError):
        migrate.upgrade(settings.database, settings.backups)
    with closing(sqlite3.connect(settings.jnana_home / "jnana.db")) as connection:
        assert connection.execute("select count(*) from sqlite_master where name = 'half_done'").fetchone() == (0,)


async def test_an_old_database_is_not_opened_before_it_is_upgraded(settings: Settings) -> None:
    sql(settings, "delete from alembic_version")
    with pytest.raises(DatabaseOutdated, match="jnana db upgrade"):
        await Store.open(settings.database, settings.attachments)


async def test_a_database_from_a_newer_version_is_left_alone(settings: Settings) -> None:
    sql(settings, "update alembic_version set version_num = 'from_the_future'")
    newer = "newer version of Jñāna"
    with pytest.raises(DatabaseNewer, match=newer):
        await Store.open(settings.database, settings.attachments)
    with pytest.raises(DatabaseNewer, match=newer):
        migrate.upgrade(settings.database, settings.backups)
    with pytest.raises(DatabaseNewer, match=newer):
        migrate.check(settings.database, settings.attachments)


async def test_a_file_that_is_no_database_is_told(settings: Settings) -> None:
    (settings.jnana_home / "jnana.db").write_bytes(b"something else entirely " * 100)
    with pytest.raises(StoreError, match="is not a database"):
        migrate.upgrade(settings.database, settings.backups)


async def test_a_database_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"psycopg, which is not installed|cannot be reached"):
        migrate.upgrade("postgresql+psycopg://nobody@127.0.0.1:1/none", tmp_path)


async def test_backups_are_whole_and_stay(store: Store, settings: Settings) -> None:
    await answered(store)
    made = [migrate.backup(settings.database, settings.backups) for _ in range(migrate.BACKUPS_KEPT + 2)]
    assert sorted(settings.backups.iterdir()) == made
    with closing(sqlite3.connect(made[-1])) as copy:
        assert copy.execute("select text from answers").fetchall() == [("Because.",)]


async def test_of_the_copies_before_upgrades_the_newest_stay(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_known_revision", lambda before: "head")
    monkeypatch.setattr(migrate, "_migrate", lambda connection: None)
    own = migrate.backup(settings.database, settings.backups)
    made = [(migrate.upgrade(settings.database, settings.backups)).backup for _ in range(migrate.BACKUPS_KEPT + 2)]
    assert sorted(settings.backups.iterdir()) == [own, *made[2:]]


async def test_backup_without_a_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to back up"):
        migrate.backup(f"sqlite:///{tmp_path / 'none.db'}", tmp_path)
    with pytest.raises(StoreError, match="pg_dump"):
        migrate.backup("postgresql+psycopg://host/name", tmp_path)


async def test_check_finds_nothing_wrong_with_a_healthy_store(store: Store, settings: Settings) -> None:
    turn = await store.receive(message("Look"), "r")
    await store.take_in(turn.turn_id, [JPEG], [])
    found = migrate.check(settings.database, settings.attachments)
    assert (found.problems, found.orphans, found.attachments) == ([], [], 1)


async def test_check_finds_damage(store: Store, settings: Settings) -> None:
    turn = await store.receive(message("Look"), "r")
    other = Media("picture", "dog.jpg", b"not really a dog", "image/jpeg")
    await store.take_in(turn.turn_id, [JPEG, other], [])
    missing, changed = [view.path for view in (await store.turns(HERE))[0].attachments]
    missing.unlink()
    changed.write_bytes(b"something else!!")
    (settings.attachments / "stray").write_bytes(b"")
    sql(settings, "update turns set person_id = 99")
    found = migrate.check(settings.database, settings.attachments)
    assert sorted(found.problems) == sorted(
        [
            "Row 1 of table turns refers to a missing row of people.",
            f"The attachment {missing} is missing.",
            f"The attachment {changed} was changed or damaged.",
        ]
    )
    assert found.orphans == [settings.attachments / "stray"]


async def test_a_read_only_folder_is_told_in_one_sentence(empty_database: Path, tmp_path: Path, read_only_folder: Path) -> None:
    with pytest.raises(ReadOnly, match="cannot be opened or created"):
        migrate.upgrade(f"sqlite:///{read_only_folder / 'jnana.db'}", tmp_path)
    with pytest.raises(ReadOnly, match="read-only"):
        await AttachmentFiles(read_only_folder).put(b"x", "image/png")


async def test_a_full_disk_is_told_and_leaves_no_half_written_file(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull, match="full"):
        await store.files.put(JPEG.data, JPEG.mime)
    assert [path for path in settings.attachments.rglob("*") if path.is_file()] == []


async def test_a_full_database_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.database.write(lambda session: session.execute(text("PRAGMA max_page_count = 1")))
    with pytest.raises(DiskFull):
        await store.receive(message("x" * 1_000_000), "r")


def test_what_people_wrote_is_in_no_error(settings: Settings) -> None:
    """Errors end up in logs."""
    engine = open_engine(settings.database)
    assert engine.hide_parameters
