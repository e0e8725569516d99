"""The adapter artefact: what training makes of a base, in one folder, with a card that says what it fits.

    projector.safetensors       the projector; may be missing
    adapter_model.safetensors   LoRA weights of the language model, as PEFT writes them: peft loads them onto the plain base
    adapter_config.json         PEFT's LoraConfig; both may be missing
    card.json                   Card
    manifest.json               sizes and hashes of the others (model/files.py)

Imports no torch: `jnana adapters list` works where there is none.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from model.files import MANIFEST, appearing, check_manifest, sha256, write_manifest
from model.presets import Fit, Part, Precision, Preset
from model.weights import PreparedWeights, WeightsError

if TYPE_CHECKING:
    from torch import Tensor, dtype

CARD, PROJECTOR, LORA, LORA_CONFIG = "card.json", "projector.safetensors", "adapter_model.safetensors", "adapter_config.json"
FILES = (CARD, PROJECTOR, LORA, LORA_CONFIG, MANIFEST)
"""All that an artefact may hold."""
FORMAT: Literal[1] = 1
"""Of the folder; raised when an older version of the product could not read it."""

RESERVED = ("none", "default")
"""Words that commands and settings have their own use for."""


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"'{name}' is no name for an adapter")
    return name


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"), AfterValidator(_not_reserved)]
"""It is also the name of a folder."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseModelCard(Section):
    """The language model that the adapter belongs to."""

    name: str
    sha256: Sha256
    """PreparedWeights.sha256 of it."""
    precision: Precision
    """That the adapter was trained on. LoRA learns to make good what 4 bits spoil: on another precision it is off."""


class TowerCard(Section):
    """What the projector reads."""

    name: str
    sha256: Sha256
    layer: int
    """As `Pictures.layer` in training/config.py; convolutional towers have one."""
    fit: Fit
    tokens: Annotated[int, Field(ge=1)]
    """Soft tokens a picture."""


class Template(Section):
    """How conversations are written."""

    name: str
    """`chat` for the preset's own form, `original` for the original Jñāna's; for people."""
    text: str
    """Jinja."""
    end_of_turn: str
    """Token that ends an answer."""


class Source(Section):
    """Data that was learnt from."""

    name: str
    licence: str | None
    """None: not known."""
    url: str | None = None


class Card(Section):
    """card.json."""

    format: Literal[1] = FORMAT
    name: Name
    created: datetime
    preset: str
    stage: Literal["align", "instruct", "merged"]
    """merged: the projector that goes with a language model into which LoRA was merged."""
    base: BaseModelCard
    tower: TowerCard
    template: Template
    data: tuple[Source, ...] = ()
    metrics: dict[str, float] = {}
    parent: Sha256 | None = None
    """`Adapter.sha256` of the artefact that it was started from."""
    jnana: str
    """Version that wrote it."""
    text_only: Literal["adapter", "base"] = "adapter"
    """base: conversations without a picture are answered with the adapter off."""

    @classmethod
    def describe(
        cls, preset: Preset, weights: PreparedWeights, *, precision: Precision, layer: int, fit: Fit, **rest: Any
    ) -> Card:
        """A card for what was trained here and now. `rest`: name, stage, template, and what else there is to say.

        Raises WeightsError: the name cannot be one.
        """
        language, tower = preset.components["language"], preset.components["tower"]
        looks = TowerCard(name=tower.title, sha256=weights.sha256("tower"), layer=layer, fit=fit, tokens=preset.image_tokens)
        try:
            return cls(
                created=datetime.now(UTC).replace(microsecond=0),
                preset=preset.name,
                base=BaseModelCard(name=language.title, sha256=weights.sha256("language"), precision=precision),
                tower=looks,
                jnana=_own_version(),
                **rest,
            )
        except ValidationError as error:
            if error.errors()[0]["loc"] != ("name",):
                raise
            raise WeightsError(
                f"'{rest.get('name')}' cannot be an adapter's name: that has letters, digits and . _ -, at most 64 of them, "
                f"and is neither {' nor '.join(RESERVED)}."
            ) from error

    def served(self, preset: Preset) -> Preset:
        """The preset as it talks with this adapter. The word on photos is for models that only read hints."""
        stop_tokens = tuple(dict.fromkeys((*preset.stop_tokens, self.template.end_of_turn)))
        return replace(preset, chat_template=self.template.text, stop_tokens=stop_tokens, photo_prompt=None)


