"""What a run is told: YAML files with typed keys, all mistakes reported at once.

A preset is a file in training/presets, `<stage>-<name>.yaml`; `jnana train <stage> <name or path> --set key.sub=value`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from model.presets import Fit
from training.errors import Mistakes, TrainingError

PRESETS = Path(__file__).parent / "presets"

Stage = Literal["pretrain", "align", "instruct"]
Limit = Literal["max_length", "max_answer"]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """Unknown keys are mistakes: a misspelt one would silently train something else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimizer(Section):
    """AdamW (https://arxiv.org/abs/1711.05101); norms and biases do not decay."""

    lr: Rate
    """At the end of the warm-up."""
    min_lr: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Optimizer steps, not micro-batches."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0)] = 1e-8
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradients; null: not clipped."""

    # Checked field by field, here and below, not as a whole: what is wrong elsewhere is told at the same time.
    @field_validator("min_lr")
    @classmethod
    def _below_lr(cls, value: float, given: ValidationInfo) -> float:
        if value > given.data.get("lr", math.inf):
            raise ValueError(f"must be at most lr ({given.data['lr']})")
        return value


class Batch(Section):
    """`size` examples make an optimizer step; each device takes `micro` of them at a time."""

    size: Positive
    micro: Positive

    @field_validator("micro")
    @classmethod
    def _divides(cls, value: int, given: ValidationInfo) -> int:
        if given.data.get("size", 0) % value:
            raise ValueError(f"size ({given.data['size']}) must be a multiple of it")
        return value


class Checkpoints(Section):
    every: Positive
    """Steps."""
    keep: Positive = 2
    """The newest ones; older are deleted."""


class Validation(Section):
    every: Positive
    """Steps."""
    examples: Positive = 512
    """The first ones of the validation data; the same each time."""
    samples: Annotated[int, Field(ge=0)] = 4
    """Answers written out each time, for the report."""


class RunConfig(Section):
    """What all stages have in common."""

    stage: Stage
    seed: Annotated[int, Field(ge=0)] = 1
    steps: Positive | None = None
    """Optimizer steps; or give `epochs`."""
    epochs: Annotated[Annotated[float, Field(gt=0)] | None, Field(validate_default=True)] = None
    batch: Batch
    optimizer: Optimizer
    checkpoints: Checkpoints
    validation: Validation
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """What the networks compute in; trained weights and the optimizer stay fp32. auto: bf16 where the machine has units for it,
    which is twice as fast there and four times slower elsewhere."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads a process; 0: all cores, shared among the processes."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Threads that prepare batches ahead."""
    gradient_checkpointing: bool = False
    """Computes activations twice instead of keeping them: less memory, a third more time."""
    compile: bool = False
    """torch.compile: minutes at the start, faster steps on a GPU."""
    fsdp: bool = False
    """Shards weights, gradients and optimizer over the GPUs (FSDP2); else each has a copy of its own."""
    loggers: tuple[Literal["tensorboard", "trackio"], ...] = ()
    """Besides metrics.jsonl, which is always written."""

    @property
    def computes_in(self) -> Literal["fp32", "bf16"]:
        """The precision, once it is settled."""
        return "bf16" if self.precision == "bf16" else "fp32"

    def settled(self, fastest: Literal["fp32", "bf16"]) -> Self:
        """With `fastest` in place of the precision auto."""
        return self.model_copy(update={"precision": fastest}) if self.precision == "auto" else self

    @field_validator("optimizer")
    @classmethod
    def _warms_up_in_time(cls, value: Optimizer, given: ValidationInfo) -> Optimizer:
        steps = given.data.get("steps")
        if steps is not None and value.warmup_steps >= steps:
            raise ValueError(f"warmup_steps ({value.warmup_steps}) must be fewer than steps ({steps})")
        return value

    @field_validator("epochs")
    @classmethod
    def _one_length(cls, value: float | None, given: ValidationInfo) -> float | None:
        if "steps" in given.data and (given.data["steps"] is None) == (value is None):
            raise ValueError("give either steps or epochs")
        return value


class Files(Section):
    """One source of records."""

    format: Literal["coco", "captions", "llava"]
    """coco: annotation JSON of COCO captions 2017; captions: JSONL, CSV or TSV with `image` and `caption`; llava: LLaVA's
    conversations as JSON or JSONL."""
    file: Path
    licence: str | None = None
    """For the record: under which terms it is had."""
    images: Path | None = None
    """Folder that pictures are relative to; null: the file's own."""
    skip: Annotated[int, Field(ge=0)] = 0
    """Records at the beginning that are left out: held back, where validation takes the `first` of the same file."""
    first: Positive | None = None
    """Only so many records, counted behind those that are skipped."""
    times: Positive = 1
    """How often each record counts in an epoch."""

    @property
    def end(self) -> int | None:
        """Place of the record behind the last; None: there is no limit."""
        return None if self.first is None else self.skip + self.first

    def shares(self, other: Files) -> bool:
        """Whether a record can be in both."""
        if self.file.resolve() != other.file.resolve():
            return False
        return (other.end is None or self.skip < other.end) and (self.end is None or other.skip < self.end)


