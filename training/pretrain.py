"""Stage 0: phi-2's architecture, or a smaller phi, from random weights on packed text.

    jnana data tokenize TEXTS... --tokenizer data/models/phi2/language --validation 0.01 --to data/training/text
    jnana train pretrain best --to runs/pretrain
    torchrun --nproc-per-node 4 -m training.cli train pretrain best --to runs/pretrain --set fsdp=true

The original reached a loss of 6.67 (mean of its last ten values) after 1.08 M tokens, from ln(51200) = 10.84.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoTokenizer, PhiConfig, PhiForCausalLM

from model.adapters import disk
from model.files import appearing, write_manifest
from training.config import Architecture, Pretrain
from training.data.shards import TokenShards, checked_shards
from training.errors import TrainingError
from training.flops import LanguageShape, training_flops
from training.losses import summed_loss
from training.mind_task import parameter_group
from training.runs import DataFile
from training.sampling import Order
from training.task import Batch, Examples, Facts, Written

SAMPLE_PROMPT, SAMPLE_TOKENS = 16, 32
"""Tokens of a validation text that are given, and that are written on."""


class NextTokenLoss(nn.Module):
    """Sum of the negative log-likelihoods of every next token."""

    def __init__(self, model: PhiForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T + 1) int64 -> 0-dim fp32."""
        hidden = self.model.model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
        return summed_loss(hidden, tokens[:, 1:], self.model.lm_head)


class TextExamples:
    """Windows of packed shards. Implements `training.task.Examples`."""

    def __init__(self, shards: TokenShards, length: int) -> None:
        self._shards = shards
        self._length = length
        self.lengths: Sequence[int] = [length] * shards.sequences(length)

    def collate(self, examples: Sequence[int]) -> Batch:
        tokens = torch.stack([torch.from_numpy(self._shards.sequence(example, self._length)) for example in examples])
        count = len(examples) * self._length
        return Batch({"tokens": tokens}, count, count, len(examples))

    def origin(self, example: int) -> str:
        return f"tokens {example * self._length:,} to {(example + 1) * self._length:,} of {self._shards.folder}"


class PretrainTask:
    """Implements `training.task.Task`."""

    order: Order = "random"

    def __init__(self, run: Pretrain, device: torch.device) -> None:
        shards = [checked_shards(run, folder) for folder in (run.data.train, run.data.validation)]
        self._shards = shards
        self.train: Examples = TextExamples(shards[0], run.sequence_length)
        self.validation: Examples = TextExamples(shards[1], run.sequence_length)
        self.fingerprint = "+".join(one.fingerprint for one in shards)
        self._model = new_model(run, device)
        self._run = run
        self.module: nn.Module = NextTokenLoss(self._model)

    def data_files(self) -> tuple[DataFile, ...]:
        """The shards, for the run's record."""
        train, validation = self._shards
        return _data_file(train, "train"), _data_file(validation, "validation")

    def parameter_groups(self) -> list[dict[str, Any]]:
        return parameter_group(self._model, weight_decay=self._run.optimizer.weight_decay)

    def flops(self, batch: Batch) -> float:
        shape = LanguageShape.of_architecture(self._run.architecture)
        return training_flops(shape, batch.tokens, self._run.sequence_length, batch.answer_tokens, frozen=False).model

    def samples(self, count: int) -> Iterator[Written]:
        """How the first validation texts are written on."""
        tokenizer = AutoTokenizer.from_pretrained(self._run.data.tokenizer, local_files_only=True)
        for number in range(min(count, len(self.validation.lengths))):
            tokens = self.validation.collate([number]).inputs["tokens"].to(self._model.device)
            prompt = tokens[:, :SAMPLE_PROMPT]
            written = self._model.generate(  # type: ignore[misc]  # transformers' own annotation of self
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=SAMPLE_TOKENS, do_sample=False, pad_token_id=0
            )
            expected = tokens[0, SAMPLE_PROMPT : SAMPLE_PROMPT + SAMPLE_TOKENS]
            texts = (prompt[0], expected, written[0, SAMPLE_PROMPT:])
            asked, wanted, said = (str(tokenizer.decode(ids.tolist())) for ids in texts)
            yield Written(None, asked, wanted, said)

    def save(self, folder: Path, facts: Facts, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """A folder that transformers loads: weights, configuration and tokenizer. Stages 1 and 2 take it as `language`.

        Raises WeightsError when the disk is full.
        """
        tokenizer = AutoTokenizer.from_pretrained(self._run.data.tokenizer, local_files_only=True)
        self._model.config.bos_token_id, self._model.config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        with disk(folder), appearing(folder) as target:
            named = {name.removeprefix("model."): value for name, value in (weights or {}).items()}  # of NextTokenLoss
            self._model.save_pretrained(target, state_dict=named or None)
            tokenizer.save_pretrained(target)
            write_manifest(target, {}, lambda count: None)


def _data_file(shards: TokenShards, use: Literal["train", "validation"]) -> DataFile:
    manifest = shards.manifest
    licence = ", ".join(manifest.licences) or None
    return DataFile(file=str(shards.folder), sha256=shards.fingerprint, records=manifest.documents, licence=licence, use=use)


def phi_config(architecture: Architecture) -> PhiConfig:
    """Without dropout: each text is read once or less."""
    sizes = architecture.model_dump(exclude={"parameters"})
    return PhiConfig(**sizes, resid_pdrop=0.0, embd_pdrop=0.0, attention_dropout=0.0, tie_word_embeddings=False)


def new_model(run: Pretrain, device: torch.device) -> PhiForCausalLM:
    """Random weights, fp32, on `device`. Raises TrainingError when it has another number of parameters than asserted."""
    torch.manual_seed(run.seed)
    with device:
        model = PhiForCausalLM(phi_config(run.architecture))
        if run.init == "torch_default":
            # The original built its model on the meta device, where lit-gpt's N(0, 0.02) did nothing: each layer's own
            # reset_parameters is what it ran with.
            for module in model.modules():
                if isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
                    module.reset_parameters()
    found = sum(parameter.numel() for parameter in model.parameters())
    if run.architecture.parameters not in (None, found):
        raise TrainingError(
            f"This architecture has {found:,} parameters, and the configuration says {run.architecture.parameters:,}."
        )
    if run.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model
