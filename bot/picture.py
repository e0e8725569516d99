"""Pictures as they are stored: upright sRGB, not larger than the model can use, without metadata."""

from __future__ import annotations

import io

import structlog
from PIL import Image, ImageCms, ImageOps
from pillow_heif import register_heif_opener

from bot.errors import MediaRefused
from bot.texts import text

MAX_PICTURE_BYTES = 20 * 2**20
"""Telegram lets bots download no more (Bot API, getFile); photos of phones have 2 to 15 MB."""

MAX_PIXELS = 64_000_000
"""Pixels before downscaling: 64-megapixel phones. 3 bytes each make 192 MB, and a decoder may hold two copies."""

MAX_SIDE = 1600
"""Pixels of the longer side when stored. Vision towers see 224 to 336; text recognition needs small print."""

JPEG_QUALITY = 90
"""Of Pillow's 0..95: no visible difference, and text stays legible with full colour resolution."""

FLAT_COLOURS = 256
"""Up to so many colours a picture is a drawing or a screenshot: smaller and sharper as PNG."""

register_heif_opener()
log = structlog.get_logger(__name__)


def normalise_picture(name: str, data: bytes, format_name: str) -> tuple[bytes, str, tuple[int, int]]:
    """Decode a picture of Pillow's format `format_name` and encode it anew. Blocking.

    Returns:
        The bytes, their MIME type, and (width, height) in pixels.

    Raises:
        MediaRefused: too large, damaged or truncated. Its size is checked in the header, before anything is decoded.
    """
    if len(data) > MAX_PICTURE_BYTES:
        size, limit = f"{len(data) / 2**20:.0f}", f"{MAX_PICTURE_BYTES // 2**20}"
        raise MediaRefused(text("picture-too-large", name=name, size=size, limit=limit))
    try:
        with Image.open(io.BytesIO(data), formats=[format_name]) as image:
            _check_size(name, *image.size)
            upright = _decode(image)
    except MediaRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise MediaRefused(text("too-many-pixels", name=name, limit=MAX_PIXELS // 1_000_000)) from None
    except Exception as error:  # decoders raise all sorts of errors about damaged files
        log.info("picture refused", error=repr(error))
        raise MediaRefused(text("picture-damaged", name=name)) from error
    return *_encode(upright), upright.size


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise MediaRefused(text("too-many-pixels-counted", name=name, limit=limit, width=width, height=height))


def _decode(image: Image.Image) -> Image.Image:
    image.draft(None, (MAX_SIDE, MAX_SIDE))  # JPEG only: decodes at a half, quarter or eighth of the size
    image.seek(0)  # of an animation, the first picture
    image.load()
    small = image.convert("RGBA" if image.has_transparency_data else "RGB") if image.mode in ("1", "P", "PA") else image
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)  # first of all: what follows makes copies
    return to_srgb(ImageOps.exif_transpose(small))


def to_srgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow to RGB: profiles applied, 16 bits scaled, transparency on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return _to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    if image.mode in ("RGB", "CMYK") and image.info.get("icc_profile"):
        return _apply_profile(image)
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """16-bit and floating-point greys. Pillow's own conversion cuts instead of scaling: everything turns white."""
    wide = image.convert("F")
    extrema = wide.getextrema()
    highest = extrema[1] if isinstance(extrema[1], float) else 0.0
    top = 1.0 if highest <= 1 else 255.0 if highest <= 255 else max(65535.0, highest)
    return wide.point(lambda value: value * (255.0 / top) + 0.0).convert("L")


def _apply_profile(image: Image.Image) -> Image.Image:
    """Colours of the camera's or printer's space (Display P3, CMYK inks) to sRGB; a broken profile is ignored."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _encode(image: Image.Image) -> tuple[bytes, str]:
    """Encode without metadata (EXIF holds the place where a photo was taken)."""
    clean = Image.new("RGB", image.size)
    clean.paste(image)
    buffer = io.BytesIO()
    if clean.getcolors(FLAT_COLOURS) is not None:
        clean.save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    clean.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue(), "image/jpeg"
