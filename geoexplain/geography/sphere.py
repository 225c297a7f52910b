"""Vectorised geometry on the sphere: (latitude, longitude) in degrees, distances in kilometres."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError

EARTH_RADIUS_KM = 6371.0
"""Mean Earth radius used by the published geolocation figures (Hays & Efros 2008 and after)."""


def unit_vectors(points_deg: ArrayLike) -> NDArray[np.float64]:
    """Return unit vectors (..., 3) of points (..., 2) in degrees.

    The x axis points to (0°, 0°), y to (0°, 90° E), z to the north pole.
    """
    lat, lon = np.moveaxis(np.radians(np.asarray(points_deg, dtype=np.float64)), -1, 0)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def degrees(vectors: ArrayLike) -> NDArray[np.float64]:
    """Return the points (..., 2) of vectors (..., 3) of any positive length.

    Latitude is in [-90, 90], longitude in [-180, 180], in degrees.
    """
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=np.float64), -1, 0)
    return np.degrees(np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)], axis=-1))


def great_circle_km(a_deg: ArrayLike, b_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the great-circle distance in km between points (..., 2) in degrees that broadcast against each other.

    Haversine form (Sinnott 1984): exact for close points, and for antipodes because its argument is clamped to [0, 1].
    """
    a, b = np.radians(np.asarray(a_deg, dtype=np.float64)), np.radians(np.asarray(b_deg, dtype=np.float64))
    half = np.sin((b - a) / 2) ** 2
    chord = half[..., 0] + np.cos(a[..., 0]) * np.cos(b[..., 0]) * half[..., 1]
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(chord, 0.0, 1.0))))


def spherical_mean(points_deg: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the mean direction (2,) in degrees of points (N, 2), weighted by `weights` (N,) ≥ 0 if they are not None.

    Raises DataError when no mean direction exists: no points, no weight, or points that cancel out (antipodes).
    """
    vectors = unit_vectors(points_deg)
    shares = np.ones(len(vectors)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = shares @ vectors
    if not np.linalg.norm(total) > 1e-12 * shares.sum():
        raise DataError("expected points with a mean direction, got points that cancel out: remove some of them.")
    return degrees(total)


def destination(points_deg: ArrayLike, bearing_deg: ArrayLike, distance_km: ArrayLike) -> NDArray[np.float64]:
    """Return the points at `distance_km` along the great circles that leave points (..., 2) at `bearing_deg`.

    Bearings (...) are in degrees, clockwise from north; distances (...) in km. All arguments broadcast; the result is
    (..., 2) in degrees, longitude in [-180, 180]. At a pole, north is the limit along the point's own meridian.
    """
    start = unit_vectors(points_deg)
    lat, lon = np.moveaxis(np.radians(np.asarray(points_deg, dtype=np.float64)), -1, 0)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=-1)
    bearing = np.radians(np.asarray(bearing_deg, dtype=np.float64))[..., None]
    angle = np.asarray(distance_km, dtype=np.float64)[..., None] / EARTH_RADIUS_KM
    heading = np.cos(bearing) * north + np.sin(bearing) * east
    return degrees(np.cos(angle) * start + np.sin(angle) * heading)
