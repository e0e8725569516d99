"""Every setting of the bot, typed, from the environment and `.env`; all mistakes are reported at once.

The worker's own settings live in model/settings.py, which is not imported here: the caller passes their names.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from bot.errors import ReadOnly, SettingsError

DATABASE_DRIVERS = ("sqlite", "postgresql+psycopg")


def prepare_folder(folder: Path) -> Path:
    """Create `folder` if it is missing and make sure that it can be written to. Returns the absolute path.

    Raises:
        ReadOnly: it cannot be created or written to, or is a file.
    """
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # conversations are not for other users of the machine
    except (FileExistsError, NotADirectoryError):
        raise ReadOnly(f"{folder} is not a folder; choose another one for the data") from None
    except OSError as error:
        raise ReadOnly(f"the folder {folder} cannot be created ({error.strerror}); choose another one for the data") from None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # permissions alone do not tell: mounts are read-only, disks are full
            file.write(b"?")
    except OSError as error:
        raise ReadOnly(
            f"the folder {folder} cannot be written to ({error.strerror}); make it writable or choose another one for the data"
        ) from None
    return folder


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. Other names than localhost may mean anything: they count as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _usable_folder(folder: Path) -> Path:
    try:
        return prepare_folder(folder)
    except ReadOnly as error:
        raise ValueError(error.sentence) from None


Port = Annotated[int, Field(ge=1, le=65535)]
SECRET = SecretStr("")
NAME = re.compile(r"(discord:(server|chat|role|person):\d+|telegram:(chat:-?\d+(/\d+)?|person:\d+))")
"""A server, chat, role or person; a topic of a Telegram group is `chat:group/topic`."""


def _names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _known_names(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} should look like discord:person:123, discord:server:123 or telegram:chat:-100123")
    return names


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), AfterValidator(_known_names)]


class Settings(BaseSettings):
    """Field names in capitals are the names of the settings. Read with `load_settings`, which explains mistakes."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, validate_default=True)

    jnana_home: Annotated[Path, AfterValidator(_usable_folder)] = Field(
        Path("data"), description="Folder for the database, attachments, weights and backups. Created if missing."
    )
    database_url: SecretStr = Field(
        SECRET,
        description="Database, e.g. postgresql+psycopg://user:password@host/name; empty = jnana.db in JNANA_HOME.",
    )
    web_enabled: bool = Field(True, description="Whether to serve the web page.")
    web_host: str = Field("127.0.0.1", description="Address the web page listens on; beyond loopback with a password only.")
    web_port: Port = Field(7860, description="TCP port of the web page.")
    web_password: SecretStr = Field(SECRET, description="Password of the web page; empty = none.")
    web_owner_password: SecretStr = Field(
        SECRET,
        description="Password of the page's owner, who may retrain; empty = who opens a page without password on this machine.",
    )
    discord_token: SecretStr = Field(SECRET, description="Token of the Discord bot; empty = not on Discord.")
    discord_shards: int = Field(0, ge=0, le=1000, description="Gateway connections; 0 = one, enough for 2,500 servers.")
    discord_api_url: str = Field("", description="Another address of Discord's REST API (a proxy); empty = Discord's own.")
    discord_gateway_url: str = Field("", description="Another address of Discord's gateway; empty = Discord's own.")
    telegram_token: SecretStr = Field(SECRET, description="Token of the Telegram bot; empty = not on Telegram.")
    telegram_api_url: str = Field(
        "", description="A Bot API server of your own (files over 20 MB), e.g. http://127.0.0.1:8081; empty = Telegram's."
    )
    telegram_webhook_url: str = Field("", description="Public https address for updates; empty = the bot asks for them itself.")
    telegram_webhook_host: str = Field("127.0.0.1", description="Address to listen on for the webhook, behind your TLS proxy.")
    telegram_webhook_port: Port = Field(8443, description="TCP port to listen on for the webhook.")
    telegram_webhook_secret: SecretStr = Field(SECRET, description="Secret token of the webhook; required with one.")
    admins: Names = Field((), description="Admins, e.g. discord:person:123,telegram:person:456.")
    allow: Names = Field(
        (),
        description="Who may talk, e.g. discord:server:1,discord:role:2,telegram:chat:-3,telegram:person:4; empty = everybody.",
    )
    deny: Names = Field((), description="Who may not, written in the same way; wins over ALLOW.")
    own_chats: Names = Field(
        (),
        description="Where every message is for the bot, e.g. discord:chat:123,telegram:chat:-100123/7 (a thread, a topic).",
    )
    guests_in_private: bool = Field(True, description="Whether people who are not in ALLOW themselves may write in private.")
    messages_per_minute: int = Field(20, ge=0, description="Messages a person may send in a minute; 0 = any number.")
    messages_per_day: int = Field(0, ge=0, description="Messages a person may send in a day (UTC); 0 = any number.")
    guest_per_minute: int = Field(20, ge=0, description="The same for people who are not in ALLOW themselves.")
    guest_per_day: int = Field(0, ge=0, description="The same for people who are not in ALLOW themselves.")
    personas: Path | None = Field(None, description="YAML file with personas of your own; empty = those that come along.")
    metrics_port: int = Field(0, ge=0, le=65535, description="TCP port for Prometheus' metrics, on loopback; 0 = none.")
    model_url: str = Field("", description="An OpenAI-compatible server to use; empty = start a worker on this machine.")
    model_api_key: SecretStr = Field(SECRET, description="Key of the model API, sent as a bearer token; empty = none.")
    model_port: Port = Field(8765, description="TCP port of the worker on this machine.")
    model_preset: str = Field("pocket", min_length=1, description="Which mind answers: see `jnana models`.")
    system_prompt: str = Field(
        "", max_length=20_000, description="What the model is told first of all; empty = what suits the preset."
    )
    memory_tokens: int = Field(0, ge=0, description="Most tokens of a prompt; 0 = as many as the model allows.")
    answer_tokens: int = Field(512, ge=1, le=32_768, description="Most tokens of an answer.")
    temperature: float = Field(0.0, ge=0, le=2, description="Randomness of answers: 0 = always the likeliest word, at most 2.")
    turn_timeout: float = Field(600.0, gt=0, le=86_400, description="Seconds an answer may take, once it is its turn.")
    retrain_memory_gb: float = Field(
        0.0, ge=0, description="Most memory (10^9 bytes) that a retraining may hold; 0 = what is free less a tenth of all."
    )
    retrain_hours: str = Field(
        "",
        description="When retrainings may train (and, without room on the GPU, stop the "
        "worker), local time: 01:00-07:00; empty = any time.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error.")
    log_format: Literal["console", "json"] = Field("console", description="console or json.")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value():
            return url
        try:
            driver = make_url(url.get_secret_value()).drivername
        except ArgumentError:
            raise ValueError("is not a database URL") from None
        if driver not in DATABASE_DRIVERS:
            raise ValueError(f"should begin with one of {', '.join(f'{known}://' for known in DATABASE_DRIVERS)}")
        return url

    @field_validator("model_api_key")
    @classmethod
    def _fit_for_a_header(cls, key: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[!-~]*", key.get_secret_value()):
            raise ValueError("should be of ASCII letters, digits and signs, without spaces: it is sent in a header")
        return key

    @field_validator("web_password")
    @classmethod
    def _password_beyond_loopback(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        host = info.data.get("web_host")
        if host and info.data.get("web_enabled") and not is_loopback(host) and not password.get_secret_value():
            raise ValueError(f"must be set because WEB_HOST={host} can be reached by other machines")
        return password

    @field_validator("web_owner_password")
    @classmethod
    def _password_of_its_own(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        if password.get_secret_value() and password == info.data.get("web_password"):
            raise ValueError("must differ from WEB_PASSWORD, which visitors know")
        return password

    @field_validator("telegram_webhook_secret")
    @classmethod
    def _secret_webhook(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if not info.data.get("telegram_webhook_url"):
            return secret
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,256}", secret.get_secret_value()):
            raise ValueError("must be 16 to 256 letters, digits, - or _ because TELEGRAM_WEBHOOK_URL is set")
        return secret

    @field_validator("telegram_webhook_url")
    @classmethod
    def _https(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("should begin with https://")
        return url.rstrip("/")

    @field_validator("model_url", "telegram_api_url", "discord_api_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("should begin with http:// or https://")
        return url.rstrip("/")

    @field_validator("model_port")
    @classmethod
    def _own_port(cls, port: int, info: ValidationInfo) -> int:
        if port == info.data.get("web_port") and info.data.get("web_enabled") and not info.data.get("model_url"):
            raise ValueError("is taken by WEB_PORT; the worker needs a port of its own")
        return port

    @field_validator("retrain_hours")
    @classmethod
    def _known_hours(cls, hours: str) -> str:
        at = r"([01]\d|2[0-3]):[0-5]\d"
        if hours and (not re.fullmatch(f"{at}-{at}", hours) or hours[:5] == hours[6:]):
            raise ValueError("should look like 01:00-07:00, from 00:00 to 23:59")
        return hours

    @property
    def database(self) -> str:
        """The database as an SQLAlchemy URL. It may hold a password."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.jnana_home / 'jnana.db'}"

    @property
    def attachments(self) -> Path:
        return self.jnana_home / "attachments"

    @property
    def backups(self) -> Path:
        return self.jnana_home / "backups"


def known_settings() -> set[str]:
    """Names of the bot's settings as they are written in `.env`."""
    return {name.upper() for name in Settings.model_fields}


def load_settings(env_file: Path = Path(".env"), *, also_known: Collection[str] = (), **overrides: Any) -> Settings:
    """The settings from the environment, then from `env_file`; `overrides` (by field name) win over both.

    Args:
        also_known: names that other parts read from the same file, e.g. those of the worker.

    Raises:
        SettingsError: with every mistake, "NAME=value: what is wrong" or "unknown setting X, did you mean Y?".
    """
    mistakes = _unknown_settings(env_file, known_settings() | set(also_known))
    settings = None
    try:
        settings = Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]  # pydantic-settings reads it at run time
    except ValidationError as error:
        mistakes += [_explain(str(item["loc"][0]), item["input"], item["msg"]) for item in error.errors()]
    if mistakes or settings is None:
        raise SettingsError(mistakes)
    return settings


def _unknown_settings(env_file: Path, known: set[str]) -> list[str]:
    """Only the file is looked at: the environment holds names of every program on the machine."""
    try:
        names = dotenv_values(env_file)
    except UnicodeDecodeError:
        return [f"{env_file}: is not a text file in UTF-8"]
    mistakes = []
    for name in names:
        if name.upper() not in known:
            close = difflib.get_close_matches(name.upper(), sorted(known), n=1)
            mistakes.append(f"unknown setting {name}" + (f", did you mean {close[0]}?" if close else ""))
    return mistakes


def _explain(field: str, value: object, message: str) -> str:
    secret = Settings.model_fields[field].annotation is SecretStr
    shown = "(hidden)" if secret and value and value != SECRET else "" if secret else value
    return f"{field.upper()}={shown}: {message.removeprefix('Value error, ').removeprefix('Input ')}"
