"""Lines on the sphere for a flat map: with continuous longitudes, encoded in few characters."""

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from geoexplain.geography.sphere import degrees, destination, unit_vectors

CORNER_TOLERANCE = 0.03  # relative to the cell's size


def encode_integers(values: ArrayLike) -> str:
    """Encode integers (N,) with |value| < 2³⁰ as printable ASCII: zigzag, groups of five bits, lowest first.

    This is the number format of Google's encoded polyline algorithm.
    """
    signed = np.asarray(values, dtype=np.int64)
    zigzag = (signed << 1) ^ (signed >> 63)
    position = np.arange(7)
    groups = np.maximum(1, (zigzag[:, None] >> (5 * position) > 0).sum(axis=1))
    codes = ((zigzag[:, None] >> (5 * position)) & 31) + np.where(position < groups[:, None] - 1, 32, 0) + 63
    return codes[position < groups[:, None]].astype(np.uint8).tobytes().decode("ascii")


def encode_points(points_deg: NDArray[np.float64], per_degree: int = 100) -> str:
    """Encode points (N, 2) in degrees as differences in steps, in the format of encode_integers.

    per_degree  steps per degree, at most 1,000,000; the default is about a kilometre per step
    """
    steps = np.rint(points_deg * per_degree).astype(np.int64)
    return encode_integers(np.diff(steps, axis=0, prepend=np.zeros((1, 2), np.int64)).ravel())


def cell_ring(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a cell's outline (V, 2) with continuous longitudes and without redundant corners, not closed.

    A ring around a pole runs once around the Earth and keeps its last corner, 360° from its first: geometry.js
    recognises it by that, and closes it along the pole.
    """
    closed = np.concatenate([outline, outline[:1]])
    closed[:, 1] = np.unwrap(closed[:, 1], period=360)
    if abs(closed[-1, 1] - closed[0, 1]) > 180:
        return closed
    narrow = max(np.cos(np.radians(closed[:, 0].mean())), 0.05)
    plane = shapely.LinearRing(closed * [1, narrow])
    size = max(np.ptp(closed[:, 0]), np.ptp(closed[:, 1]) * narrow)
    return shapely.get_coordinates(shapely.simplify(plane, CORNER_TOLERANCE * size))[:-1] / [1, narrow]


def geodesic_circle(center_deg: NDArray[np.float64], radius_km: float) -> NDArray[np.float64]:
    """Return a geodesic circle as a line (181, 2) with continuous longitudes; around a pole it spans 360°."""
    line = destination(center_deg, np.linspace(0, 360, 181), np.full(181, radius_km))
    line[:, 1] = np.unwrap(line[:, 1], period=360)
    # start in the same turn of the Earth as the point, which is drawn once
    line[:, 1] += 360 * np.round((center_deg[1] - line[:, 1].mean()) / 360)
    return line


def great_circle_line(start_deg: NDArray[np.float64], end_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shortest line between two points, (N, 2), with longitudes continuous from the first."""
    start, end = unit_vectors(start_deg), unit_vectors(end_deg)
    if np.linalg.norm(start + end) < 1e-6:  # antipodes: every direction is equally short
        return np.stack([start_deg, end_deg])
    share = np.linspace(0, 1, 65)[:, None]
    line = degrees(start * (1 - share) + end * share)
    line[:, 1] = np.unwrap(np.concatenate([start_deg[1:], line[1:, 1]]), period=360)
    return line
