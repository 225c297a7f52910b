"""A partition divides the Earth into cells, the classes of a geolocator."""

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
"""Largest radius of an outline: a hemisphere."""

LONGEST_EDGE_DEG = 5.0
"""Borders are great circles; a straight line on the map replaces an arc of at most this length."""

REACH = 1.6
"""Radius at which a cell without a border is cut, in median distances between neighbouring centres. Without it cells on
a coast would claim half an ocean."""

SIMILARITIES_AT_A_TIME = 2**24
"""Entries of the (points, cells) matrix that are computed at once: 64 MiB in float32."""


@dataclass(frozen=True, eq=False)
class Partition:
    """K cells, each with a label and a centre.

    name         identifier of the partition, for messages
    labels       K human-readable names, K ≥ 1
    centers_deg  float64 (K, 2), latitude in [-90, 90] and longitude in [-180, 180] in degrees
    parents      int64 (K,), index of each cell's parent in a coarser partition, or None
    borders      K (multi)polygons, x = longitude in degrees, which may exceed ±180, y = latitude; None for a cell with
                 an unknown border, or for all. Borders may contain each other: a country's contains its cities'.

    Raises DataError when these fields do not fit together.
    """

    name: str
    labels: tuple[str, ...]
    centers_deg: NDArray[np.float64] = field(repr=False)
    parents: NDArray[np.int64] | None = field(default=None, repr=False)
    borders: tuple[BaseGeometry | None, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.labels), 2)
        if not self.labels:
            raise DataError(f"partition {self.name}: expected at least one cell, got none: rebuild the partition.")
        if self.centers_deg.shape != shape:
            raise DataError(
                f"partition {self.name}: expected one centre for each of {len(self.labels)} labels, shape {shape}, "
                f"got {self.centers_deg.shape}: rebuild the partition."
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
                f"got shape {self.parents.shape}: rebuild the partition."
            )
        if self.borders is not None and len(self.borders) != shape[0]:
            raise DataError(
                f"partition {self.name}: expected a border, or None, for each of {shape[0]} cells, "
                f"got {len(self.borders)}: rebuild the partition."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def unit_vectors(self) -> NDArray[np.float64]:
        """Cell centres as unit vectors (K, 3)."""
        return unit_vectors(self.centers_deg)

    def nearest(self, lat_deg: float, lon_deg: float) -> int:
        """Return the index in [0, K) of the cell whose centre is nearest to a point in degrees; the first of ties."""
        return int(np.argmax(self.unit_vectors @ unit_vectors([lat_deg, lon_deg])))

    def nearest_many(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the indices (N,) of the cells whose centres are nearest to points (N, 2) in degrees."""
        owner, _ = _assign(unit_vectors(points_deg), self.unit_vectors)
        return owner

    def cell_at(self, lat_deg: float, lon_deg: float) -> int:
        """Return the index in [0, K) of the cell of a point in degrees.

        It is the smallest cell whose border contains the point; if none does, the cell with the nearest centre.
        """
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
        """Return K closed rings (V, 2) in degrees, computed by `voronoi_outlines`."""
        return list(self._outlines)

    @cached_property
    def spacing_km(self) -> float:
        """Median distance in km from a centre to the nearest other centre; infinite for a single cell."""
        return _spacing_km(self.unit_vectors)

    def rings(self) -> list[list[NDArray[np.float64]]]:
        """Return the closed rings (V, 2) of each of K cells in degrees, latitude first; longitudes may exceed ±180.

        A cell with a known border has the rings of that border, shells counterclockwise on a map and holes clockwise.
        Any other cell has its ring from `outlines`.
        """
        borders = self.borders or (None,) * len(self)
        # Computed only if needed: the Voronoi diagram of many cells takes long.
        outlines = self._outlines if any(border is None for border in borders) else ()
        return [
            polygon_rings(border) if border is not None else [outlines[cell]] for cell, border in enumerate(borders)
        ]

    def save(self, path: Path) -> None:
        """Write a CSV table with the columns label, latitude, longitude, and parent if the parents are known.

        Centres are rounded to 1e-7 degrees, about a centimetre.
        """
        parents = [[]] * len(self) if self.parents is None else [[parent] for parent in self.parents.tolist()]
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["label", "latitude", "longitude", *([] if self.parents is None else ["parent"])])
            for label, (lat, lon), parent in zip(self.labels, self.centers_deg, parents, strict=True):
                rows.writerow([label, f"{lat:.7f}", f"{lon:.7f}", *parent])


def polygon_rings(shape: BaseGeometry) -> list[NDArray[np.float64]]:
    """Return the closed rings (V, 2), latitude first, of a (multi)polygon with x = longitude.

    Shells run counterclockwise on a map, holes clockwise.
    """
    oriented = [orient(part) for part in shapely.get_parts(shape) if isinstance(part, Polygon) and not part.is_empty]
    return [shapely.get_coordinates(ring)[:, ::-1] for part in oriented for ring in (part.exterior, *part.interiors)]


def hierarchy(finest: Partition, coarser: Sequence[Partition]) -> NDArray[np.int64]:
    """Return int64 (K, L): for each of K finest cells, the cell of every partition that contains it, coarse to fine.

    `coarser` starts with the next coarser partition; the parents of each partition point into the one after it.
    Raises DataError when a partition that needs parents has none.
    """
    columns = [np.arange(len(finest))]
    for lower, _ in zip([finest, *coarser], coarser, strict=False):
        if lower.parents is None:
            raise DataError(f"partition {lower.name}: expected the parent of every cell, got none: rebuild it.")
        columns.append(lower.parents[columns[-1]])
    return np.stack(columns[::-1], axis=1)


def voronoi_outlines(
    centers_deg: NDArray[np.float64], reach: float = REACH, reach_km: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], ...]:
    """Return outlines of the regions nearest to each centre (K, 2) in degrees: K closed rings (V, 2), latitude first.

    Longitudes lie within 180° of the centre's and so exceed ±180 where a cell crosses the antimeridian. Only a ring
    around a pole jumps, once, opposite its centre.

    Each region is cut at `reach` times the median distance between neighbouring centres, or at its own `reach_km` (K,)
    if that is not None. Fewer than four centres, centres all on one circle, and coincident centres have no Voronoi
    diagram; their outlines are discs.
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
    """Return the median distance from a centre to the nearest other centre; infinite for a single centre."""
    chords, _ = KDTree(vectors).query(vectors, k=2)
    nearest = float(np.median(chords[:, 1]))
    return 2 * EARTH_RADIUS_KM * float(np.arcsin(min(nearest / 2, 1.0))) if np.isfinite(nearest) else np.inf


def _border(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors along the great circles that join the corners (V, 3) of a region in their order."""
    pieces = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        angle_deg = np.degrees(np.arccos(np.clip(start @ end, -1, 1)))
        share = np.arange(0, 1, 1 / max(1, np.ceil(angle_deg / LONGEST_EDGE_DEG)))[:, None]
        pieces.append(start * (1 - share) + end * share)
    return np.concatenate(pieces)


def _to_plane(center_deg: NDArray[np.float64], points_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return azimuthal equidistant coordinates (N, 2) in km east and north of the centre (Snyder 1987, p. 195)."""
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
    """Return the centres (cells, 2) in degrees of spherical k-means over points (N, 2) in degrees, N ≥ `cells` ≥ 1.

    Uses cosine similarity, with means projected back onto the sphere (Dhillon & Modha 2001). A cell that loses all its
    points moves to the point that is least similar to its centre. The result is deterministic for a seed. `progress`
    is called with (step, `iterations`).
    Raises DataError for fewer points than cells, or no cells.
    """
    if not 1 <= cells <= len(points_deg):
        raise DataError(
            f"k-means: expected from 1 to {len(points_deg)} cells, one per point at most, got {cells}: "
            "request fewer cells or give more points."
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
        # Antipodes cancel out and have no mean: such a centre does not move.
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
