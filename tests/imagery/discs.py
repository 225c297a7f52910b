"""Synthetic photographs of the whole Earth from a distant camera, with known pixels."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from geoexplain.geography.sphere import EARTH_RADIUS_KM
from geoexplain.imagery.discs import GROUND

DISTANCE_KM = 1_500_000.0


def disc_pixels(
    side_px: int = 700,
    radius_px: float = 300.0,
    *,
    lat_deg: float = 20.0,
    lon_deg: float = 170.0,
    middle_px: tuple[float, float] = (351.0, 348.5),
    distance_km: float = DISTANCE_KM,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (side, side, 3) in a picture as unit vectors, NaN beside the Earth; and where it is bright.

    By tracing rays: the camera looks at the Earth's middle, an Earth radius at the nearest point is `radius_px` wide.
    """
    ticks = np.arange(side_px) + 0.5
    x = (ticks[None] - middle_px[0]) / radius_px
    y = (middle_px[1] - ticks[:, None]) / radius_px
    distance = distance_km / EARTH_RADIUS_KM
    # from (0, 0, distance) through (x, y, 1): the point distance - t (distance - 1) high, t (x, y) aside
    a, b, c = x**2 + y**2 + (distance - 1) ** 2, distance * (distance - 1), distance**2 - 1
    root = b * b - a * c
    t = (b - np.sqrt(np.where(root >= 0, root, np.nan))) / a
    local = np.stack([t * x, t * y, distance - t * (distance - 1)], axis=-1)  # east, north, towards the camera
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    up = np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])
    east = np.array([-math.sin(lon), math.cos(lon), 0.0])
    return local @ np.stack([east, np.cross(up, east), up]), np.hypot(x, y) <= 1 / GROUND


def coloured(places: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Encode positions as RGB uint8: components from −1 to 1 become 40 to 240. Air is blue, space black."""
    rgb = np.where(np.isnan(places), (30.0, 60.0, 120.0), 140 + 100 * places)
    return np.where(bright[..., None], rgb, 0).round().astype(np.uint8)


def places_of(rgb: np.ndarray) -> np.ndarray:
    """Decode values of `coloured` in [0, 1] (…, 3) to vectors."""
    return (rgb * 255 - 140) / 100


def facts(lat_deg: float = 20.0, lon_deg: float = 170.0, distance_km: float = DISTANCE_KM) -> dict:
    return {"centroid": {"lat": lat_deg, "lon": lon_deg}, "distance_km": distance_km}


def write_disc(folder: Path, name: str = "epic", pixels: np.ndarray | None = None, data: object = None) -> Path:
    """Write a picture (by default of the encoded positions) and its metadata."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.png"
    Image.fromarray(coloured(*disc_pixels()) if pixels is None else pixels).save(file)
    file.with_suffix(".json").write_text(json.dumps(facts() if data is None else data))
    return file
