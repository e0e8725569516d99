"""How the original Jñāna trained stage 1: the whole model once for every token of a caption. Kept to be compared with."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from model.modeling import JnanaForConditionalGeneration


def per_token_loss(
    model: JnanaForConditionalGeneration, prompt: torch.Tensor, answers: list[list[int]], features: torch.Tensor
) -> torch.Tensor:
    """Sum of the losses of all answers' tokens. `prompt` (T,) ids with image placeholders, the same for the whole batch;
    `answers` ids with their end; `features` (B, tokens, tower width) -> 0-dim.

    As in the original, every forward pass keeps its graph until the end, and no keys and values are reused.
    """
    total = features.new_zeros(())
    body = model.model
    for answer, picture in zip(answers, features, strict=True):
        for place, target in enumerate(answer):
            ids = torch.cat([prompt, torch.tensor(answer[:place], dtype=prompt.dtype)])[None]
            hidden = body(
                input_ids=ids, mm_encoder_outputs={"image": body.project(picture[None])}, use_cache=False
            ).last_hidden_state
            total = total + cross_entropy(model.lm_head(hidden[:, -1]).float(), torch.tensor([target]), reduction="sum")
    return total
