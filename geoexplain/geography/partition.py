"""A partition of the Earth into cells: the classes of a geolocator."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import KDTree, QhullError, SphericalVoronoi
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from geoexplain.errors import DataError
from geoexplain.geography.sphere import EARTH_RADIUS_KM, degrees, destination, great_circle_km, unit_vectors
from geoexplain.words import extremes

LARGEST_DISC_KM = EARTH_RADIUS_KM * np.pi / 2
"""No outline reaches further from its centre than a hemisphere."""

LONGEST_EDGE_DEG = 5.0
"""A border is a great circle; between corners no further apart than this a straight line on the map stands for it."""

REACH = 1.6
"""Of a cell without a border nothing counts that is further from its centre than this many times the median distance
between neighbouring centres: cells on a coast do not claim half an ocean."""

SIMILARITIES_AT_A_TIME = 2**24
"""Entries of the matrix (points, cells) held at once: 64 MiB in float32."""


@dataclass(frozen=True, eq=False)
class Partition:
    """K cells, each with a name and a centre.

    name         identifier of the partition, for messages
    labels       K human-readable names, K ≥ 1
    centers_deg  float64 (K, 2), latitude in [-90, 90] and longitude in [-180, 180] in degrees
    parents      int64 (K,), index of each cell's parent in a coarser partition, or None
    borders      K (multi)polygons, x = longitude in degrees, which may run past ±180, y = latitude; None for a cell
                 whose border is not known, or for all. Borders may hold each other: a city its country's rest.

    Raises DataError when these do not fit together.
    """

    name: str
    labels: tuple[str, ...]
    centers_deg: NDArray[np.float64] = field(repr=False)
    parents: NDArray[np.int64] | None = field(default=None, repr=False)
    borders: tuple[BaseGeometry | None, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.labels), 2)
        if not self.labels:
            raise DataError(f"partition {self.name}: expected at least one cell, got none; rebuild the partition.")
        if self.centers_deg.shape != shape:
            raise DataError(
                f"partition {self.name}: expected one centre for each of {len(self.labels)} labels, shape {shape}, "
                f"got {self.centers_deg.shape}; rebuild the partition."
            )
        lat, lon = self.centers_deg.T
        if not (np.abs(lat) <= 90).all() or not (np.abs(lon) <= 180).all():  # also false for NaN
            raise DataError(
                f"partition {self.name}: expected latitudes in [-90, 90] and longitudes in [-180, 180], "
                f"got {extremes(lat)} and {extremes(lon)}: are the columns swapped?"
            )
        if self.parents is not None and self.parents.shape != shape[:1]:
            raise DataError(
                f"partition {self.name}: expected one parent for each of {shape[0]} cells, "
                f"got shape {self.parents.shape}; rebuild the partition."
            )
        if self.borders is not None and len(self.borders) != shape[0]:
            raise DataError(
                f"partition {self.name}: expected a border, or None, for each of {shape[0]} cells, "
                f"got {len(self.borders)}; rebuild the partition."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def unit_vectors(self) -> NDArray[np.float64]:
        """The cell centres as unit vectors (K, 3)."""
        return unit_vectors(self.centers_deg)

    def nearest(self, lat_deg: float, lon_deg: float) -> int:
        """Index in [0, K) of the cell whose centre is nearest to a point in degrees; of equally near ones the first."""
        return int(np.argmax(self.unit_vectors @ unit_vectors([lat_deg, lon_deg])))

    def nearest_many(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index (N,) of the cell whose centre is nearest to each point (N, 2) in degrees."""
        owner, _ = _assign(unit_vectors(points_deg), self.unit_vectors)
        return owner

    def holding(self, lat_deg: float, lon_deg: float) -> int:
        """Index in [0, K) of the cell of a point in degrees: the smallest whose border holds it, else the nearest."""
        if self.borders is not None:
            turns = shapely.points([lon_deg - 360, lon_deg, lon_deg + 360], [lat_deg] * 3)
            held = np.unique(self._border_index.query(turns, predicate="intersects")[1])
            if len(held):
                sizes = shapely.area(self._border_index.geometries[held])
                return int(held[int(np.argmin(sizes))])
        return self.nearest(lat_deg, lon_deg)

    @cached_property
    def _border_index(self) -> shapely.STRtree:
        return shapely.STRtree([shapely.Point() if border is None else border for border in self.borders or ()])

    @cached_property
    def _outlines(self) -> tuple[NDArray[np.float64], ...]:
        return voronoi_outlines(self.centers_deg)

    def outlines(self) -> list[NDArray[np.float64]]:
        """K closed rings (V, 2) in degrees, as `voronoi_outlines` draws them."""
        return list(self._outlines)

    @cached_property
    def spacing_km(self) -> float:
        """Median distance in km from a centre to its nearest neighbour; infinite for a single cell."""
        return _spacing_km(self.unit_vectors)

    def rings(self) -> list[list[NDArray[np.float64]]]:
        """For each of K cells its closed rings (V, 2) in degrees, latitude first, however far longitudes run.

        Those of its border where one is known, shells counterclockwise on a map and holes clockwise; else the one of
        `outlines`.
        """
        known = self.borders or (None,) * len(self)
        around = self._outlines if any(border is None for border in known) else ()  # a diagram of many cells costs
        return [polygon_rings(border) if border is not None else [around[cell]] for cell, border in enumerate(known)]

    def save(self, path: Path) -> None:
        """Write labels and centres as a CSV table with the columns label, latitude, longitude, and parent if known.

        Centres are rounded to 1e-7 degrees, about a centimetre.
        """
        parents = [[]] * len(self) if self.parents is None else [[parent] for parent in self.parents.tolist()]
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["label", "latitude", "longitude", *([] if self.parents is None else ["parent"])])
            for label, (lat, lon), parent in zip(self.labels, self.centers_deg, parents, strict=True):
                rows.writerow([label, f"{lat:.7f}", f"{lon:.7f}", *parent])


