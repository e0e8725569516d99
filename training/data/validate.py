"""Everything a run will read, read before it costs anything: `jnana data validate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from training.config import Align, Files, Instruct, Pretrain
from training.data.captions import read_captions
from training.data.conversations import read_conversations
from training.data.loading import pictures_of
from training.data.pictures import check_pictures
from training.data.reading import Unfit
from training.data.records import BadRecord, Captioned, Conversation
from training.data.report import Fault, Report
from training.data.shards import checked_shards
from training.errors import TrainingError

STEP = 256
"""Records between two reports of progress."""

Record = Captioned | Conversation
Measure = Callable[[Record], Sequence[tuple[int, int]]]
"""(tokens, learnt ones) of each example that a record makes, pictures included."""
Progress = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


def validate(
    run: Align | Instruct | Pretrain,
    measure: Measure | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Read what `run` will read, to its end: what is wrong is in the report, and nothing is raised for it.

    Every source of the training and the validation data (`skip` and `first` respected), every picture they name (decoded), the
    length of every example by `measure`, and whether the validation data is in the training data. Records stay in memory. For
    stage 0, every token of both folders of shards is read.
    """
    if isinstance(run, Pretrain):
        return _shards(run, progress)
    report = Report(measured=measure is not None)
    sources = [*run.data.train, *run.data.validation]
    progress("Reading records", 0, len(sources))
    read: list[list[Record]] = []
    for done, source in enumerate(sources, 1):
        read.append(_read(run, source, report))
        progress("Reading records", done, len(sources))
    records = [record for part in read for record in part]
    digests = check_pictures(
        (path for record in records for path in pictures_of(record)), partial(progress, "Decoding pictures")
    )
    report.pictures = len(digests)
    train, validation = (_flat(read[: len(run.data.train)]), _flat(read[len(run.data.train) :]))
    fit = [_fit(part, digests, report) for part in (train, validation)]
    if measure is not None:
        _measure(run, fit, measure, report, partial(progress, "Measuring examples"))
    _count_repetitions(train, validation, digests, report)
    # A file that is read twice, for training and validation say, has the same bad records twice.
    report.bad = sorted(dict.fromkeys(report.bad), key=lambda bad: (str(bad.origin.file), bad.origin.number))
    return report


def _read(run: Align | Instruct, source: Files, report: Report) -> list[Record]:
    """The good records of a source; the others go to the report, and so does a source that cannot be read."""
    good: list[Record] = []
    try:
        for record in (read_captions if isinstance(run, Align) else read_conversations)(source):
            report.records += 1
            if isinstance(record, BadRecord):
                report.bad.append(record)
            else:
                good.append(record)
    except TrainingError as error:
        report.faults.append(Fault(source.file, str(error)))
        return []
    if not good:
        report.faults.append(Fault(source.file, f"{source.file} has no record to train on."))
    return good


def _fit(records: Sequence[Record], digests: dict[Path, str | Unfit], report: Report) -> list[Record]:
    """Those whose pictures are good; what is wrong with the others goes to the report."""
    fit = []
    for record in records:
        reasons = [found.reason for path in dict.fromkeys(pictures_of(record)) if isinstance(found := digests[path], Unfit)]
        report.bad += [BadRecord(record.origin, reason) for reason in reasons]
        if not reasons:
            fit.append(record)
    return fit


def _measure(
    run: Align | Instruct,
    sets: Sequence[Sequence[Record]],
    measure: Measure,
    report: Report,
    progress: Callable[[int, int], None],
) -> None:
    """What the run leaves out for its length, and whether anything is left to train and to validate on."""
    done, total = 0, sum(map(len, sets))
    for which, records in zip(("training", "validation"), sets, strict=True):
        examples = kept = 0
        for record in records:
            for tokens, learnt in measure(record):
                examples += 1
                if limit := run.beyond(tokens, learnt):
                    report.leave_out(limit, learnt if limit == "max_answer" else tokens, record.origin)
                else:
                    kept += 1
            done += 1
            if done % STEP == 0 or done == total:
                progress(done, total)
        if records and not kept:
            why = "all are too long" if examples else "none has a picture, and text_only=base leaves those to the base model"
            report.faults.append(Fault(records[0].origin.file, f"No {which} example is left: {why}."))


def _flat(parts: Sequence[Sequence[Record]]) -> list[Record]:
    return [record for part in parts for record in part]


def _count_repetitions(
    train: Sequence[Record], validation: Sequence[Record], digests: dict[Path, str | Unfit], report: Report
) -> None:
    """Pictures are compared by their bytes: copies under other names are found, scaled ones are not."""

    def seen(record: Record) -> tuple[str, ...]:
        return tuple(digest for path in pictures_of(record) if isinstance(digest := digests[path], str))

    def said(record: Record) -> set[tuple[object, ...]]:
        """What makes it the same record: one of the captions, or all of a conversation."""
        texts = record.captions if isinstance(record, Captioned) else (tuple(message.text for message in record.messages),)
        return {(seen(record), text) for text in texts}

    pictures = {digest for record in train for digest in seen(record)}
    records = {key for record in train for key in said(record)}
    for record in validation:
        if not records.isdisjoint(said(record)):
            report.same_records += 1
        elif not pictures.isdisjoint(seen(record)):
            report.same_pictures += 1


def _shards(run: Pretrain, progress: Progress) -> Report:
    report = Report()
    for folder in (run.data.train, run.data.validation):
        try:
            checked_shards(run, folder, partial(progress, f"Reading {folder}"))
        except TrainingError as error:
            if str(error) not in (fault.reason for fault in report.faults):  # of the tokenizer, say, that both need
                report.faults.append(Fault(folder, str(error)))
    return report
