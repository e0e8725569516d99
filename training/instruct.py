"""Stage 2: answering about pictures, from conversations. LoRA on the language model, and the projector goes on learning.

    jnana train instruct pocket --to runs/instruct --set start=runs/align/artefact

Only answers and the token that ends each are learnt, of every turn of a conversation (template chat); the original flattened
conversations into single questions, `<pictures>caption image:<question>end of question:<answer><eos>`. With `quantize: nf4` the
frozen weights are in 4 bits (QLoRA, https://arxiv.org/abs/2305.14314).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from model import lora
from model.prompt import Placeholder, PromptWriter, Turn
from model.weights import Progress
from training.base import Base, save_adapter
from training.config import Instruct
from training.data.features import FeatureCache
from training.data.records import Conversation
from training.errors import TrainingError
from training.examples import Example, tokenised
from training.mind_task import MindTask, parameter_group

log = structlog.get_logger(__name__)


def build(
    run: Instruct,
    base: Base,
    cache: FeatureCache,
    train: Sequence[Conversation],
    validation: Sequence[Conversation],
    fingerprint: str,
    progress: Progress,
) -> MindTask:
    """The stage's task; `cache` has all pictures, and `base` a trained projector. Raises TrainingError."""
    chosen = [[record for record in records if learns_from(run, record)] for records in (train, validation)]
    for which, records, kept in zip(("training", "validation"), (train, validation), chosen, strict=True):
        if left_out := len(records) - len(kept):
            log.info("conversations without a picture are left to the base model", of=which, left_out=left_out)
        if not kept:
            raise TrainingError(
                f"No {which} conversation has a picture, and text_only=base leaves the others to the base model."
            )
    sets = [
        base.examples(run, _examples(run, base.writer, records, cache, which, progress), cache, weigh)
        for which, records, weigh in zip(("training", "validation"), chosen, (run.weigh, "labels"), strict=True)
    ]
    language = add_lora(run, base)
    groups = parameter_group(language, weight_decay=run.optimizer.weight_decay)
    if run.projector_lr is not None:
        base.projector.requires_grad_(True)
        scale = run.projector_lr / run.optimizer.lr
        groups += parameter_group(base.projector, weight_decay=run.optimizer.weight_decay, lr_scale=scale)
    return MindTask(
        base,
        *sets,
        order=run.order,
        fingerprint=f"{fingerprint}-{base.identity}",
        groups=groups,
        save=partial(save_adapter, base, run),
    )


def add_lora(run: Instruct, base: Base) -> nn.Module:
    """LoRA matrices beside the language model's own; they are fp32 and the only thing in it that learns."""
    language: nn.Module = base.model.model.language_model
    known = {name.rsplit(".", 1)[-1] for name, module in language.named_modules() if isinstance(module, nn.Linear)}
    if unknown := sorted(set(run.lora.targets) - known):
        raise TrainingError(
            f"lora.targets: {', '.join(unknown)} is in no layer of {run.model}; there are {', '.join(sorted(known))}."
        )
    torch.manual_seed(run.seed)
    if run.quantize is not None:
        setattr(language, "is_loaded_in_4bit", True)  # noqa: B010 - peft asks the model, and here sees the one without a head
    inject_adapter_in_model(lora_config(run), language)
    if base.start is not None and base.start.lora is not None:
        _go_on_from(base.start.folder, run, language)
    for name, parameter in language.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return language


def _go_on_from(folder: Path, run: Instruct, language: nn.Module) -> None:
    """Begin with the LoRA of an earlier stage 2."""
    config, weights = lora.read(folder)
    there = {
        "rank": config.r,
        "alpha": config.lora_alpha,
        "rslora": bool(config.use_rslora),
        "dora": bool(config.use_dora),
        "targets": sorted(config.target_modules),
    }
    asked = run.lora.model_dump() | {"targets": sorted(run.lora.targets)}
    if other := [f"lora.{key}={value}" for key, value in there.items() if asked[key] != value]:
        raise TrainingError(
            f"{folder} has LoRA of another kind, which would not say what it learnt: set {', '.join(other)}, or start from a "
            "stage 1 artefact."
        )
    assert isinstance(language, PreTrainedModel)  # noqa: S101 - the text model of a mind
    prefix = f"{lora.PEFT_PREFIX}{language.base_model_prefix}."
    set_peft_model_state_dict(language, {name.removeprefix(prefix): tensor for name, tensor in weights.items()})


def lora_config(run: Instruct) -> LoraConfig:
    return LoraConfig(
        r=run.lora.rank,
        lora_alpha=run.lora.alpha,
        lora_dropout=run.lora.dropout,
        target_modules=list(run.lora.targets),
        use_rslora=run.lora.rslora,
        use_dora=run.lora.dora,
        bias="none",
        task_type="CAUSAL_LM",
    )


def encode(run: Instruct, writer: PromptWriter, record: Conversation) -> list[tuple[list[int], list[bool]]]:
    """The examples that a conversation makes, one or (original) one an answer: ids, and which of them are learnt."""
    if run.template == "chat":
        return [writer.example([_turn(said.role, said.text, said.pictures) for said in record.messages])]
    pairs = zip(record.messages, record.messages[1:], strict=False)
    return [
        writer.example([_turn("user", question.text, len(record.images)), _turn("assistant", answer.text, 0)])
        for question, answer in pairs
        if (question.role, answer.role) == ("user", "assistant")
    ]


def lengths(run: Instruct, writer: PromptWriter, record: Conversation) -> list[tuple[int, int]]:
    """(tokens, learnt ones) of each of a record's examples; none if it is left to the base model."""
    return [(len(ids), sum(learnt)) for ids, learnt in encode(run, writer, record)] if learns_from(run, record) else []


def learns_from(run: Instruct, record: Conversation) -> bool:
    return bool(record.images) or run.text_only == "adapter"


def _turn(role: str, text: str, pictures: int) -> Turn:
    pieces: tuple[Any, ...] = (*[Placeholder()] * pictures, text)
    return Turn(role, pieces, pictures)


def _examples(
    run: Instruct, writer: PromptWriter, records: Sequence[Conversation], cache: FeatureCache, which: str, progress: Progress
) -> list[Example]:
    """Those that are too long are left out."""
    examples = []
    total = 0
    for record in tokenised(records, which, progress):
        pictures = tuple(cache.row(image) for image in record.images)
        first = record.images[0] if record.images else None
        for ids, learnt in encode(run, writer, record):
            total += 1
            if run.beyond(len(ids), sum(learnt)) is None:
                examples.append(Example.of(record.origin, ids, learnt, pictures, first))
    if left_out := total - len(examples):
        log.warning("examples are longer than max_length and left out", of=which, left_out=left_out, kept=len(examples))
    if not examples:
        answers = f" and max_answer ({run.max_answer})" if run.max_answer else ""
        raise TrainingError(f"No {which} example fits into max_length ({run.max_length} tokens){answers}: raise it.")
    return examples
