"""Partitionings by spherical k-means: cells of about equal weight, each the region nearest to its centre.

The finest level assigns coordinates to the nearest of its centres. A coarser level consists of whole cells of the next
finer one, each assigned to the nearest of fewer means, so that every cell lies in exactly one parent.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.geography.addresses.cell_names import NameCells, name_cells, unnamed
from geoexplain.geography.partition import spherical_kmeans, voronoi_outlines
from geoexplain.geography.partitioning import Assign, Partitioning
from geoexplain.geography.ring_polygons import ring_polygon
from geoexplain.geography.sphere import EARTH_RADIUS_KM, degrees, unit_vectors

SAMPLE = 100_000
SAMPLE_PER_CELL = 25
"""Means are computed on a sample of SAMPLE coordinates, or of SAMPLE_PER_CELL per cell if that is more."""

ITERATIONS = 25
WORTH_THREADS = 100_000

DIGITS = 7
"""Decimal places of a centre in degrees, about a centimetre. Tables use the same, so that a partitioning read from a
table assigns coordinates exactly as when it was built."""

SLACK = 1.02
"""An outline extends a little beyond the cell's furthest coordinate, since the disc that cuts it is a polygon."""

SEAM_DEG = 1e-6
"""Corners closer together than this are merged where cells are joined."""


def build_kmeans(
    points_deg: NDArray[np.float64],
    cells: Sequence[int],
    *,
    name: str = "kmeans",
    seed: int = 0,
    name_by: NameCells = name_cells,
    progress: Callable[[int, int], None] | None = None,
) -> Partitioning:
    """Build a partitioning of points (N, 2) in degrees with about `cells` cells per level, given coarse to fine.

    Runs `spherical_kmeans` on a sample of the points that depends on `seed` and not on their order. Empty cells are
    dropped, so there may be fewer than requested. Cells are ordered from south to north; `name_by` sets their labels;
    keys are their numbers. `progress` is called with (rounds done, number of rounds).
    Raises DataError for numbers that do not rise from coarse to fine, and for more cells than points.
    """
    if not cells or cells[0] < 1 or any(fine <= coarse for coarse, fine in pairwise(cells)):
        raise DataError(
            "k-means partitioning: expected numbers of cells from 1 that rise from coarse to fine, got "
            f"{', '.join(map(str, cells)) or 'none'}: write them as 200 2000."
        )
    sample = _sample(points_deg, max(SAMPLE, SAMPLE_PER_CELL * cells[-1]), seed)
    means = []
    for i, count in enumerate(cells):

        def report(step: int, steps: int, before: int = i) -> None:
            if progress is not None:
                progress(before * steps + step, len(cells) * steps)

        centers_of_level = spherical_kmeans(sample, count, seed=seed, iterations=ITERATIONS, progress=report)
        means.append(np.unique(centers_of_level.round(DIGITS), axis=0))
    finest = means[-1]
    chord, owner = _query(_index(finest), points_deg)
    counts = np.bincount(owner, minlength=len(finest))
    furthest = np.zeros(len(finest))
    np.maximum.at(furthest, owner, chord)
    used = counts > 0
    finest, counts, furthest = finest[used], counts[used], furthest[used]
    centers, parents = [finest], []
    tallies = [counts]
    for coarse in means[-2::-1]:
        owner = assign_to_nearest(coarse)(centers[-1])
        parents.append(np.unique(owner, return_inverse=True)[1])
        sums = [np.bincount(parents[-1], weights=tallies[-1] * axis) for axis in unit_vectors(centers[-1]).T]
        centers.append(degrees(np.stack(sums, axis=1)).round(DIGITS))
        tallies.append(np.bincount(parents[-1], weights=tallies[-1]).astype(np.int64))
    borders = _borders(centers, parents, 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(furthest / 2, 1.0)))
    levels = []
    for center, above, drawn in zip(centers, [*parents, None], borders, strict=True):
        levels.append(name_by(unnamed(f"{name}-{len(center)}", center, above, drawn)))
    return Partitioning(
        name=name,
        kind="kmeans",
        levels=tuple(levels),
        keys=tuple(tuple(map(str, range(len(level)))) for level in levels),
        counts=tuple(tallies),
        borders=borders,
        assign=assign_to_nearest(finest),
        settings={"cells": list(map(int, cells)), "seed": seed, "sample": len(sample), "in_no_cell": 0},
    )


def assign_to_nearest(centers_deg: NDArray[np.float64]) -> Assign:
    """Return the rule that assigns a point to the cell with the nearest centre; centres (K, 2) in degrees."""
    return partial(_nearest, _index(centers_deg))


def _index(centers_deg: NDArray[np.float64]) -> KDTree:
    return KDTree(unit_vectors(centers_deg))  # nearest by chord is nearest by great circle


def _nearest(centers: KDTree, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    return _query(centers, points_deg)[1]


def _query(centers: KDTree, points_deg: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the chord length from each point to the nearest centre, and that centre's index."""
    threads = -1 if len(points_deg) > WORTH_THREADS else 1
    chord, nearest = centers.query(unit_vectors(points_deg), workers=threads)
    return chord, nearest.astype(np.int64)


def _sample(points_deg: NDArray[np.float64], count: int, seed: int) -> NDArray[np.float64]:
    in_order = points_deg[np.lexsort(points_deg.T)]
    if len(in_order) <= count:
        return in_order
    return in_order[np.random.default_rng(seed).choice(len(in_order), count, replace=False)]


def _borders(
    centers_deg: Sequence[NDArray[np.float64]],
    parents: Sequence[NDArray[np.int64]],
    furthest_km: NDArray[np.float64],
) -> tuple[tuple[BaseGeometry | None, ...], ...]:
    """Return the borders per level: Voronoi regions cut at their furthest coordinate, then unions of these."""
    rings = voronoi_outlines(centers_deg[0], reach_km=SLACK * furthest_km)
    finest = [ring_polygon(ring, center) for ring, center in zip(rings, centers_deg[0], strict=True)]
    borders: list[list[BaseGeometry | None]] = [[_valid(shape) for shape in finest]]
    for above, finer, coarser in zip(parents, centers_deg, centers_deg[1:], strict=False):
        turn = 360.0 * np.round((coarser[above, 1] - finer[:, 1]) / 360)
        parts: list[list[BaseGeometry]] = [[] for _ in coarser]
        for cell, shape in enumerate(borders[-1]):
            if shape is not None:
                parts[above[cell]].append(translate(shape, turn[cell]) if turn[cell] else shape)
        borders.append([_valid(shapely.union_all(each, grid_size=SEAM_DEG)) for each in parts])
    return tuple(tuple(level) for level in borders)


def _valid(shape: BaseGeometry) -> BaseGeometry | None:
    pieces = shapely.get_parts(shapely.get_parts(shape if shapely.is_valid(shape) else shapely.make_valid(shape)))
    areas = [piece for piece in pieces if piece.geom_type == "Polygon" and piece.area]
    return None if not areas else areas[0] if len(areas) == 1 else shapely.multipolygons(areas)
