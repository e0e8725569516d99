"""Real processes of ours, for tests: started, listened to, ended."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Running:
    """A started `jnana run`; `until` reads its output up to a line."""

    def __init__(self, env: dict[str, str], *, limit: float) -> None:
        """`limit`: seconds after which waiting fails the test instead of hanging it."""
        command = [sys.executable, "-m", "bot.cli", "run"]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.limit = limit
        self.seen: list[str] = []

    def until(self, pattern: str) -> str:
        assert self.process.stdout is not None
        timer = threading.Timer(self.limit, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                self.seen.append(line)
                if re.search(pattern, line):
                    return line
        finally:
            timer.cancel()
        raise AssertionError(f"no line like {pattern!r} in:\n{''.join(self.seen)}")

    def end(self) -> int:
        """Wait for the process; its exit code."""
        assert self.process.stdout is not None
        self.seen += self.process.stdout.readlines()
        return self.process.wait(self.limit)

    def worker_pid(self) -> int:
        """Process id of the model worker that it started."""
        command = ["pgrep", "-P", str(self.process.pid), "-f", "model.cli"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@contextmanager
def jnana_run(env: dict[str, str], *, limit: float = 60) -> Iterator[Running]:
    running = Running(env, limit=limit)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
