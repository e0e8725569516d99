"""All sources into one folder that the pocket preset trains from; the same packages give the same bytes.

packages/    what was fetched, unpacked; may be deleted afterwards
<source>/    pictures (or feature maps as .npy), and the source's records before they are put together
captions-train.jsonl, captions-heldout.jsonl, captions-conversations.json    stamps, clip art and emoji
scenes-train.jsonl, scenes-heldout.jsonl, scenes-conversations.json          stamps before photographs
easyvqa-train.json, easyvqa-test.json                                        coloured shapes, in the splits they ship with
wallpapers-train.jsonl                                                       photographs that the classifier is sure of
classes-train.jsonl, classes-heldout.jsonl, classes-conversations.json       the classifier's own knowledge
<each of captions, scenes, easyvqa, classes>-hinted.json                     their conversations, with the hint that is served
wallpapers-hinted.json                                                       photographs, told as the hint has it
sources.json    name, version, licence, homepage, sha256 and counts of everything, for the model card
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from model.files import appearing, locked, remove_leftovers
from training.data.packages import DEBIAN_MIRRORS, DataPackage, Progress, fetch
from training.data.pictures import FEATURES
from training.data.pocket import easy_vqa, emoji, openclipart, scenes, tuxpaint, wallpapers, wordnet
from training.data.pocket.english import Titles
from training.data.pocket.pictures import Drawn, save
from training.data.pocket.questions import Questioner
from training.data.pocket.records import Captioned, asked, captioned, held_out, read_lines, write_lines, write_list
from training.errors import TrainingError

VERSION = "4"
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


def build(to: Path, home: Path, progress: Progress, mirrors: Sequence[str] = DEBIAN_MIRRORS) -> list[Row]:
    """Make the folder, or what is missing of it. Blocking: minutes. Raises TrainingError.

    `home`: the product's data folder, with the pocket preset's weights or room for them.
    """
    _claim(to)
    with locked(to / ".lock"):
        remove_leftovers(to)
        shop = Workshop(to, progress, mirrors)
        words = wordnet.WordNet.read(shop.package(wordnet.PACKAGE))
        rows = [*_captions(shop, Titles(words)), _easy_vqa(shop), *_photographs(shop)]
        rows += _classes(shop, words, home)
        _hinted(shop, home)
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


def _captions(shop: Workshop, english: Titles) -> list[Row]:
    rows = [
        _drawn(shop, "tuxpaint", (tuxpaint.PACKAGE,), 500, tuxpaint.examples),
        _drawn(
            shop,
            "openclipart",
            (openclipart.PICTURES, openclipart.TITLES),
            900,
            lambda pictures, titles: openclipart.examples(pictures, titles, english),
        ),
        _drawn(shop, "emoji", (emoji.PICTURES, emoji.NAMES), 900, lambda font, names: emoji.examples(font, names, english)),
    ]
    _put_together(shop.to, "captions", [record for source in CAPTIONED for record in read_lines(shop.to / source / RECORDS)])
    return rows


def _put_together(to: Path, name: str, records: Sequence[Captioned]) -> None:
    training = [record for record in records if not held_out(record["captions"])]
    write_lines(to / f"{name}-train.jsonl", training)
    write_lines(to / f"{name}-heldout.jsonl", [record for record in records if held_out(record["captions"])])
    write_list(to / f"{name}-conversations.json", [asked(record) for record in training])


def _photographs(shop: Workshop) -> list[Row]:
    """Cuts of wallpapers, which have no captions, and stamps before them."""

    def cut(folder: Path) -> None:
        packages = [shop.package(package) for package in wallpapers.PACKAGES]
        save(shop.watched("Cutting wallpapers", wallpapers.examples(*packages), 350), folder)

    cuts = sorted(shop.part("wallpapers", cut).glob("*.png"))
    surroundings = [path for path in cuts if not path.name.startswith(wallpapers.OBJECTS)]
    scenes_row = _drawn(shop, "scenes", (tuxpaint.PACKAGE,), 700, lambda package: scenes.examples(package, surroundings))
    _put_together(shop.to, "scenes", read_lines(shop.to / "scenes" / RECORDS))
    return [scenes_row]


def _classes(shop: Workshop, words: wordnet.WordNet, home: Path) -> list[Row]:
    from training.data.pocket import distil  # with torch and the tower: seconds
    from training.data.pocket.looking import Eyes

    def make(folder: Path) -> None:
        eyes = Eyes(home, shop.progress)
        classes = distil.classes_of(shop.package(distil.PACKAGE), eyes.labels)
        questioner = Questioner(words, Titles(words), classes)
        with_captions = [shop.to / f"{name}-train.jsonl" for name in ("captions", "scenes")]
        captioned_ones = [str(record["image"]) for file in with_captions for record in read_lines(file)]
        photographs = _photos(shop.to)
        pictures = [*photographs, *captioned_ones]
        maps = eyes.maps(
            [shop.to / name for name in pictures], lambda done: shop.progress("Looking at pictures", done, len(pictures))
        )
        write_lines(folder / "wallpapers.jsonl", distil.named(photographs, maps[: len(photographs)], eyes, classes, questioner))
        distil.write_classes(folder, "classes", eyes, maps, classes, questioner, shop.progress)

    folder = shop.part("classes", make)
    for name in ("train.jsonl", "heldout.jsonl", "conversations.json"):
        shutil.copyfile(folder / name, shop.to / f"classes-{name}")
    shutil.copyfile(folder / "wallpapers.jsonl", shop.to / "wallpapers-train.jsonl")
    named = len(read_lines(folder / "wallpapers.jsonl"))
    photographs = sum(1 for _ in (shop.to / "wallpapers").glob("*.png"))
    train, kept_out = (len(read_lines(folder / f"{name}.jsonl")) for name in ("train", "heldout"))
    return [
        Row("wallpapers", wallpapers.PACKAGES, photographs, named, 0),
        Row("classes", (distil.PACKAGE, wordnet.PACKAGE), train + kept_out, train, kept_out),
    ]


def _photos(to: Path) -> list[str]:
    return [f"wallpapers/{path.name}" for path in sorted((to / "wallpapers").glob("*.png"))]


def _hinted(shop: Workshop, home: Path) -> None:
    from training.data.pocket import hinted  # with torch and the tower: seconds
    from training.data.pocket.looking import Eyes

    pictures = [one for name in hinted.NAMES for one in hinted.pictures_in(shop.to, name) if not one.endswith(FEATURES)]
    pictures += _photos(shop.to)

    def make(folder: Path) -> None:
        hinted.look(
            folder,
            shop.to,
            pictures,
            Eyes(home, shop.progress),
            lambda done: shop.progress("Looking for hints", done, len(pictures)),
        )

    folders = [shop.to / "classes", shop.part("hints", make)]
    lines = [record for folder in folders for record in read_lines(folder / hinted.LINES)]
    hinted.write_hinted(shop.to, {record["image"]: record["line"] for record in lines})


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


def table(rows: Sequence[Row]) -> Table:
    """For people."""
    made = Table()
    for column in ("source", "packages", "licence", "pictures", "records", "held out"):
        made.add_column(column, justify="right" if column in ("pictures", "records", "held out") else "left", overflow="fold")
    for row in rows:
        packages = "\n".join(f"{package.name} {package.version}" for package in row.packages)
        licences = "\n".join(package.licence for package in row.packages)
        made.add_row(row.source, packages, licences, f"{row.pictures:,}", f"{row.records:,}", f"{row.held_out:,}")
    return made
