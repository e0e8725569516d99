"""Settings: every mistake at once, in words, and no secret shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.errors import ReadOnly, SettingsError
from bot.settings import Settings, known_settings, load_settings, prepare_folder

ROOT = Path(__file__).parents[2]


def mistakes_in(env: str, **overrides: object) -> list[str]:
    Path(".env").write_text(env)
    with pytest.raises(SettingsError) as caught:
        load_settings(also_known={"MODEL_DEVICE"}, **overrides)
    return caught.value.mistakes


def test_defaults_need_no_env_file(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.jnana_home == tmp_path / "home"
    assert settings.jnana_home.is_dir()
    assert settings.database == f"sqlite:///{tmp_path / 'home' / 'jnana.db'}"


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("WEB_PORT=1000\nMODEL_DEVICE=cpu\nANSWER_TOKENS=\n")
    monkeypatch.setenv("WEB_PORT", "2000")
    settings = load_settings(also_known={"MODEL_DEVICE"})
    assert (settings.web_port, settings.answer_tokens) == (2000, 512)


def test_all_mistakes_are_told_at_once() -> None:
    mistakes = mistakes_in(
        "WEB_PROT=1\nWEB_PORT=99999\nTEMPERATURE=hot\nWEB_HOST=0.0.0.0\nDATABASE_URL=mysql://x/y\nnonsense_xyz=1\n"
    )
    assert mistakes[0] == "unknown setting WEB_PROT, did you mean WEB_PORT?"
    assert "unknown setting nonsense_xyz" in mistakes
    assert "WEB_PORT=99999: should be less than or equal to 65535" in mistakes
    assert any(line.startswith("TEMPERATURE=hot: should be a valid number") for line in mistakes)
    assert "WEB_PASSWORD=: must be set because WEB_HOST=0.0.0.0 can be reached by other machines" in mistakes
    assert any(line.startswith("DATABASE_URL=(hidden): should begin with") for line in mistakes)
    assert len(mistakes) == 6


def test_ports_must_differ_when_both_are_ours() -> None:
    assert mistakes_in("WEB_PORT=9000\nMODEL_PORT=9000") == [
        "MODEL_PORT=9000: is taken by WEB_PORT; the worker needs a port of its own"
    ]


def test_model_url_must_be_http() -> None:
    assert mistakes_in("MODEL_URL=localhost:8000") == ["MODEL_URL=localhost:8000: should begin with http:// or https://"]


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    (mistake,) = mistakes_in("MODEL_API_KEY=jñāna\n")
    assert mistake.startswith("MODEL_API_KEY")
    assert "jñ" not in mistake


def test_secrets_show_nowhere() -> None:
    Path(".env").write_text("DISCORD_TOKEN=hunter2\nWEB_PASSWORD=hunter2\nDATABASE_URL=postgresql+psycopg://u:hunter2@h/d")
    settings = load_settings()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())
    assert not any("hunter2" in line for line in mistakes_in("DATABASE_URL=oracle://u:hunter2@h/d"))


def test_data_folder_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JNANA_HOME", str(tmp_path / "file"))
    [mistake] = mistakes_in("")
    assert mistake == f"JNANA_HOME={tmp_path / 'file'}: {tmp_path / 'file'} is not a folder; choose another one for the data"


def test_read_only_data_folder_is_refused(read_only_folder: Path) -> None:
    with pytest.raises(ReadOnly, match="cannot be written to"):
        prepare_folder(read_only_folder)
    with pytest.raises(ReadOnly, match="cannot be created"):
        prepare_folder(read_only_folder / "data")


def test_example_file_documents_every_setting_with_its_default() -> None:
    from model.settings import WorkerSettings

    example = dict(re.findall(r"^#?([A-Z][A-Z_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    worker = {str(field.validation_alias): field for field in WorkerSettings.model_fields.values()}
    own = {name.upper(): field for name, field in Settings.model_fields.items()}
    assert set(example) == set(worker) | set(own) == set(worker) | known_settings()
    for name, value in example.items():
        field = (worker | own)[name]
        default = field.get_default()
        plain = default.get_secret_value() if isinstance(default, SecretStr) else default
        assert value == ("" if plain in ((), None) else str(plain).lower() if isinstance(plain, bool) else str(plain)), name
        assert field.description


def test_example_file_is_itself_a_valid_env_file() -> None:
    example = (ROOT / ".env.example").read_text()
    Path(".env").write_text(re.sub(r"^#([A-Z_]+=)", r"\1", example, flags=re.M))
    from model.settings import WorkerSettings

    names = {str(field.validation_alias) for field in WorkerSettings.model_fields.values()}
    load_settings(also_known=names)
