"""What all tests share: no setting leaks in from outside, and in CI a skipped test is a failed run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SETTING_PREFIXES = ("JNANA_", "MODEL_", "WEB_", "DISCORD_", "TELEGRAM_", "DATABASE_URL", "LOG_", "RETRAIN_")

# Torch and OpenMP threads that compete for two cores make each other slower (docs/results/).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts with default settings, in an empty folder of its own (so that no .env is read)."""
    for name in list(os.environ):
        if name.startswith(SETTING_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JNANA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def pocket_home(request: pytest.FixtureRequest) -> Path:
    """A data folder with the pocket weights converted; kept between runs in pytest's cache (about 700 MB)."""
    from model.presets import get_preset
    from model.weights import prepare

    cache = request.config.cache
    assert cache is not None
    home = Path(cache.mkdir("pocket-home"))
    prepare(get_preset("pocket"), home, lambda what, done, total: None)
    return home


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    """Tests skip with a reason where a system package is missing; the gate has them all, so there a skip is a failure."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        terminalreporter.write_line(f"CI: {len(skipped)} skipped test(s) count as failed", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and exitstatus == pytest.ExitCode.OK and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
