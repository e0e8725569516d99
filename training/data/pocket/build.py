"""All sources into one folder that the pocket preset trains from; the same packages give the same bytes.

packages/            what was fetched, unpacked; may be deleted afterwards
<source>/            pictures, and its records before they are put together
captions-train.jsonl, captions-heldout.jsonl, captions-conversations.json, easyvqa-train.json, easyvqa-test.json
sources.json         name, version, licence, homepage, sha256 and counts of everything, for the model card
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.files import appearing, locked, remove_leftovers
from training.data.packages import DEBIAN_MIRRORS, DataPackage, Progress, fetch
from training.data.pocket import easy_vqa, emoji, openclipart, tuxpaint, wordnet
from training.data.pocket.english import Titles
from training.data.pocket.pictures import Drawn, save
from training.data.pocket.records import (
    Captioned,
    asked,
    captioned,
    held_out,
    read_lines,
    write_lines,
    write_list,
)  # fmt: skip
from training.errors import TrainingError

VERSION = "1"
"""Raised when a converter's output changes, so that folders made by an older one are not mixed with newer files."""

MARK = ".pocket-data"
"""File that says that a folder is ours, and of which version."""

RECORDS = "records.jsonl"
CAPTIONED = ("tuxpaint", "openclipart", "emoji")
"""Sources of pictures with captions."""


@dataclass(frozen=True)
class Row:
    """What came out of a source."""

    source: str
    packages: tuple[DataPackage, ...]
    pictures: int
    records: int
    held_out: int


@dataclass(frozen=True)
class Workshop:
    """Where packages come from, where everything goes, and who hears of it."""

    to: Path
    progress: Progress
    mirrors: Sequence[str] = DEBIAN_MIRRORS

    def package(self, package: DataPackage) -> Path:
        """The folder of an unpacked package."""
        return fetch(package, self.to / "packages", self.progress, self.mirrors)

    def part(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of a source, filled by `make` unless that was done before: whole or not there."""
        folder = self.to / name
        if not folder.is_dir():
            with appearing(folder) as partial:
                make(partial)
        return folder

    def watched(self, what: str, drawn: Iterable[Drawn], total: int) -> Iterator[Drawn]:
        """`total`: about how many there will be."""
        at = 0
        for at, one in enumerate(drawn, 1):
            self.progress(what, min(at, total), total)
            yield one
        self.progress(what, total, total)


def build(to: Path, progress: Progress, mirrors: Sequence[str] = DEBIAN_MIRRORS) -> list[Row]:
    """Make the folder, or what is missing of it. Blocking: minutes. Raises TrainingError."""
    _claim(to)
    with locked(to / ".lock"):
        remove_leftovers(to)
        shop = Workshop(to, progress, mirrors)
        rows = _captions(shop)
        rows.append(_easy_vqa(shop))
        write_list(to / "sources.json", [source for row in rows for source in _told(row)])
    return rows


def _claim(to: Path) -> None:
    """Raise TrainingError unless `to` is new, empty or ours."""
    mark = to / MARK
    try:
        to.mkdir(parents=True, exist_ok=True)
        if mark.is_file():
            if mark.read_text() != VERSION:
                raise TrainingError(f"{to} was made by another version of this command: remove it or give another folder.")
        elif any(to.iterdir()):
            raise TrainingError(f"{to} is not empty, and nothing says that this command began it: give another folder.")
        else:
            mark.write_text(VERSION)
    except OSError as error:
        raise TrainingError(f"{to} cannot be written to ({error.strerror}): give another folder.") from error


def _captions(shop: Workshop) -> list[Row]:
    english = Titles(wordnet.WordNet.read(shop.package(wordnet.PACKAGE)))
    rows = [
        _drawn(shop, "tuxpaint", (tuxpaint.PACKAGE,), 500, lambda folder: tuxpaint.examples(folder)),
        _drawn(
            shop,
            "openclipart",
            (openclipart.PICTURES, openclipart.TITLES),
            900,
            lambda pictures, titles: openclipart.examples(pictures, titles, english),
        ),
        _drawn(shop, "emoji", (emoji.PICTURES, emoji.NAMES), 900, lambda font, names: emoji.examples(font, names, english)),
    ]
    records = [record for source in CAPTIONED for record in read_lines(shop.to / source / RECORDS)]
    training = [record for record in records if not held_out(record["captions"])]
    write_lines(shop.to / "captions-train.jsonl", training)
    write_lines(shop.to / "captions-heldout.jsonl", [record for record in records if held_out(record["captions"])])
    write_list(shop.to / "captions-conversations.json", [asked(record) for record in training])
    return rows


def _drawn(
    shop: Workshop, source: str, packages: tuple[DataPackage, ...], about: int, examples: Callable[..., Iterator[Drawn]]
) -> Row:
    """A source of captioned pictures; `examples` gets its unpacked packages."""

    def make(folder: Path) -> None:
        records: list[Captioned] = []
        drawn = shop.watched(f"Drawing {source}", examples(*(shop.package(package) for package in packages)), about)
        for one in drawn:
            save([one], folder)
            records.append(captioned(f"{source}/{one.name}.png", one.captions, source))
        write_lines(folder / RECORDS, records)

    records = read_lines(shop.part(source, make) / RECORDS)
    kept_out = sum(held_out(record["captions"]) for record in records)
    return Row(source, packages, len(records), len(records) - kept_out, kept_out)


def _easy_vqa(shop: Workshop) -> Row:
    def make(folder: Path) -> None:
        package = shop.package(easy_vqa.PACKAGE)
        for split in easy_vqa.SPLITS:
            (folder / split).mkdir()
            records = easy_vqa.convert(package, split, folder / split, f"easyvqa/{split}")
            write_list(folder / f"{split}.json", records)

    folder = shop.part("easyvqa", make)
    counts = {}
    for split in easy_vqa.SPLITS:
        shutil.copyfile(folder / f"{split}.json", shop.to / f"easyvqa-{split}.json")
        counts[split] = len((folder / f"{split}.json").read_text().splitlines()) - 2
    pictures = sum(1 for _ in folder.rglob("*.png"))
    return Row("easyvqa", (easy_vqa.PACKAGE,), pictures, counts["train"], counts["test"])


def _told(row: Row) -> Iterator[dict[str, object]]:
    for package in row.packages:
        yield {
            "source": row.source,
            "name": package.name,
            "version": package.version,
            "registry": package.registry,
            "licence": package.licence,
            "homepage": package.homepage,
            "sha256": package.sha256,
            "pictures": row.pictures,
            "records": row.records,
            "held_out": row.held_out,
        }
