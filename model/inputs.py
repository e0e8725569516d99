"""What a client sent to what a mind understands: base64 and pictures decoded, within limits."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
from collections.abc import Iterator
from functools import partial

import numpy as np
import structlog
from PIL import Image, ImageOps, UnidentifiedImageError

from model.errors import ApiError, bad_request, too_large
from model.sight import Picture

MAX_IMAGE_BYTES = 20 * 2**20
"""Bytes of one encoded picture (OpenAI's limit)."""

MAX_IMAGE_PIXELS = 64_000_000
"""Pixels of one picture: beyond any phone's ordinary photo; 192 MB once decoded, 256 MB with transparency, and a copy."""

MAX_IMAGES = 16
"""Pictures in one request: more do not fit into the context of the models we run."""

MAX_RECORDINGS = 16
"""Recordings in one request: each takes seconds to minutes to write down."""

KEPT_SIDE = 2048
"""Pixels along the longer side of what is kept: the towers see 224, and small print stays readable for OCR."""

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What Pillow may try. Its other readers are rarely used, rarely fuzzed, or run helpers (EPS starts Ghostscript)."""

with contextlib.suppress(ImportError):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    FORMATS = (*FORMATS, "HEIF")

log = structlog.get_logger(__name__)


def picture(url: str, param: str) -> Picture:
    """A picture out of a data: URI: its header is read now, its pixels when it is looked at. Blocking.

    Both raise ApiError (code invalid_image; 413 when too large, else 400); `param` says where in the request it was.
    """
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "data":
        message = "Pictures must be sent as data: URIs; this server does not fetch anything from the network."
        raise bad_request(message, code="invalid_image", param=param)
    header, comma, payload = rest.partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise bad_request("The data: URI of the picture is not base64.", code="invalid_image", param=param)
    if len(payload) * 3 // 4 > MAX_IMAGE_BYTES + 3:
        raise too_large(f"The picture is larger than {MAX_IMAGE_BYTES // 2**20} MB.", code="invalid_image", param=param)
    data = decode_base64(payload, code="invalid_image", param=param)
    with _explained(param), Image.open(io.BytesIO(data), formats=FORMATS) as unread:
        if unread.width * unread.height > MAX_IMAGE_PIXELS:
            raise _too_many_pixels(param)
    return Picture(hashlib.sha256(data).hexdigest(), partial(decode_picture, data, param))


def decode_picture(data: bytes, param: str) -> Image.Image:
    """First frame, upright, RGB, at most KEPT_SIDE along the longer side. ApiError when it is damaged or of no known format."""
    with _explained(param), Image.open(io.BytesIO(data), formats=FORMATS) as source:
        source.draft("RGB", (KEPT_SIDE, KEPT_SIDE))  # lets JPEG decode large photos at a fraction of their size
        image = _direct_colour(source)
        image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)  # first of all: what follows makes copies
        with contextlib.suppress(Exception):  # unreadable EXIF says nothing about the picture
            image = ImageOps.exif_transpose(image)
        return _rgb(image)


@contextlib.contextmanager
def _explained(param: str) -> Iterator[None]:
    """Say what is wrong with a picture. Pillow's readers report damage with all sorts of exceptions."""
    try:
        yield
    except ApiError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(param) from error
    except UnidentifiedImageError as error:
        raise bad_request("The picture is of no known format.", code="invalid_image", param=param) from error
    except Exception as error:
        log.info("picture_refused", error=repr(error))
        raise bad_request("The picture is damaged.", code="invalid_image", param=param) from error


def _too_many_pixels(param: str) -> ApiError:
    message = f"The picture has more than {MAX_IMAGE_PIXELS // 1_000_000} million pixels."
    return too_large(message, code="invalid_image", param=param)


def decode_base64(payload: str, *, code: str, param: str) -> bytes:
    """The bytes, or ApiError (400)."""
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_request("The data is not valid base64.", code=code, param=param) from error


def _direct_colour(image: Image.Image) -> Image.Image:
    """Without a palette, which could not be scaled."""
    if image.mode in ("1", "P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.load()
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16 and 32 bits a pixel to 8. Pillow's own conversion clips everything above 255 to white."""
    values = np.asarray(image).astype(np.float32)
    top = 65535.0 if image.mode.startswith("I;16") else max(float(values.max()), 255.0)
    return Image.fromarray((values.clip(0, top) * (255.0 / top)).astype(np.uint8)).convert("RGB")
