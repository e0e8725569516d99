"""A file of personas: each mistake is told, and what people choose among is what a Discord option can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import SettingsError
from bot.personas import DEFAULT, load_personas


def mistakes_in(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_personas(file)
    return refused.value.mistakes


def test_names_and_what_the_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("pirate: You are a pirate.\n")
    assert load_personas(tmp_path / "mine.yaml") == {DEFAULT: "", "pirate": "You are a pirate."}
    assert DEFAULT in load_personas()


def test_every_mistake_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert len(mistakes_in(file, f"{'n' * 40}: long name\npirate: 7\nbaker: You bake.\n")) == 2
    assert "should have lines like" in mistakes_in(file, "- pirate\n")[0]
    assert "cannot be read" in mistakes_in(file, "a: b: c")[0]


def test_the_default_counts_among_those_that_people_choose(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    many = [f"p{number}: You are number {number}." for number in range(25)]
    assert "26 personas" in mistakes_in(file, "\n".join(many))[0]
    file.write_text("\n".join(many[1:]))
    assert len(load_personas(file)) == 25
