"""All records that a run learns from, or the reason why there are none."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import structlog

from training.config import Files
from training.data.reading import Unfit, shown
from training.data.records import BadRecord, Captioned, Conversation
from training.errors import TrainingError

TOLD = 5
"""Bad records that an error or a line in the log names; `jnana data validate` lists all."""

R = TypeVar("R", Captioned, Conversation)

log = structlog.get_logger(__name__)


def load(
    files: Sequence[Files], read: Callable[[Files], Iterator[R | BadRecord]], *, skip_bad: bool, pictured: bool = True
) -> list[R]:
    """What `load_captions` and `load_conversations` share; see there."""
    records: list[R] = []
    bad: list[BadRecord] = []
    for source in files:
        usable: list[R] = []
        for record in read(source):
            if isinstance(record, BadRecord):
                bad.append(record)
            elif pictured and (reason := _missing(pictures_of(record))):
                bad.append(BadRecord(record.origin, reason))
            else:
                usable.append(record)
        records += usable * source.times
    _leave_out(bad, skip_bad=skip_bad)
    if not records:
        names = ", ".join(str(source.file) for source in files)
        raise TrainingError(f"There is no record to train on in {names}: `jnana data validate` says why.")
    return records


def without_unfit(sets: Sequence[Sequence[R]], unfit: Mapping[Path, str], *, skip_bad: bool) -> list[list[R]]:
    """Training and validation records, without those of pictures that are `unfit` (and why), as `FeatureCache.fill` tells.
    Such records stop it or are left out with a line in the log.

    Raises TrainingError: there are some and not `skip_bad`; no others.
    """
    bad: dict[BadRecord, None] = {}  # each once, however many times it counts in an epoch
    left: list[list[R]] = []
    for records in sets:
        fit: list[R] = []
        for record in records:
            reasons = [unfit[path] for path in pictures_of(record) if path in unfit]
            if reasons:
                bad[BadRecord(record.origin, reasons[0])] = None
            else:
                fit.append(record)
        left.append(fit)
    _leave_out(list(bad), skip_bad=skip_bad)
    for which, fit in zip(("training", "validation"), left, strict=True):
        if not fit:
            raise TrainingError(f"No picture of the {which} data can be looked at: `jnana data validate` says why.")
    return left


def _leave_out(bad: Sequence[BadRecord], *, skip_bad: bool) -> None:
    if bad and not skip_bad:
        raise TrainingError(_refusal(bad))
    if bad:
        log.warning("bad records left out", count=len(bad), first=[str(record) for record in bad[:TOLD]])


def pictures_of(record: Captioned | Conversation) -> tuple[Path, ...]:
    return (record.image,) if isinstance(record, Captioned) else record.images


def picture_size(path: Path) -> int:
    """Bytes of a picture, more than 0. Raises Unfit when there is no such file."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise Unfit("a picture is missing", shown(str(path))) from None
    except OSError as error:
        raise Unfit("a picture cannot be read", f"{shown(str(path))}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise Unfit("a picture cannot be read", f"{shown(str(path))} is not a file")
    if status.st_size == 0:
        raise Unfit("a picture is an empty file", shown(str(path)))
    return status.st_size


def _missing(pictures: Sequence[Path]) -> str | None:
    try:
        for path in pictures:
            picture_size(path)
    except Unfit as unfit:
        return unfit.reason
    return None


def _refusal(bad: Sequence[BadRecord]) -> str:
    lines = [
        f"{len(bad):,} records cannot be trained on, the first of them:" if len(bad) > 1 else "A record cannot be trained on:"
    ]
    lines += [f"  {record}" for record in bad[:TOLD]]
    lines.append("Run `jnana data validate` to see all of them, and repair the data; or leave them out with --skip-bad.")
    return "\n".join(lines)
