"""The arrows of the design hold: the bot never loads the mind, the mind never knows the bot."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES_AT_MOST = 400


def imported(path: Path) -> set[str]:
    """Top-level names of everything `path` imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", sources("bot"), ids=str)
def test_bot_never_imports_the_mind(path: Path) -> None:
    allowed = {"model"} if path.name == "cli.py" and path.parent.name == "bot" else set()
    assert not imported(path) & ({"torch", "transformers", "model", "training"} - allowed)


@pytest.mark.parametrize("path", sources("model"), ids=str)
def test_model_never_imports_the_bot(path: Path) -> None:
    assert not imported(path) & {"bot", "training"}


@pytest.mark.parametrize("path", sources("training"), ids=str)
def test_training_never_imports_the_bot(path: Path) -> None:
    assert "bot" not in imported(path)


def test_the_whole_bot_loads_without_torch() -> None:
    """Also through other packages: the bot's memory and start-up time depend on it."""
    code = "import bot.cli, bot.app, bot.chat.web, bot.chat.terminal, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", sources("bot", "model", "training", "migrations", "benchmarks", "tests"), ids=str)
def test_files_stay_readable_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_AT_MOST


def test_nothing_is_unpickled() -> None:
    """Weights are safetensors; what others ship as .pth is read with weights_only."""
    for path in sources("bot", "model", "training"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.load", "pickle.load", "pickle.loads"}:
                assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), path
