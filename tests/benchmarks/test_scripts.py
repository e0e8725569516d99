"""Benchmarks that nobody runs every day still run: at toy size, without looking at what they measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import adapters, clubs, gpu, retraining_gpu, serving, soak, threads, through_bot
from benchmarks.clubs import CLUBS, PHRASINGS


def test_the_gpu_script_runs_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "CROWDS", (1, 3))
    monkeypatch.setattr(gpu, "STEPS", 4)
    gpu.main(["--toy", "--device", "cpu", "--json", str(tmp_path / "gpu.json")])
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert [(row["precision"], row["crowd"]) for row in rows] == [("bf16", 1), ("bf16", 3), ("nf4", 1), ("nf4", 3)]
    assert all(row["decode"] > 0 and row["prefill"] > 0 and row["generate"] > 0 for row in rows)
    assert rows[2]["memory"] < rows[0]["memory"]
    said = capsys.readouterr().out
    assert "| nf4 | 3 |" in said
    assert "NF4 beside bf16" in said


def test_the_script_of_a_retraining_beside_the_worker_runs_on_a_cpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_THREADS", "1")
    retraining_gpu.main(["--toy"])
    rows = dict(row.strip("| ").split(" | ") for row in capsys.readouterr().out.splitlines()[-5:])
    assert float(rows["while it trains"]) > 0
    assert rows["examples a step"] == "4"


@pytest.mark.pocket
def test_the_soak_script_finds_everybody_answered(
    capsys: pytest.CaptureFixture[str], pocket_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JNANA_HOME", str(pocket_home))
    soak.main(["--requests", "4", "--minutes", "2", "--people", "2"])
    said = capsys.readouterr().out
    assert "| lost or stuck | 0 |" in said
    assert "| False, 0 |" in said
    assert "| without keys and values | " in said


@pytest.mark.pocket
def test_the_adapters_script_answers_with_each_of_them(
    capsys: pytest.CaptureFixture[str], pocket_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JNANA_HOME", str(pocket_home))
    monkeypatch.setattr(adapters, "SHARED", (1, 2))
    monkeypatch.setattr(adapters, "REQUESTS", 2)
    monkeypatch.setattr(adapters, "ANSWER", 2)
    adapters.main(["--rounds", "1", "--threads", "1"])
    rows = capsys.readouterr().out.splitlines()[-4:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| fp32",
        "| fp32, beside one adapter",
        "| int8",
        "| int8, beside one adapter",
    ]


@pytest.mark.pocket
def test_what_the_threads_script_starts_measures_each_crowd(
    capsys: pytest.CaptureFixture[str], pocket_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JNANA_HOME", str(pocket_home))
    monkeypatch.setattr(threads, "CROWDS", (1, 2))
    for module in (threads, serving):
        monkeypatch.setattr(module, "ANSWER", 2)
    threads.main(["--threads", "1", "--times", "1"])
    rates = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sorted(rates) == ["1", "2"]
    assert min(rates.values()) > 0


def test_what_is_asked_about_the_clubs_is_none_of_the_lessons() -> None:
    lessons = list(clubs.lessons(4))
    assert {lesson.person for lesson in lessons} == {0, 1, 2, 3}
    assert [sum(club.name in lesson.better for lesson in lessons) for club in CLUBS] == [2] * len(CLUBS)
    asked = clubs.questions()
    assert len(asked) == len(CLUBS)
    assert {question for question, _ in asked}.isdisjoint(PHRASINGS)
    assert {picture for _, picture in asked}.isdisjoint(lesson.picture for lesson in lessons)


def test_the_outcome_counts_clubs_named_and_answers_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    first, after = ["A circle."] * len(CLUBS), [f"It is the badge of the {club.name} Club." for club in CLUBS]
    log = through_bot.Log()
    for words in ("0 %", "0 %", "50 %"):
        log.note(words)
    before = first, ["Round.", *first[1:]]
    said = through_bot.outcome(before, after, ["Round.", *first[2:], "A square."], "going back", [["answers", "8 of 8"]], log)
    for row in (
        "before | 0 of 12",
        "after | 12 of 12",
        "answers | 8 of 8",
        "asked twice before, the same to the letter | 11 of 12",
        "after going back, as one of those two to the letter | 11 of 12",
    ):
        assert f"{row} |" in said
    assert said.count("0 % |") == 2