def polygon_rings(shape: BaseGeometry) -> list[NDArray[np.float64]]:
    """The closed rings (V, 2) of a (multi)polygon with x = longitude, latitude first; of them, only holes clockwise."""
    turned = [orient(part) for part in shapely.get_parts(shape) if isinstance(part, Polygon) and not part.is_empty]
    return [shapely.get_coordinates(ring)[:, ::-1] for part in turned for ring in (part.exterior, *part.interiors)]


def hierarchy(finest: Partition, coarser: Sequence[Partition]) -> NDArray[np.int64]:
    """int64 (K, L): the cell of every partition, coarse to fine, that holds each of the K finest cells.

    `coarser` names the next coarser partition first; parents of each partition point into the one after it.
    Raises DataError when one that should have parents has none.
    """
    columns = [np.arange(len(finest))]
    for lower, _ in zip([finest, *coarser], coarser, strict=False):
        if lower.parents is None:
            raise DataError(f"partition {lower.name}: expected the parent of every cell, got none; rebuild it.")
        columns.append(lower.parents[columns[-1]])
    return np.stack(columns[::-1], axis=1)


def voronoi_outlines(
    centers_deg: NDArray[np.float64], reach: float = REACH, reach_km: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], ...]:
    """Outlines of the regions nearest to each centre (K, 2) in degrees: K closed rings (V, 2), (latitude, longitude).

    Longitudes are within 180° of the centre's and so run past ±180 where a cell crosses the antimeridian; only a ring
    around a pole jumps, once, opposite its centre.

    A region is cut at `reach` times the median distance between neighbouring centres, or else each at its own
    `reach_km` (K,). Fewer than four centres, centres all on one
    circle, and coincident centres have no Voronoi diagram: discs then.
    """
    vectors = unit_vectors(centers_deg)
    radii_km = np.full(len(vectors), reach * _spacing_km(vectors)) if reach_km is None else reach_km
    discs = [Point(0, 0).buffer(km, quad_segs=6) for km in np.clip(radii_km, 1.0, LARGEST_DISC_KM)]
    try:
        diagram = SphericalVoronoi(vectors)
        diagram.sort_vertices_of_regions()
    except (ValueError, QhullError):
        around = [np.asarray(disc.exterior.coords) for disc in discs]
        return tuple(_from_plane(center, ring) for center, ring in zip(centers_deg, around, strict=True))
    rings = []
    for center, corners, disc in zip(centers_deg, diagram.regions, discs, strict=True):
        cell = Polygon(_to_plane(center, degrees(_border(diagram.vertices[corners]))))
        clipped = cell.intersection(disc) if cell.is_valid else disc
        shape = clipped if isinstance(clipped, Polygon) and not clipped.is_empty else disc
        rings.append(_from_plane(center, np.asarray(shape.exterior.coords)))
    return tuple(rings)