class Pictures(Section):
    """How the vision tower looks."""

    layer: int = -1
    """Of a transformer tower, whose patches are taken: -1 the last, -2 the one before (LLaVA's). Ignored for convolutions."""
    fit: Fit = "preset"
    """crop: the middle square; pad: the whole picture on a square; preset: what the model's preset serves with."""


class TrainingData(Section):
    train: Annotated[tuple[Files, ...], Field(min_length=1)]
    validation: Annotated[tuple[Files, ...], Field(min_length=1)]


class MultimodalConfig(RunConfig):
    """A stage that starts from a mind: a preset of `jnana models`."""

    model: Literal["pocket", "phi2"]
    language: Path | None = None
    """Folder of a language model, such as stage 0's artefact, in place of the preset's own."""
    data: TrainingData
    pictures: Pictures = Pictures()
    max_length: Positive
    """Tokens of an example, pictures included; longer ones are left out, never cut."""
    start: Path | None = None
    """Adapter artefact to start from."""

    def beyond(self, tokens: int, learnt: int) -> Limit | None:
        """The limit that leaves out an example of so many tokens."""
        return "max_length" if tokens > self.max_length else None

    @field_validator("fsdp")
    @classmethod
    def _not_sharded(cls, value: bool) -> bool:
        if value:
            raise ValueError("is for stage 0: the frozen model of stages 1 and 2 fits on every GPU")
        return value


class Align(MultimodalConfig):
    """Stage 1."""

    stage: Literal["align"]
    template: Literal["original", "chat"]
    """original: `<pictures> caption image:<caption><eos>`; chat: the preset's own, with a question in the user's message."""
    questions: Annotated[tuple[str, ...], Field(min_length=1)] = ("What is in this photo?",)
    """Asked in turn."""
    captions: Literal["all", "first"] = "all"
    """Of a picture that has several: all, an example each; or the first alone, as the original."""
    projector_init: Literal["embeddings", "names", "torch_default"] = "embeddings"
    """embeddings: its first outputs are as loud as the language model's embeddings; names: and they say what the tower's
    classifier sees (training/naming.py); torch_default: the original's."""


Weigh = Literal["labels", "examples"]


class Lora(Section):
    """https://arxiv.org/abs/2106.09685, through PEFT."""

    rank: Positive
    alpha: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    """Linear layers of the language model by their last name."""
    rslora: bool = False
    dora: bool = False


