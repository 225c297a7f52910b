"""Locations that hold one another, and the addresses of points that lie in them."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.words import extremes

SHAPES_AT_A_TIME = 2048
"""Points as shapes: of many more, most of the time goes into memory from the system."""


class Forest:
    """Locations while they are collected, each with the one that holds it; −1 for a root."""

    def __init__(self) -> None:
        self.locations: list[Location] = []
        self.parents: list[int] = []
        self.index: dict[str, int] = {}

    def add(self, kind: str, code: str, name: str, parent: int = -1) -> int:
        """Index of the location with this kind and code, which is added if it is new."""
        key = f"{kind}:{code}"
        if key not in self.index:
            self.index[key] = len(self.locations)
            self.locations.append(Location(key, name, kind))
            self.parents.append(parent)
        return self.index[key]


def addresses_in(
    points_deg: NDArray[np.float64], leaf: NDArray[np.int64], locations: Sequence[Location], parents: NDArray[np.int64]
) -> Addresses:
    """Addresses of N points whose finest locations are `leaf` (N,), −1 for none; of all locations those in use."""
    used, row = np.unique(leaf, return_inverse=True)
    chains = [used]
    while (chains[-1] >= 0).any():
        chains.append(np.where(chains[-1] >= 0, parents[chains[-1]], -1))
    table = np.stack(chains[:-1] or chains, axis=1)
    kept, inverse = np.unique(table, return_inverse=True)
    none = int(bool(len(kept)) and kept[0] < 0)  # −1, if it is there, comes first
    paths = (inverse.reshape(table.shape) - none).astype(np.int32)[row.reshape(-1)]
    return Addresses(points_deg, tuple(locations[i] for i in kept[none:]), paths)


def last_part(tree: shapely.STRtree, owner: NDArray[np.int64], points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    """Owner, of several the greatest, of the polygons that hold each point (N, 2); −1 in none.

    Polygons are prepared; longitudes of both are in [-180, 180].
    """
    found = np.full(len(points_deg), -1)
    for start in range(0, len(points_deg), SHAPES_AT_A_TIME):
        lat, lon = points_deg[start : start + SHAPES_AT_A_TIME].T
        row, part = tree.query(shapely.points(lon, lat))
        inside = shapely.intersects_xy(tree.geometries[part], lon[row], lat[row])
        np.maximum.at(found, start + row[inside], owner[part[inside]])
    return found


def checked_points(points_deg: ArrayLike) -> NDArray[np.float64]:
    """Points (N, 2) in degrees with longitudes in [-180, 180).

    Raises DataError for another shape, a latitude beyond ±90, or a value that is not finite.
    """
    points = np.asarray(points_deg, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise DataError(f"addresses: expected points of shape (N, 2), got {points.shape}; pass (latitude, longitude).")
    if not np.isfinite(points).all() or (np.abs(points[:, 0]) > 90).any():
        raise DataError(
            f"addresses: expected finite latitudes in [-90, 90], got {extremes(points[:, 0])}, and finite "
            f"longitudes, got {extremes(points[:, 1])}: are the columns swapped?"
        )
    return np.stack([points[:, 0], (points[:, 1] + 180) % 360 - 180], axis=1)
