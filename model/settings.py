"""What an owner can set about the worker. Free of torch, so that the bot's command line can show it."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.machine import available_cores
from model.presets import get_preset


class WorkerSettings(BaseSettings):
    """Read from the environment and from `.env` in the working folder; keys of other parts of the product are ignored."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    home: Path = Field(
        default=Path("data"), validation_alias="JNANA_HOME", description="Folder for weights and all other data."
    )
    preset: str = Field(
        default="pocket", validation_alias="MODEL_PRESET", description="Which mind to load: see `jnana models`."
    )
    adapter: str = Field(
        default="",
        validation_alias="MODEL_ADAPTER",
        description="Which adapter to load: see `jnana adapters`; a name or a folder, none; empty = the default one.",
    )
    device: str = Field(
        default="auto",
        validation_alias="MODEL_DEVICE",
        description="auto, cpu, cuda, cuda:N or mps. auto takes a GPU when there is one.",
    )
    precision: Literal["auto", "fp32", "bf16", "int8", "nf4"] = Field(
        default="auto",
        validation_alias="MODEL_PRECISION",
        description="auto, fp32, bf16, int8 (pocket on an x86 CPU with AVX2) or nf4 (phi2). auto takes what is fast and fits.",
    )
    cuda_graphs: bool = Field(
        default=False,
        validation_alias="MODEL_CUDA_GRAPHS",
        description="Send a GPU each token's work as one recorded command. Written without a GPU at hand: look at the log.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        validation_alias="MODEL_THREADS",
        description="Most CPU threads; 0 = all cores given to this process. How many of them write is measured at the start.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        validation_alias="MODEL_HOST",
        description="Address to listen on; beyond loopback with a key only.",
    )
    port: int = Field(default=8765, ge=1, le=65535, validation_alias="MODEL_PORT", description="TCP port to listen on.")
    api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="MODEL_API_KEY",
        validate_default=True,
        description="Key that clients must send as a bearer token; empty = none.",
    )
    queue: int = Field(
        default=32,
        ge=1,
        le=10_000,
        validation_alias="MODEL_QUEUE",
        description="Requests that may wait; more are turned away (429).",
    )
    hints: bool = Field(
        default=True, validation_alias="MODEL_HINTS", description="Tell the language model what the classifier saw."
    )
    ocr: bool = Field(
        default=True, validation_alias="MODEL_OCR", description="Read text in pictures and tell the language model."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="LOG_LEVEL", description="debug, info, warning or error."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", validation_alias="LOG_FORMAT", description="console or json."
    )

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, preset: str) -> str:
        return get_preset(preset).name

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
            raise ValueError("should be auto, cpu, cuda, cuda:N or mps")
        return device

    @field_validator("api_key")
    @classmethod
    def _fit_key(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        if not re.fullmatch(r"[!-~]*", key.get_secret_value()):
            raise ValueError("should be of ASCII letters, digits and signs, without spaces: it is sent in a header")
        host = info.data.get("host")
        if host and not is_loopback(host) and not key.get_secret_value():
            raise ValueError(f"must be set because MODEL_HOST={host} can be reached by other machines")
        return key

    def cpu_threads(self) -> int:
        """Most threads to compute with, at least 1."""
        return self.threads or available_cores()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than localhost may resolve to anything: it does not count."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def known_settings() -> set[str]:
    """Names that the worker reads from the environment and `.env`."""
    return {str(field.validation_alias) for field in WorkerSettings.model_fields.values()}


def read_settings(**overrides: Any) -> tuple[WorkerSettings | None, list[str]]:
    """The settings, or every problem at once as "NAME=value: what is wrong".

    `overrides` win over the environment and are named like it, e.g. MODEL_PORT=9000 from the command line.
    """
    try:
        return WorkerSettings(**overrides), []
    except ValidationError as error:
        return None, [_problem(str(item["loc"][0]), item["input"], item["msg"]) for item in error.errors()]


def _problem(location: str, value: object, message: str) -> str:
    """`location` is the environment's name, but the field's own when its default is at fault."""
    field = WorkerSettings.model_fields.get(location)
    name = str(field.validation_alias) if field else location
    shown = "" if name == "MODEL_API_KEY" else value
    return f"{name}={shown}: {message.removeprefix('Value error, ').removeprefix('Input ')}"
