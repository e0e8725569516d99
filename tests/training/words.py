"""A real tokenizer, trained on a few lines, and texts for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "Pack my box with five dozen liquor jugs,\nsaid the fox to the dog.\n\nAnd so they did.",
    "Ein Jäger aß schöne Äpfel; 狐 is a fox as well.",
]


def tokenizer(folder: Path, vocab_size: int = 300, special: Sequence[str] = ("<|endoftext|>",), eos: str | None = None) -> Path:
    """Write a byte-level BPE tokenizer; returns `folder`."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    if eos is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": eos}))
    return folder


def decode(folder: Path, ids: Sequence[int]) -> str:
    """Text of ids, special tokens included."""
    return str(Tokenizer.from_file(str(folder / "tokenizer.json")).decode(list(ids), skip_special_tokens=False))