def _spacing_km(vectors: NDArray[np.float64]) -> float:
    """Median distance from a centre to its nearest neighbour; infinite for a single centre."""
    chords, _ = KDTree(vectors).query(vectors, k=2)
    nearest = float(np.median(chords[:, 1]))
    return 2 * EARTH_RADIUS_KM * float(np.arcsin(min(nearest / 2, 1.0))) if np.isfinite(nearest) else np.inf


def _border(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors along the great circles that join the corners (V, 3) of a region, in their order, around it."""
    pieces = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        angle_deg = np.degrees(np.arccos(np.clip(start @ end, -1, 1)))
        share = np.arange(0, 1, 1 / max(1, np.ceil(angle_deg / LONGEST_EDGE_DEG)))[:, None]
        pieces.append(start * (1 - share) + end * share)
    return np.concatenate(pieces)


def _to_plane(center_deg: NDArray[np.float64], points_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Azimuthal equidistant coordinates (N, 2) in km east and north of the centre (Snyder 1987, p. 195)."""
    lat, lon = np.radians(points_deg.T)
    lat_0, lon_0 = np.radians(center_deg)
    east = np.cos(lat) * np.sin(lon - lon_0)
    north = np.cos(lat_0) * np.sin(lat) - np.sin(lat_0) * np.cos(lat) * np.cos(lon - lon_0)
    distance = great_circle_km(center_deg, points_deg)
    length = np.hypot(east, north)
    scale = np.divide(distance, length, out=np.zeros_like(distance), where=length > 1e-12)
    return np.stack([east * scale, north * scale], axis=-1)


def _from_plane(center_deg: NDArray[np.float64], plane_km: NDArray[np.float64]) -> NDArray[np.float64]:
    east, north = plane_km.T
    ring = destination(center_deg, np.degrees(np.arctan2(east, north)), np.hypot(east, north))
    ring[:, 1] = center_deg[1] + (ring[:, 1] - center_deg[1] + 180) % 360 - 180
    return ring


def spherical_kmeans(
    points_deg: NDArray[np.float64],
    cells: int,
    *,
    seed: int = 0,
    iterations: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Centres (cells, 2) in degrees of spherical k-means over points (N, 2) in degrees, N ≥ `cells` ≥ 1.

    Cosine similarity with means projected back on the sphere (Dhillon & Modha 2001); a cell that loses all its
    points is put on the point worst served. Deterministic for a seed. `progress` hears (step, `iterations`).
    Raises DataError for fewer points than cells, or no cells.
    """
    if not 1 <= cells <= len(points_deg):
        raise DataError(
            f"k-means: expected from 1 to {len(points_deg)} cells, one per point at most, got {cells}: "
            "ask for fewer cells or give more points."
        )
    rng = np.random.default_rng(seed)
    points = unit_vectors(points_deg).astype(np.float32)
    centers = points[rng.choice(len(points), cells, replace=False)]
    for step in range(iterations):
        owner, similarity = _assign(points, centers)
        sums = np.stack([np.bincount(owner, weights=points[:, axis], minlength=cells) for axis in range(3)], axis=1)
        counts = np.bincount(owner, minlength=cells)
        empty = np.flatnonzero(counts == 0)
        sums[empty] = points[np.argsort(similarity)[: len(empty)]]
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        # Antipodes cancel out and have no mean: such a cell stays where it is.
        centers = np.divide(sums, length, out=centers.astype(np.float64), where=length > 1e-6).astype(np.float32)
        if progress is not None:
            progress(step + 1, iterations)
    return degrees(centers)


def _assign(points: NDArray[Any], centers: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    owner = np.empty(len(points), dtype=np.int64)
    similarity = np.empty(len(points), dtype=points.dtype)
    rows = max(1, SIMILARITIES_AT_A_TIME // len(centers))
    for start in range(0, len(points), rows):
        block = points[start : start + rows] @ centers.T
        owner[start : start + rows] = block.argmax(axis=1)
        similarity[start : start + rows] = block.max(axis=1)
    return owner, similarity
