"""Turns a prompt into an answer, token by token, on a thread of its own: one answer at a time.

Everything that knows how tokens are made is in this file; continuous batching replaces it and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import structlog
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)

from model.detokenize import Detokenizer, StopStrings
from model.lora import switched_off
from model.mind import Mind, Prompt

LOWEST_TEMPERATURE = 1e-3
"""Below it the likeliest token is taken: logits differ by more than float32 can tell apart in a softmax."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, as in OpenAI's API. Temperature 0 and `top_p` 0 take the likeliest token."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Token:
    """A piece of the answer: whole characters, possibly of several tokens, possibly none.

    `tokens` counts what was generated so far. The last piece has a `finish_reason` and the seconds of `prefill` (until
    the first token) and `decode` (all others).
    """

    text: str
    tokens: int
    finish_reason: Literal["stop", "length"] | None = None
    prefill: float = 0.0
    decode: float = 0.0


class Engine:
    """Generates with `mind.model`. `slots`: how many answers may be generated at the same time."""

    slots = 1

    def __init__(self, mind: Mind) -> None:
        self._mind = mind
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    async def generate(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Token, None]:
        """The answer as it grows. Closing the iterator or cancelling its task ends generation within one token.

        Returns (in both cases) only after the thread has let go of the model, so the next answer starts at once.
        """
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Token | None] = asyncio.Queue()
        cancelled = threading.Event()
        listener = _Listener(self._mind, sampling, cancelled, lambda token: loop.call_soon_threadsafe(pieces.put_nowait, token))
        run = loop.run_in_executor(self._thread, self._run, prompt, sampling, listener)
        run.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (token := await pieces.get()) is not None:
                yield token
            await run
        finally:
            cancelled.set()
            await asyncio.wait([run])

    async def compute(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run other blocking work of the mind (pictures to features and hints) on the engine's thread, between answers.

        torch keeps a team of OpenMP threads for every thread that computes, and teams that share two cores spin against
        each other: with a thread of its own for pictures the first token about a photo took a third longer.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def close(self) -> None:
        """No further answers; the thread ends after the running one."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, prompt: Prompt, sampling: Sampling, listener: _Listener) -> None:
        mind = self._mind
        inputs: dict[str, Any] = {"input_ids": prompt.input_ids, "attention_mask": torch.ones_like(prompt.input_ids)}
        if prompt.vision_features is not None:
            inputs["vision_features"] = prompt.vision_features
        config = GenerationConfig(
            do_sample=False,  # sampling happens in `_Sampler`, which owns its random numbers
            max_new_tokens=sampling.max_tokens,
            eos_token_id=list(mind.stop_token_ids),
            pad_token_id=mind.stop_token_ids[0],
        )
        # The penalty counts the answer only: over the prompt it would make the model avoid the names it is asked for.
        penalty = RepetitionPenaltyLogitsProcessor(
            mind.preset.repetition_penalty, prompt_ignore_length=prompt.input_ids.shape[1]
        )
        processors = LogitsProcessorList([penalty])
        if sampling.temperature >= LOWEST_TEMPERATURE and sampling.top_p > 0:
            processors.append(_Sampler(sampling, mind.device))
        who = contextlib.nullcontext() if prompt.adapted else switched_off(mind.model)
        with who, torch.inference_mode(), _device_guarded():
            mind.model.generate(
                **inputs,
                generation_config=config,
                logits_processor=processors,
                stopping_criteria=StoppingCriteriaList([listener]),
            )
        listener.finish()


class OutOfMemory(Exception):  # noqa: N818 - the name of the condition reads better than ...Error where it is caught
    """The device has no room for this answer; others may still fit."""


@contextlib.contextmanager
def _device_guarded() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory from error
    except torch.AcceleratorError:
        # Nothing on this device works any more in this process. Ended at once, it is restarted, and clients, whose
        # connections break, ask again; an error as an answer would be final for them.
        log.exception("device_lost")
        os._exit(1)


class _Listener(StoppingCriteria):
    """Hears every new token: passes its text on and says when to stop.

    A stopping criterion, not a streamer: it sees a token before transformers decides whether to go on, so a stop string or
    a cancellation ends generation at once.
    """

    def __init__(self, mind: Mind, sampling: Sampling, cancelled: threading.Event, emit: Callable[[Token], object]) -> None:
        self._detokenizer = Detokenizer(mind.tokenizer)
        self._stop_strings = StopStrings(sampling.stop)
        self._stop_ids = frozenset(mind.stop_token_ids)
        self._cancelled = cancelled
        self._emit = emit
        self._tokens = 0
        self._begun = False
        self._stopped = False
        self._started = time.perf_counter()
        self._first = self._started

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        token = int(input_ids[0, -1])
        if not self._tokens:
            self._first = time.perf_counter()
        self._tokens += 1
        if token in self._stop_ids:
            self._stopped = True
        else:
            text, self._stopped = self._stop_strings.push(self._detokenizer.push(token))
            if text := self._from_first_word(text):
                self._emit(Token(text, self._tokens))
        return torch.tensor([self._stopped or self._cancelled.is_set()], device=input_ids.device)

    def _from_first_word(self, text: str) -> str:
        """Without the space that belongs to the template ("Output:" leaves it to the model)."""
        if not self._begun:
            text = text.lstrip(" ")
            self._begun = bool(text)
        return text

    def finish(self) -> None:
        """Emit what was held back, and how it ended. A character that is still half is dropped."""
        self._emit(
            Token(
                text=self._from_first_word(self._stop_strings.flush()),
                tokens=self._tokens,
                finish_reason="stop" if self._stopped else "length",
                prefill=self._first - self._started,
                decode=time.perf_counter() - self._first,
            )
        )


class _Sampler(LogitsProcessor):
    """Draws the token with a generator of its own and leaves only that one possible.

    transformers samples from torch's global generator: a seed would then depend on, and disturb, everything else that
    draws random numbers in the process.
    """

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._random = torch.Generator(device)
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        probabilities = torch.softmax(scores / self._temperature, dim=-1)
        if self._top_p < 1:
            ordered, order = probabilities.sort(dim=-1, descending=True)
            # A token stays while those before it sum to less than top_p: the likeliest always does.
            ordered[ordered.cumsum(dim=-1) - ordered >= self._top_p] = 0
            probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered)
        token = torch.multinomial(probabilities, 1, generator=self._random)
        return torch.full_like(scores, -torch.inf).scatter(-1, token, 0.0)
