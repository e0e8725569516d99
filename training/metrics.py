"""The lines of metrics.jsonl, typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

FINISHED = "finished"
"""Reason of an `End` after the last step that was planned."""


class Record(BaseModel):
    """Keys of later versions are passed over, so that an older one can still show a run."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class Start(Record):
    kind: Literal["start"] = "start"
    step: int
    """Steps done before."""
    time: float
    """Seconds since 1970, UTC; the same in all metrics."""
    resumed_from: int | None = None
    """Step of the checkpoint; None: from the beginning."""
    lost_seconds: float = 0.0
    """What `RunFolder.rewind` returned: work between the checkpoint and the kill, done again from here."""


class Step(Record):
    """One optimizer step."""

    kind: Literal["step"] = "step"
    step: int
    """Counted from 1."""
    time: float
    loss: float
    """Mean over the labels of the step's batch, in nats; with `weigh: examples` the mean of its examples' means."""
    lr: float
    grad_norm: float
    """Before clipping."""
    examples: int
    tokens: int
    """Seen by the language model since the beginning of the run, pictures' included."""
    answer_tokens: int
    """Labels since the beginning of the run."""
    seconds: float
    """This step, waiting for data included."""
    data_seconds: float
    tokens_per_second: float
    examples_per_second: float
    mfu: float | None = None
    """Model FLOPs utilisation, 0 to 1 (https://arxiv.org/abs/2204.02311, appendix B)."""
    memory_bytes: int | None = None
    """Peak since the start of the process: of the device, or resident without one."""


class Validation(Record):
    kind: Literal["validation"] = "validation"
    step: int
    loss: float
    by_bucket: dict[str, float] = {}
    """Of examples of similar length, by the name `training.sampling.length_buckets` gives; empty: all are of one length."""


class Sample(Record):
    """An answer written out during validation."""

    kind: Literal["sample"] = "sample"
    step: int
    image: str | None = None
    """File, absolute or in the run's folder."""
    prompt: str
    expected: str
    answer: str


class Event(Record):
    """Something that whoever reads the curves should know."""

    kind: Literal["event"] = "event"
    step: int
    time: float
    text: str


class End(Record):
    kind: Literal["end"] = "end"
    step: int
    time: float
    reason: str
    """`FINISHED`, or why it stopped before."""


Metric = Annotated[Start | Step | Validation | Sample | Event | End, Field(discriminator="kind")]
AnyMetric = Start | Step | Validation | Sample | Event | End
METRIC: TypeAdapter[AnyMetric] = TypeAdapter(Metric)
