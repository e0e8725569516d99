"""Which adapters there are, and which may answer a conversation: its community's own or everybody's, or one on trial."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.store.records import Choice

DEFAULT = ""
"""Whatever the model server answers with by itself."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Name of the adapter that one went on from (`none`: the plain base), and the day it was made; "" where not known."""

    parent: str = ""
    made: str = ""
    pictures_only: bool = False
    """Whether the plain base answers conversations without a picture: the adapter cannot learn from them."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """Names of the one that answers, and of all that there are; where they come from, by name."""

    default: str
    names: tuple[str, ...]
    origins: Mapping[str, Origin] = field(default_factory=dict)


def listed(models: Mapping[str, Mapping[str, Any]], model: str) -> Adapters | None:
    """What a server's list of models says, by id, of which `model` is the one with the default adapter; None: nothing."""
    default = str(models.get(model, {}).get("adapter", ""))
    if not default:
        return None
    others = {str(told.get("adapter", "")): told for name, told in models.items() if name != model}
    return Adapters(default, tuple(others), {name: _origin(told, model) for name, told in others.items()})


def _origin(told: Mapping[str, Any], model: str) -> Origin:
    """Servers that do not tell are as good as any."""
    card = told.get("card")
    if not isinstance(card, Mapping):
        card = {}
    parent = str(told.get("parent") or "").removeprefix(f"{model}/")
    return Origin(parent, str(card.get("created") or ""), card.get("text_only") == "base")


def candidates(conversation_id: int, here: Choice, everywhere: Choice) -> tuple[str, ...]:
    """Names, the wanted one first, then what answers should it be gone. `here`: what the community chose; what is
    tried there is all that is tried there, whoever answers the rest."""
    base = here.name or DEFAULT
    trial = here if here.name or here.tried else everywhere
    tried = (trial.tried,) if trial.tried and is_part(conversation_id, trial) else ()
    return tuple(dict.fromkeys((*tried, base, DEFAULT)))


def is_part(conversation_id: int, trial: Choice) -> bool:
    """Whether a conversation is among those that try it. Always the same ones, and more of them with a higher percentage;
    other ones for another adapter, so that not the same people try everything."""
    digest = hashlib.sha256(f"{trial.tried}:{conversation_id}".encode()).digest()
    return int.from_bytes(digest[:8]) % 100 < trial.percent
