"""What deploy/ and docs/running.md name exists: settings, commands, paths; and the bot has time to stop."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from bot import app, supervisor
from bot.chat import web
from bot.cli import cli

ROOT = Path(__file__).parents[2]
DEPLOY = sorted(path for path in (ROOT / "deploy").iterdir() if path.is_file())
RUNNING = ROOT / "docs" / "running.md"
UNIT = (ROOT / "deploy" / "jnana.service").read_text()
SETTINGS = set(re.findall(r"^#?([A-Z][A-Z_]*)=", (ROOT / ".env.example").read_text(), re.M))
OTHERS = {"TORCH_ARGS", "PYTHONDONTWRITEBYTECODE"}
"""Names that are no settings of ours."""

WAY_OUT = app.DRAIN_TIMEOUT + app.SHOW_TIMEOUT + web.STOP_SECONDS + supervisor.STOP_GRACE


def test_unit_is_valid(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        assert {"[Unit]", "[Service]", "[Install]"} <= set(UNIT.splitlines())
        return
    unit = tmp_path / "jnana.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "jnana.service" in line]
    assert not complaints


def test_unit_starts_what_the_set_up_makes() -> None:
    assert re.search(r"^ExecStart=/opt/jnana/\.venv/bin/jnana run$", UNIT, re.M)
    assert "KillMode=mixed" in UNIT  # the worker is needed until answers are finished
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.M)[0]) > WAY_OUT


def test_compose_file_gives_time_to_stop() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    service = compose["services"]["jnana"]
    assert int(service["stop_grace_period"].removesuffix("s")) > WAY_OUT
    assert (ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert set(service["environment"]) <= SETTINGS


@pytest.mark.parametrize("path", [*DEPLOY, RUNNING], ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    words = path.read_text()
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+|ADMINS|ALLOW|DENY)[`=]", words)) | set(
        re.findall(r"^(?:ENV )?([A-Z]+_[A-Z_]+|ADMINS|ALLOW|DENY)=", words, re.M)
    )
    assert named <= SETTINGS | OTHERS


@pytest.mark.parametrize("path", [*DEPLOY, RUNNING], ids=lambda path: path.name)
def test_every_command_that_is_named_exists(path: Path) -> None:
    for words in re.findall(r"(?:`|/bin/)jnana ([a-z]+(?: [a-z]+)?)", path.read_text()):
        command = get_command(cli)
        for word in words.split():
            command = getattr(command, "commands", {}).get(word)
            assert command is not None, words


@pytest.mark.parametrize("path", [*DEPLOY, RUNNING], ids=lambda path: path.name)
def test_every_file_that_is_named_exists(path: Path) -> None:
    for name in re.findall(r"\b(?:deploy|requirements)/[\w.]+", path.read_text()):
        assert (ROOT / name).is_file(), name
