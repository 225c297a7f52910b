"""Read positions and authors from the EXIF headers of photos."""

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
"""Larger files are skipped: Pillow reads a whole WebP or AVIF file to find its header."""


def geotagged_photos(folder: Path, progress: Callable[[int, int], None] | None = None) -> Manifest:
    """Find all photos with an EXIF position in a folder and its subfolders; the others are listed as `missing`.

    The id of a photo is its path relative to `folder`. `progress` is called with (photos done, total). Raises
    DataError if `folder` does not exist or holds no photo.
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
    """Return latitude and longitude in degrees from a photo's EXIF header; None without a plausible position.

    Only the header is read; no pixel is decoded. These positions are rejected: without a reference (N, S, E, W), with a
    zero denominator, out of range, with minutes or seconds above 60, with the status "no fix", and exactly (0, 0),
    which cameras write before their first fix. EXIF 2.32, section 4.6.6.
    """
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged headers, and large images, which are not decoded here
            with Image.open(file, formats=FORMATS) as image:
                # Without this check, Pillow would decode a PNG to look for a header after its pixels.
                if "exif" not in image.info:
                    return None
                return _position(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))
    except Exception:  # noqa: BLE001
        # Decoders raise a dozen kinds of exception on damaged files; none of these has a position.
        return None


def exif_artist(file: Path) -> str:
    """Return a photo's author from its EXIF header (tag 315, Artist), "" if there is none; no pixel is decoded."""
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
    # This form also rejects NaN, which Pillow returns for a zero denominator: every comparison with it is false.
    if not (min(whole, minutes, seconds) >= 0 and max(minutes, seconds) <= 60 and total <= limit):
        return None
    return math.copysign(total, -1.0 if reference == references[1] else 1.0)
