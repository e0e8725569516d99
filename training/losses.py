"""The loss of all stages: cross-entropy of the labels alone, summed."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad
from torch.utils.checkpoint import checkpoint

from model.modeling import JnanaForConditionalGeneration
from training.task import IGNORE

MULTIPLE = 32
"""Labels are filled up to a multiple of so many: their number is another one in every batch, and matrix libraries prepare for
every shape they meet."""

LABELS_AT_ONCE = 4096
"""Labels whose logits are in memory together: with 51,200 rows in fp32, 840 MB and as much again for their gradient."""


class AnswerLoss(nn.Module):
    """Sum of the negative log-likelihoods of a mind's answers. The head sees the places of labels only: over every token of
    a batch of 16 x 512 phi-2's logits are 1.7 GB, for answers a tenth of it."""

    def __init__(self, model: JnanaForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.train()

    def train(self, mode: bool = True) -> AnswerLoss:
        """Frozen networks have no dropout (training/base.py) and the tower's batch norms never learn: what this switches is the
        dropout of adapters, and gradient checkpointing, which transformers does in train mode only."""
        super().train(mode)
        self.model.model.vision_tower.eval()
        return self

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        vision_features: torch.Tensor | None = None,
        prefix_ids: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B, T) int64 each, labels as the tokens themselves or IGNORE; (pictures, tokens, tower width) -> 0-dim fp32.

        `prefix_ids` (P,): what stands before each of the B rows. It is read once; keys and values serve all rows.
        `weights` (B,) fp32: of each label of a row; None: one.
        """
        body = self.model.model
        pictures = None if vision_features is None else {"image": body.project(vision_features)}
        prefix = None
        if prefix_ids is not None:
            rows = len(input_ids)
            prefix = body(input_ids=prefix_ids[None], use_cache=True).past_key_values
            prefix.batch_repeat_interleave(rows)
            attention_mask = torch.cat([attention_mask.new_ones(rows, len(prefix_ids)), attention_mask], dim=1)
        hidden = body(
            input_ids=input_ids,
            attention_mask=attention_mask,
            mm_encoder_outputs=pictures,
            past_key_values=prefix,
            use_cache=prefix is not None,
        ).last_hidden_state
        loss = summed_loss(hidden[:, :-1], labels[:, 1:], self.model.lm_head, weights)
        if pictures is None and body.multi_modal_projector is not None:
            # DDP waits for the gradient of everything that is trained, also from a rank whose batch has no picture.
            loss = loss + 0.0 * sum(weight.sum() for weight in body.multi_modal_projector.parameters() if weight.requires_grad)
        return loss


def summed_loss(
    hidden: torch.Tensor, labels: torch.Tensor, head: nn.Module, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """`hidden` (B, T, H) says `labels` (B, T): each place its own label, IGNORE for none. In pieces, recomputed backward.

    `weights` (B,): of every label of a row.
    """
    learnt = labels != IGNORE
    states, targets = hidden[learnt], labels[learnt]
    each = None if weights is None else weights[:, None].expand_as(labels)[learnt]
    filling = -len(targets) % MULTIPLE
    states = pad(states, (0, 0, 0, filling))
    targets = pad(targets, (0, filling), value=IGNORE)
    each = None if each is None else pad(each, (0, filling))
    total = states.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), LABELS_AT_ONCE):
        piece = slice(start, start + LABELS_AT_ONCE)
        part = states[piece], targets[piece], head, None if each is None else each[piece]
        if len(targets) <= LABELS_AT_ONCE:
            return _piece(*part)
        total = total + checkpoint(_piece, *part, use_reentrant=False)
    return total


def _piece(states: torch.Tensor, targets: torch.Tensor, head: nn.Module, weights: torch.Tensor | None) -> torch.Tensor:
    logits = head(states).float()
    if weights is None:
        return cross_entropy(logits, targets, reduction="sum", ignore_index=IGNORE)
    return (cross_entropy(logits, targets, reduction="none", ignore_index=IGNORE) * weights).sum()
