"""A mind small enough for tests: a random one with a tokenizer of bytes. Everything around it is the real thing.

`python -m tests.model.fake_mind slow|loading|broken` runs a worker process around it, with the settings of the environment.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from model.adapter_pool import AdapterPool
from model.attached import Attached
from model.engine import Engine
from model.mind import Message, Prompt, PromptTooLong
from model.modeling import JnanaConfig, JnanaForConditionalGeneration
from model.presets import get_preset
from model.settings import WorkerSettings
from model.shelf import chosen
from model.sight import Picture
from model.speech import Segment, Transcript
from model.weights import Progress
from model.worker import Parts
from tests.model import tiny

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


class Scripted(JnanaForConditionalGeneration):
    """A mind's model that, once `script` is set, says these tokens over and over, each answer from the beginning.

    It goes on only while `go` is set, and takes `pause` seconds a pass.
    """

    def __init__(self, vocabulary: int) -> None:
        text = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
        )
        super().__init__(JnanaConfig(text_config=text, vision_config=tiny.lite_config(), image_token_index=vocabulary - 1))
        self.script: tuple[int, ...] = ()
        self.pause = 0.0
        self.go = threading.Event()
        self.go.set()
        self._begun: dict[int, int] = {}
        """Places of the first tokens of answers, by slot."""
        self._ends: dict[int, int] = {}
        self._at: list[int] = []
        """Places in their answers of the tokens that the head is asked for."""
        text_forward, head_forward = self.model.language_model.forward, self.lm_head.forward

        def read(*args: Any, step: Any = None, **options: Any) -> Any:
            output = text_forward(*args, step=step, **options)
            self.go.wait(HELD_SECONDS)
            time.sleep(self.pause)
            if step is not None:
                self._at = [self._place(*of_row) for of_row in _pieces(step)]
            return output

        def say(hidden: torch.Tensor) -> torch.Tensor:
            logits = head_forward(hidden)
            if self.script:
                logits = torch.full_like(logits, -100.0)
                logits[range(len(logits)), [self.script[at % len(self.script)] for at in self._at]] = 100.0
            return logits

        self.model.language_model.forward = read
        self.lm_head.forward = say

    def _place(self, row: int, first: int, last: int) -> int:
        if last > first or self._ends.get(row) != first - 1:  # of a prompt
            self._begun[row] = last
        self._ends[row] = last
        return last - self._begun[row]


def _pieces(step: Any) -> Iterator[tuple[int, int, int]]:
    """(row, first place, last place) of every piece of a step, in order."""
    rows, positions = step.rows.tolist(), step.positions.tolist()
    for row, places in groupby(zip(rows, positions, strict=True), lambda pair: pair[0]):
        found = [place for _, place in places]
        yield row, found[0], found[-1]


class FakeMind:
    """Has the fields and methods of `model.mind.Mind` that the worker uses."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.preset = get_preset("pocket")
        self.tokenizer = byte_tokenizer()
        self.context_length = CONTEXT
        self.picture_tokens = 10
        writer: Any = None
        self.default = self.plain = Attached(writer)
        self.precision = "fp32"
        self.stop_token_ids = (self.tokenizer.convert_tokens_to_ids(END),)
        self.device = torch.device("cpu")
        self.seen: list[Sequence[Message]] = []
        self.images: list[Image.Image] = []
        """Those of the newest conversation."""
        self.looked: list[str] = []
        """Digests, once each."""
        torch.manual_seed(0)
        self.model = Scripted(len(self.tokenizer)).eval()

    def say(self, text: str, *, pause: float = 0.0) -> None:
        """From now on answer `text`; `pause` seconds a token."""
        self.model.script = (*self.tokenizer.encode(text, add_special_tokens=False), *self.stop_token_ids)
        self.model.pause = pause

    def has_seen(self, picture: Picture, attached: Attached) -> bool:
        return picture.digest in self.looked

    def open(self, picture: Picture, attached: Attached) -> None:
        """It reads no text."""

    def look(self, picture: Picture, attached: Attached) -> dict[str, float]:
        self.looked.append(picture.digest)
        return {"vision": 0.0, "ocr": 0.0}

    def switch_to(self, attached: Attached | None) -> None:
        """It has no adapters."""

    def encode(self, messages: Sequence[Message], *, max_new_tokens: int, attached: Attached | None = None) -> Prompt:
        self.seen.append(messages)
        pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
        text = "".join(part for message in messages for part in message.parts if isinstance(part, str))
        ids = self.tokenizer(START + text, return_tensors="pt").input_ids
        if ids.shape[-1] > self.context_length - max_new_tokens:
            raise PromptTooLong(ids.shape[-1], self.context_length - max_new_tokens)
        self.images = [picture.load() for picture in pictures]
        hints = tuple(f"{image.width}x{image.height}" for image in self.images)
        return Prompt(ids, None, hints, {"vision": 0.0, "ocr": 0.0})

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self.tokenizer(list(texts)).input_ids]


@dataclass
class FakeSpeech:
    """Hears the bytes themselves; the real one is tested with real speech."""

    heard: list[bytes] = field(default_factory=list)
    slots: ClassVar[int] = 1

    async def transcribe(self, data: bytes, language: str | None = None) -> Transcript:
        self.heard.append(data)
        text = data.decode()
        return Transcript(text, "en" if text else "", 1.5, (Segment(0.0, 1.5, text, -0.1, 0.0, 1.0),) if text else ())

    def close(self) -> None:
        pass


class DeafSpeech(FakeSpeech):
    """In place of a real one, whatever that is made with."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()


def fake_parts(settings: WorkerSettings, progress: Progress) -> Parts:
    mind: Any = FakeMind()
    speech: Any = FakeSpeech()
    engine = Engine(mind)
    return Parts(
        mind, engine, AdapterPool(settings, mind, engine, chosen(settings.adapter, mind.preset, settings.home)), speech
    )


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

    parts.mind.model.model.language_model.forward = lost
    return parts


if __name__ == "__main__":
    from model.logs import configure
    from model.process import listen, run

    Engine.slots = 1  # that others wait is what is looked at
    settings = WorkerSettings()
    configure(settings.log_level, settings.log_format)
    loader = {"slow": slow_parts, "loading": loading_parts, "broken": broken_parts}[sys.argv[1]]
    run(settings, listen(settings.host, settings.port), loader=loader)
