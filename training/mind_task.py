"""What stages 1 and 2 share once their examples are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.base import Base
from training.examples import MindExamples
from training.flops import LanguageShape, MindShape, TowerShape, projector_flops, training_flops
from training.losses import AnswerLoss
from training.sampling import Order
from training.task import Batch, Examples, Facts, Written

SAMPLE_TOKENS = 48
"""Longest answer that is written out during training."""


class MindTask:
    """Implements `training.task.Task` for a mind whose trained parts are switched on already."""

    def __init__(
        self,
        base: Base,
        train: MindExamples,
        validation: MindExamples,
        *,
        order: Order,
        fingerprint: str,
        groups: list[dict[str, Any]],
        save: Callable[[Path, Facts], None],
    ) -> None:
        self.module: nn.Module = AnswerLoss(base.model)
        self.train: Examples = train
        self.validation: Examples = validation
        self._asked = validation
        self.order: Order = order
        self.fingerprint = fingerprint
        self._base = base
        self._language = LanguageShape.of_config(base.model.config.text_config)
        self._lora_parameters = sum(
            weight.numel() for weight in base.model.model.language_model.parameters() if weight.requires_grad
        )
        self._groups = groups
        self._save = save

    def save(self, folder: Path, facts: Facts, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        self._save(folder, facts)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self._groups

    def flops(self, batch: Batch) -> float:
        tower = self._base.model.model.vision_tower.config
        mind = MindShape(self._language, TowerShape(0, 0.0, self._base.preset.image_tokens, tower.hidden_size))
        mean = batch.tokens / batch.sequences
        work = training_flops(self._language, batch.tokens, mean, batch.answer_tokens, frozen=True, lora=self._lora_parameters)
        return (work + projector_flops(mind, batch.pictures)).model

    def samples(self, count: int) -> Iterator[Written]:
        """The first answer of each of the first validation examples."""
        model, tokenizer = self._base.model, self._base.writer.tokenizer
        for number in range(min(count, len(self._asked.examples))):
            example = self._asked.examples[number]
            begin = example.answer.start
            asked_ids = example.ids[:begin].tolist()
            prompt = torch.tensor([asked_ids], device=model.device)
            features = self._asked.features(number)
            written = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=SAMPLE_TOKENS,
                do_sample=False,
                pad_token_id=self._base.writer.stop_token_ids[0],
                **({} if features is None else {"vision_features": features.to(model.device)}),
            )
            image_token = self._base.writer.image_token_id
            asked = tokenizer.decode([token for token in asked_ids if token != image_token])
            expected = tokenizer.decode(example.ids[example.answer].tolist(), skip_special_tokens=True)
            answer = tokenizer.decode(written[0, begin:].tolist(), skip_special_tokens=True)
            yield Written(example.image, str(asked), str(expected).strip(), str(answer).strip())


def parameter_group(module_or_parameters: nn.Module, *, weight_decay: float, lr_scale: float = 1.0) -> list[dict[str, Any]]:
    """Groups for AdamW: matrices decay, norms and biases do not."""
    trained = [parameter for parameter in module_or_parameters.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    others = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay, "lr_scale": lr_scale},
        {"params": others, "weight_decay": 0.0, "lr_scale": lr_scale},
    ]
    return [group for group in groups if group["params"]]
