"""From a fresh clone with an empty pip cache to an answered photo, timed; then the second start.

    python -m benchmarks.first_run > docs/results/first-run.md

Clones this repository's HEAD into a folder whose path has a space, runs `make run` as the README says, waits for its `ready:`
line, asks about a photo, stops it with Ctrl-C, and starts it again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import skimage

from benchmarks.report import header, table

LIMIT = 1800  # seconds; a slow network should fail the run, not hang it
PHOTO = Path(skimage.__file__).parent / "data" / "chelsea.png"


@contextmanager
def make_run(clone: Path, env: dict[str, str]) -> Iterator[float]:
    """`make run` in `clone`; yields the seconds until `ready:`, then ends it with Ctrl-C and waits for its drain."""
    start = time.perf_counter()
    # A session of its own, so that the Ctrl-C reaches make and what it started, as in a terminal, and not us.
    process = subprocess.Popen(
        ["make", "run"], cwd=clone, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(line, end="", file=sys.stderr)
            if line.startswith("ready:"):
                break
            if time.perf_counter() - start > LIMIT:
                raise TimeoutError("make run did not get ready")
        yield time.perf_counter() - start
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def main() -> None:
    root = Path(tempfile.mkdtemp(prefix="jnana first run "))
    clone = root / "jnana"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("JNANA_", "MODEL_", "WEB_"))}
    env |= {"PIP_NO_CACHE_DIR": "1", "HOME": str(root)}
    rows = []
    try:
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        with make_run(clone, env) as seconds:
            rows.append(["fresh clone, empty pip cache: `make run` to `ready:`", f"{seconds:.0f} s"])
            start = time.perf_counter()
            command = [".venv/bin/jnana", "ask", "--image", str(PHOTO), "What is in this photo?"]
            answer = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=True).stdout.strip()
            rows.append([f"then `jnana ask --image chelsea.png` to “{answer}”", f"{time.perf_counter() - start:.0f} s"])
        with make_run(clone, env) as seconds:
            rows.append(["second `make run` to `ready:`", f"{seconds:.0f} s"])
        for name, folder in (("`.venv`", clone / ".venv"), ("`data`", clone / "data")):
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
            rows.append([f"size of {name}", f"{size / 2**30:.1f} GiB"])
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(header("From a fresh clone to an answered photo", "torch", "transformers"))
    print(table(["what", "measured"], rows))


if __name__ == "__main__":
    main()
