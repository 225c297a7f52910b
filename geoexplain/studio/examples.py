"""The example images that come with the studio, and how to know one when it comes back as an upload."""

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
    """One example: its file, what it shows, where its centre is in degrees, whom to credit, and what it covers.

    side_km  the width of what it shows of the Earth, north up; None where that is not known
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
    """Every example, in the order of the gallery."""
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
    """The example whose pixels an RGB image holds, or None. A downloaded example is known again, whatever its name."""
    known = _by_pixels()
    return known.get((image.size, _fingerprint(image))) if image.size in {size for size, _ in known} else None


@cache
def _by_pixels() -> dict[tuple[tuple[int, int], str], Example]:
    images = [(open_image(example.file), example) for example in examples()]
    return {(image.size, _fingerprint(image)): example for image, example in images}


def _fingerprint(image: Image.Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
