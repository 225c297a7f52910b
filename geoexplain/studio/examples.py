"""The example images of the studio, and how to recognise one of them among uploads."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from geoexplain.images import open_image
from geoexplain.resources import ASSETS

FOLDER = ASSETS / "examples"


@dataclass(frozen=True)
class Example:
    """One example image: its file, title, kind, the position of its centre in degrees, and its credit line.

    side_km  width in km of the area that it shows, north up; None if unknown
    """

    file: Path
    title: str
    kind: str
    lat_deg: float
    lon_deg: float
    credit: str
    side_km: float | None = None


@cache
def examples() -> tuple[Example, ...]:
    """Return every example, in the order of the gallery."""
    rows = json.loads((FOLDER / "examples.json").read_text(encoding="utf-8"))
    return tuple(
        Example(
            FOLDER / row["file"],
            row["title"],
            row["kind"],
            row["latitude"],
            row["longitude"],
            row["credit"],
            row["side_km"],
        )
        for row in rows
    )


def find_example(image: Image.Image) -> Example | None:
    """Return the example whose pixels equal those of an RGB image, whatever its file name; None if there is none."""
    known = _by_pixels()
    return known.get((image.size, _fingerprint(image))) if image.size in {size for size, _ in known} else None


@cache
def _by_pixels() -> dict[tuple[tuple[int, int], str], Example]:
    images = [(open_image(example.file), example) for example in examples()]
    return {(image.size, _fingerprint(image)): example for image, example in images}


def _fingerprint(image: Image.Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
