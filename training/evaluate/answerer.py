"""Who answers: anything that can be asked about pictures, and a mind in particular."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import torch

from model.engine import Engine
from model.errors import ApiError
from model.inputs import decode_picture
from model.mind import Message, Mind, Prompt, PromptTooLong
from model.presets import get_preset
from model.sampling import Sampling
from model.sight import Picture
from model.weights import Progress, WeightsError, prepare
from training.errors import TrainingError

Hints = Literal["none", "only", "both"]
"""What reaches the language model of a picture. none: the projector's tokens; only: what the classifier and the reader say, to
the base without an adapter; both: as it is served."""


class Answerer(Protocol):
    """Answers questions about pictures. Every question is a conversation of its own."""

    grey_when_blind: bool
    """Questions without a picture would be answered by something else (the base), so a blind one gets a grey picture."""

    def answer(self, pictures: Sequence[Path], question: str, *, max_tokens: int) -> str:
        """What it says, greedily."""

    def choose(self, pictures: Sequence[Path], question: str, choices: Sequence[str]) -> str:
        """The choice that it would most likely give as its whole answer."""

    def likelihood(self, pictures: Sequence[Path], question: str, answer: str) -> tuple[float, int]:
        """Log-likelihood of a whole answer with its end, and how many tokens that is."""


class MindAnswerer:
    """A mind, asked as it is served: the same prompt, decoding and stops as `jnana serve` at temperature 0."""

    def __init__(self, mind: Mind, *, threads: int = 1) -> None:
        """`threads`: to choose from, as Engine does."""
        self._mind = mind
        self._engine = Engine(mind)  # its thread does all the computing: two would take each other's cores
        self._engine.choose_threads(threads)
        self._runner = asyncio.Runner()
        words = mind.encode([Message("user", ("Hello.",))], max_new_tokens=1)
        self.grey_when_blind = words.attached is not mind.default

    @classmethod
    def load(
        cls,
        name: str,
        adapter: Path | None,
        *,
        hints: Hints,
        home: Path,
        device: str,
        precision: str = "auto",
        threads: int,
        progress: Progress,
    ) -> MindAnswerer:
        """Load a preset and an adapter onto it. Blocking, seconds to minutes. Raises TrainingError."""
        in_words = hints != "none"
        try:
            preset = get_preset(name)
            weights = prepare(preset, home, progress)
            mind = Mind.load(
                preset,
                weights,
                adapter=None if hints == "only" else adapter,
                device=device,
                precision=precision,
                threads=threads,
                hints=in_words,
                ocr=in_words,
                progress=progress,
            )
        except WeightsError as error:
            raise TrainingError(str(error)) from error
        if mind.default.projector is None and not in_words:
            raise TrainingError(
                f"{name} has no projector and would see nothing without hints: give --adapter, or --hints both."
            )
        return cls(mind, threads=threads)

    def answer(self, pictures: Sequence[Path], question: str, *, max_tokens: int) -> str:
        """Raises TrainingError: a picture is damaged, or the question is longer than the context."""
        prompt = self._encode(pictures, question, max_tokens)
        return self._runner.run(self._write(prompt, max_tokens)).strip()

    def answers(self, asked: Iterable[tuple[Sequence[Path], str]], *, max_tokens: int) -> list[str]:
        """What it says to each (pictures, question), as `answer`; written side by side, which takes less time."""
        return self.write([self._encode(*one, max_tokens) for one in asked], max_tokens=max_tokens)

    def write(self, prompts: Sequence[Prompt], *, max_tokens: int) -> list[str]:
        """The answers to what was encoded already."""
        return self._runner.run(self._write_all(prompts, max_tokens))

    def choose(self, pictures: Sequence[Path], question: str, choices: Sequence[str]) -> str:
        """By the log-likelihood of a choice's tokens and of the answer's end, so that short choices have no advantage.

        Raises TrainingError as `answer`.
        """
        answers = [self._mind.answer_ids(choice) for choice in choices]
        prompt = self._encode(pictures, question, max(len(ids) for ids in answers))
        likely = self._runner.run(self._engine.compute(log_likelihoods, self._mind, prompt, answers))
        return choices[int(likely.argmax())]

    def likelihood(self, pictures: Sequence[Path], question: str, answer: str) -> tuple[float, int]:
        """Log-likelihood of a whole answer with its end, and how many tokens that is. Raises TrainingError as `answer`."""
        ids = self._mind.answer_ids(answer)
        prompt = self._encode(pictures, question, len(ids))
        likely = self._runner.run(self._engine.compute(log_likelihoods, self._mind, prompt, [ids]))
        return float(likely[0]), len(ids)

    def close(self) -> None:
        self._engine.close()
        self._engine.join()
        self._runner.close()

    def _encode(self, pictures: Sequence[Path], question: str, max_tokens: int) -> Prompt:
        message = Message("user", (*(picture_of(path) for path in pictures), question))
        encode = partial(self._mind.encode, [message], max_new_tokens=max_tokens)
        try:
            return self._runner.run(self._engine.compute(encode))
        except ApiError as error:
            raise TrainingError(f"{error.message.removesuffix('.')}: {', '.join(map(str, pictures))}.") from error
        except PromptTooLong as error:
            raise TrainingError(f"{error} The question begins “{question[:80]}”.") from error

    async def _write_all(self, prompts: Sequence[Prompt], max_tokens: int) -> list[str]:
        return [said.strip() for said in await asyncio.gather(*(self._write(prompt, max_tokens) for prompt in prompts))]

    async def _write(self, prompt: Prompt, max_tokens: int) -> str:
        sampling = Sampling(max_tokens, stop=self._mind.preset.stop)
        async with contextlib.aclosing(self._engine.generate(prompt, sampling)) as tokens:
            return "".join([token.text async for token in tokens])


@torch.inference_mode()
def log_likelihoods(mind: Mind, prompt: Prompt, answers: Sequence[Sequence[int]]) -> torch.Tensor:
    """(answers,) float32: log-probability of each answer's ids after the prompt. The prompt is read once for all of them."""
    mind.switch_to(prompt.attached)
    model = mind.model
    seen = {} if prompt.vision_features is None else {"vision_features": prompt.vision_features}
    read = model(input_ids=prompt.input_ids, use_cache=True, logits_to_keep=1, **seen)
    width = max(len(ids) for ids in answers)
    device = prompt.input_ids.device
    ids = torch.zeros(len(answers), width, dtype=torch.int64, device=device)
    real = torch.zeros(len(answers), width, device=device)
    for row, answer in enumerate(answers):
        ids[row, : len(answer)] = torch.tensor(answer, device=device)
        ids[row, len(answer) :] = answer[-1]  # read, and not counted
        real[row, : len(answer)] = 1
    logits = read.logits[:, -1:].expand(len(answers), -1, -1)
    if width > 1:
        cache = read.past_key_values
        cache.batch_repeat_interleave(len(answers))
        logits = torch.cat([logits, model(input_ids=ids[:, :-1], past_key_values=cache, use_cache=True).logits], 1)
    each = logits.float().log_softmax(-1).gather(2, ids.unsqueeze(-1)).squeeze(-1)
    likely: torch.Tensor = (each * real).sum(1)
    return likely


def picture_of(path: Path) -> Picture:
    """A file for the mind. Raises TrainingError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from None
    return Picture(hashlib.sha256(data).hexdigest(), partial(decode_picture, data, str(path)))
