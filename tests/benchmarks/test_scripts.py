"""Benchmarks that nobody runs every day still run: at toy size, without looking at what they measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gpu, soak


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
    assert "| nf4 | 3 |" in capsys.readouterr().out


@pytest.mark.pocket
def test_the_soak_script_finds_everybody_answered(
    capsys: pytest.CaptureFixture[str], pocket_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JNANA_HOME", str(pocket_home))
    soak.main(["--requests", "4", "--minutes", "2", "--people", "2"])
    said = capsys.readouterr().out
    assert "| lost or stuck | 0 |" in said
    assert "| False, 0 |" in said
