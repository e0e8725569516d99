"""A beginning for the projector of a tower that knows names: its tokens say the words of what the classifier sees.

`projector_init: names`. A classifier's last layer works on single cells as well as on their mean; the projector is fitted to
give the mean of the embeddings of a class's name where the layer is sure of the class, and the token of a picture's mean gives
the words of its caption as well. That takes minutes, for the language model has no part in it. What is fitted to the first
token, the classifier's own word, holds for photographs that nobody has captioned: of all tokens it is the only one that maps
made of the classifier's knowledge (training/data/pocket/distil.py) and photographs have in common.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedTokenizerFast

from model.hints import clean
from model.projector import Projector
from model.vision import SUMMARY, EfficientNetLiteModel
from model.weights import Progress
from training.data.features import FeatureCache
from training.errors import TrainingError

STEPS = 600
PICTURES = 1024
"""A step; of each the summary, if the tower gives it, and a cell."""
LR = 3e-3
"""At its highest, after a third of the steps (1cycle, https://arxiv.org/abs/1708.07120)."""
CAPTION = 0.6
"""Part of a caption in what its picture's mean should say; the rest is the classifier's, which knows photographs."""
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
    captions: Mapping[int, str],
    seed: int,
    progress: Progress,
) -> None:
    """Fit `projector` to the pictures of `captions`, which are by their row in `cache`. Blocking, minutes.

    `embeddings`: the language model's, (vocabulary, hidden). Raises TrainingError: the tower has no classifier.
    """
    if not isinstance(tower, EfficientNetLiteModel):
        raise TrainingError("projector_init: names needs a tower with a classifier, such as pocket's: take embeddings.")
    device = projector.linear.weight.device
    labels = tower.config.id2label or {}
    names = [clean(str(label)) for _, label in sorted((int(number), label) for number, label in labels.items())]
    embeddings = embeddings.detach().float().to(device)
    words, captioned = (_words(texts, tokenizer, embeddings) for texts in (names, list(captions.values())))
    rows = torch.tensor(list(captions))
    summary = SUMMARY if tower.config.summary else 0
    weight, bias = (part.detach().float().to(device) for part in (tower.classifier.weight, tower.classifier.bias))
    loud = float(words.square().mean().sqrt())
    optimizer = torch.optim.AdamW(projector.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, STEPS)
    chance = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        chosen = torch.randint(len(rows), (PICTURES,), generator=chance)
        seen = _seen(cache.read(rows[chosen].tolist()), summary, chance).to(device)
        wanted = (seen @ weight.T + bias).softmax(-1) @ words
        if summary:
            said, read = wanted[1], (1 - CAPTION) * wanted[1] + CAPTION * captioned[chosen]
            wanted = torch.stack([said, read, wanted[2]])
        loss = torch.stack([_loss(projector(cells), said, loud) for cells, said in zip(seen, wanted, strict=True)]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % EVERY == 0:
            progress("Naming what the tower knows", step, STEPS)
    projector.zero_grad()
    progress("Naming what the tower knows", STEPS, STEPS)


def _words(texts: list[str], tokenizer: PreTrainedTokenizerFast, embeddings: torch.Tensor) -> torch.Tensor:
    """(texts, hidden): means of the embeddings of the texts' tokens, apart from what all have in common, each as loud as a
    word of the language model."""
    means = torch.stack([embeddings[tokenizer(f" {text}", add_special_tokens=False)["input_ids"]].mean(0) for text in texts])
    centred = means - means.mean(0)
    loud = embeddings.square().mean().sqrt()
    words: torch.Tensor = centred * loud / centred.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)  # one text alone is 0
    return words


def _seen(features: torch.Tensor, summary: int, chance: torch.Generator) -> torch.Tensor:
    """(pictures, tokens, width) -> (summary + 1, pictures, width): of each picture so many first tokens, and a cell."""
    count, tokens, _ = features.shape
    cells = features[torch.arange(count), torch.randint(summary, tokens, (count,), generator=chance)]
    return torch.stack([*features[:, :summary].unbind(1), cells])


def _loss(given: torch.Tensor, wanted: torch.Tensor, loud: float) -> torch.Tensor:
    """Cells that the classifier is sure of count most: what they should say is longest."""
    sure = wanted.norm(dim=1)
    direction = ((1 - cosine_similarity(given, wanted, dim=1)) * sure).sum() / sure.sum()
    as_loud = wanted * loud / wanted.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)
    loss: torch.Tensor = direction + LOUDNESS * (given - as_loud).square().mean() / loud**2
    return loss
