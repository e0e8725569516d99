"""`jnana report RUN [RUN2 …]`: everything about a run on one page that opens from disk, without any network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from training import words
from training.config import STAGES, find, load
from training.errors import TrainingError
from training.history import COLOURS, History, flat, read
from training.runs import Hardware
from training.samples import questions

REPORT = "report.html"
"""In the first run's folder, unless another place is named."""

STATES = {"running": "running", "ended": "ended", "stopped": "stopped before its end"}


@dataclass(frozen=True)
class Row:
    """A line of a table with one cell a run."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    key: str
    values: tuple[str, ...]
    presets: tuple[str | None, ...]
    """What the preset says where that is something else; None: the same, or there is no preset to compare with."""

    @property
    def changed(self) -> bool:
        return any(preset is not None for preset in self.presets)

    @property
    def differs(self) -> bool:
        """Between the runs."""
        return len(set(self.values)) > 1


def write_report(folders: Sequence[Path], target: Path | None = None, price: float | None = None) -> Path:
    """Write the page of one run, or of several over each other; returns where. `price`: of an hour of one device.

    Raises TrainingError: a folder is no run, there are too many, or the page cannot be written.
    """
    if len(folders) > COLOURS:
        raise TrainingError(f"{len(folders)} runs do not fit one page: name at most {COLOURS}.")
    runs = [read(folder) for folder in folders]
    page = render(runs, price)
    path = target or folders[0] / REPORT
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(page, "utf-8")
        partial.replace(path)
    except OSError as error:
        raise TrainingError(f"The report {path} cannot be written: {error.strerror}.") from error
    return path


def render(runs: Sequence[History], price: float | None = None) -> str:
    """The page's HTML. Whatever comes from runs and their data is escaped; the page forbids itself to load anything."""
    try:
        from training.curves import anchors, loss_picture, pictures
    except ModuleNotFoundError as missing:  # a machine that only trains can do without matplotlib
        raise TrainingError(f"The report needs the package {missing.name}, which is not installed: run `make setup`.") from None

    environment = Environment(
        loader=PackageLoader("training"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=words.count, loss=words.loss, percent=words.percent, memory=words.memory, flops=words.flops,
        quantity=words.quantity, duration=words.duration, when=_when, breakable=_breakable,
    )  # fmt: skip
    labels = names(runs)
    script = (Path(__file__).parent / "templates" / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        runs=runs,
        labels=labels,
        title=" and ".join(labels) if len(labels) < 3 else f"{len(labels)} runs",
        states=STATES,
        now=datetime.now(UTC),
        loss_picture=loss_picture(runs, labels) if any(run.steps or run.validations for run in runs) else None,
        pictures=pictures(runs, labels),
        anchors=anchors(runs),
        results=results(runs),
        machine=machine,
        happenings=happenings,
        same_data=len({run.info.data for run in runs}) == 1,
        costs=costs(runs, price),
        settings=settings(runs),
        compared=[_preset(run) is not None for run in runs],
        questions=questions(runs),
        script=script,
        script_hash=digest,
    )


def names(runs: Sequence[History]) -> list[str]:
    """What to call each: its name, and where that is not enough its folder's or the whole path."""
    for called in (
        [run.info.name for run in runs],
        [f"{run.info.name} ({run.folder.resolve().name})" for run in runs],
        [f"{run.info.name} ({run.folder})" for run in runs],
    ):
        if len(set(called)) == len(called):
            return called
    return [f"{run.info.name} ({number})" for number, run in enumerate(runs, start=1)]


def results(runs: Sequence[History]) -> list[Row]:
    """What came out, a column a run."""

    def best(run: History) -> str:
        found = run.best_validation
        return words.NOTHING if found is None else f"{words.loss(found.loss)} at step {found.step:,}"

    def final(run: History) -> str:
        return words.loss(run.validations[-1].loss) if run.validations else words.NOTHING

    def last(run: History, field: str) -> str:
        return words.count(getattr(run.steps[-1], field)) if run.steps else words.NOTHING

    def examples(run: History) -> str:
        return words.count(sum(step.examples for step in run.steps))

    def parameters(run: History) -> str:
        return f"{words.count(run.info.parameters.trained)} of {words.count(run.info.parameters.all)}"

    return [
        Row("State", tuple(STATES[run.state] for run in runs)),
        Row("Steps", tuple(f"{run.steps[-1].step if run.steps else 0:,} of {run.info.total_steps:,}" for run in runs)),
        Row("Loss, smoothed", tuple(words.loss(run.last_loss) for run in runs)),
        Row("Validation loss, last", tuple(final(run) for run in runs)),
        Row("Validation loss, best", tuple(best(run) for run in runs)),
        Row("Examples", tuple(examples(run) for run in runs)),
        Row("Tokens", tuple(last(run, "tokens") for run in runs)),
        Row("Tokens learnt from", tuple(last(run, "answer_tokens") for run in runs)),
        Row("Parameters trained", tuple(parameters(run) for run in runs)),
    ]


def costs(runs: Sequence[History], price: float | None) -> list[Row]:
    """What it ran on and what that took, a column a run."""

    def peak(run: History) -> str:
        hardware = run.info.hardware
        if hardware.peak_flops is None:
            return "not known, so there is no MFU"
        return words.flops(hardware.peak_flops) + (f" ({hardware.peak_source})" if hardware.peak_source else "")

    def hours(run: History) -> float:
        return run.working_seconds / 3600 * run.info.hardware.devices

    lost = [sum(start.lost_seconds for start in run.starts) for run in runs]
    rows = [
        Row("Machine", tuple(machine(run.info.hardware) for run in runs)),
        Row("Time", tuple(words.duration(run.working_seconds) for run in runs)),
        Row("of it done twice", tuple(words.duration(seconds) for seconds in lost)) if any(lost) else None,
        Row("Device hours", tuple(f"{hours(run):.3g}" for run in runs)),
        Row("Price", tuple(f"{hours(run) * price:.2f} at {price:g} a device hour" for run in runs))
        if price is not None
        else None,
        Row("Tokens a second", tuple(words.quantity(run.typical("tokens_per_second")) for run in runs)),
        Row("Examples a second", tuple(words.quantity(run.typical("examples_per_second")) for run in runs)),
        Row("Waiting for data", tuple(words.percent(run.waiting) for run in runs)),
        Row("Memory, peak", tuple(words.memory(run.peak_memory) for run in runs)),
        Row("MFU", tuple(words.percent(run.typical("mfu")) for run in runs)),
        Row("MFU is of", tuple(peak(run) for run in runs)),
    ]
    return [row for row in rows if row is not None]


def settings(runs: Sequence[History]) -> list[Setting]:
    """Every key of the configurations, and what their presets say."""
    values = [flat(run.config) for run in runs]
    presets = [_preset(run) for run in runs]
    keys = dict.fromkeys(key for one in values for key in one)
    return [
        Setting(
            key,
            tuple(_shown(one[key]) if key in one else words.NOTHING for one in values),
            tuple(_instead(key, one, preset) for one, preset in zip(values, presets, strict=True)),
        )
        for key in keys
    ]


def machine(hardware: Hardware) -> str:
    return f"{hardware.devices} × {hardware.name}" if hardware.devices > 1 else hardware.name


def happenings(run: History) -> list[tuple[float, str]]:
    """Starts, events and the end, by time."""
    found: list[tuple[float, str]] = []
    for start in run.starts:
        if start.resumed_from is None:
            found.append((start.time, "started"))
            continue
        again = f"; {words.duration(start.lost_seconds)} of work done again" if start.lost_seconds else ""
        found.append((start.time, f"resumed from the checkpoint of step {start.resumed_from:,}{again}"))
    found += [(event.time, f"step {event.step:,}: {event.text}") for event in run.events]
    if run.end is not None:
        found.append((run.end.time, f"step {run.end.step:,}: {run.end.reason}"))
    return sorted(found, key=lambda happening: happening[0])


def _instead(key: str, values: dict[str, Any], preset: dict[str, Any] | None) -> str | None:
    if preset is None or values.get(key) == preset.get(key):
        return None
    return _shown(preset[key]) if key in preset else "not set"


def _preset(run: History) -> dict[str, Any] | None:
    """The configuration that a run was started from, as it is in this version."""
    if run.info.preset is None:
        return None
    try:
        preset = load(STAGES[run.info.stage], find(run.info.stage, run.info.preset))
    except TrainingError:  # the file is gone, or of another version
        return None
    return flat(preset.model_dump(mode="json"))


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).strip().removesuffix("\n...")


def _breakable(key: str) -> Markup:
    """Long keys break at their joints on a phone."""
    joint = Markup("<wbr>")
    return joint.join(re.split(r"(?<=[._])", key))


def _when(value: datetime | float) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
