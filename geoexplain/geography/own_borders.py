"""Borders of cells minus the smaller cells inside them: a country's cell is the rest around its cities."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.partition import Partition

SMALLEST_REST = 1e-3
"""Share of a cell's area. If smaller cells leave less of it than this, the cell keeps its whole border."""

# Kept as long as the partition exists, since both maps and areas use them.
_known: WeakKeyDictionary[Partition, tuple[BaseGeometry | None, ...]] = WeakKeyDictionary()


def own_borders(partition: Partition) -> tuple[BaseGeometry | None, ...]:
    """Return the K borders, joined across ±180° and without the smaller cells inside; None where unknown."""
    if partition not in _known:
        _known[partition] = _apart([None if one is None else joined(one) for one in partition.borders or ()])
    return _known[partition]


def _apart(borders: Sequence[BaseGeometry | None]) -> tuple[BaseGeometry | None, ...]:
    shapes = [shapely.Polygon() if border is None else border for border in borders]
    inner = shapely.point_on_surface(np.array(shapes, dtype=object))
    areas = shapely.area(shapes)
    small, large = shapely.STRtree(shapes).query(inner, predicate="within")
    held: dict[int, list[BaseGeometry]] = {}
    for one, other in zip(small.tolist(), large.tolist(), strict=True):
        if areas[one] < areas[other]:
            held.setdefault(other, []).append(shapes[one])
    rest = list(borders)
    for cell, inside in held.items():
        left = shapely.difference(shapes[cell], shapely.union_all(inside))
        rest[cell] = left if left.area > SMALLEST_REST * areas[cell] else shapes[cell]
    return tuple(rest)


def joined(border: BaseGeometry) -> BaseGeometry:
    """Return a border that is cut at ±180° in one piece that exceeds ±180°; return any other border unchanged."""
    parts = shapely.get_parts(border)
    west, _, east, _ = shapely.bounds(parts).T
    left, right = np.isclose(west, -180), np.isclose(east, 180)
    if (left & right).any() or not (left.any() and right.any()):  # around a pole, or not cut
        return border
    moved = [translate(part, xoff=360) if end < 0 else part for part, end in zip(parts, east, strict=True)]
    # The grid closes tiny gaps between pieces that touched at the antimeridian.
    return shapely.union_all(moved, grid_size=1e-6)
