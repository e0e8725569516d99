"""The model card of a run: Markdown with the Hugging Face hub's metadata (https://huggingface.co/docs/hub/model-cards)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from model.presets import PRESETS, Component, Part
from training import words
from training.history import History, read
from training.report import REPORT, costs, settings
from training.runs import disk_explained, write_whole

CARD = "README.md"
"""The hub's name for it."""

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
"""owner/name; what comes from packages of the Python registry has no page on the hub to point at."""

WHAT = {
    "pretrain": "A language model of phi-2's architecture, trained from random weights on text.",
    "align": "A projector: it turns what a vision tower sees into tokens for a language model. Both stay as they were.",
    "instruct": "An adapter: LoRA weights for a language model and the projector that lets it see, trained on conversations.",
}

SAMPLES = 5
"""Answers that are shown."""

PARTS: tuple[Part, ...] = ("language", "tower")
"""That are named: speech has no part in what is learnt."""

KEYS = (
    "batch.",
    "language",
    "optimizer.",
    "lora.",
    "precision",
    "quantize",
    "projector_lr",
    "template",
    "max_length",
    "sequence_length",
    "seed",
)
"""Of the configuration, that others would ask for first; the rest is in config.yaml."""


def write_card(folder: Path) -> Path:
    """Write the card of the run in `folder` beside its report; returns where. Raises TrainingError."""
    path = folder / CARD
    text = model_card(read(folder))
    with disk_explained(folder):
        write_whole(path, text)
    return path


def model_card(run: History) -> str:
    """The README.md of an artefact. What comes from the data is escaped: captions and file names cannot become markup."""
    environment = Environment(
        loader=PackageLoader("training"),
        autoescape=False,  # noqa: S701 - Markdown; every value passes `plain` or `cell` in the template
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain, count=words.count, loss=words.loss)
    parts = _components(run)
    last = run.validations[-1] if run.validations else None
    final = [sample for sample in run.samples if last and sample.step == last.step][:SAMPLES]
    return environment.get_template("card.md").render(
        run=run,
        metadata=yaml.safe_dump(metadata(run), sort_keys=False, allow_unicode=True).strip(),
        what=WHAT[run.info.stage],
        parts={part: parts[part] for part in PARTS if part in parts},
        last=last,
        samples=final,
        settings=[setting for setting in settings([run]) if setting.key.startswith(KEYS)],
        costs=costs([run], None),
        report=REPORT,
    )


def metadata(run: History) -> dict[str, Any]:
    """The block at the top. The licence is the owner's to choose, with the data's licences in mind; the hub wants one said."""
    language = _components(run).get("language")
    base = language.source if language is not None and _on_hub(language) else None
    values: dict[str, Any] = {
        "license": "other",
        "license_name": "see-data-and-licences",
        "tags": ["jnana", run.info.stage],
        "pipeline_tag": "text-generation" if run.info.stage == "pretrain" else "image-text-to-text",
    }
    if run.info.stage != "pretrain":
        values["library_name"] = "peft" if run.info.stage == "instruct" else "jnana"
    if base is not None:
        values["base_model"] = base
        if run.info.stage == "instruct":
            values["base_model_relation"] = "adapter"
    return values


def _components(run: History) -> dict[Part, Component]:
    """What a run's artefact works with; a language model of stage 0 stands among the settings."""
    preset = PRESETS.get(str(run.config.get("model")))
    if preset is None:
        return {}
    own = run.config.get("language") is not None
    return {part: component for part, component in preset.components.items() if not (own and part == "language")}


def plain(text: object) -> str:
    """Text that Markdown shows as it is, on one line, also in a table."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$])", r"\\\1", line)


def _on_hub(component: Component) -> bool:
    return HUB_ID.fullmatch(component.source) is not None
