"""What the worker adds to plain transformers: warm start, time to first token, tokens per second, memory.

    python -m benchmarks.latency > docs/results/latency.md

The peer is `generate` of transformers on the same weights with the same prompts, in this process; the worker is a `jnana serve`
of its own, asked with the openai client. They take turns, question by question, on an otherwise idle machine, each with all
cores; the other one sleeps meanwhile. Both write the same answer, in fp32 and without the adapter, which plain `generate` does
not have. The question begins with the round's number and the photo's corner changes, so that the worker knows little of it
before; in a round both see the same photo, for how much text OCR believes to see depends on single pixels.
"""

from __future__ import annotations

import base64
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import openai
import skimage
import torch
from PIL import Image
from transformers import (
    AutoModelForCausalLM,
    LogitsProcessorList,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)

from benchmarks.report import header, resident, table
from model.machine import available_cores
from model.mind import Message, Mind
from model.presets import get_preset
from model.settings import WorkerSettings
from model.sight import Picture
from model.weights import prepare

ROUNDS = 10
ANSWER_TOKENS = 64
PORT = 8790
TEXT = "Tell me a story about a lighthouse keeper who finds a letter."
QUESTION = "Write a long story about what is in this photo."
PHOTO = Path(skimage.__file__).parent / "data" / "coffee.png"


class Seen(NamedTuple):
    """One answer: seconds to its first token, tokens per second of the others, tokens."""

    first: float
    rate: float
    tokens: int


class Clock(StoppingCriteria):
    """The cheapest possible way to know when tokens of plain `generate` come."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        self.times.append(time.perf_counter())
        return torch.tensor([False])


def photo(seed: int) -> bytes:
    """A JPEG of the photo with a corner of another grey: large enough to survive the compression."""
    image = Image.open(PHOTO).convert("RGB")
    image.paste((seed * 16 % 256,) * 3, (0, 0, 16, 16))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def plain(model: PreTrainedModel, mind: Mind, text: str, picture: bytes | None) -> Seen:
    """Plain transformers: our prompt, then `generate` of the language model's own class with nothing around it."""
    start = time.perf_counter()
    parts: tuple[str | Picture, ...] = (text,)
    if picture is not None:
        parts = (Picture(str(hash(picture)), lambda: Image.open(io.BytesIO(picture)).convert("RGB")), text)
    prompt = mind.encode([Message("user", parts)], max_new_tokens=ANSWER_TOKENS)
    clock = Clock()
    # Over the answer only, as the worker has it.
    penalty = RepetitionPenaltyLogitsProcessor(mind.preset.repetition_penalty, prompt_ignore_length=prompt.input_ids.shape[1])
    with torch.inference_mode():
        model.generate(
            input_ids=prompt.input_ids,
            attention_mask=torch.ones_like(prompt.input_ids),
            do_sample=False,
            max_new_tokens=ANSWER_TOKENS,
            eos_token_id=list(mind.stop_token_ids),
            logits_processor=LogitsProcessorList([penalty]),
            pad_token_id=mind.stop_token_ids[0],
            stopping_criteria=StoppingCriteriaList([clock]),
        )
    return seen(start, clock.times[0], clock.times[-1], len(clock.times))


def seen(start: float, first: float, last: float, tokens: int) -> Seen:
    return Seen(first - start, (tokens - 1) / (last - first), tokens)


def through_worker(client: openai.OpenAI, text: str, picture: bytes | None) -> Seen:
    """The same question over HTTP, streamed; the token count is the server's."""
    content: list[dict[str, object]] = [{"type": "text", "text": text}]
    if picture is not None:
        uri = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
        content.insert(0, {"type": "image_url", "image_url": {"url": uri}})
    start = time.perf_counter()
    stream = client.chat.completions.create(
        model="pocket",
        messages=[{"role": "user", "content": content}],  # type: ignore[list-item,misc]
        temperature=0,
        max_tokens=ANSWER_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    )
    first = last = 0.0
    tokens = 0
    for chunk in stream:
        if chunk.choices and (chunk.choices[0].delta.content or chunk.choices[0].finish_reason):
            last = time.perf_counter()
            first = first or last
        if chunk.usage:
            tokens = chunk.usage.completion_tokens
    return seen(start, first, last, tokens)


def start_worker() -> tuple[subprocess.Popen[bytes], openai.OpenAI, float]:
    """A worker on warm weights; seconds until it says ready."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "model.cli", "serve"]
    same = {"MODEL_PORT": str(PORT), "MODEL_PRECISION": "fp32", "MODEL_ADAPTER": "none"}
    process = subprocess.Popen(command, env={**os.environ, **same}, stdout=sys.stderr)
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key="none", max_retries=0)
    while process.poll() is None:
        try:
            client.models.list()
            break
        except (openai.APIConnectionError, openai.InternalServerError):
            time.sleep(0.1)
    return process, client, time.perf_counter() - start


def compare(
    model: PreTrainedModel, mind: Mind, client: openai.OpenAI, text: str, picture: Callable[[int], bytes | None]
) -> list[list[str]]:
    """Rows of the table: medians of all rounds, and the median of the rounds' ratios."""
    ours, theirs = [], []
    for turn in range(ROUNDS + 1):
        pair = [
            lambda t=turn: plain(model, mind, f"{t}. {text}", picture(t)),
            lambda t=turn: through_worker(client, f"{t}. {text}", picture(t)),
        ]
        order = (0, 1) if turn % 2 else (1, 0)
        answers = {which: pair[which]() for which in order}
        assert answers[0].tokens == answers[1].tokens, answers
        if turn:  # the first round warms both up
            theirs.append(answers[0])
            ours.append(answers[1])
            print(turn, answers, file=sys.stderr)
    rows = []
    for name, index, unit in (("time to first token", 0, "s"), ("tokens per second", 1, "")):
        left, right = [answer[index] for answer in theirs], [answer[index] for answer in ours]
        ratio = statistics.median(b / a for a, b in zip(left, right, strict=True))
        rows.append(
            [
                f"{name} (answers of {theirs[0].tokens} tokens)" if index else name,
                f"{statistics.median(left):.2f} {unit}",
                f"{statistics.median(right):.2f} {unit}",
                f"{ratio:.3f}",
            ]
        )
    return rows


def main() -> None:
    torch.set_num_threads(available_cores())
    preset = get_preset("pocket")
    weights = prepare(preset, WorkerSettings().home, lambda what, done, total: None)
    process, client, ready = start_worker()
    try:
        mind = Mind.load(
            preset,
            weights,
            device="cpu",
            threads=available_cores(),
            hints=True,
            ocr=True,
            progress=lambda what, done, total: None,
        )
        model = AutoModelForCausalLM.from_pretrained(weights.language, local_files_only=True, dtype=torch.float32).eval()
        text_rows = compare(model, mind, client, TEXT, lambda seed: None)
        photo_rows = compare(model, mind, client, QUESTION, photo)
        memory = resident(process.pid)
    finally:
        process.terminate()
        process.wait(30)
    print(header("The worker against plain transformers", "torch", "transformers"))
    print(
        f"{ROUNDS} rounds, at most {ANSWER_TOKENS} tokens an answer, medians; the ratio is the median of the rounds' ratios.\n"
    )
    rows = [["text: " + row[0], *row[1:]] for row in text_rows] + [["photo: " + row[0], *row[1:]] for row in photo_rows]
    print(table(["", "plain `generate`", "through the worker", "worker / plain"], rows))
    print(f"\n- worker, warm start to ready: {ready:.1f} s\n- worker, resident memory after these answers: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
