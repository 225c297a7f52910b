"""Where a camera says it was: the GPS entries of a photo's EXIF header."""

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import ExifTags, Image

from geoexplain.errors import DataError
from geoexplain.images import FORMATS
from geoexplain.photos.photo import Manifest, Photo, photo_files
from geoexplain.words import printable

MAX_BYTES = 200 * 2**20
"""Pillow reads a WebP or AVIF whole to find its header."""


def geotagged_photos(folder: Path, progress: Callable[[int, int], None] | None = None) -> Manifest:
    """All photos in a folder, and the folders in it, that say where they were taken; the others are `missing`.

    The id of a photo is its path relative to `folder`. `progress` hears (photos looked at, all photos). Raises
    DataError when `folder` is none, or holds no photo.
    """
    files = photo_files(folder)
    if not files:
        raise DataError(
            f"{printable(folder.name)}: expected JPEG, PNG or WebP photos, found none: give the folder they are in."
        )
    photos, missing = [], []
    for done, (name, file) in enumerate(files.items(), 1):
        position = exif_position(file)
        if position is None:
            missing.append(name)
        else:
            photos.append(Photo(name, file, *position))
        if progress is not None:
            progress(done, len(files))
    return Manifest(tuple(photos), tuple(missing))


def exif_position(file: Path) -> tuple[float, float] | None:
    """Latitude and longitude in degrees that a photo's EXIF header states; None when it states none to believe.

    Only the header is read, no pixel is decoded. Refused are: a missing reference (N, S, E, W), a zero denominator,
    values off the globe, minutes or seconds above 60, a receiver that says it had no fix, and exactly (0, 0), which
    cameras write before the first fix. EXIF 2.32, section 4.6.6.
    """
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged headers, and of many pixels, none of which is decoded
            with Image.open(file, formats=FORMATS) as image:
                # Pillow decodes a PNG to look for a header behind the pixels.
                if "exif" not in image.info:
                    return None
                return _position(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))
    except Exception:  # noqa: BLE001
        # Whatever a decoder raises on a damaged file (a dozen kinds of exception), it states no position.
        return None


def exif_artist(file: Path) -> str:
    """Who took a photo, by its EXIF header (tag 315, Artist); "" when it does not say. No pixel is decoded."""
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            return ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                artist = image.getexif().get(ExifTags.Base.Artist) if "exif" in image.info else None
    except Exception:  # noqa: BLE001
        return ""
    return artist.strip("\0 ") if isinstance(artist, str) else ""


def _position(gps: Mapping[int, object]) -> tuple[float, float] | None:
    tags = ExifTags.GPS
    if _letter(gps.get(tags.GPSStatus)) == "V":
        return None
    lat = _degrees(gps.get(tags.GPSLatitude), _letter(gps.get(tags.GPSLatitudeRef)), "NS", 90)
    lon = _degrees(gps.get(tags.GPSLongitude), _letter(gps.get(tags.GPSLongitudeRef)), "EW", 180)
    if lat is None or lon is None or lat == lon == 0:
        return None
    return lat, lon


def _letter(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ").upper()


def _degrees(value: object, reference: str, references: str, limit: float) -> float | None:
    if len(reference) != 1 or reference not in references or not isinstance(value, tuple) or len(value) != 3:
        return None
    whole, minutes, seconds = (float(part) for part in value)
    total = whole + minutes / 60 + seconds / 3600
    # Written so that NaN, which Pillow makes of a zero denominator, is refused: it compares as false.
    if not (min(whole, minutes, seconds) >= 0 and max(minutes, seconds) <= 60 and total <= limit):
        return None
    return math.copysign(total, -1.0 if reference == references[1] else 1.0)
