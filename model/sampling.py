"""Which token comes next."""

from __future__ import annotations

from dataclasses import dataclass

import torch

LOWEST_TEMPERATURE = 1e-3
"""Below it the likeliest token is taken: logits differ by more than float32 can tell apart in a softmax."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, as in OpenAI's API. Temperature 0 and `top_p` 0 take the likeliest token."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


class Chooser:
    """Chooses the tokens of one answer, with random numbers of its own: a seed neither depends on nor disturbs what else draws
    some, so that an answer is the same alone and in a crowd."""

    def __init__(self, sampling: Sampling, penalty: float, device: torch.device) -> None:
        """`penalty`: on tokens that the answer holds already (https://arxiv.org/abs/1909.05858). The prompt does not count: the
        model would avoid the names it is asked for."""
        self._sampling = sampling
        self._penalty = penalty
        self._said: set[int] = set()
        self._random: torch.Generator | None = None
        if sampling.temperature >= LOWEST_TEMPERATURE and sampling.top_p > 0:
            self._random = torch.Generator(device)
            if sampling.seed is None:
                self._random.seed()
            else:
                self._random.manual_seed(sampling.seed)

    def choose(self, logits: torch.Tensor) -> int:
        """(vocabulary,) fp32, which is changed, -> the token."""
        if self._penalty != 1.0 and self._said:
            said = torch.tensor(list(self._said), device=logits.device)
            scores = logits[said]
            logits[said] = torch.where(scores < 0, scores * self._penalty, scores / self._penalty)
        token = int(logits.argmax()) if self._random is None else self._draw(logits, self._random)
        self._said.add(token)
        return token

    def _draw(self, logits: torch.Tensor, random: torch.Generator) -> int:
        probabilities = (logits / self._sampling.temperature).softmax(-1)
        if self._sampling.top_p < 1:
            ordered, order = probabilities.sort(descending=True)
            # A token stays while those before it sum to less than top_p: the likeliest always does.
            ordered[ordered.cumsum(-1) - ordered >= self._sampling.top_p] = 0
            probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered)
        return int(torch.multinomial(probabilities, 1, generator=random))
