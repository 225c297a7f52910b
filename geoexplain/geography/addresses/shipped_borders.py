"""The borders of countries, parts of continents and continents as a file that comes with the package.

Joining them takes seconds, and they change only with the base map: `python assets/world/borders.py` makes the file
again.
"""

import hashlib
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.addresses.divisions import CONTINENTS, COUNTRIES, WITHOUT_CODE
from geoexplain.geography.gazetteer import WORLD

FILE = "borders.npz"

PER_DEGREE = 1000
"""Corners of the base map lie on multiples of 1/1000 degree; the few where borders cross are kept to the last bit."""

Borders = Mapping[tuple[str, str], BaseGeometry]
"""Kind and name of a location → its (multi)polygon, x = longitude in degrees, which may run past ±180."""


def base_map_digest() -> str:
    """Return the SHA-256, in hexadecimal, of what the borders are made from: countries, and what is joined of them.

    Raises OSError when the countries cannot be read.
    """
    digest = hashlib.sha256((WORLD / "countries.npz").read_bytes())
    digest.update(repr((CONTINENTS, COUNTRIES, WITHOUT_CODE)).encode())
    return digest.hexdigest()


def write_borders(borders: Borders, file: Path) -> None:
    """Write borders, bound to the base map as it is; they are read back to the last bit."""
    shapes = np.array(list(borders.values()), dtype=object)
    is_multi = shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON
    _, points, offsets = shapely.to_ragged_array([shapely.multipolygons(shapely.get_parts(one)) for one in shapes])
    rounded = np.rint(points * PER_DEGREE)
    exact = np.flatnonzero((rounded / PER_DEGREE != points).any(axis=1))
    steps = np.diff(rounded, axis=0, prepend=0).astype(np.int32)
    arrays: dict[str, NDArray] = {
        "digest": np.array(base_map_digest()),
        "kinds": np.array([kind for kind, _ in borders]),
        "names": np.array([name for _, name in borders]),
        "is_multi": is_multi,
        "steps_x": steps[:, 0],  # apart they compress better
        "steps_y": steps[:, 1],
        "exact_rows": exact.astype(np.int32),
        "exact_deg": points[exact],
        **{f"offsets_{level}": offset.astype(np.int32) for level, offset in enumerate(offsets)},
    }
    np.savez_compressed(file, allow_pickle=False, **arrays)


def read_borders(file: Path) -> Borders | None:
    """Return the borders in a file that `write_borders` wrote; None, after a warning, where they cannot be used.

    They cannot where the file is missing or damaged, or was made from another base map.
    """
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            if str(stored["digest"]) != base_map_digest():
                _warn(file, "those of this base map, got those of another")
                return None
            points = np.cumsum(np.stack([stored["steps_x"], stored["steps_y"]], axis=1), axis=0, dtype=np.int64)
            points_deg = points / PER_DEGREE
            points_deg[stored["exact_rows"]] = stored["exact_deg"]
            offsets = tuple(stored[f"offsets_{level}"] for level in range(3))
            shapes = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, points_deg, offsets)
            rows = zip(stored["kinds"].tolist(), stored["names"].tolist(), shapes, stored["is_multi"], strict=True)
            return {(kind, name): one if multi else one.geoms[0] for kind, name, one, multi in rows}
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, shapely.GEOSException):
        _warn(file, "a readable file, got none")
        return None


def _warn(file: Path, what: str) -> None:
    warnings.warn(
        f"assets/world/{file.name}: expected borders, {what}: they are joined anew, which takes some seconds. Make the "
        "file with `python assets/world/borders.py`.",
        RuntimeWarning,
        stacklevel=3,
    )
