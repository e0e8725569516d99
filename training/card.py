"""The model card of a run: Markdown with the Hugging Face hub's metadata (https://huggingface.co/docs/hub/model-cards)."""

from __future__ import annotations

import re
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from model.presets import PRESETS, Component
from training import words
from training.history import History
from training.report import REPORT, costs, settings

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
"""owner/name; what comes from packages of the Python registry has no page on the hub to point at."""

WHAT = {
    "pretrain": "A language model of phi-2's architecture, trained from random weights on text.",
    "align": "A projector: it turns what a vision tower sees into tokens for a language model. Both stay as they were.",
    "instruct": "An adapter: LoRA weights for a language model and the projector that lets it see, trained on conversations.",
}

SAMPLES = 5
"""Answers that are shown."""

KEYS = (
    "batch.",
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
    preset = PRESETS.get(str(run.config.get("model")))
    parts = preset.components if preset else {}
    last = run.validations[-1] if run.validations else None
    final = [sample for sample in run.samples if last and sample.step == last.step][:SAMPLES]
    return environment.get_template("card.md").render(
        run=run,
        metadata=yaml.safe_dump(metadata(run), sort_keys=False, allow_unicode=True).strip(),
        what=WHAT[run.info.stage],
        parts={part: parts[part] for part in ("language", "tower") if part in parts},
        last=last,
        samples=final,
        settings=[setting for setting in settings([run]) if setting.key.startswith(KEYS)],
        costs=costs([run], None),
        report=REPORT,
    )


def metadata(run: History) -> dict[str, Any]:
    """The block at the top. The licence is the owner's to choose, with the data's licences in mind; the hub wants one said."""
    preset = PRESETS.get(str(run.config.get("model")))
    bases = [component.source for component in preset.components.values() if _on_hub(component)] if preset else []
    values: dict[str, Any] = {
        "license": "other",
        "license_name": "see-data-and-licences",
        "tags": ["jnana", run.info.stage],
        "pipeline_tag": "text-generation" if run.info.stage == "pretrain" else "image-text-to-text",
    }
    if run.info.stage != "pretrain":
        values["library_name"] = "peft" if run.info.stage == "instruct" else "jnana"
    if preset is not None and (language := preset.components["language"]).source in bases:
        values["base_model"] = language.source
    if preset is not None and run.info.stage == "instruct" and "base_model" in values:
        values["base_model_relation"] = "adapter"
    return values


def plain(text: object) -> str:
    """Text that Markdown shows as it is, on one line, also in a table."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$])", r"\\\1", line)


def _on_hub(component: Component) -> bool:
    return HUB_ID.fullmatch(component.source) is not None
