"""Small data files in the shapes that are published, and records in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from training.config import Files
from training.data.records import BadRecord

COCO: dict[str, Any] = {
    "info": {
        "description": "COCO 2017 Dataset",
        "url": "http://cocodataset.org",
        "version": "1.0",
        "year": 2017,
        "contributor": "COCO Consortium",
        "date_created": "2017/09/01",
    },
    "licenses": [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"}],
    "images": [
        {
            "license": 4,
            "file_name": f"{number:012}.jpg",
            "coco_url": f"http://images.cocodataset.org/train2017/{number:012}.jpg",
            "height": 360,
            "width": 640,
            "date_captured": "2013-11-14 11:18:45",
            "flickr_url": "http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg",
            "id": number,
        }
        for number in (391895, 522418)
    ],
    "annotations": [
        {"image_id": 522418, "id": 681330, "caption": "A woman cuts a cake in a kitchen. "},
        {"image_id": 391895, "id": 770337, "caption": "A man on a motorbike on a dirt road."},
        {"image_id": 391895, "id": 771687, "caption": "A rider on a hill path"},
    ],
}
"""captions_train2017.json, with words of our own."""

LLAVA: list[dict[str, Any]] = [
    {
        "id": "000000391895",
        "image": "000000391895.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat does the man ride?"},
            {"from": "gpt", "value": "He rides a motorbike."},
            {"from": "human", "value": "Where?"},
            {"from": "gpt", "value": "On a dirt road."},
        ],
    },
    {
        "id": "000000522418",
        "image": "000000522418.jpg",
        "conversations": [
            {"from": "human", "value": "Describe the picture.\n<image>"},
            {"from": "gpt", "value": "A woman cuts a cake."},
        ],
    },
]
"""llava_instruct_150k.json, with words of our own; the mark stands before or after the words there."""


def picture(path: Path, colour: str = "red", size: tuple[int, int] = (24, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def coco(folder: Path, whole: object = COCO, **settings: Any) -> Files:
    file = folder / "captions_train2017.json"
    file.write_text(json.dumps(whole))
    return Files(format="coco", file=file, images=folder / "train2017", **settings)


def llava(folder: Path, records: object = LLAVA, name: str = "llava_instruct_150k.json", **settings: Any) -> Files:
    file = folder / name
    file.write_text(json.dumps(records))
    return Files(format="llava", file=file, images=folder / "train2017", **settings)


def lines(file: Path, records: Sequence[object], **settings: Any) -> Files:
    """JSONL; what is text already goes in as it is."""
    file.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return Files(file=file, **settings)


def bad(records: Sequence[object]) -> list[tuple[int, str]]:
    """Numbers and reasons of the bad ones."""
    return [(record.origin.number, record.reason) for record in records if isinstance(record, BadRecord)]
