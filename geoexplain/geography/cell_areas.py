"""Areas of the cells of a partition, each as points that represent equal parts of its area.

A cell with a border is its inside minus the smaller cells there. Any other cell is the region nearest to its centre,
cut at 0.8 times the distance to its third nearest neighbour, or at the 95 % quantile of that bound over all cells if
this is less. A partition of the land does not describe the sea: without the bound a coastal cell would include half an
ocean, and a lone island more. Where centres are evenly spaced, the bound removes nothing on land, since a cell's
corners lie at about 0.6 of the distance to its neighbours: 0.1 % of random points on or near land are outside the
bounds of the bundled model's cells, and 7 % of 25,000 photos (YFCC25k) are outside those of CERTH's cells, which vary
in size from streets to deserts.
"""

import threading
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, KDTree, QhullError
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.own_borders import own_borders
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import EARTH_RADIUS_KM, unit_vectors

POINTS_IN_ALL, FEWEST_POINTS, MOST_POINTS = 2**18, 64, 1024
"""Number of points of all cells together, and bounds for the number per cell."""

NARROWEST_KM = 0.001
"""Smallest width of a cell: no image can be located more finely than a metre."""

FIRST_TRIES = 192
"""Number of points in a circle that estimate the share of it that a cell fills."""

BOUNDING_NEIGHBOUR, BOUND_SHARE, BOUND_QUANTILE = 3, 0.8, 0.95

NEAREST = 32
"""Number of neighbours that bound a cell without neighbours in the Voronoi diagram."""

CELLS_AT_A_TIME = 1024
COARSE_POINTS = 16
"""Points per cell for cells with little weight."""

GOLDEN = (np.sqrt(5) - 1) / 2

SMALLEST_FILLED = 0.02
"""Share of a circle or a box. In a cell that fills less of it, fewer distinct points are used, each several times."""


@dataclass(frozen=True, eq=False)
class CellAreas:
    """The K cells of a partition as areas.

    points  float32 (K, n, 3), unit vectors, each of which represents 1/n of its cell's area
    coarse  float32 (K, COARSE_POINTS, 3), the same with fewer points
    km2     float64 (K,), area in square kilometres on a sphere of radius 6371 km, accurate to about 1 %
    """

    points: NDArray[np.float32]
    coarse: NDArray[np.float32]
    km2: NDArray[np.float64]

    @cached_property
    def width_km(self) -> NDArray[np.float64]:
        """Diameter in km along the ground of a circle of each cell's area: float64 (K,), at least NARROWEST_KM."""
        whole = 4 * np.pi * EARTH_RADIUS_KM**2
        width_km = 4 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(self.km2 / whole, 0, 1)))
        return np.maximum(width_km, NARROWEST_KM)


_known: WeakKeyDictionary[Partition, CellAreas] = WeakKeyDictionary()
_finding = threading.Lock()


def cell_areas(partition: Partition) -> CellAreas:
    """Return the areas of a partition's cells; computed once per partition and shared by all threads."""
    with _finding:
        if partition not in _known:
            _known[partition] = _areas(partition)
        return _known[partition]