class Instruct(MultimodalConfig):
    """Stage 2."""

    stage: Literal["instruct"]
    template: Literal["original", "chat"]
    lora: Lora
    quantize: Literal["nf4"] | None = None
    """The frozen language model's weights: QLoRA (https://arxiv.org/abs/2305.14314)."""
    projector_lr: Rate | None = None
    """null: the projector stays as it is."""
    order: Literal["buckets", "random", "ascending"] = "buckets"
    """buckets: batches of similar length, shuffled; ascending: by length, as the original's."""
    text_only: Literal["adapter", "base"] = "adapter"
    """base: conversations without a picture are answered with the adapter off, so they are not trained on."""
    keep_start: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of what is saved, the part of the weights that training went on from (training/blend.py). Losses are told without it."""
    weigh: Weigh = "labels"
    """What counts alike in the loss of a step: every learnt token or, however long its answers are, every example."""
    max_answer: Positive | None = None
    """Learnt tokens of an example, its end of turn included; those with more are left out. null: `max_length` alone decides."""

    def beyond(self, tokens: int, learnt: int) -> Limit | None:
        too_long = self.max_answer is not None and learnt > self.max_answer
        return super().beyond(tokens, learnt) or ("max_answer" if too_long else None)


class Architecture(Section):
    """A phi model (transformers' PhiConfig); the defaults are phi-2: 2,779,683,840 parameters."""

    vocab_size: Positive = 51200
    hidden_size: Positive = 2560
    intermediate_size: Positive = 10240
    num_hidden_layers: Positive = 32
    num_attention_heads: Positive = 32
    partial_rotary_factor: Annotated[float, Field(gt=0, le=1, validate_default=True)] = 0.4
    """Part of a head's numbers that tell where a token stands (https://arxiv.org/abs/2104.09864)."""
    max_position_embeddings: Positive = 2048
    parameters: Positive | None = None
    """Asserted before anything is trained."""

    @field_validator("partial_rotary_factor")
    @classmethod
    def _rotates_pairs(cls, value: float, given: ValidationInfo) -> float:
        hidden, heads = given.data.get("hidden_size"), given.data.get("num_attention_heads")
        if hidden is None or heads is None:
            return value
        size = hidden // heads
        rotated = int(size * value)  # as transformers counts them
        if rotated == 0 or rotated % 2:
            raise ValueError(f"would rotate {rotated} of the {size} numbers of a head, and they are rotated in pairs")
        return value


class Shards(Section):
    """Folders that `jnana data tokenize` wrote."""

    train: Path
    validation: Path
    tokenizer: Path
    """Folder of the tokenizer that the shards must have been made with."""


class Pretrain(RunConfig):
    """Stage 0."""

    stage: Literal["pretrain"]
    architecture: Architecture = Architecture()
    init: Literal["normal", "torch_default"] = "normal"
    """normal: N(0, 0.02), as phi; torch_default: what the original really ran with."""
    data: Shards
    sequence_length: Positive
    """Tokens of an example."""

    @field_validator("sequence_length")
    @classmethod
    def _has_positions(cls, value: int, given: ValidationInfo) -> int:
        architecture = given.data.get("architecture")
        if architecture is not None and value > architecture.max_position_embeddings:
            raise ValueError(f"must be at most architecture.max_position_embeddings ({architecture.max_position_embeddings})")
        return value


STAGES: dict[Stage, type[RunConfig]] = {"pretrain": Pretrain, "align": Align, "instruct": Instruct}

R = TypeVar("R", bound=RunConfig)


def preset_names(stage: Stage) -> list[str]:
    return sorted(path.stem.removeprefix(f"{stage}-") for path in PRESETS.glob(f"{stage}-*.yaml"))


def find(stage: Stage, name: str) -> Path:
    """The file of a preset's name or of a path."""
    preset = PRESETS / f"{stage}-{name}.yaml"
    if preset.is_file():
        return preset
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    raise TrainingError(
        f"There is no preset '{name}' for {stage}: there are {', '.join(preset_names(stage))}; or give a .yaml file."
    )


def load(kind: type[R], path: Path, changes: Sequence[str] = ()) -> R:
    """Read a run's configuration. `changes`: key.sub=value, the value as in YAML.

    Raises TrainingError: the file cannot be read; Mistakes: every key that is wrong, unknown or missing.
    """
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise TrainingError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that is none
        raise TrainingError(f"The configuration {path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise TrainingError(f"The configuration {path} should be keys with values, such as `stage: align`.")
    if wrong := [mistake for change in changes if (mistake := _apply(values, change))]:
        raise Mistakes("--set needs a change:", wrong)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        mistakes = [_mistake(detail) for detail in error.errors() if not _follows(detail)]
        raise Mistakes(f"The configuration {path} needs a change:", mistakes) from None


def dump(run: RunConfig) -> str:
    """A configuration as YAML that `load` reads again."""
    return yaml.safe_dump(run.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply(values: dict[str, Any], change: str) -> str | None:
    """Put a change in. Returns what is wrong with it."""
    key, equals, text = change.partition("=")
    if not equals:
        return f"{change}: should be key=value, such as optimizer.lr=1e-3"
    *parents, last = key.split(".")
    at: Any = values
    for parent in parents:
        at = at.setdefault(parent, {})
        if not isinstance(at, dict):
            return f"{change}: {parent} has no keys of its own"
    try:
        at[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return f"{change}: the value is not valid YAML"
    return None


def _follows(detail: Mapping[str, Any]) -> bool:
    """pydantic drops wrong items before it counts: that a list is too short then is no mistake of its own."""
    return detail["type"] == "too_short" and len(detail["input"]) >= int(detail["ctx"]["min_length"])


def _mistake(detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "all of it"
    if detail["type"] == "extra_forbidden":
        return f"{where}: there is no such key"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if detail["type"] == "missing" or isinstance(detail["input"], dict):  # a whole section would bury what is said of it
        return f"{where}: {message}"
    return f"{where}: {message} (it is {detail['input']!r})"
