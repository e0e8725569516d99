"""What `jnana data validate` found, for people and for programs."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from training.config import Limit
from training.data.records import BadRecord, Origin
from training.errors import TrainingError

LISTED = 20
"""Bad records that a terminal shows."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A file or folder that cannot be used at all, and why, in one sentence."""

    path: Path
    reason: str


@dataclass(slots=True)
class LeftOut:
    """Examples that a run leaves out because they are too long. There is nothing wrong with them."""

    count: int
    longest: int
    """Tokens."""
    origin: Origin
    """Of the longest."""


@dataclass(slots=True)
class Report:
    """A record may be bad for several reasons, and is then in `bad` several times."""

    records: int = 0
    """That were read, bad ones among them."""
    pictures: int = 0
    """Files that were decoded."""
    faults: list[Fault] = field(default_factory=list)
    bad: list[BadRecord] = field(default_factory=list)
    left_out: dict[Limit, LeftOut] = field(default_factory=dict)
    too_long: list[BadRecord] = field(default_factory=list)
    """Each of those."""
    same_records: int = 0
    """Of the validation data, that are in the training data too: the same pictures and a same text."""
    same_pictures: int = 0
    """Others of the validation data with a picture of the training data."""
    measured: bool = True
    """Whether examples were compared with the run's limits."""

    @property
    def good(self) -> bool:
        return not self.faults and not self.bad

    def leave_out(self, limit: Limit, tokens: int, origin: Origin) -> None:
        """Count an example that is longer than `limit`."""
        before = self.left_out.setdefault(limit, LeftOut(0, 0, origin))
        before.count += 1
        self.too_long.append(BadRecord(origin, f"an example is longer than {limit}: {tokens:,} tokens"))
        if tokens > before.longest:
            before.longest, before.origin = tokens, origin

    def counts(self) -> Counter[tuple[Path, str]]:
        """How often which kind of reason is in which file."""
        return Counter((bad.origin.file, bad.reason.partition(":")[0]) for bad in self.bad)


def summary(report: Report) -> str:
    """A report as text: what was read, counts, the first bad records, warnings."""
    lines = [f"Read {report.records:,} records and {report.pictures:,} pictures."] if report.records else []
    lines += [fault.reason for fault in report.faults]
    shown_file = None
    for (file, kind), count in sorted(report.counts().items(), key=lambda item: (str(item[0][0]), -item[1])):
        lines += [str(file)] if file != shown_file else []
        shown_file = file
        lines.append(f"{count:>9,}  {kind}")
    lines += [str(bad) for bad in report.bad[:LISTED]]
    if (more := len(report.bad) - LISTED) > 0:
        lines.append(f"... and {more:,} more: --report FILE writes all of them.")
    for limit, left_out in report.left_out.items():
        examples = "1 example" if left_out.count == 1 else f"{left_out.count:,} examples"
        lines.append(f"Left out: {examples} longer than {limit}, the longest {left_out.longest:,} tokens at {left_out.origin}.")
    if report.same_records:
        lines.append(f"Warning: {report.same_records:,} validation records are training records too (same pictures and text).")
    if report.same_pictures:
        lines.append(f"Warning: {report.same_pictures:,} validation records show a picture of the training data.")
    if not report.measured:
        lines.append("How long examples are was not checked.")
    if report.good:
        lines.append("Nothing is wrong.")
    return "\n".join(lines)


def write(report: Report, file: Path) -> None:
    """Everything that is wrong or left out as JSONL: `file`, `record` (null: all of the file), `reason`. Raises
    TrainingError."""
    rows: list[dict[str, str | int | None]]
    rows = [{"file": str(fault.path), "record": None, "reason": fault.reason} for fault in report.faults]
    told = (*report.bad, *report.too_long)
    rows += [{"file": str(bad.origin.file), "record": bad.origin.number, "reason": bad.reason} for bad in told]
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.writelines(json.dumps(row) + "\n" for row in rows)
            Path(name).chmod(0o644)
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(f"The report {file} cannot be written: {error.strerror}.") from error