@dataclass(frozen=True)
class Adapter:
    """An artefact on disk, whole."""

    folder: Path
    card: Card

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def sha256(self) -> str:
        """Its identity: of the manifest, and so of every file."""
        return sha256(self.folder / MANIFEST)

    @property
    def projector(self) -> Path | None:
        """File with the projector's weights."""
        return _if_there(self.folder / PROJECTOR)

    @property
    def lora(self) -> Path | None:
        """File with the LoRA weights."""
        return _if_there(self.folder / LORA)

    @classmethod
    def open(cls, folder: Path) -> Adapter:
        """Read an artefact and check every file of it. Raises WeightsError: it is none, damaged, or of a newer version."""
        if not (folder / CARD).is_file():
            raise WeightsError(f"{folder} is no adapter: {CARD} is missing.")
        again = "copy it again, or train it again."
        try:
            values = json.loads((folder / CARD).read_text("utf-8"))
            if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
                raise WeightsError(f"The adapter {folder} was written by another version of Jñāna: update this one.")
            if (wrong := check_manifest(folder, None, lambda count: None)) is not None:
                raise WeightsError(f"The adapter {folder} is damaged ({wrong}): {again}")
            if others := sorted(path.name for path in folder.iterdir() if path.name not in FILES):
                raise WeightsError(f"The adapter {folder} holds {others[0]}, which is no file of an adapter: {again}")
            adapter = cls(folder, Card.model_validate(values))
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise WeightsError(f"The adapter {folder} is damaged ({CARD}: {where}): {again}") from error
        except (OSError, ValueError) as error:
            raise WeightsError(f"The adapter {folder} cannot be read ({error}): {again}") from error
        if adapter.projector is None and adapter.lora is None:
            raise WeightsError(f"The adapter {folder} holds neither a projector nor LoRA weights: {again}")
        if adapter.lora is not None and not (folder / LORA_CONFIG).is_file():
            raise WeightsError(f"The adapter {folder} is damaged ({LORA_CONFIG} is missing): {again}")
        return adapter

    @classmethod
    def save(
        cls,
        target: Path,
        card: Card,
        *,
        projector: Mapping[str, Tensor] | None,
        lora: tuple[Any, Mapping[str, Tensor]] | None,
        dtype: dtype | None = None,
    ) -> Adapter:
        """Write an artefact, in one step; what was at `target` is replaced.

        `projector`: state dict of a model.projector.Projector. `lora`: LoraConfig and weights, as model.lora.extract gives
        them. `dtype`: in which the weights are stored; None: as they are. Raises WeightsError.
        """
        from safetensors.torch import save_file  # imports torch

        def stored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in weights.items()}

        with disk(target), appearing(target) as folder:
            if projector is not None:
                save_file(stored(projector), folder / PROJECTOR, metadata={"format": "pt"})
            if lora is not None:
                config = copy.copy(lora[0])
                config.inference_mode = True
                config.base_model_name_or_path = card.base.name
                if isinstance(config.target_modules, set):  # written in another order by every process
                    config.target_modules = sorted(config.target_modules)
                config.save_pretrained(folder)
                save_file(stored(lora[1]), folder / LORA, metadata={"format": "pt"})
            (folder / CARD).write_text(card.model_dump_json(indent=1) + "\n", "utf-8")
            write_manifest(folder, {}, lambda count: None)
        return cls.open(target)


