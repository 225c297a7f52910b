"""Read points and polygons from untrusted GeoJSON (RFC 7946)."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from geoexplain.errors import DataError
from geoexplain.geography.features import Feature, Value, point, polygon
from geoexplain.words import printable


def read_geojson(data: bytes, name: str) -> tuple[Feature, ...]:
    """Return the features of a FeatureCollection in their order; `name` is for messages.

    Raises DataError for anything else, and for a geometry that is neither a point nor a (multi)polygon.
    """
    try:
        collection = json.loads(data)
        key = "features" if collection["type"] == "FeatureCollection" else "no features"
        return tuple(_feature(one, name) for one in collection[key])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        raise DataError(
            f"{name}: expected GeoJSON with a FeatureCollection, got something else or a damaged file: download it "
            "again."
        ) from None


def _feature(one: Mapping[str, Any], name: str) -> Feature:
    properties = {str(key).lower(): _value(value) for key, value in (one["properties"] or {}).items()}
    return Feature(_shape(one["geometry"], name), properties)


def _shape(geometry: Mapping[str, Any] | None, name: str) -> shapely.Geometry | None:
    if geometry is None:
        return None
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        return point([float(value) for value in coordinates], name)
    if kind not in ("Polygon", "MultiPolygon"):
        raise DataError(f"{name}: expected points or polygons, got {printable(str(kind))}: take another layer.")
    parts = [coordinates] if kind == "Polygon" else coordinates
    # Heights, which GeoJSON allows, are ignored. NumPy would convert strings, which are refused here.
    rings = [[np.array([(x, y) for x, y, *_ in ring]) for ring in part] for part in parts]
    if any(ring.size and ring.dtype.kind not in "if" for part in rings for ring in part):
        raise ValueError("coordinates")
    return polygon([[ring.astype(np.float64) for ring in part] for part in rings if part], name)


def _value(value: object) -> Value:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    return printable(str(value).strip(), 254) or None
