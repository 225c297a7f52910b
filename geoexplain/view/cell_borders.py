"""Simplify and encode the borders of cells and places for the map."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.own_borders import joined, own_borders
from geoexplain.geography.partition import Partition, polygon_rings
from geoexplain.geography.placetree import PlaceTree
from geoexplain.view.polylines import cell_ring, encode_integers, encode_points

PER_DEGREE = 1000
"""Steps per degree for known borders, since a cell may be a street. Estimated outlines use 1/100 degree."""

FINEST, COARSEST = 0.0003, 0.08  # largest error of a border, relative to the shape's size
SMALLEST_PART = 1e-3  # relative to the shape's area: smaller islets are left out
MOST_CORNERS = 50_000
"""Largest number of corners of all cells together; borders are simplified until they have no more."""

PLACE_CORNERS = 4000
"""Largest number of corners of one place."""

# Kept as long as the partition lives: every map of it draws the same borders.
_encoded: WeakKeyDictionary[Partition, dict[str, Any]] = WeakKeyDictionary()


def ring_data(partition: Partition, cells: Iterable[int] | None = None) -> dict[str, Any]:
    """Return the rings of `cells`, or of all, as geometry.js reads them; other cells are drawn as discs.

    "rings" holds the corners of all rings, "corners" their number per ring. If the partition has borders, "parts" holds
    the number of rings per cell, "guessed" the cells without a border, whose ring encloses the points nearest to their
    centre, and "perDegree" the steps per degree. Empty if no cell has a ring.
    """
    if cells is not None:
        return _encode(partition, sorted(cells))
    if partition not in _encoded:
        _encoded[partition] = _encode(partition, range(len(partition)))
    return _encoded[partition]


def _encode(partition: Partition, chosen: Sequence[int]) -> dict[str, Any]:
    if partition.borders is None:
        rings = [cell_ring(outline) for outline in partition.outlines()]
        return {
            "corners": encode_integers([len(ring) for ring in rings]),
            "rings": encode_points(np.concatenate(rings)),
        }
    borders = own_borders(partition)
    own: list[list[NDArray[np.float64]]] = [[] for _ in range(len(partition))]
    outlines = partition.outlines() if any(borders[cell] is None for cell in chosen) else []
    known = [cell for cell in chosen if borders[cell] is not None]
    for cell, shape in zip(known, few_corners([borders[cell] for cell in known], MOST_CORNERS), strict=True):
        own[cell] = [ring[:-1] for ring in polygon_rings(shape)]
    for cell in chosen:
        if borders[cell] is None:
            own[cell] = [cell_ring(outlines[cell])]
    flat = [ring for rings in own for ring in rings]
    if not flat:
        return {}
    return {
        "parts": encode_integers([len(rings) for rings in own]),
        "guessed": encode_integers([cell for cell in chosen if borders[cell] is None]),
        "corners": encode_integers([len(ring) for ring in flat]),
        "rings": encode_points(np.concatenate(flat), PER_DEGREE),
        "perDegree": PER_DEGREE,
    }


def outline_data(border: BaseGeometry) -> dict[str, Any]:
    """Return a place's border (x = longitude in degrees) as geometry.js reads it: "rings", "corners", "perDegree"."""
    (shape,) = few_corners([joined(border)], PLACE_CORNERS)
    rings = [ring[:-1] for ring in polygon_rings(shape)]
    return {
        "corners": encode_integers([len(ring) for ring in rings]),
        "rings": encode_points(np.concatenate(rings), PER_DEGREE),
        "perDegree": PER_DEGREE,
    }


def few_corners(shapes: Sequence[Any], most: int) -> list[BaseGeometry]:
    """Simplify (multi)polygons to about `most` corners together at most, and leave out parts too small to see."""
    shapes = [_large_parts(shape) for shape in shapes]
    sizes = np.array([max(np.ptp(shape.bounds[::2]), np.ptp(shape.bounds[1::2]), 1e-9) for shape in shapes])
    tolerance = FINEST
    while True:
        simplified = [_simplify(shape, tolerance * size) for shape, size in zip(shapes, sizes, strict=True)]
        if tolerance >= COARSEST or sum(shapely.get_num_coordinates(simplified)) <= most:
            return simplified
        tolerance *= 2


def _large_parts(shape: BaseGeometry) -> BaseGeometry:
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    areas = shapely.area(parts)
    return shapely.multipolygons([parts[i] for i in np.flatnonzero(areas >= SMALLEST_PART * areas.max())])


def _simplify(shape: BaseGeometry, tolerance: float) -> BaseGeometry:
    simplified: BaseGeometry = shapely.simplify(shape, tolerance)
    return shape if simplified.is_empty else simplified


_SHAPES: WeakKeyDictionary[PlaceTree, dict[int, Mapping[str, Any]]] = WeakKeyDictionary()


def place_shape(tree: PlaceTree, place: int) -> Mapping[str, Any]:
    """Return a place as the map marks it: its name with its border or, if none is known, its cells.

    Each place of a tree is computed once, since simplifying a border takes some milliseconds.
    Raises DataError for a place that does not exist.
    """
    shapes = _SHAPES.setdefault(tree, {})
    if place not in shapes:
        cells, border = tree.cells(place), tree.borders[place]
        shape = {"cells": encode_integers(cells)} if border is None or border.is_empty else outline_data(border)
        shapes[place] = {"name": tree.labels[place], **shape}
    return shapes[place]
