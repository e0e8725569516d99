"""What the bot says, in the languages it speaks: one Fluent file a language (https://projectfluent.org), this the only reader.

A test holds every file to the keys and arguments of `en.ftl`, and every key that the code names to that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from fluent.runtime import FluentBundle, FluentResource, resolver

FOLDER = Path(__file__).parent
DEFAULT = "en"
LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "hi": "हिन्दी",
    "pt": "Português",
    "ru": "Русский",
}
"""By ISO 639-1 code, each named in itself."""

resolver.MAX_PART_LENGTH = 1_000_000
# Fluent's own limit of 2,500 characters is against other people's catalogues; a transcript of ten minutes is longer.


@dataclass(frozen=True)
class Text:
    """One thing to say, not yet in a language: a key of the catalogue and what goes into its gaps."""

    key: str
    args: Mapping[str, str | int | float] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.to(DEFAULT)

    def to(self, language: str) -> str:
        return say(language, self.key, **self.args)


def text(key: str, /, **args: str | float) -> Text:
    return Text(key, args)


def say(language: str, key: str, /, **args: str | float) -> str:
    """The text `key` in `language` (any BCP 47 tag; English where we do not speak it). Raises KeyError for an unknown key."""
    bundle = _bundle(closest(language))
    pattern = bundle.get_message(key).value if bundle.has_message(key) else None
    if pattern is None:
        raise KeyError(key)
    said, _ = bundle.format_pattern(pattern, args)
    return str(said)


def closest(language: str) -> str:
    """The language of ours that a client's tag ("pt-BR", "de_AT", "zh-CN", "") comes down to."""
    code = language.replace("_", "-").split("-")[0].lower()
    return code if code in LANGUAGES else DEFAULT


@cache
def _bundle(language: str) -> FluentBundle:
    # Isolation marks would be copied along with names and numbers; our languages are all written from left to right.
    bundle = FluentBundle([language, DEFAULT], use_isolating=False)
    bundle.add_resource(FluentResource((FOLDER / f"{language}.ftl").read_text(encoding="utf-8")))
    return bundle
