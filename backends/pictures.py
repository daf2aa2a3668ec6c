"""Pictures that strangers upload, made into pictures that are safe to show: decoded, turned upright, made smaller, encoded anew. Nothing of
the bytes that came is passed on, neither what hides behind the picture nor what a camera wrote into it."""

import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

UPLOAD_LIMIT = 5 * 1024**2
PIXELS_LIMIT = 25_000_000
"""About 100 MB while it is being decoded."""
SIDE_LIMIT = 1600
"""Pixels of the longer side of what is shown."""
FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Shown:
    content: bytes
    media_type: str
    """image/jpeg, or image/png where it is transparent."""
    width: int
    height: int


def shown_of(raw: bytes) -> Shown:
    """The picture as pages show it; of an animation the first frame. The same bytes give the same picture. Raises ValueError, with a
    sentence for people, for anything that is not a whole picture within the limits."""
    if len(raw) > UPLOAD_LIMIT:
        raise ValueError(f"The picture is larger than {UPLOAD_LIMIT // 1024**2} MB: make it smaller.")
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            if image.width * image.height > PIXELS_LIMIT:
                raise ValueError(f"The picture has more than {PIXELS_LIMIT // 10**6} million pixels: make it smaller.")
            image.draft("RGB", (SIDE_LIMIT, SIDE_LIMIT))
            turned = ImageOps.exif_transpose(image) or image
            has_holes = "A" in turned.getbands() or "transparency" in turned.info
            made = turned.convert("RGBA" if has_holes else "RGB")
    except UnidentifiedImageError:
        raise ValueError("This is no picture that can be shown: send a PNG, JPEG or WebP file.") from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError("The picture is damaged: save it again as PNG, JPEG or WebP.") from error
    made.thumbnail((SIDE_LIMIT, SIDE_LIMIT))
    sink = io.BytesIO()
    if has_holes:
        made.save(sink, "PNG", optimize=True)
    else:
        made.save(sink, "JPEG", quality=85, optimize=True)
    return Shown(sink.getvalue(), "image/png" if has_holes else "image/jpeg", made.width, made.height)
