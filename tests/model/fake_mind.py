"""A mind small enough for tests: a random Llama with a tokenizer of bytes. Everything around it is the real thing.

`python -m tests.model.fake_mind slow|loading|broken` runs a worker process around it, with the settings of the environment.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from model.engine import Engine
from model.mind import Message, Prompt, PromptTooLong
from model.presets import get_preset
from model.settings import WorkerSettings
from model.sight import Picture
from model.speech import Segment, Transcript
from model.weights import Progress
from model.worker import Parts

CONTEXT = 512
HELD_SECONDS = 30.0
START, END = "<|start|>", "<|end|>"


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, so that a character can be several tokens, plus two special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([START, END])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=START, eos_token=END)


class Scripted(LlamaForCausalLM):
    """A Llama that, once `script` is set, says these tokens over and over.

    It goes on only while `go` is set, and takes `pause` seconds a token.
    """

    script: tuple[int, ...] = ()
    pause = 0.0
    prompt_length = 0

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.go = threading.Event()
        self.go.set()

    def forward(self, input_ids: torch.Tensor | None = None, **kwargs: Any) -> Any:
        output = super().forward(input_ids=input_ids, **kwargs)
        self.go.wait(HELD_SECONDS)
        time.sleep(self.pause)
        if self.script:
            at = output.past_key_values.get_seq_length() - self.prompt_length
            output.logits[:, -1] = -100.0
            output.logits[:, -1, self.script[at % len(self.script)]] = 100.0
        return output


class FakeMind:
    """Has the fields and methods of `model.mind.Mind` that the worker uses."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.preset = get_preset("pocket")
        self.tokenizer = byte_tokenizer()
        self.context_length = CONTEXT
        self.picture_tokens = 10
        self.adapter: str | None = None
        self.stop_token_ids = (self.tokenizer.convert_tokens_to_ids(END),)
        self.device = torch.device("cpu")
        self.seen: list[Sequence[Message]] = []
        self.images: list[Image.Image] = []
        """Those of the newest conversation."""
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(self.tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
        )
        self.model = Scripted(config).eval()

    def say(self, text: str, *, pause: float = 0.0) -> None:
        """From now on answer `text`; `pause` seconds a token."""
        self.model.script = (*self.tokenizer.encode(text, add_special_tokens=False), *self.stop_token_ids)
        self.model.pause = pause

    def encode(self, messages: Sequence[Message], *, max_new_tokens: int) -> Prompt:
        self.seen.append(messages)
        pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
        text = "".join(part for message in messages for part in message.parts if isinstance(part, str))
        ids = self.tokenizer(START + text, return_tensors="pt").input_ids
        if ids.shape[-1] > self.context_length - max_new_tokens:
            raise PromptTooLong(ids.shape[-1], self.context_length - max_new_tokens)
        self.model.prompt_length = ids.shape[-1]
        self.images = [picture.load() for picture in pictures]
        hints = tuple(f"{image.width}x{image.height}" for image in self.images)
        return Prompt(ids, None, hints, {"vision": 0.0, "ocr": 0.0})

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self.tokenizer(list(texts)).input_ids]


@dataclass
class FakeSpeech:
    """Hears the bytes themselves; the real one is tested with real speech."""

    heard: list[bytes] = field(default_factory=list)

    async def transcribe(self, data: bytes, language: str | None = None) -> Transcript:
        self.heard.append(data)
        text = data.decode()
        return Transcript(text, "en" if text else "", 1.5, (Segment(0.0, 1.5, text, -0.1, 0.0, 1.0),) if text else ())

    def close(self) -> None:
        pass


def fake_parts(settings: WorkerSettings, progress: Progress) -> Parts:
    mind: Any = FakeMind()
    speech: Any = FakeSpeech()
    return Parts(mind, Engine(mind), speech)


def slow_parts(settings: WorkerSettings, progress: Progress) -> Parts:
    """A mind that takes a second for an answer."""
    parts = fake_parts(settings, progress)
    mind: Any = parts.mind
    mind.say("tick " * 20, pause=0.01)
    return parts


def loading_parts(settings: WorkerSettings, progress: Progress) -> Parts:
    """A mind that takes for ever to load."""
    time.sleep(3600)
    raise AssertionError


def broken_parts(settings: WorkerSettings, progress: Progress) -> Parts:
    """A mind on a GPU that is lost with the first question."""
    parts = fake_parts(settings, progress)

    def lost(*args: Any, **options: Any) -> Any:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    parts.mind.model.forward = lost  # type: ignore[method-assign]
    return parts


if __name__ == "__main__":
    from model.logs import configure
    from model.process import listen, run

    settings = WorkerSettings()
    configure(settings.log_level, settings.log_format)
    loader = {"slow": slow_parts, "loading": loading_parts, "broken": broken_parts}[sys.argv[1]]
    run(settings, listen(settings.host, settings.port), loader=loader)
