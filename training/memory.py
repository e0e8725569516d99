"""What a training run keeps in a device's memory, item by item, from its configuration alone.

Activations are counted as autograd keeps them for the modules that transformers runs, in the manner of Korthikanti et al.
(https://arxiv.org/abs/2205.05198, section 4) but for these architectures: fused attention keeps no scores, phi's attention and
MLP share one norm, and its GELU (`gelu_new`) is written out in Python, which keeps four tensors where a fused one keeps one.
Under autocast, norms and powers are computed in fp32 (https://docs.pytorch.org/docs/stable/amp.html) and every matrix product
keeps its own bf16 copy of what it multiplies. torch.compile keeps less; that is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from training.config import Instruct, Lora, MultimodalConfig, Pretrain, RunConfig
from training.flops import MINDS, LanguageShape

NF4_BITS = 4.127
"""Of a parameter with double quantisation: 4, and 8/64 + 32/(64*256) for its constants (https://arxiv.org/abs/2305.14314)."""

CONTEXT = 1_343 * 2**20
"""Bytes that CUDA, its libraries and an allocator take before the first tensor: what a process with one number on a V100 showed
(https://huggingface.co/docs/transformers/model_memory_anatomy); today's are smaller, and the rest is for fragments."""

LABELS_AT_ONCE = 4096
"""As training.losses, which needs torch."""

LOGIT_BYTES = 12
"""Of one logit where most is held, in the backward pass: fp32 log-probabilities, their gradient and the logits' gradient."""

WEIGHT, GRADIENT, ADAMW = 4, 4, 8
"""Bytes of a trained parameter: all fp32, and two averages of AdamW's."""


@dataclass(frozen=True)
class Item:
    what: str
    bytes: float


@dataclass(frozen=True)
class _Parts:
    """Parameters by what happens to them; the frozen ones in bytes."""

    language: LanguageShape
    trained: int
    cast: int
    """Trained parameters in matrices, of which autocast keeps bf16 copies."""
    frozen: tuple[Item, ...]


def memory(run: RunConfig, gpus: int = 1) -> tuple[Item, ...]:
    """Bytes on each of `gpus` devices, at the longest micro-batch that the configuration allows."""
    return tuple(item for item in _items(run, gpus) if item.bytes)


def total(items: tuple[Item, ...]) -> float:
    return sum(item.bytes for item in items)


def longest(run: RunConfig) -> int:
    """Tokens of the longest example."""
    if isinstance(run, Pretrain):
        return run.sequence_length
    assert isinstance(run, MultimodalConfig)  # noqa: S101 - there are no other stages
    return run.max_length


def language_shape(run: RunConfig) -> LanguageShape:
    if isinstance(run, Pretrain):
        return LanguageShape.of_architecture(run.architecture)
    assert isinstance(run, MultimodalConfig)  # noqa: S101 - there are no other stages
    return MINDS[run.model].language


def trained_parameters(run: RunConfig) -> int:
    return _parts(run).trained


def kept_per_token(shape: LanguageShape, *, mixed: bool, trains_weights: bool, lora: Lora | None = None) -> float:
    """Bytes that one layer keeps of one token until the backward pass. `mixed`: bf16 through autocast; else fp32."""
    width = 2 if mixed else 4
    hidden, middle = shape.hidden, shape.intermediate
    kept = width * (2.0 * hidden + 2 * shape.kv_size)  # queries, keys, values and what attention makes of them
    if shape.family == "phi":
        # The norm's input; of gelu_new x and tanh as powers see them (fp32), x/2, and 1 + tanh.
        kept += 4.0 * hidden + middle * (3 * 4 + width)
    else:
        # Two norms' inputs; the gate, what SiLU makes of it, and the other half.
        kept += 2 * 4.0 * hidden + 3 * width * middle
    learnt = tuple(shape.linears) if trains_weights else lora.targets if lora else ()
    dropout = bool(lora and lora.dropout)
    # Norms give fp32: in mixed precision each matrix casts its own copy, and dropout makes another one for each LoRA too.
    shared = not mixed and not dropout
    inputs = {_source(name) if shared else name: shape.linears[name][0] for name in learnt}
    kept += sum(size * (width + (1 if dropout else 0)) for size in inputs.values())
    if lora and not trains_weights:
        kept += width * lora.rank * len(learnt)
    return kept


def _source(linear: str) -> str:
    """Matrices that multiply the same tensor share it."""
    if linear in ("q_proj", "k_proj", "v_proj", "fc1"):
        return "first norm"
    return "second norm" if linear in ("gate_proj", "up_proj") else linear


def _items(run: RunConfig, gpus: int) -> Iterator[Item]:
    parts = _parts(run)
    mixed = run.precision == "bf16"
    share = 1 / gpus if run.fsdp else 1.0
    for item in parts.frozen:
        # bitsandbytes packs 4-bit weights into bytes that FSDP does not take apart.
        yield Item(item.what, item.bytes * (1.0 if "nf4" in item.what else share))
    yield Item("trained weights, fp32", WEIGHT * parts.trained * share)
    yield Item("their gradients, fp32", GRADIENT * parts.trained * share)
    yield Item("AdamW, fp32", ADAMW * parts.trained * share)
    if gpus > 1 and not run.fsdp:
        # As views of them gradients would take nothing, but those of the first micro-batch of several are made anew each step.
        yield Item("buckets in which DDP sums gradients, fp32", GRADIENT * parts.trained)
    if run.fsdp and gpus > 1:
        yield Item("weights gathered by FSDP", _gathered(run, parts, mixed))
    elif mixed:
        yield Item("bf16 copies of trained weights", 2.0 * parts.cast)
    tokens = run.batch.micro * longest(run)
    yield Item(f"activations of {tokens:,} tokens", _activations(run, parts.language, tokens))
    yield Item("logits and their gradients", _logits(run, parts.language))
    yield Item("CUDA and its libraries", CONTEXT)


def _parts(run: RunConfig) -> _Parts:
    if isinstance(run, Pretrain):
        shape = LanguageShape.of_architecture(run.architecture)
        return _Parts(shape, shape.parameters, shape.layer_matrices + shape.head_matrix, ())
    assert isinstance(run, MultimodalConfig)  # noqa: S101 - there are no other stages
    mind = MINDS[run.model]
    trained = mind.projector
    frozen = [_frozen_language(run, mind.language), Item("vision tower, frozen", mind.tower.parameters * _width(run))]
    if isinstance(run, Instruct):
        if run.projector_lr is None:
            frozen.append(Item("projector, frozen, fp32", WEIGHT * mind.projector))
            trained = 0
        trained += mind.language.lora_parameters(run.lora.rank, run.lora.targets)
    return _Parts(mind.language, trained, trained, tuple(frozen))


def _frozen_language(run: MultimodalConfig, shape: LanguageShape) -> Item:
    if isinstance(run, Instruct) and run.quantize:
        packed = shape.layer_matrices * NF4_BITS / 8
        rest = (shape.parameters - shape.layer_matrices) * _width(run)
        return Item("language model, frozen, nf4", packed + rest)
    return Item(f"language model, frozen, {run.precision}", shape.parameters * _width(run))


def _width(run: RunConfig) -> int:
    return 2 if run.precision == "bf16" else 4


def _gathered(run: RunConfig, parts: _Parts, mixed: bool) -> float:
    """Whole layers at work: this one and the next, embeddings and head; with gradients where they are trained."""
    shape = parts.language
    whole = shape.head_matrix * (1 if shape.tied else 2) + 2 * shape.layer_matrices / shape.layers
    copies = 2 if isinstance(run, Pretrain) else 1
    return whole * (2 if mixed else 4) * copies


def _activations(run: RunConfig, shape: LanguageShape, tokens: int) -> float:
    mixed, trains_weights = run.precision == "bf16", isinstance(run, Pretrain)
    lora = run.lora if isinstance(run, Instruct) else None
    layer = kept_per_token(shape, mixed=mixed, trains_weights=trains_weights, lora=lora) * tokens
    if not run.gradient_checkpointing:
        return layer * shape.layers
    between = shape.hidden * (2 if mixed and not trains_weights else 4) * tokens  # what goes from layer to layer
    return between * shape.layers + layer


def _logits(run: RunConfig, shape: LanguageShape) -> float:
    places = longest(run)
    if isinstance(run, MultimodalConfig):
        places -= MINDS[run.model].tower.tokens  # a picture's tokens are never labels
    if isinstance(run, Instruct) and run.max_answer:
        places = min(places, run.max_answer)
    return float(min(max(places, 1) * run.batch.micro, LABELS_AT_ONCE) * shape.vocabulary * LOGIT_BYTES)