def _areas(partition: Partition) -> CellAreas:
    each = int(np.clip(POINTS_IN_ALL // len(partition), FEWEST_POINTS, MOST_POINTS))
    points, coarse, km2 = _around_centers(partition.unit_vectors, each)
    for cell, border in enumerate(own_borders(partition) if partition.borders is not None else ()):
        if border is not None and not border.is_empty:
            points[cell], km2[cell] = _inside(border, each)
            coarse[cell], _ = _inside(border, COARSE_POINTS)
    return CellAreas(points, coarse, km2)


def _around_centers(
    centers: NDArray[np.float64], each: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Points (K, each, 3), few points and areas (K,) of what lies nearest to each centre (K, 3), within its bound."""
    neighbours, corner = _diagram(centers)
    reach = np.minimum(corner + 1e-9, _bounds(centers))  # radians
    points = np.empty((len(centers), each, 3), np.float32)
    coarse = np.empty((len(centers), COARSE_POINTS, 3), np.float32)
    filled = np.empty(len(centers))
    degree = np.array([len(own) for own in neighbours])
    by_degree = np.argsort(degree, kind="stable")
    for start in range(0, len(centers), CELLS_AT_A_TIME):
        cells = by_degree[start : start + CELLS_AT_A_TIME]
        others = np.array(
            [np.pad(neighbours[cell], (0, degree[cells].max() - degree[cell]), constant_values=cell) for cell in cells]
        )
        between = centers[cells][:, None] - centers[others]  # (k, neighbours, 3); zeros where there are no more
        _, mine = _lattice(centers[cells], reach[cells], np.full(len(cells), FIRST_TRIES), between)
        filled[cells] = np.maximum(mine.mean(axis=1), 1 / FIRST_TRIES)
        for found in (points, coarse):
            tries = np.rint(found.shape[1] / np.maximum(filled[cells], SMALLEST_FILLED)).astype(np.int64)
            found[cells] = _chosen(
                *_lattice(centers[cells], reach[cells], tries, between), centers[cells], found[cells]
            )
    return points, coarse, filled * 2 * np.pi * EARTH_RADIUS_KM**2 * (1 - np.cos(reach))


def _diagram(centers: NDArray[np.float64]) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """For each cell of the Voronoi diagram its neighbours, and how far its farthest corner is, in radians.

    The facets of the convex hull of points on a sphere are their Delaunay triangles, and a facet's normal is a corner
    of the diagram. Cells that are in no facet, being coincident or all on one circle, are held against the nearest.
    """
    count = len(centers)
    corner = np.full(count, np.pi)
    pairs = np.empty((0, 2), np.int64)
    try:
        hull = ConvexHull(centers) if count > 3 else None
    except QhullError:
        hull = None
    if hull is not None:
        radius = np.arccos(np.clip(-hull.equations[:, 3], -1, 1))
        corner = np.zeros(count)
        for side in range(3):
            np.maximum.at(corner, hull.simplices[:, side], radius)
        sides = np.concatenate([hull.simplices[:, [i, j]] for i in range(3) for j in range(3) if i != j])
        pairs = np.unique(sides, axis=0)
    found = np.split(pairs[:, 1], np.searchsorted(pairs[:, 0], np.arange(1, count)))
    alone = np.array([cell for cell, own in enumerate(found) if not len(own)], np.int64)
    if len(alone) and count > 1:
        _, nearest = KDTree(centers).query(centers[alone], k=min(count, NEAREST + 1))
        for cell, others in zip(alone.tolist(), nearest, strict=True):
            found[cell], corner[cell] = others[others != cell], np.pi
    return found, corner


def _bounds(centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each cell may reach, in radians."""
    if len(centers) == 1:
        return np.array([np.pi])
    chords, _ = KDTree(centers).query(centers, k=min(len(centers), BOUNDING_NEIGHBOUR + 1))
    far = BOUND_SHARE * 2 * np.arcsin(np.clip(chords[:, -1] / 2, 0, 1))
    return np.maximum(np.minimum(far, np.quantile(far, BOUND_QUANTILE)), 1e-7)  # coincident centres: a metre


def _lattice(
    centers: NDArray[np.float64], reach: NDArray[np.float64], counts: NDArray[np.int64], between: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """`counts` (k,) points on spirals over the circles of `reach` radians (k,) around unit vectors (k, 3): (k, m, 3).

    And which of them (k, m) are on the near side of every great circle half-way to a neighbour, `between` (k, n, 3)
    being the differences to these. On such a spiral (Vogel 1979) every point has the same area.
    """
    index = np.arange(counts.max())
    turn = 2 * np.pi * GOLDEN * index
    # A circle's area goes with the square of the sine of half its radius, which keeps the digits of a metre.
    share = np.minimum((index + 0.5) / counts[:, None], 1)
    half = np.arcsin(np.sin(reach / 2)[:, None] * np.sqrt(share))
    across = np.cross(centers, np.eye(3)[np.abs(centers).argmin(axis=1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(centers, across)
    aside = across[:, None] * np.cos(turn)[:, None] + up[:, None] * np.sin(turn)[:, None]
    around = centers[:, None] * np.cos(2 * half)[..., None] + aside * np.sin(2 * half)[..., None]
    mine = index < counts[:, None]
    for side in range(between.shape[1]):
        mine &= np.einsum("kmd,kd->km", around, between[:, side]) >= -1e-15  # what is as near to both is in both
    return around, mine


def _chosen(
    around: NDArray[np.float64], mine: NDArray[np.bool_], centers: NDArray[np.float64], like: NDArray[np.float32]
) -> NDArray[np.float32]:
    """As many as `like` (k, n, 3) has of the points (k, m, 3) that are a cell's own; its centre where none is."""
    count, wanted = mine.sum(axis=1), like.shape[1]
    own_first = np.argsort(~mine, axis=1, kind="stable")
    evenly = ((np.arange(wanted) + 0.5) / wanted * np.maximum(count, 1)[:, None]).astype(np.int64)
    points = np.take_along_axis(around, np.take_along_axis(own_first, evenly, axis=1)[..., None], axis=1)
    points[count == 0] = centers[count == 0][:, None]
    return points.astype(np.float32)


def _inside(border: BaseGeometry, each: int) -> tuple[NDArray[np.float32], float]:
    """`each` points (each, 3) evenly over the inside of a border, x = longitude in degrees, and its area in km².

    The sine of the latitude as y keeps areas (Lambert 1772); a border's short edges stay straight enough.
    """
    flat = shapely.transform(border, lambda xy: np.column_stack([np.radians(xy[:, 0]), np.sin(np.radians(xy[:, 1]))]))
    parts = np.array([part for part in shapely.get_parts(flat) if part.geom_type == "Polygon"], dtype=object)
    areas = shapely.area(parts)
    total = float(areas.sum())
    if not total > 0:
        return _lifted(np.repeat(shapely.get_coordinates(shapely.point_on_surface(flat)), each, axis=0)), 0.0
    # Largest first, so that what the rounding of the islands' shares leaves over goes to the mainland.
    order = np.argsort(-areas)
    counts = np.floor(areas[order] / total * each).astype(np.int64)
    counts[0] += each - counts.sum()
    found = [_evenly(part, int(count)) for part, count in zip(parts[order], counts, strict=True) if count]
    return _lifted(np.concatenate(found)), total * EARTH_RADIUS_KM**2


def _evenly(part: shapely.Polygon, count: int) -> NDArray[np.float64]:
    """Points (count, 2), count ≥ 1, evenly over a flat polygon: of a golden lattice over the box around it."""
    west, south, east, north = part.bounds
    tries = round(count / max(part.area / ((east - west) * (north - south)), SMALLEST_FILLED))
    index = np.arange(tries)
    points = np.stack([west + (index + 0.5) / tries * (east - west), south + GOLDEN * index % 1 * (north - south)], 1)
    shapely.prepare(part)
    points = points[shapely.contains_xy(part, points)]
    if not len(points):
        points = shapely.get_coordinates(shapely.point_on_surface(part))
    return points[((np.arange(count) + 0.5) / count * len(points)).astype(np.int64)]


def _lifted(flat: NDArray[np.float64]) -> NDArray[np.float32]:
    lat = np.degrees(np.arcsin(np.clip(flat[:, 1], -1, 1)))
    return unit_vectors(np.stack([lat, np.degrees(flat[:, 0])], axis=1)).astype(np.float32)
