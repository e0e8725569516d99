"""Who the assistant may be: names and system prompts from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from bot.errors import SettingsError

OURS = Path(__file__).parent / "personas.yaml"
DEFAULT = "default"
NAME_LENGTH = 32
PROMPT_LENGTH = 20_000
MAX_PERSONAS = 25
"""Choices of a Discord option."""


def load_personas(path: Path | None = None) -> Mapping[str, str]:
    """System prompts by name; "" for what SYSTEM_PROMPT says. Raises SettingsError with every mistake of the file."""
    path = path or OURS
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError([f"PERSONAS={path}: cannot be read ({' '.join(str(error).split())})"]) from error
    if not isinstance(found, dict):
        raise SettingsError([f"PERSONAS={path}: should have lines like `name: what the model is told`"])
    mistakes = [
        f"PERSONAS={path}: {name!r} should be a name of at most {NAME_LENGTH} characters with a text of at most {PROMPT_LENGTH}"
        for name, prompt in found.items()
        if not _is_persona(name, prompt)
    ]
    personas = {DEFAULT: "", **found}
    if len(personas) > MAX_PERSONAS:
        there = f"has {len(personas)} personas with `{DEFAULT}`"
        mistakes.append(f"PERSONAS={path}: {there}, and people can choose among {MAX_PERSONAS} at most")
    if mistakes:
        raise SettingsError(mistakes)
    return personas


def _is_persona(name: object, prompt: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= NAME_LENGTH and isinstance(prompt, str) and len(prompt) <= PROMPT_LENGTH
