"""Pixels of a photo: decoded within bounds, turned upright, written anew without metadata.

Runs in a worker process (``server/workers.py``). What comes out was made by our encoder, so nothing
but pixels is left of what came in.

**Source:** regulation 三.1(3); Exif 2.32 section 4.6.4 (Orientation).
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

from core.photos import check_sides
from core.refusals import Fault

QUALITY: Final = 88
"""Of the JPEG that is kept."""
RESOLUTION_MAX: Final = 16 << 20
"""Pixels that are decoded at most, whatever the parameters say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UprightPhoto:
    """A photo as it is kept."""

    content: bytes
    width: int
    height: int


def upright(content: bytes, side_max: int) -> UprightPhoto | Fault:
    """Decode a photo that passed ``core.photos.check_content`` and write it anew.

    Args:
        content: a JPEG file.
        side_max: parameter ``photo_side_max_px``.

    Returns:
        The photo; or PHOTO_SIDES, PHOTO_UNREADABLE.
    """
    # Only workers decode photos: the server does not carry the decoder in memory.
    from PIL import Image, ImageOps  # noqa: PLC0415

    Image.MAX_IMAGE_PIXELS = RESOLUTION_MAX
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
                # Turning swaps the sides, and both have one bound: no pixel is decoded above it.
                fault = check_sides(*image.size, side_max=side_max)
                if fault is not None:
                    return fault
                turned = ImageOps.exif_transpose(image).convert("RGB")
        kept = io.BytesIO()
        turned.save(kept, "JPEG", quality=QUALITY)
    except MemoryError:
        return Fault("PHOTO_UNREADABLE", "content", {"detail": "memory"})
    except Exception as error:  # noqa: BLE001 - whatever a decoder trips over is the file's fault
        return Fault("PHOTO_UNREADABLE", "content", {"detail": type(error).__name__})
    return UprightPhoto(content=kept.getvalue(), width=turned.width, height=turned.height)
