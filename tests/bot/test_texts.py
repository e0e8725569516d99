"""The catalogue: every language says the same things, with the same gaps, in the space that the platforms give."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluent.runtime import FluentBundle, FluentResource
from fluent.syntax import FluentParser
from fluent.syntax import ast as ftl
from fluent.syntax.visitor import Visitor

import bot
from bot.errors import TurnError
from bot.texts import DEFAULT, FOLDER, LANGUAGES, closest, say, text

CODE = Path(bot.__file__).parent
NUMBERS = (0, 1, 2, 5, 11, 21, 1_000_000)
"""Every plural category of our languages: Russian's 21 is singular, Spanish's million is of its own."""
KINDS = {"unknown", "empty", "svg", "pdf", "zip", "archive", "program"}
LONGEST = {
    "command-": 100,  # Discord's descriptions
    "option-": 100,
    "menu-": 32,  # Discord's context menus
    "button-": 32,  # ours: two beside each other on a phone
    "better-title": 45,  # Discord's modals and their fields
    "better-question": 45,
    "better-reply": 200,  # Telegram's answers to pressed buttons
    "better-kept": 200,
    "not-your": 200,
    "stopping": 200,
    "already-ended": 200,
    "nothing-to-rate": 200,
    "model-rests": 200,
}
"""Characters of a text, by how its key begins."""

OTHER_LANGUAGES = sorted(set(LANGUAGES) - {DEFAULT})


class Gaps(Visitor):
    """The arguments of a message."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_VariableReference(self, node: ftl.VariableReference) -> None:  # noqa: N802  # the name is fluent's
        self.names.add(node.id.name)


def source(language: str) -> str:
    return (FOLDER / f"{language}.ftl").read_text(encoding="utf-8")


def gaps(language: str) -> dict[str, set[str]]:
    """The arguments of each message. Fails on what the parser does not understand and on keys that occur twice."""
    found: dict[str, set[str]] = {}
    for entry in FluentParser().parse(source(language)).body:
        assert not isinstance(entry, ftl.Junk), entry.content
        if isinstance(entry, ftl.Message):
            assert entry.id.name not in found, entry.id.name
            (visitor := Gaps()).visit(entry)
            found[entry.id.name] = visitor.names
    return found


ENGLISH = gaps(DEFAULT)


def named_keys(tree: ast.Module) -> Iterator[str]:
    """The keys that a module gives to `text`, `Text` and `say` as literals, or as a choice between literals."""
    places = {"text": 0, "Text": 0, "say": 1}
    imported = {
        alias.asname or alias.name: places[alias.name]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "bot.texts"
        for alias in node.names
        if alias.name in places
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported:
            yield from literals(node.args[imported[node.func.id]])


def literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def test_every_file_is_a_language() -> None:
    assert {path.stem for path in FOLDER.glob("*.ftl")} == set(LANGUAGES)


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_every_language_has_the_keys_and_arguments_of_english(language: str) -> None:
    assert gaps(language) == ENGLISH


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_renders_without_errors(language: str) -> None:
    bundle = FluentBundle([language], use_isolating=False)
    bundle.add_resource(FluentResource(source(language)))
    for key, names in ENGLISH.items():
        pattern = bundle.get_message(key).value
        assert pattern is not None
        for number in NUMBERS:
            said, errors = bundle.format_pattern(pattern, dict.fromkeys(names, number))
            assert (errors, "{" in said) == ([], False), key
            assert said == say(language, key, **dict.fromkeys(names, number))


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_nothing_was_left_in_english(language: str) -> None:
    same = {key for key in ENGLISH if len(words := say(DEFAULT, key).split()) > 3 and say(language, key).split() == words}
    assert same <= {"settings-choices", "help-line"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_fit_where_the_platforms_show_them(language: str) -> None:
    too_long = {
        key: said
        for key in ENGLISH
        for start, limit in LONGEST.items()
        if key.startswith(start) and not 0 < len(said := say(language, key)) <= limit
    }
    assert too_long == {}


def test_every_key_that_the_code_names_exists() -> None:
    named = {
        key: path.relative_to(CODE)
        for path in CODE.rglob("*.py")
        for key in named_keys(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert "picture-damaged" in named
    assert "pictures-too-long" in named
    assert {key: path for key, path in named.items() if key not in ENGLISH} == {}


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1 вопрос."), (2, "2 вопроса."), (5, "5 вопросов."), (11, "11 вопросов."), (21, "21 вопрос.")]
)
def test_plurals_are_those_of_the_language(number: int, said: str) -> None:
    assert f"Память: {said}" in say("ru", "settings-now", language="", memory=number, persona="")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_file_has_its_words(language: str) -> None:
    assert len({say(language, "file-not-understood", name="f", kind=kind) for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    ("tag", "language"),
    [("pt-BR", "pt"), ("de_AT", "de"), ("zh", "en"), ("", "en"), ("RU", "ru"), ("en-GB", "en"), ("es-419", "es"), ("hi", "hi")],
)
def test_a_clients_tag_comes_down_to_a_language_of_ours(tag: str, language: str) -> None:
    assert closest(tag) == language


def test_a_transcript_of_ten_minutes_is_said_whole() -> None:
    assert say("de", "heard", text="wort " * 3000) == "🎙 " + "wort " * 3000


def test_an_error_is_english_in_the_log_and_told_in_the_persons_language() -> None:
    error = TurnError(text("picture-damaged", name="p.jpg"))
    assert error.sentence == str(error) == "p.jpg: the picture is damaged or incomplete."
    assert error.told("de-CH") == "p.jpg: Das Bild ist beschädigt oder unvollständig."
    assert TurnError("disk on fire").told("de") == "disk on fire"


def test_a_key_that_nobody_wrote_is_a_defect() -> None:
    with pytest.raises(KeyError):
        say("de", "no-such-key")
