"""The `jnana` command as a person uses it: real processes, a fake model server, a real terminal where one matters."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from bot.rest import marked
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, photo, sound
from tests.processes import ROOT, Running, free_port, jnana_run

LIMIT = 60  # seconds; nothing here should take more than a few


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


@pytest.fixture
def env(tmp_path: Path, model: FakeModel) -> dict[str, str]:
    own = {"MODEL_URL": model.url, "JNANA_HOME": str(tmp_path / "home"), "WEB_PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **own}


def jnana(*arguments: str, env: dict[str, str], **how: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bot.cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT, check=False, **how)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def run(env: dict[str, str]) -> Iterator[Running]:
    with jnana_run(env) as running:
        yield running


# --- ask ---


def test_ask_prints_only_the_answer(env: dict[str, str], model: FakeModel) -> None:
    model.say("Par", "is.")
    done = jnana("ask", "What is the capital of France?", env=env)
    assert (done.returncode, done.stdout) == (0, "Paris.\n")


def test_ask_about_a_picture_and_a_voice_note(env: dict[str, str], model: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(encoded(photo(), "JPEG"))
    (tmp_path / "note.ogg").write_bytes(sound())
    model.hear("What is this?", "en")
    model.say("A cat.", hints=("photo, sure: cat",))
    done = jnana("ask", "--image", str(tmp_path / "cat.jpg"), "--voice", str(tmp_path / "note.ogg"), "--json", env=env)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["answer"] == "A cat."
    assert answer["transcripts"] == [{"text": "What is this?", "language": "en"}]
    assert answer["hints"] == ["photo, sure: cat"]
    assert answer["tokens"] == {"prompt": 7, "answer": 2}
    assert answer["timings"]["prefill"] == 0.25


def test_ask_that_fails_says_one_sentence(env: dict[str, str], model: FakeModel) -> None:
    model.fail(500)
    done = jnana("ask", "hello", env=env)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def _hears_ctrl_c() -> None:
    """As in a terminal; in the background of a shell (`make test &`) a program inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ask_beside_a_worker_that_rests_starts_none(env: dict[str, str], tmp_path: Path) -> None:
    """What took its place, a retraining on the only GPU, needs all of it."""
    mine = env | {"MODEL_URL": "", "MODEL_PORT": str(free_port())}
    home = Path(env["JNANA_HOME"])
    home.mkdir()
    with marked(home, datetime(2026, 3, 1, 7, tzinfo=UTC)):
        done = jnana("ask", "hello", env=mine)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == "The model rests, for the bot is learning, and is back at 07:00 UTC at the latest: ask then."


def test_ask_that_is_interrupted_leaves_no_turn_behind(env: dict[str, str], model: FakeModel, tmp_path: Path) -> None:
    answer = model.say("Half", hold=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "ask", "Anybody there?"],
        env=env,
        stdout=subprocess.PIPE,
        preexec_fn=_hears_ctrl_c,
    )
    assert answer.begun.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    with sqlite3.connect(tmp_path / "home" / "jnana.db") as database:
        assert database.execute("SELECT state FROM turns").fetchall() == [("stopped",)]


def test_ask_about_a_file_that_is_not_there(env: dict[str, str]) -> None:
    done = jnana("ask", "--image", "nowhere.jpg", "What is this?", env=env)
    assert done.returncode == 2
    assert done.stderr == "There is no file nowhere.jpg.\n"


def test_ask_without_anything_to_ask(env: dict[str, str]) -> None:
    done = jnana("ask", env=env)
    assert done.returncode == 1
    assert "empty" in done.stderr


# --- settings and folders ---


