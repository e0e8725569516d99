"""How many threads the worker should compute with, alone and beside a process that keeps a core busy.

    python -m benchmarks.threads > docs/results/threads.md

pocket in 8 bits, 64 tokens in and 64 out, greedy: one request and eight at once, with one thread and with one for each core.
Beside it nothing, or a loop that does nothing but take a core, as a browser or a training would. Each in a process of its own,
in turns; the machine should be idle. Minutes. "chosen": as the worker does it, by measuring when it starts.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

from benchmarks import pocket
from benchmarks.report import header, table
from benchmarks.serving import ANSWER, ours, prompts
from model.engine import Engine
from model.machine import available_cores

CROWDS = (1, 8)
BESIDE = ("nothing", "a busy core")
CHOSEN = "chosen"


@contextlib.contextmanager
def beside(what: str) -> Iterator[None]:
    if what == "nothing":
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            yield
        finally:
            busy.kill()


def measure(threads: str, times: int) -> dict[int, float]:
    """Tokens a second of all together by how many are asked at once: medians of `times`, in this process."""
    most = available_cores() if threads == CHOSEN else int(threads)
    mind = pocket.load("int8", most)
    mind.default.writer.stop_token_ids = ()
    engine = Engine(mind)
    if threads == CHOSEN:
        engine.choose_threads(most)
    found = {}
    for crowd in CROWDS:
        asked = [prompts(crowd, 100 * turn + crowd, len(mind.tokenizer)) for turn in range(times + 1)]
        runs = [ours(engine, one) for one in asked][1:]  # the first warms everything up
        found[crowd] = statistics.median(crowd * ANSWER / run.seconds for run in runs)
    engine.close()
    engine.join()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--times", type=int, default=3, help="measurements in each of them")
    parser.add_argument("--threads", help="measure these in this process, and print JSON")
    options = parser.parse_args(arguments)
    if options.threads:
        print(json.dumps(measure(options.threads, options.times)))
        return
    kinds = list(itertools.product(BESIDE, [*(str(count) for count in sorted({1, available_cores()})), CHOSEN]))
    rates: dict[tuple[str, str], list[dict[str, float]]] = {kind: [] for kind in kinds}
    for turn in range(options.rounds):
        for what, threads in kinds:
            command = [sys.executable, "-m", "benchmarks.threads", "--threads", threads, "--times", str(options.times)]
            with beside(what):
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rates[what, threads].append(json.loads(said.splitlines()[-1]))
            print(turn, what, threads, rates[what, threads][-1], file=sys.stderr, flush=True)
    print(header("Threads of the worker", "torch", "transformers"))
    print(f"pocket in int8, {options.rounds} processes of each kind in turns, medians. Tokens a second of all together:\n")
    rows = [
        [what, threads, *(f"{statistics.median(one[str(crowd)] for one in rates[what, threads]):.1f}" for crowd in CROWDS)]
        for what, threads in kinds
    ]
    print(table(["beside it", "threads", *(f"{crowd} at once" for crowd in CROWDS)], rows))


if __name__ == "__main__":
    main()
