"""A partition of the Earth into cells: the classes of a geolocator."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import SphericalVoronoi
from shapely.geometry import Point, Polygon

from geoexplain.errors import DataError
from geoexplain.geography.sphere import EARTH_RADIUS_KM, degrees, destination, great_circle_km, unit_vectors


@dataclass(frozen=True)
class Partition:
    """K cells, each with a name and a centre.

    labels       K human-readable names
    centers_deg  float64 (K, 2), (latitude, longitude) in degrees
    parents      (K,) index of each cell's parent in a coarser partition, or None
    """

    name: str
    labels: tuple[str, ...]
    centers_deg: NDArray[np.float64] = field(repr=False)
    parents: NDArray[np.int64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.labels), 2)
        if self.centers_deg.shape != shape or not len(self.labels):
            raise DataError(
                f"partition {self.name}: expected one centre for each of {len(self.labels)} labels, shape {shape}, "
                f"got {self.centers_deg.shape}; rebuild the partition."
            )
        lat, lon = self.centers_deg.T
        if not (np.abs(lat) <= 90).all() or not (np.abs(lon) <= 180).all():  # also false for NaN
            raise DataError(
                f"partition {self.name}: expected latitudes in [-90, 90] and longitudes in [-180, 180], "
                "got others; are the columns swapped?"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def unit_vectors(self) -> NDArray[np.float64]:
        """The cell centres as unit vectors (K, 3)."""
        return unit_vectors(self.centers_deg)

    def nearest(self, lat_deg: float, lon_deg: float) -> int:
        """Index of the cell whose centre is nearest to a point in degrees."""
        return int(np.argmax(self.unit_vectors @ unit_vectors([lat_deg, lon_deg])))

    def nearest_many(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index (N,) of the cell whose centre is nearest to each point (N, 2) in degrees."""
        owner, _ = _assign(unit_vectors(points_deg), self.unit_vectors)
        return owner

    @cached_property
    def _outlines(self) -> tuple[NDArray[np.float64], ...]:
        return voronoi_outlines(self.centers_deg)

    def outlines(self) -> list[NDArray[np.float64]]:
        """One ring (V, 2) in degrees per cell; longitudes run on past ±180 so that no ring jumps the antimeridian."""
        return list(self._outlines)

    def save(self, path: Path) -> None:
        """Write the partition as one CSV table: label, latitude, longitude."""
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["label", "latitude", "longitude"])
            for label, (lat, lon) in zip(self.labels, self.centers_deg, strict=True):
                rows.writerow([label, f"{lat:.5f}", f"{lon:.5f}"])


def voronoi_outlines(centers_deg: NDArray[np.float64], reach: float = 1.6) -> tuple[NDArray[np.float64], ...]:
    """Outlines of the regions nearest to each centre (K, 2): K rings (V, 2) in degrees.

    A region is cut at `reach` times the median distance between neighbouring centres, so that cells on a coast do
    not claim half an ocean. Fewer than four cells, or cells all on one circle, have no Voronoi diagram: discs then.
    """
    vectors = unit_vectors(centers_deg)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1.0)
    spacing_km = EARTH_RADIUS_KM * float(np.median(np.arccos(np.clip(cosines.max(axis=1), -1, 1))))
    disc = Point(0, 0).buffer(reach * spacing_km, quad_segs=6)
    try:
        diagram = SphericalVoronoi(vectors)
        diagram.sort_vertices_of_regions()
        regions = [diagram.vertices[region] for region in diagram.regions]
    except (ValueError, IndexError):
        regions = [None] * len(vectors)
    rings = []
    for center, region in zip(centers_deg, regions, strict=True):
        shape = disc
        if region is not None:
            cell = Polygon(_to_plane(center, degrees(region)))
            clipped = cell.intersection(disc) if cell.is_valid else disc
            shape = clipped if clipped.geom_type == "Polygon" and not clipped.is_empty else disc
        rings.append(_from_plane(center, np.asarray(shape.exterior.coords)))
    return tuple(rings)


def _to_plane(center_deg: NDArray[np.float64], points_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Azimuthal equidistant coordinates (N, 2) in km east and north of the centre."""
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
    """Centres (cells, 2) in degrees of spherical k-means over points (N, 2), N ≥ `cells`.

    Cosine similarity with means projected back on the sphere (Dhillon & Modha 2001); a cell that loses all its
    points is put on the point worst served. Deterministic for a seed.
    """
    if len(points_deg) < cells:
        raise DataError(f"k-means: expected at least {cells} points for {cells} cells, got {len(points_deg)}.")
    rng = np.random.default_rng(seed)
    points = unit_vectors(points_deg).astype(np.float32)
    centers = points[rng.choice(len(points), cells, replace=False)]
    for step in range(iterations):
        owner, similarity = _assign(points, centers)
        sums = np.stack([np.bincount(owner, weights=points[:, axis], minlength=cells) for axis in range(3)], axis=1)
        counts = np.bincount(owner, minlength=cells)
        empty = np.flatnonzero(counts == 0)
        sums[empty] = points[np.argsort(similarity)[: len(empty)]]
        centers = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
        if progress is not None:
            progress(step + 1, iterations)
    return degrees(centers)


def _assign(points: NDArray[Any], centers: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    owner = np.empty(len(points), dtype=np.int64)
    similarity = np.empty(len(points), dtype=points.dtype)
    for start in range(0, len(points), 8192):  # bounds the (points, cells) matrix at 64 MB for 2,000 cells
        block = points[start : start + 8192] @ centers.T
        owner[start : start + 8192] = block.argmax(axis=1)
        similarity[start : start + 8192] = block.max(axis=1)
    return owner, similarity