def test_all_mistakes_in_the_settings_are_told_at_once(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_PORTT=7000\nTEMPERATURE=9\nMODEL_QUEUE=0\n")
    del env["MODEL_URL"]
    done = jnana("run", env=env)
    assert done.returncode == 2
    for expected in ("WEB_PORTT, did you mean WEB_PORT?", "TEMPERATURE=9", "MODEL_QUEUE=0"):
        assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_preset_is_a_mistake_in_the_settings(env: dict[str, str]) -> None:
    del env["MODEL_URL"]
    done = jnana("run", env=env | {"MODEL_PRESET": "pokcet"})
    assert done.returncode == 2
    assert "MODEL_PRESET=pokcet" in done.stderr
    assert "pocket" in done.stderr


def test_data_folder_that_is_a_file(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    done = jnana("run", env=env)
    assert done.returncode == 2
    assert "is not a folder" in done.stderr


def test_database_of_a_newer_version(env: dict[str, str], tmp_path: Path) -> None:
    assert jnana("db", "upgrade", env=env).returncode == 0
    with sqlite3.connect(tmp_path / "home" / "jnana.db") as database:
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
    done = jnana("run", env=env)
    assert done.returncode == 1
    assert "newer version" in done.stderr
    assert "Traceback" not in done.stderr


def test_database_commands(env: dict[str, str], tmp_path: Path) -> None:
    assert jnana("db", "upgrade", env=env).returncode == 0
    assert "in order" in jnana("db", "check", env=env).stdout
    assert jnana("db", "backup", env=env).returncode == 0
    assert list((tmp_path / "home" / "backups").glob("*.db"))


# --- run ---


def test_run_says_where_it_is_and_what_is_missing(run: Running, env: dict[str, str]) -> None:
    assert run.until("^ready:") == f"ready: http://127.0.0.1:{env['WEB_PORT']}\n"
    assert "DISCORD_TOKEN" in run.until("^Discord")
    assert "TELEGRAM_TOKEN" in run.until("^Telegram")
    with urlopen(f"http://127.0.0.1:{env['WEB_PORT']}/", timeout=LIMIT) as page:
        assert page.status == 200


def test_run_serves_metrics_by_platform_on_loopback(env: dict[str, str]) -> None:
    port = free_port()
    with jnana_run(env | {"METRICS_PORT": str(port)}) as run:
        run.until("ready")
        assert "jnana_bot_waited_seconds" in urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT).read().decode()
        other = {"METRICS_PORT": str(port), "JNANA_HOME": env["JNANA_HOME"] + "2"}
        assert "METRICS_PORT" in jnana("run", env=env | other).stderr


def test_run_on_a_taken_port(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(env["WEB_PORT"]))):
        done = jnana("run", env=env)
    assert done.returncode == 1
    assert "WEB_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_second_run_on_a_data_folder_is_refused(env: dict[str, str], run: Running) -> None:
    run.until("^ready:")
    done = jnana("run", env={**env, "WEB_PORT": str(free_port())})
    assert done.returncode == 1
    assert "another `jnana run` uses this data folder" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_stops_in_order_when_asked_to(run: Running, number: signal.Signals) -> None:
    run.until("^ready:")
    run.process.send_signal(number)
    assert run.end() == 0
    assert "Traceback" not in "".join(run.seen)


def test_second_interrupt_ends_at_once(env: dict[str, str], model: FakeModel, tmp_path: Path) -> None:
    """A turn left over from before hangs in the model, so that the first Ctrl-C has something to wait for."""
    asking = subprocess.Popen([sys.executable, "-m", "bot.cli", "ask", "hello"], env=env)
    model.say("wait", hold=True).begun.wait(LIMIT)
    asking.kill()
    asking.wait()
    with sqlite3.connect(tmp_path / "home" / "jnana.db") as database:
        database.execute("UPDATE conversations SET platform = 'web'")  # as if the page had asked
    held = model.say("still", hold=True)
    with jnana_run(env) as run:
        run.until("^ready:")
        assert held.begun.wait(LIMIT)
        run.process.send_signal(signal.SIGINT)
        run.until("^stopping:")
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130


# --- chat ---


def test_chat_in_a_terminal_remembers_and_stops_an_answer(env: dict[str, str], model: FakeModel) -> None:
    terminal = Terminal([sys.executable, "-m", "bot.cli", "chat"], env)
    model.say("Nice to meet you, Ann.")
    terminal.type("I am Ann.\n")
    terminal.until("Nice to meet you, Ann.")
    held = model.say("One, ", "two", hold=True)
    terminal.until("> ")
    terminal.type("Count.\n")
    assert held.begun.wait(LIMIT)
    terminal.until("One,")
    terminal.type("\x03")
    terminal.until("> ")
    model.say("Ann.")
    terminal.type("Who am I?\n")
    terminal.until("Ann.")
    assert ("assistant", "Nice to meet you, Ann.") in model.prompt()
    terminal.until("> ")
    terminal.type("/quit\n")
    assert terminal.wait() == 0


class Terminal:
    """A process in a pseudo terminal: what is typed reaches it as from a keyboard, Ctrl-C included."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, env)  # noqa: S606
        self.unread = ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def until(self, text: str) -> None:
        deadline = time.monotonic() + LIMIT
        while text not in self.unread:
            assert time.monotonic() < deadline, f"no {text!r} in {self.unread!r}"
            self.unread += os.read(self.descriptor, 4096).decode(errors="replace")
        self.unread = self.unread.split(text, 1)[1]

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