def check(adapter: Adapter, preset: Preset, weights: PreparedWeights, precision: Precision) -> list[str]:
    """Every way in which an adapter does not fit what is here, each a sentence; none: it can be loaded."""
    card = adapter.card
    wrong = []
    if card.preset != preset.name:
        wrong.append(f"It was made for the preset {card.preset}, and this is {preset.name}: set MODEL_PRESET={card.preset}.")
    parts: tuple[tuple[str, BaseModelCard | TowerCard, Part], ...] = (
        ("language model", card.base, "language"),
        ("vision tower", card.tower, "tower"),
    )
    for what, made_for, part in parts:
        if made_for.sha256 != (found := weights.sha256(part)):
            wrong.append(
                f"It was made for the {what} {made_for.name} (weights {made_for.sha256[:12]}), and here is "
                f"{preset.components[part].title} ({found[:12]}): other weights need an adapter of their own."
            )
    # 8 bits and more differ by rounding; 4 bits are other weights. A projector alone is no correction to any.
    if adapter.lora is not None and (card.base.precision == "nf4") != (precision == "nf4"):
        wrong.append(
            f"Its LoRA was trained on the language model in {_words(card.base.precision)}, and here it runs in "
            f"{_words(precision)}: merge it (`jnana adapters merge`), or change MODEL_PRECISION or MODEL_DEVICE."
        )
    if (layers := _layers(weights.tower)) is not None and not -layers - 1 <= card.tower.layer <= layers:
        wrong.append(f"It reads layer {card.tower.layer} of the vision tower, and here the tower has {layers}.")
    if card.tower.tokens != preset.image_tokens:
        wrong.append(f"Its pictures are {card.tower.tokens} tokens, and those of {preset.name} are {preset.image_tokens}.")
    return wrong + _wrong_template(card.template, preset, weights.language) + _wrong_numbers(adapter)


def open_fitting(folder: Path, preset: Preset, weights: PreparedWeights, precision: Precision) -> Adapter:
    """An adapter that can be loaded here. Raises WeightsError with everything that speaks against it."""
    adapter = Adapter.open(folder)
    require_fit(adapter, preset, weights, precision)
    return adapter


def require_fit(adapter: Adapter, preset: Preset, weights: PreparedWeights, precision: Precision) -> None:
    """Raises WeightsError with everything that speaks against loading it here."""
    if wrong := check(adapter, preset, weights, precision):
        raise WeightsError(f"The adapter {adapter.name} ({adapter.folder}) cannot be used here. {' '.join(wrong)}")


@contextlib.contextmanager
def disk(target: Path) -> Iterator[None]:
    """Say in one sentence what the disk refused about writing `target`."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors has its own error, with the system's words
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise WeightsError(f"The disk is full: {target} could not be written; make room or name another folder.") from error
        raise WeightsError(f"{target} cannot be written ({error}): name another folder.") from error


def _wrong_template(template: Template, preset: Preset, language: Path) -> list[str]:
    import jinja2

    wrong = []
    try:
        jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template.text)  # noqa: S701 - parsed, not rendered
    except jinja2.TemplateSyntaxError as error:
        wrong.append(f"Its chat template '{template.name}' is not valid Jinja ({error.message}).")
    if template.end_of_turn not in {*_special_tokens(language), *preset.spare_tokens}:
        wrong.append(
            f"Its answers end with {template.end_of_turn}, which is no special token of {preset.components['language'].title}."
        )
    return wrong


def _wrong_numbers(adapter: Adapter) -> list[str]:
    """Files that are not what their names say, whatever the manifest claims, and numbers that would spoil every answer."""
    import torch
    from safetensors import SafetensorError, safe_open

    for file in filter(None, (adapter.projector, adapter.lora)):
        try:
            with safe_open(file, "pt") as weights:
                broken = [name for name in weights.keys() if not torch.isfinite(weights.get_tensor(name)).all()]  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            return [f"Its {file.name} cannot be read as safetensors ({error})."]
        if broken:
            return [f"Its {file.name} holds numbers that are none (NaN or infinity), first in {broken[0]}."]
    return []


def _special_tokens(language: Path) -> set[str]:
    """Of the tokenizer in a folder. Older ones have their tokens in other files: then the end of text alone is sure."""
    try:
        added = json.loads((language / "tokenizer.json").read_text("utf-8"))["added_tokens"]
        return {str(token["content"]) for token in added if token["special"]}
    except (OSError, ValueError, KeyError, TypeError):
        text = (language / "tokenizer_config.json").read_text("utf-8")
        return set(re.findall(r'"eos_token": "([^"]+)"', text))


def _layers(tower: Path) -> int | None:
    """Of a transformer tower; None: the tower is a convolutional one."""
    config = json.loads((tower / "config.json").read_text("utf-8"))
    layers = config.get("vision_config", config).get("num_hidden_layers")
    return None if layers is None else int(layers)


def _words(precision: Precision) -> str:
    return {"nf4": "4 bits (nf4)", "int8": "8 bits (int8)"}.get(precision, f"full width ({precision})")


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _own_version() -> str:
    try:
        return version("jnana")
    except PackageNotFoundError:
        return "not installed"
