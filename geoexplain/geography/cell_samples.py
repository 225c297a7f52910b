"""Sample the areas of cells with evenly spread points, each of which represents an equal part of its cell."""

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree, QhullError, SphericalVoronoi
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.partition import LARGEST_DISC_KM, REACH, Partition
from geoexplain.geography.sphere import EARTH_RADIUS_KM, destination, unit_vectors

MOST_POINTS = 512_000
FEWEST_PER_CELL, MOST_PER_CELL = 32, 256
"""Bounds for the number of points per cell, which falls with the number of cells."""

SPARE = (2, 16)
"""Factor by which more points are drawn in the disc or box around a cell; the second if too few lie in the cell."""

CANDIDATES_AT_A_TIME = 500_000
SHAPES_AT_A_TIME = 2048
"""Points as shapes: of many more, most of the time goes into memory from the system."""

ROUNDS = 16
"""Number of rounds after which a very thin border gets a single point."""

GOLDEN_ANGLE_DEG = 180 * (3 - 5**0.5)
PLASTIC = 1.3247179572447460
"""Solution of x³ = x + 1; the base of Roberts' sequence of evenly spread points in the plane."""


def sample_cells(partition: Partition, per_cell: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return points (M, 2) in degrees, longitudes in [-180, 180], and the cell (M,) of each, sorted by cell.

    All points of a cell represent equal areas. A cell with a border is the part of it outside smaller borders. A cell
    without one is the region nearest to its centre, outside all borders and within REACH times the median distance
    between neighbouring centres, as maps draw it. A cell without area has its centre as its only point.

    per_cell  about how many points a cell gets; None makes MOST_POINTS of all, within FEWEST_PER_CELL and MOST_PER_CELL
    """
    count = per_cell or int(np.clip(MOST_POINTS // len(partition), FEWEST_PER_CELL, MOST_PER_CELL))
    points, cells = [], []
    left = np.arange(len(partition))
    reach_km = np.zeros(len(partition)) if _bordered(partition).all() else _reach_km(partition)
    for spare in SPARE:
        found = [_own(partition, *drawn) for drawn in _candidates(partition, left, reach_km, spare * count)]
        given, of_cell = (np.concatenate(part) for part in zip(*found, strict=True))
        held = np.bincount(of_cell, minlength=len(partition))
        enough = held >= (count / 4 if spare < SPARE[-1] else 1)
        points.append(given[enough[of_cell]])
        cells.append(of_cell[enough[of_cell]])
        left = left[~enough[left]]
        if not len(left):
            break
    found_cells = np.concatenate([*cells, left])
    order = np.argsort(found_cells, kind="stable")
    return np.concatenate([*points, partition.centers_deg[left]])[order], found_cells[order]


def cells_at(partition: Partition, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cell (N,) whose area, as defined by `sample_cells`, contains each point (N, 2) in degrees, or −1."""
    found = np.full(len(points_deg), -1)
    if partition.borders is not None and _bordered(partition).any():
        found = _smallest_holding(partition, partition.borders, points_deg)
    rows = np.flatnonzero(found < 0)
    chord, nearest = KDTree(partition.unit_vectors).query(unit_vectors(points_deg[rows]))
    near = chord <= 2 * np.sin(_bound_km(partition) / (2 * EARTH_RADIUS_KM))
    found[rows] = np.where(near & ~_bordered(partition)[nearest], nearest, -1)
    return found


def _candidates(
    partition: Partition, cells: NDArray[np.int64], reach_km: NDArray[np.float64], count: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """About `count` points evenly spread over an area that holds each of some cells, and the cell each is meant for."""
    known = _bordered(partition)[cells]
    step = max(1, CANDIDATES_AT_A_TIME // count)
    for start in range(0, int((~known).sum()), step):
        rows = cells[~known][start : start + step]
        discs = _discs(partition.centers_deg[rows], reach_km[rows], count)
        yield discs.reshape(-1, 2), np.repeat(rows, count)
    if partition.borders is not None and known.any():
        boxes = [_inside(border, count) for cell in cells[known] if (border := partition.borders[cell]) is not None]
        yield np.concatenate(boxes), np.repeat(cells[known], [len(points) for points in boxes])


def _bordered(partition: Partition) -> NDArray[np.bool_]:
    """Which of K cells have a border."""
    if partition.borders is None:
        return np.zeros(len(partition), dtype=bool)
    return np.array([border is not None and not border.is_empty for border in partition.borders])


def _own(
    partition: Partition, points_deg: NDArray[np.float64], cells: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of points, those that lie in the cells that they are meant for."""
    own = cells_at(partition, points_deg) == cells
    return points_deg[own], cells[own]


def _reach_km(partition: Partition) -> NDArray[np.float64]:
    """How far from each centre (K,) the points of a cell without a border may lie."""
    vectors, bound = partition.unit_vectors, _bound_km(partition)
    try:
        diagram = SphericalVoronoi(vectors)
    except (ValueError, QhullError):  # fewer than four centres, all on one circle, or two in one place
        return np.full(len(vectors), bound)
    sizes = [len(region) for region in diagram.regions]
    corners = diagram.vertices[np.concatenate(diagram.regions)]
    cosines = (corners * np.repeat(vectors, sizes, axis=0)).sum(axis=1)
    farthest = np.minimum.reduceat(cosines, np.cumsum([0, *sizes[:-1]]))
    return np.minimum(EARTH_RADIUS_KM * np.arccos(np.clip(farthest, -1, 1)), bound)


def _bound_km(partition: Partition) -> float:
    return float(np.clip(REACH * partition.spacing_km, 1.0, LARGEST_DISC_KM))


def _discs(centers_deg: NDArray[np.float64], reach_km: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Points (n, count, 2) in a spiral around each of n centres, equal in area, out to each one's reach (n,) in km."""
    number = np.arange(count) + 0.5
    # The area of a cap grows with the square of the sine of half its angle.
    halves = np.sqrt(number / count) * np.sin(reach_km[:, None] / (2 * EARTH_RADIUS_KM))
    return destination(centers_deg[:, None], number * GOLDEN_ANGLE_DEG, 2 * EARTH_RADIUS_KM * np.arcsin(halves))


def _inside(border: BaseGeometry, count: int) -> NDArray[np.float64]:
    """Of `count` points evenly spread over its box, or more, those inside a border: (n, 2) in degrees, n ≥ 1."""
    west, south, east, north = border.bounds
    low, high = np.sin(np.radians([south, north]))
    found, total = [], 0
    shapely.prepare(border)
    for turn in range(ROUNDS):
        number = np.arange(turn * count, (turn + 1) * count)[:, None]
        across, up = ((number + 0.5) * [1 / PLASTIC, 1 / PLASTIC**2] % 1).T
        lon = west + across * (east - west)
        lat = np.degrees(np.arcsin(np.clip(low + up * (high - low), -1, 1)))
        held = shapely.contains_xy(border, lon, lat)
        found.append(np.stack([lat[held], lon[held]], axis=1))
        total += int(held.sum())
        if total >= count / SPARE[0]:
            break
    if not total:
        point = shapely.point_on_surface(border)
        found.append(np.array([[point.y, point.x]]))
    points = np.concatenate(found)
    points[:, 1] = (points[:, 1] + 180) % 360 - 180
    return points


def _smallest_holding(
    partition: Partition, borders: tuple[BaseGeometry | None, ...], points_deg: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The cell (N,) with the smallest border that holds each point (N, 2); −1 in none."""
    known = np.flatnonzero(_bordered(partition))
    shapes = np.array([borders[cell] for cell in known], dtype=object)
    order = np.argsort(-shapely.area(shapes), kind="stable")
    shapes, known = shapes[order], known[order]
    shapely.prepare(shapes)
    tree = shapely.STRtree(shapes)
    found = np.full(len(points_deg), -1)
    west, _, east, _ = shapely.total_bounds(shapes)
    for turn in (-360.0, 0.0, 360.0):
        near = np.flatnonzero((points_deg[:, 1] + turn >= west) & (points_deg[:, 1] + turn <= east))
        for rows in np.split(near, range(SHAPES_AT_A_TIME, len(near), SHAPES_AT_A_TIME)):
            lat, lon = points_deg[rows, 0], points_deg[rows, 1] + turn
            row, shape = tree.query(shapely.points(lon, lat))
            inside = shapely.intersects_xy(shapes[shape], lon[row], lat[row])
            np.maximum.at(found, rows[row[inside]], shape[inside])  # the last is the smallest
    return np.append(known, -1)[found]
