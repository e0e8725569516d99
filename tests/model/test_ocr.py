"""The reader's real weights on rendered and real pictures."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from model.ocr import Reader

SENTENCE = "The library opens at nine."


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(threads=1)


def rendered(text: str, size: tuple[int, int] = (640, 160), points: int = 36) -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((30, 50), text, fill="black", font=ImageFont.load_default(points))
    return image


def test_reads_a_rendered_sentence(reader: Reader) -> None:
    assert reader.read(rendered(SENTENCE)) == (SENTENCE,)


def test_reads_a_picture_larger_than_it_looks_at(reader: Reader) -> None:
    assert reader.read(rendered(SENTENCE, (4000, 1000), 220)) == (SENTENCE,)


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut", "rocket"])
def test_a_photo_without_text_gives_nothing(reader: Reader, name: str) -> None:
    assert reader.read(Image.fromarray(getattr(skimage.data, name)())) == ()


@pytest.mark.parametrize("size", [(1, 1), (5, 4000), (32, 32)])
def test_tiny_pictures_give_nothing(reader: Reader, size: tuple[int, int]) -> None:
    assert reader.read(Image.new("RGB", size)) == ()


def test_finding_nothing_is_not_logged(
    reader: Reader, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        reader.read(Image.new("RGB", (64, 64), "white"))
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []
    assert capfd.readouterr() == ("", "")


def test_two_threads_may_read_at_once(reader: Reader) -> None:
    with ThreadPoolExecutor(2) as threads:
        texts = ["One apple a day", "Two pears a day"]
        assert list(threads.map(lambda text: reader.read(rendered(text)), texts)) == [(text,) for text in texts]
