"""A retraining at phi-2's size beside the worker that answers: seconds a step, memory, and what the answers notice.

    python -m benchmarks.retraining_gpu > docs/results/retraining_gpu.md   # a GPU; 25 GB of disk, 16 GB of memory; minutes
    python -m benchmarks.retraining_gpu --toy                              # a minute on a CPU, to see that it runs

Random weights of phi-2's size in 4 bits, through the commands an owner uses: `jnana serve` with an adapter, and `jnana train
retrain` on the badges of benchmarks/clubs.py. What random weights learn and say is noise, so the run is ended after its steps
and not judged. Four people ask all the time, before it and while its steps are done.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openai
import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import AutoModelForCausalLM

from benchmarks.phi2_size import ready, write_clip, write_phi2
from benchmarks.report import header, table
from benchmarks.retraining import teach
from model import lora
from model.adapters import Adapter, Card, Template
from model.presets import END_OF_TURN, PHI2, PHI2_ADAPTER_TEMPLATE, get_preset
from model.projector import Projector
from model.settings import WorkerSettings
from model.weights import Part, PreparedWeights, prepare, pull
from tests.model import tiny_home
from tests.processes import ROOT, free_port
from training.retrain.recipe import TARGETS

PEOPLE, ANSWER = 4, 32
SECONDS = 20.0
"""For which the answers alone are counted."""
STEPS = 20
CLIP_WIDTH, PHI_WIDTH = 768, 2560
WORKER, TRAINER = ("bot.cli", "serve"), ("training.cli", "train", "retrain")


def _quietly(what: str, done: int, total: int) -> None:
    """No progress: standard output is the result."""


def weights(root: Path, *, toy: bool) -> PreparedWeights:
    """In `root`/home, as `jnana models pull phi2` leaves them."""
    if toy:
        return tiny_home.prepared(root)
    speech = prepare(get_preset("pocket"), WorkerSettings().home, _quietly).speech
    folders: dict[Part, Path] = {"language": root / "language", "tower": root / "tower", "speech": speech}
    for part in ("language", "tower"):
        folders[part].mkdir(parents=True)
    write_phi2(folders["language"])
    write_clip(folders["tower"])
    return pull(PHI2, root / "home", folders, _quietly)


def start(to: Path, prepared: PreparedWeights, *, toy: bool) -> Adapter:
    """An adapter that has learnt nothing, with a projector."""
    if toy:
        return tiny_home.adapter(to, prepared, text_only="adapter")
    text = AutoModelForCausalLM.from_pretrained(prepared.language, dtype=torch.float16)
    config = LoraConfig(r=16, lora_alpha=32, target_modules=list(TARGETS["phi2"]), task_type="CAUSAL_LM")
    inject_adapter_in_model(config, text.base_model)
    card = Card.describe(
        PHI2,
        prepared,
        precision="nf4",
        layer=-2,
        fit="pad",
        name="start",
        stage="instruct",
        template=Template(name="chat", text=PHI2_ADAPTER_TEMPLATE, end_of_turn=END_OF_TURN),
    )
    projector = Projector(CLIP_WIDTH, PHI_WIDTH).state_dict()
    return Adapter.save(to, card, projector=projector, lora=lora.extract(text.base_model))


@contextlib.contextmanager
def process(module: Sequence[str], *arguments: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", *module, *arguments]
    started = subprocess.Popen(command, env=env, stdout=2)  # to standard error: the table stands alone
    try:
        yield started
    finally:
        started.send_signal(signal.SIGINT)
        started.wait(120)


class People:
    """Who ask one question after the other."""

    def __init__(self, port: int) -> None:
        self._client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

    async def ask(self, until: asyncio.Event) -> float:
        """Tokens a second of all of them together, of the answers that ended before."""
        began, written = time.monotonic(), 0

        async def one(number: int) -> None:
            nonlocal written
            while not until.is_set():
                said: Any = await self._client.chat.completions.create(
                    model="phi2",
                    messages=[{"role": "user", "content": f"Person {number} wants to know what noise is."}],
                    max_tokens=ANSWER,
                )
                if not until.is_set():
                    written += said.usage.completion_tokens

        await asyncio.gather(*(one(number) for number in range(PEOPLE)))
        return written / (time.monotonic() - began)


def steps(run: Path) -> list[dict[str, Any]]:
    """Metrics of the steps that are done."""
    with contextlib.suppress(FileNotFoundError):
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return [row for line in lines if (row := json.loads(line))["kind"] == "step"]
    return []


async def during(people: People, trainer: subprocess.Popen[bytes], run: Path, wanted: int) -> float:
    """Tokens a second while steps are done."""

    async def until(count: int) -> None:
        while len(steps(run)) < count:
            if trainer.poll() is not None:
                raise SystemExit("The trainer ended before its steps were done.")
            await asyncio.sleep(0.2)

    await until(1)
    over = asyncio.Event()
    rate = asyncio.create_task(people.ask(over))
    await until(wanted)
    over.set()
    return await rate


async def alone(people: People, seconds: float) -> float:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    return await people.ask(over)


def measure(root: Path, *, toy: bool) -> list[list[str]]:
    prepared = weights(root, toy=toy)
    first = start(root / "start", prepared, toy=toy)
    teach(root / "lessons")
    port = free_port()
    env = {**os.environ, "JNANA_HOME": str(root / "home"), "MODEL_PRESET": "phi2", "MODEL_PORT": str(port)}
    env |= {"MODEL_ADAPTER": str(first.folder), "MODEL_DEVICE": "cpu" if toy else "cuda", "PYTHONPATH": str(ROOT)}
    env |= {"MODEL_OCR": "false"} if toy else {}  # minutes, for nothing
    worker = ("tests.model.tiny_worker", "serve") if toy else WORKER
    trainer = ("tests.training.small_retrain", str(root), "train", "retrain") if toy else TRAINER
    run, wanted = root / "run", 4 if toy else STEPS
    with process(worker, env=env) as serving:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
        while not ready(client):
            if serving.poll() is not None:
                raise SystemExit("The worker ended.")
            time.sleep(0.5)
        people = People(port)
        before = asyncio.run(alone(people, 1.0 if toy else SECONDS))
        people = People(port)
        arguments = (str(root / "lessons"), "--to", str(run), "--adapter", str(first.folder))
        with process(trainer, *arguments, env=env) as training:
            beside = asyncio.run(during(people, training, run, wanted))
    done = steps(run)
    return [
        ["seconds a step, median", f"{statistics.median(row['seconds'] for row in done[1:]):.2f}"],
        ["examples a step", str(done[-1]["examples"])],
        ["most memory of the run", f"{done[-1]['memory_bytes'] / 2**30:.1f} GiB"],
        [f"tokens a second of {PEOPLE} people's answers before", f"{before:.1f}"],
        ["while it trains", f"{beside:.1f}"],
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--toy", action="store_true", help="a tiny model, to see that everything runs")
    toy = parser.parse_args(arguments).toy
    if not toy and not torch.cuda.is_available():
        raise SystemExit("There is no GPU here; --toy shows on a CPU that it runs.")
    with tempfile.TemporaryDirectory(prefix="jnana-retraining-") as root:
        rows = measure(Path(root), toy=toy)
    where = "a CPU, tiny" if toy else torch.cuda.get_device_name()
    print(header(f"A retraining beside the worker ({where})", "torch", "transformers", "peft", "bitsandbytes"))
    print(table(["phi2, random weights", "measured"], rows))


if __name__ == "__main__":
    main()
