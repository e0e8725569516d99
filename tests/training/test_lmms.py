"""`jnana evaluate lmms` shows how lmms-eval asks our server, and lmms-eval does."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from typer.testing import CliRunner

from bot.cli import cli
from tests.model.serving import Running, running

TASK = """\
task: colours
dataset_path: json
dataset_kwargs: {{data_files: {{test: {questions}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.picture
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{max_new_tokens: 16, temperature: 0}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
UTILS = """\
from PIL import Image

def picture(doc):
    return [Image.open(doc["picture"]).convert("RGB")]
"""
SECONDS = 300.0


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running() as client:
        yield client


def shown(server: Running) -> list[str]:
    """The command that is shown for this server, as a shell reads it."""
    environment = {"MODEL_PORT": str(urlsplit(server.url).port)}
    done = CliRunner().invoke(cli, ["evaluate", "lmms"], env=environment)
    assert done.exit_code == 0
    command = done.stdout[done.stdout.index("python -m lmms_eval") : done.stdout.index("\n\nIt downloads")]
    return shlex.split(command.replace("\\\n", ""))


async def test_the_command_that_is_shown_evaluates_our_server(server: Running, tmp_path: Path) -> None:
    pytest.importorskip("lmms_eval", reason="an extra: requirements/lmms.txt")
    rows = []
    for colour, asked in (("red", "red"), ("blue", "blue"), ("blue", "red")):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{colour}.png")
        rows.append({"picture": str(tmp_path / f"{colour}.png"), "question": "Which colour?", "answer": asked})
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "colours.yaml").write_text(TASK.format(questions=tmp_path / "questions.jsonl"))
    (tmp_path / "utils.py").write_text(UTILS)
    server.mind.say("blue")
    _, *command = shown(server)
    command[command.index("pope,gqa")] = "colours"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, "--include_path", str(tmp_path)),
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "CUDA_VISIBLE_DEVICES": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    [results] = (tmp_path / "lmms-eval").glob("*/*_results.json")
    assert json.loads(results.read_text())["results"]["colours"]["exact_match,none"] == pytest.approx(1 / 3)
    [last] = server.mind.images
    assert last.getpixel((20, 20)) == (0, 0, 255)


def test_a_server_with_a_key_is_asked_with_it() -> None:
    done = CliRunner().invoke(cli, ["evaluate", "lmms"], env={"MODEL_PORT": "9000", "MODEL_API_KEY": "secret"})
    assert "base_url=http://127.0.0.1:9000/v1,api_key=$MODEL_API_KEY" in done.stdout
    assert "secret" not in done.stdout
