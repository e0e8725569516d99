"""What 8 bits cost: how much less likely the mind finds answers in int8 than in fp32.

    python -m benchmarks.perplexity > docs/results/int8.md

Answers: nine to each of the plain questions of `jnana evaluate chat`, written by the model itself in fp32 at temperature 1,
which none of it was fitted to; greedy answers beside them show how often people would read another word.
"""

from __future__ import annotations

import argparse
import math
import sys

import torch

from benchmarks import pocket
from benchmarks.report import header, table
from model.machine import available_cores
from model.mind import Message, Mind, Prompt
from training.evaluate.answerer import log_likelihoods
from training.evaluate.chat import QUESTIONS

ANSWERS, LENGTH = 9, 64
"""To each question; tokens at most."""
PRECISIONS = ("fp32", "int8")


def written(mind: Mind, prompt: Prompt, *, count: int) -> list[list[int]]:
    """`count` answers at temperature 1, as ids with what ends them; one greedy answer for 0."""
    sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "num_return_sequences": count}
    ids = mind.model.generate(
        prompt.input_ids,
        attention_mask=torch.ones_like(prompt.input_ids),
        max_new_tokens=LENGTH,
        pad_token_id=mind.stop_token_ids[0],
        **(sampling if count else {"do_sample": False}),
    )
    answers = []
    for answer in ids[:, prompt.input_ids.shape[1] :].tolist():
        ends = [answer.index(stop) + 1 for stop in mind.stop_token_ids if stop in answer]
        answers.append(answer[: min(ends, default=LENGTH)])
    return answers


def nats(mind: Mind, answers: list[tuple[Prompt, list[list[int]]]]) -> float:
    """Negative log-likelihood of a token of the answers, the mean."""
    tokens = sum(len(ids) for _, each in answers for ids in each)
    return -sum(float(log_likelihoods(mind, prompt, each).sum()) for prompt, each in answers) / tokens


def same_tokens(one: list[list[int]], other: list[list[int]]) -> tuple[int, int]:
    """Answers that are the same to the last token, and of how many."""
    return sum(a == b for a, b in zip(one, other, strict=True)), len(one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    minds = [pocket.load(precision, options.threads) for precision in PRECISIONS]
    full = minds[0]
    torch.manual_seed(0)
    with torch.inference_mode():
        prompts = [full.encode([Message("user", (question,))], max_new_tokens=LENGTH) for question in QUESTIONS]
        answers = []
        for prompt in prompts:
            answers.append((prompt, written(full, prompt, count=ANSWERS)))
            print(f"{len(answers)} of {len(prompts)}", file=sys.stderr, flush=True)
        found = [nats(mind, answers) for mind in minds]
        greedy = [[written(mind, prompt, count=0)[0] for prompt in prompts] for mind in minds]
    same, of = same_tokens(*greedy)
    print(header("pocket in 8 bits: perplexity", "torch", "transformers"))
    tokens = sum(len(ids) for _, each in answers for ids in each)
    print(f"{sum(len(each) for _, each in answers)} answers, {tokens} tokens.\n")
    rows = [
        [name, f"{math.exp(loss):.4f}", f"{math.expm1(loss - found[0]):+.2%}"]
        for name, loss in zip(PRECISIONS, found, strict=True)
    ]
    print(table(["", "perplexity", "beside fp32"], rows))
    print(f"\nGreedy answers that are the same to the last of up to {LENGTH} tokens: {same} of {of}.")


if __name__ == "__main__":
    main()
