"""A beginning for the projector of a tower that knows names: each cell says the words of what the classifier sees in it.

`projector_init: names`. A classifier's last layer works on single cells as well as on their mean; the projector is fitted to
give the mean of the embeddings of a class's name where the layer is sure of the class. That takes a minute, for the language
model has no part in it. Pocket's validation loss after 200 steps of stage 1 was 2.17 from there, and 2.53 without (after 400:
2.24).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedTokenizerFast

from model.hints import clean
from model.projector import Projector
from model.vision import EfficientNetLiteModel
from model.weights import Progress
from training.data.features import FeatureCache
from training.errors import TrainingError

STEPS = 600
PICTURES = 1024
"""A step; of each one cell, and the mean of its map where the tower gives it."""
LR = 3e-3
"""At its highest, after a third of the steps (1cycle, https://arxiv.org/abs/1708.07120)."""
LOUDNESS = 0.1
"""Weight of being as loud as a word, beside that of the direction."""
EVERY = 20
"""Steps between two signs of life."""


def fit_to_names(
    projector: Projector,
    tower: nn.Module,
    embeddings: torch.Tensor,
    tokenizer: PreTrainedTokenizerFast,
    cache: FeatureCache,
    rows: list[int],
    seed: int,
    progress: Progress,
) -> None:
    """Fit `projector` to the cells of the pictures in `rows` of `cache`. Blocking, a minute.

    `embeddings`: the language model's, (vocabulary, hidden). Raises TrainingError: the tower has no classifier.
    """
    if not isinstance(tower, EfficientNetLiteModel):
        raise TrainingError("projector_init: names needs a tower with a classifier, such as pocket's: take embeddings.")
    device = projector.linear.weight.device
    labels = tower.config.id2label or {}
    words = _words(
        [clean(str(label)) for _, label in sorted((int(number), label) for number, label in labels.items())],
        tokenizer,
        embeddings.detach().float().to(device),
    )
    weight, bias = (part.detach().float() for part in (tower.classifier.weight, tower.classifier.bias))
    loud = float(words.square().mean().sqrt())
    optimizer = torch.optim.AdamW(projector.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, STEPS)
    chance = torch.Generator().manual_seed(seed)
    means = tower.config.token_mean
    for step in range(STEPS):
        seen = _some(cache, rows, means, chance).to(device)
        wanted = (seen @ weight.T + bias).softmax(-1) @ words
        loss = torch.stack([_loss(projector(cells), said, loud) for cells, said in zip(seen, wanted, strict=True)]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % EVERY == 0:
            progress("Naming what the tower knows", step, STEPS)
    projector.zero_grad()
    progress("Naming what the tower knows", STEPS, STEPS)


def _words(names: list[str], tokenizer: PreTrainedTokenizerFast, embeddings: torch.Tensor) -> torch.Tensor:
    """(classes, hidden): means of the embeddings of the names' tokens, apart from what all have in common, each as loud as a
    word of the language model."""
    means = torch.stack([embeddings[tokenizer(f" {name}", add_special_tokens=False)["input_ids"]].mean(0) for name in names])
    centred = means - means.mean(0)
    loud = embeddings.square().mean().sqrt()
    words: torch.Tensor = centred * loud / centred.square().mean(1, keepdim=True).sqrt()
    return words


def _some(cache: FeatureCache, rows: list[int], means: bool, chance: torch.Generator) -> torch.Tensor:
    """(1 or 2, PICTURES, width): of pictures chosen anew each step the mean, if there are `means`, and a cell."""
    chosen = torch.randint(len(rows), (PICTURES,), generator=chance)
    features = cache.read([rows[int(one)] for one in chosen])
    cells = features[torch.arange(PICTURES), torch.randint(int(means), cache.tokens, (PICTURES,), generator=chance)]
    return torch.stack([features[:, 0], cells] if means else [cells])


def _loss(given: torch.Tensor, wanted: torch.Tensor, loud: float) -> torch.Tensor:
    """Cells that the classifier is sure of count most: what they should say is longest."""
    sure = wanted.norm(dim=1)
    direction = ((1 - cosine_similarity(given, wanted, dim=1)) * sure).sum() / sure.sum()
    as_loud = wanted * loud / wanted.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)
    loss: torch.Tensor = direction + LOUDNESS * (given - as_loud).square().mean() / loud**2
    return loss
