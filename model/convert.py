"""How the files of packages become folders that load: GGUF and .pth to safetensors, parts to one file."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, modeling_gguf_pytorch_utils
from transformers.utils import logging as transformers_logging
from transformers.utils.quantization_config import GgufConfig

from model.vision import EfficientNetLiteConfig, EfficientNetLiteModel

Step = Callable[[int, int], None]
"""Called with (done, total) in steps."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the library's own progress bars: ours is one line, theirs are many."""
    was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    gguf_bar = modeling_gguf_pytorch_utils.tqdm  # type: ignore[attr-defined]  # has no switch of its own
    modeling_gguf_pytorch_utils.tqdm = partial(gguf_bar, disable=True)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        modeling_gguf_pytorch_utils.tqdm = gguf_bar  # type: ignore[attr-defined]
        if was_on:
            transformers_logging.enable_progress_bar()


def convert_gguf(files: Sequence[Path], target: Path, step: Step) -> None:
    """A quantised GGUF language model to a folder with fp32 safetensors, configuration and tokenizer.

    Kept quantised, it runs at 0.6 tokens/s, and `save_pretrained` refuses a model that came from GGUF.
    """
    (gguf,) = files
    with quiet():
        step(0, 3)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(target)
        step(1, 3)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
    step(2, 3)
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.architectures = [type(model).__name__]
    config.save_pretrained(target)
    model.generation_config.save_pretrained(target)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in tied}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    step(3, 3)


def convert_efficientnet_lite(files: Sequence[Path], target: Path, step: Step) -> None:
    """The published EfficientNet-Lite0 checkpoint and its label names to a folder in transformers' form."""
    checkpoint, names = files
    step(0, 1)
    labels: list[str] = json.loads(names.read_text())
    config = EfficientNetLiteConfig(id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)})
    model = EfficientNetLiteModel(config)
    tensors = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict({rename_checkpoint_key(key): tensor for key, tensor in tensors.items()})
    with quiet():
        model.save_pretrained(target)
    step(1, 1)


def rename_checkpoint_key(key: str) -> str:
    """What a tensor of the efficientnet_lite_pytorch checkpoints is called in EfficientNetLiteModel."""
    if not key.startswith("_blocks."):
        layer, rest = key.split(".", 1)
        outside = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1", "_fc": "classifier"}
        return f"{outside[layer]}.{rest}"
    _, index, layer, rest = key.split(".", 3)
    inside = {
        "_expand_conv": "expand.0",
        "_bn0": "expand.1",
        "_depthwise_conv": "depthwise.0",
        "_bn1": "depthwise.1",
        "_project_conv": "project.0",
        "_bn2": "project.1",
    }
    return f"blocks.{index}.{inside[layer]}.{rest}"


def assemble_whisper(files: Sequence[Path], target: Path, step: Step) -> None:
    """CTranslate2's model.bin out of its parts, with the small files beside it."""
    parts = [path for path in files if path.name.startswith("model.bin.part")]
    with (target / "model.bin").open("wb") as whole:
        for index, part in enumerate(parts):
            step(index, len(parts))
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole, 4 * 2**20)
    for path in files:
        if path not in parts:
            shutil.copyfile(path, target / path.name)
    step(len(parts), len(parts))


def convert_pickled(source: Path, target: Path) -> None:
    """A pytorch_model.bin, read without running any code in it, as safetensors."""
    tensors: dict[str, torch.Tensor] = torch.load(source, map_location="cpu", weights_only=True)
    # Tensors that share memory are refused by safetensors; copies cost a little disk, no correctness.
    copies = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    save_file(copies, target, metadata={"format": "pt"})


CONVERTERS: dict[str, Callable[[Sequence[Path], Path, Step], None]] = {
    "gguf": convert_gguf,
    "efficientnet-lite": convert_efficientnet_lite,
    "whisper-parts": assemble_whisper,
}
