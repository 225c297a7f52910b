"""Read and write borders of cells as GeoJSON: one feature per cell in the table's order, null if unknown."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.files.reading import read_bytes
from geoexplain.words import printable

MAX_BYTES = 64 * 2**20
"""Largest file that is read; its Python objects take about a GB."""

DIGITS = 5
"""Decimal places of a coordinate in degrees: about a metre."""

FARTHEST_LON_DEG = 540.0
"""Borders across the antimeridian exceed ±180, but by less than a whole turn."""

DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    shapely.errors.GEOSException,
)
"""Exceptions that parsing an untrusted JSON file with geometries may raise."""


def write_outlines(file: Path, borders: Sequence[BaseGeometry | None], labels: Sequence[str]) -> None:
    """Write the borders of K cells, (multi)polygons with x = longitude in degrees, with the labels of the cells.

    Raises DataError for borders that are no (multi)polygons, OSError when the file cannot be written.
    """
    lines = []
    for border, label in zip(borders, labels, strict=True):
        if border is not None and border.geom_type not in {"Polygon", "MultiPolygon"}:
            raise DataError(f"{file.name}: expected polygons as borders, got a {border.geom_type}; build them again.")
        known = border is not None and not border.is_empty
        geometry = _geometry(border) if border is not None and known else None
        feature = {"type": "Feature", "properties": {"label": label}, "geometry": geometry}
        lines.append(json.dumps(feature, separators=(",", ":")))
    file.write_text('{"type":"FeatureCollection","features":[\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


def read_outlines(file: Path, cells: int) -> tuple[BaseGeometry | None, ...]:
    """Read the borders of K `cells` that `write_outlines` wrote: valid (multi)polygons, None if unknown.

    Raises DataError for a file that cannot be read, has more than MAX_BYTES bytes, is not such a file, or has another
    number of cells.
    """
    data = read_bytes(file, MAX_BYTES)
    name = printable(file.name)
    try:
        found = json.loads(data)
        features = found["features"] if found["type"] == "FeatureCollection" else None
        borders = [_border(feature["geometry"]) for feature in features or []]
    except DAMAGED:
        raise DataError(
            f"{name}: expected GeoJSON with one polygon, or null, per cell, got something else or a damaged file: "
            "get the file again."
        ) from None
    if len(borders) != cells:
        raise DataError(f"{name}: expected borders of {cells} cells, got {len(borders)}: are these files of one model?")
    return tuple(borders)


def _geometry(border: BaseGeometry) -> dict[str, Any]:
    parts = [
        [np.round(shapely.get_coordinates(ring), DIGITS).tolist() for ring in (part.exterior, *part.interiors)]
        for part in shapely.get_parts(border)
    ]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _border(geometry: Mapping[str, Any] | None) -> BaseGeometry | None:
    if geometry is None:
        return None
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind not in {"Polygon", "MultiPolygon"}:
        raise ValueError(kind)
    parts = []
    for rings in [coordinates] if kind == "Polygon" else coordinates:
        shell, *holes = (_ring(ring) for ring in rings)
        parts.append(shapely.Polygon(shell, holes))
    shape = shapely.multipolygons(parts)
    if not shapely.is_valid(shape):
        pieces = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
        shape = shapely.multipolygons([piece for piece in pieces if piece.geom_type == "Polygon"])
    return None if shape.is_empty else shape


def _ring(corners: Sequence[Sequence[float]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    ring = np.array([(x, y) for x, y, *_ in corners])
    # NumPy would convert strings, which are refused here. The comparison is written so that NaN fails it too.
    on_earth = ring.dtype.kind in "if" and (np.abs(ring) <= [FARTHEST_LON_DEG, 90.0]).all()
    if len(ring) < 4 or not on_earth:
        raise ValueError("ring")
    return ring.astype(np.float64).round(DIGITS)  # GEOS fails on corners that are almost equal
