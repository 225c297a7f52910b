"""Read and write place trees as a JSON file next to a model; the file is untrusted when it is read."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.files.archives import write_bytes
from geoexplain.files.reading import read_bytes
from geoexplain.geography.addresses.borders import BordersByName
from geoexplain.geography.outline_files import DAMAGED, FARTHEST_LON_DEG
from geoexplain.geography.placetree import PlaceTree
from geoexplain.words import printable

FORMAT = "geoexplain-places/1"

MAX_BYTES = 128 * 2**20
MAX_TREES = 8
LONGEST_TEXT = 254

DIGITS = 4
STEP_DEG = 10**-DIGITS
"""Borders are rounded to this, about ten metres."""

TABLE_DIGITS = 7
"""Of a centre in degrees, as `Partition.save` writes it."""

DEEPEST = 200
"""Largest number of levels in a tree, which bounds the memory for the paths of the cells."""


def write_place_trees(trees: Sequence[PlaceTree], file: Path, centers_deg: NDArray[np.float64] | None = None) -> None:
    """Write trees, at most MAX_TREES, as JSON with their borders as GeoJSON geometries, rounded to 1e-4 degrees.

    Borders that are known by name are left out: whoever reads the file finds them again. With the centres (K, 2) in
    degrees of the trees' cells the file is bound to these. The file is there whole or not at all. Raises DataError for
    too many trees, too deep ones, or where it cannot be written.
    """
    if len(trees) > MAX_TREES:
        raise DataError(f"{printable(file.name)}: expected at most {MAX_TREES} trees, got {len(trees)}: write fewer.")
    if any(tree.depth.max(initial=0) >= DEEPEST for tree in trees):
        raise DataError(f"{printable(file.name)}: expected less than {DEEPEST} places above one another, got more.")
    content: dict[str, Any] = {"format": FORMAT}
    if centers_deg is not None:
        content["cells"] = _fingerprint(centers_deg)
    content["trees"] = [_record(tree) for tree in trees]
    write_bytes(file, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def read_place_trees(file: Path, centers_deg: NDArray[np.float64] | None = None) -> tuple[PlaceTree, ...]:
    """The trees in a file that `write_place_trees` wrote.

    Raises DataError for a file that is missing, larger than MAX_BYTES, damaged, or does not hold what it should, and
    for one that is bound to other cells than those with the centres (K, 2), if they are given.
    """
    name = printable(file.name)
    data = read_bytes(file, MAX_BYTES)
    try:
        content = json.loads(data)
        records = _trees(content)
        if centers_deg is not None:
            _check_cells(content.get("cells"), centers_deg)
        return tuple(_tree(record) for record in records)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except DAMAGED:
        raise DataError(
            f"{name}: expected the places of a model's cells ({FORMAT}), got something else or a damaged file: "
            "build it again."
        ) from None


def _record(tree: PlaceTree) -> dict[str, Any]:
    return {
        "name": tree.name,
        "labels": list(tree.labels),
        "kinds": list(tree.kinds),
        "parents": tree.parents.tolist(),
        "of_cell": tree.of_cell.tolist(),
        "borders": None if isinstance(tree.borders, BordersByName) else [_geometry(border) for border in tree.borders],
    }


def _check_cells(bound: object, centers_deg: NDArray[np.float64]) -> None:
    if bound is not None and bound != _fingerprint(centers_deg):
        raise DataError(
            "expected the places of this model's cells, got those of others: get both files of one release, or delete "
            "this one, and the places are found again."
        )


def _fingerprint(centers_deg: NDArray[np.float64]) -> str:
    """Return an identifier of cells: the SHA-256 of their centres as written in tables of cells."""
    text = "\n".join(f"{lat:.{TABLE_DIGITS}f},{lon:.{TABLE_DIGITS}f}" for lat, lon in centers_deg.tolist())
    return hashlib.sha256(text.encode()).hexdigest()


def _geometry(border: BaseGeometry | None) -> dict[str, Any] | None:
    """Return a (multi)polygon as GeoJSON; None for None, or if it vanishes at this precision."""
    if border is None:
        return None
    rounded = shapely.set_precision(shapely.make_valid(border), STEP_DEG)
    parts = [part for part in shapely.get_parts(rounded) if part.geom_type == "Polygon" and part.area]
    rings = [[_ring(ring) for ring in (part.exterior, *part.interiors)] for part in parts]
    return {"type": "MultiPolygon", "coordinates": rings} if rings else None


def _ring(ring: BaseGeometry) -> list[list[float]]:
    return [[round(x, DIGITS), round(y, DIGITS)] for x, y in shapely.get_coordinates(ring).tolist()]


def _trees(content: dict[str, Any]) -> list[Any]:
    if content["format"] != FORMAT or len(content["trees"]) > MAX_TREES:
        raise ValueError("format")
    return _listed(content["trees"])


def _tree(record: dict[str, Any]) -> PlaceTree:
    labels, kinds, stored = _texts(record["labels"]), _texts(record["kinds"]), record["borders"]
    borders: Sequence[BaseGeometry | None] = (
        BordersByName(kinds, labels)
        if stored is None
        else tuple(None if geometry is None else _border(geometry) for geometry in _listed(stored))
    )
    tree = PlaceTree(
        _texts([record["name"]])[0],
        labels,
        kinds,
        _numbers(record["parents"]),
        _numbers(record["of_cell"]),
        borders,
    )
    if tree.depth.max(initial=0) >= DEEPEST:
        raise ValueError("depth")
    return tree


def _listed(values: object) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError("list")
    return values


def _texts(values: object) -> tuple[str, ...]:
    texts = _listed(values)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("text")
    return tuple(printable(text, LONGEST_TEXT) for text in texts)


def _numbers(values: object) -> NDArray[np.int64]:
    numbers = _listed(values)
    if not all(type(number) is int for number in numbers):
        raise TypeError("numbers")
    return np.array(numbers, dtype=np.int64)


def _border(geometry: dict[str, Any]) -> BaseGeometry | None:
    if geometry["type"] != "MultiPolygon":
        raise ValueError("geometry")
    parts = [[_points(ring) for ring in _listed(part)] for part in _listed(geometry["coordinates"])]
    shape = shapely.multipolygons([shapely.Polygon(shell, holes) for shell, *holes in parts])
    if shapely.is_valid(shape):
        return shape
    pieces = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    areas = [piece for piece in pieces if piece.geom_type == "Polygon" and piece.area]
    return shapely.multipolygons(areas) if areas else None


def _points(ring: object) -> NDArray[np.float64]:
    points = np.array(_listed(ring))
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "if":
        raise ValueError("ring")
    # Written so that NaN, which compares as false, is refused as well.
    if not (np.abs(points) <= [FARTHEST_LON_DEG, 90.0]).all():
        raise ValueError("coordinates")
    return points.astype(np.float64).round(DIGITS)  # GEOS fails on corners that are almost equal
