"""Stage 1: the projector learns to say pictures in the language model's words, from captions. Everything else is frozen.

    jnana train align pocket --to runs/align

One teacher-forced pass over `<pictures> caption image:<caption><eos>` (original) or the chat template (chat) is the same
computation as the original's loop over tokens, which ran the model once for every token of a caption; benchmarks/align.py
compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from model.presets import ORIGINAL_PROMPT
from model.prompt import Placeholder, PromptWriter, Turn
from model.weights import Progress
from training.base import Base, save_adapter
from training.config import Align
from training.data.features import FeatureCache
from training.data.records import Captioned
from training.errors import TrainingError
from training.examples import Example, tokenised
from training.mind_task import MindTask, parameter_group
from training.naming import fit_to_names

log = structlog.get_logger(__name__)


def build(
    run: Align,
    base: Base,
    cache: FeatureCache,
    train: Sequence[Captioned],
    validation: Sequence[Captioned],
    fingerprint: str,
    progress: Progress,
) -> MindTask:
    """The stage's task; `cache` has all pictures. Raises TrainingError."""
    sets = [
        base.examples(run, _examples(run, base.writer, records, cache, which, progress), cache)
        for which, records in (("training", train), ("validation", validation))
    ]
    base.projector.requires_grad_(True)
    if run.projector_init == "names" and base.start is None:
        model, tokenizer = base.model.model, base.writer.tokenizer
        words = model.language_model.get_input_embeddings().weight
        captions = {cache.row(record.image): record.captions[0] for record in train}
        fit_to_names(base.projector, model.vision_tower, words, tokenizer, cache, captions, run.seed, progress)
    return MindTask(
        base,
        *sets,
        order="buckets" if run.template == "chat" else "random",
        fingerprint=f"{fingerprint}-{base.identity}",
        groups=parameter_group(base.projector, weight_decay=run.optimizer.weight_decay),
        save=partial(save_adapter, base, run),
    )


def encode(run: Align, writer: PromptWriter, caption: str, number: int) -> tuple[list[int], list[bool]]:
    """Ids of one example and which are learnt. `number` chooses among the questions, so that all of them are used."""
    if run.template == "chat":
        question = run.questions[number % len(run.questions)]
        return writer.example([Turn("user", (Placeholder(), question), 1), Turn("assistant", (caption,))])
    places = [writer.image_token_id or 0] * writer.image_tokens
    prompt = [*places, *writer.text_ids(ORIGINAL_PROMPT)]
    answer = [*writer.text_ids(caption), writer.stop_token_ids[0]]
    return [*prompt, *answer], [False] * len(prompt) + [True] * len(answer)


def captions_of(run: Align, record: Captioned) -> tuple[str, ...]:
    return record.captions[:1] if run.captions == "first" else record.captions


def lengths(run: Align, writer: PromptWriter, record: Captioned) -> list[tuple[int, int]]:
    """(tokens, learnt ones) of each of a record's examples, with the longest question."""
    sizes = []
    for caption in captions_of(run, record):
        made = [encode(run, writer, caption, number) for number in range(len(run.questions))]
        sizes.append((max(len(ids) for ids, _ in made), sum(made[0][1])))
    return sizes


def _examples(
    run: Align, writer: PromptWriter, records: Sequence[Captioned], cache: FeatureCache, which: str, progress: Progress
) -> list[Example]:
    """One a caption; those that are too long are left out."""
    examples: list[Example] = []
    total = 0
    for record in tokenised(records, which, progress):
        for caption in captions_of(run, record):
            ids, learnt = encode(run, writer, caption, total)
            total += 1
            if run.beyond(len(ids), sum(learnt)) is None:
                examples.append(Example.of(record.origin, ids, learnt, (cache.row(record.image),), record.image))
    if left_out := total - len(examples):
        log.warning("examples are longer than max_length and left out", of=which, left_out=left_out, kept=len(examples))
    if not examples:
        raise TrainingError(f"No {which} example fits into max_length ({run.max_length} tokens): raise it.")
    return examples
