"""`jnana train` as people call it: the smoke presets with the pocket weights, from data on disk to a run with a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.weights import PreparedWeights
from tests.training import minds

ROOT = Path(__file__).parents[2]


def jnana(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bot.cli", *arguments]
    env = {**os.environ, "JNANA_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    paths = minds.pictures(tmp_path)
    lines = [json.dumps({"image": path.name, "caption": f"A square of shade {at}."}) for at, path in enumerate(paths)]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "captions.jsonl"


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    records = [
        {
            "id": str(at),
            "image": path.name,
            "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": f"Shade {at}."}],
        }
        for at, path in enumerate(minds.pictures(tmp_path))
    ]
    (tmp_path / "talks.json").write_text(json.dumps(records))
    return tmp_path / "talks.json"


def data(format_name: str, file: Path) -> list[str]:
    source = f"[{{format: {format_name}, file: {file}}}]"
    return ["--set", f"data.train={source}", "--set", f"data.validation={source}", "--set", "threads=1"]


@pytest.mark.pocket
def test_stage_one_runs_goes_on_and_is_reported(pocket_home: Path, captions: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    first = jnana(pocket_home, "train", "align", "smoke", "--to", str(run), *data("captions", captions))
    assert first.returncode == 0, first.stderr
    assert "step 2: finished" in first.stderr
    again = jnana(pocket_home, "train", "align", "smoke", "--to", str(run), *data("captions", captions), "--set", "steps=3")
    assert again.returncode == 0, again.stderr
    assert "resumed from the checkpoint of step 2" in again.stderr
    kinds = [json.loads(line)["kind"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert kinds.count("step") == 3
    assert {"start", "validation", "sample", "end"} <= set(kinds)
    listed = jnana(pocket_home, "runs", str(run.parent), "--json")
    assert json.loads(listed.stdout)[0]["stage"] == "align"
    assert jnana(pocket_home, "report", str(run)).returncode == 0
    assert "A square of shade 0." in (run / "report.html").read_text()


@pytest.mark.pocket
def test_stage_two_starts_from_stage_one(pocket_home: Path, captions: Path, talks: Path, tmp_path: Path) -> None:
    aligned, instructed = tmp_path / "aligned", tmp_path / "instructed"
    assert jnana(pocket_home, "train", "align", "smoke", "--to", str(aligned), *data("captions", captions)).returncode == 0
    start = ["--set", f"start={aligned / 'artefact'}"]
    done = jnana(pocket_home, "train", "instruct", "smoke", "--to", str(instructed), *data("llava", talks), *start)
    assert done.returncode == 0, done.stderr
    shown = jnana(pocket_home, "adapters", "check", str(instructed / "artefact"))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    card = json.loads((instructed / "artefact" / "card.json").read_text())
    assert (card["stage"], card["preset"], card["text_only"]) == ("instruct", "pocket", "base")
    assert card["parent"]
    before = json.loads((aligned / "artefact" / "card.json").read_text())["data"]
    assert card["data"][: len(before)] == before
    assert len(card["data"]) > len(before)


@pytest.mark.pocket
def test_stage_zero_from_text_to_a_model_that_learns_to_see(pocket_home: Path, captions: Path, tmp_path: Path) -> None:
    tokenizer, text = pocket_home / "models" / "pocket" / "language", tmp_path / "text"
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text(f"Chapter {number}. " + "All happy families are alike. " * 60)
    sources = [str(path) for path in sorted(tmp_path.glob("*.txt"))]
    packed = jnana(
        tmp_path, "data", "tokenize", *sources, "--tokenizer", str(tokenizer), "--to", str(text), "--validation", "0.3"
    )
    assert packed.returncode == 0, packed.stderr
    where = {"train": text / "train", "validation": text / "validation", "tokenizer": tokenizer}
    changes = [part for key, path in where.items() for part in ("--set", f"data.{key}={path}")]
    changes += ["--set", "threads=1", "--set", "architecture.max_position_embeddings=256"]
    done = jnana(tmp_path, "train", "pretrain", "smoke", "--to", str(tmp_path / "run"), *changes)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "run" / "artefact"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in made.iterdir()}

    aligned = tmp_path / "aligned"
    language = ["--set", f"language={made}"]
    done = jnana(pocket_home, "train", "align", "smoke", "--to", str(aligned), *data("captions", captions), *language)
    assert done.returncode == 0, done.stderr
    base = json.loads((aligned / "artefact" / "card.json").read_text())["base"]
    assert (base["name"], base["sha256"]) == (str(made), PreparedWeights(made, made, made).sha256("language"))
    refused = jnana(pocket_home, "adapters", "check", str(aligned / "artefact"))
    assert refused.returncode == 3
    assert f"was made for the language model {made}" in refused.stdout + refused.stderr


def test_mistakes_are_told_all_at_once_and_nothing_begins(tmp_path: Path) -> None:
    changes = ["--set", "optimizer.lr=fast", "--set", "optimiser=1", "--set", "steps=null"]
    done = jnana(tmp_path, "train", "align", "smoke", "--to", str(tmp_path / "run"), *changes)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for told in ("optimizer.lr: ", "optimiser: there is no such key"):
        assert told in done.stderr
    assert not (tmp_path / "run").exists()


def test_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    done = jnana(tmp_path, "train", "align", "tomorrow", "--to", str(tmp_path / "run"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no preset 'tomorrow' for align: there are best, original, " in done.stderr
