"""Features of a map layer, independent of the file format: a shape in degrees and its properties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.words import printable

Value = str | float | None

SLACK_DEG = 1e-3
"""How far coordinates may lie outside the globe, as a few of Natural Earth do at the antimeridian."""

FEWEST_CORNERS = 4
"""Fewest points of a ring: a closed triangle."""


@dataclass(frozen=True, eq=False)
class Feature:
    """One object on the map.

    shape       a valid point, polygon or multipolygon, x = longitude and y = latitude in degrees; None for none
    properties  column in lower case → text without spaces around it, number, or None
    """

    shape: shapely.Geometry | None = field(repr=False)
    properties: Mapping[str, Value]


def point(values: Sequence[float], name: str) -> shapely.Point:
    """Return the point at (longitude, latitude, …). Raises DataError, which names the file `name`, if not on Earth."""
    return shapely.Point(*_on_earth(np.asarray(values[:2], dtype=np.float64)[None], name)[0])


def polygon(parts: Sequence[Sequence[NDArray[np.float64]]], name: str) -> shapely.Geometry | None:
    """Return a valid (multi)polygon of parts, each a shell and its holes: closed rings (N, 2), longitude first.

    Returns None if the area is 0. Raises DataError, which names the file `name`, for a ring of fewer than
    FEWEST_CORNERS points, and for a point that is not on Earth.
    """
    if not parts:
        return None
    for ring in (ring for rings in parts for ring in rings):
        if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < FEWEST_CORNERS:
            raise DataError(f"{name}: expected polygons of at least three corners, got {len(ring)} points: repair it.")
        _on_earth(ring, name)
    shape = shapely.multipolygons([shapely.Polygon(shell, holes) for shell, *holes in parts])
    if shapely.is_valid(shape):
        return shape if shape.area else None
    pieces = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    areas = [piece for piece in pieces if piece.geom_type == "Polygon" and piece.area]
    return shapely.multipolygons(areas) if areas else None


def _on_earth(points: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    # Written so that NaN, which compares as false, is refused too.
    if not (np.abs(points) <= np.array([180.0, 90.0]) + SLACK_DEG).all():
        raise DataError(
            f"{name}: expected longitudes and latitudes in degrees (WGS 84), got "
            f"{printable(str(points[np.abs(points).argmax() // 2].tolist()))}: download it again from Natural Earth."
        )
    return points
