"""Addresses from what comes with the package: city, region, country, part of the continent, continent; or the sea."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.territories import (
    Territories,
    chord,
    load_territories,
    owners_of,
    with_territory,
)
from geoexplain.geography.gazetteer import Gazetteer, load_gazetteer
from geoexplain.geography.places import COAST_TOLERANCE_KM
from geoexplain.geography.sphere import unit_vectors

REGION_REACH_KM = 250.0
"""No city of the country so near: the region is left open."""

POINTS_AT_A_TIME = 200_000
"""Bounds the memory beside the result at some 100 MB."""


def territory_addresses(points_deg: ArrayLike) -> Addresses:
    """Addresses of points (N, 2) in degrees: city → region → country → part of the continent → continent.

    The city is that of the same country in whose reach (`CITY_REACH_KM`) the point lies, of several the one with the
    least distance in terms of its reach; without one the address begins with the region of the nearest city, or with
    the country. At sea: the sea and its ocean. Countries reach 10 km out to sea, as for `place_names`.
    Longitudes may run past ±180. Raises DataError for another shape, a latitude beyond ±90, or a value not finite.
    """
    points = checked_points(points_deg)
    world = load_territories()
    leaves = [_leaves(world, points[i : i + POINTS_AT_A_TIME]) for i in range(0, len(points), POINTS_AT_A_TIME)]
    leaf = np.concatenate([np.empty(0, dtype=np.int64), *leaves])
    used, row = np.unique(leaf, return_inverse=True)
    chains = [used]
    while (chains[-1] >= 0).any():
        chains.append(np.where(chains[-1] >= 0, world.parents[chains[-1]], -1))
    table = np.stack(chains[:-1] or [used], axis=1)
    kept, inverse = np.unique(table, return_inverse=True)  # −1, if it is there, comes first
    skipped = int(bool(len(kept)) and kept[0] < 0)
    paths = (inverse.reshape(table.shape) - skipped).astype(np.int32)[row.reshape(-1)]
    return Addresses(points, tuple(world.locations[i] for i in kept[skipped:]), paths)


def checked_points(points_deg: ArrayLike) -> NDArray[np.float64]:
    """Points (N, 2) in degrees with longitudes in [-180, 180).

    Raises DataError for another shape, a latitude beyond ±90, or a value that is not finite.
    """
    points = np.asarray(points_deg, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise DataError(f"addresses: expected points of shape (N, 2), got {points.shape}; pass (latitude, longitude).")
    if not np.isfinite(points).all() or (np.abs(points[:, 0]) > 90).any():
        raise DataError("addresses: expected finite latitudes in [-90, 90], got others; are the columns swapped?")
    return np.stack([points[:, 0], (points[:, 1] + 180) % 360 - 180], axis=1)


def _leaves(world: Territories, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The finest location of each point."""
    gazetteer = load_gazetteer()
    vectors = unit_vectors(points)
    territory = owners_of(world.parts, world.owner, points)
    for center, reach, owner in zip(*world.tiny, strict=True):
        territory[((vectors - center) ** 2).sum(axis=1) <= reach] = owner
    outside = np.flatnonzero(territory < 0)
    if len(outside):
        distance, nearest = gazetteer.coast.query(vectors[outside], distance_upper_bound=chord(COAST_TOLERANCE_KM))
        near = np.isfinite(distance)
        territory[outside[near]] = world.of_shape[gazetteer.coast_country[nearest[near]]]
    at_sea = territory < 0
    leaf = np.where(at_sea, -1, world.territory[territory])
    land = np.flatnonzero(~at_sea)
    leaf[land] = _on_land(world, points[land], territory[land], leaf[land])
    _in_boxes(world, gazetteer, points, leaf, np.flatnonzero(at_sea), "sea")
    antarctic = np.flatnonzero([location.key == "continent:Antarctica" for location in world.locations])
    _in_boxes(world, gazetteer, points, leaf, np.flatnonzero(leaf == antarctic), "land")
    return leaf


def _on_land(
    world: Territories, points: NDArray[np.float64], territory: NDArray[np.int64], country: NDArray[np.int64]
) -> NDArray[np.int64]:
    vectors = with_territory(points, territory)
    best = np.full(len(points), np.inf)
    city = np.full(len(points), -1)
    for reach_km, tree, members in world.city_trees:
        distance, nearest = tree.query(vectors, distance_upper_bound=chord(reach_km))
        share = distance / reach_km
        better = np.flatnonzero(share < best)
        best[better], city[better] = share[better], members[nearest[better]]
    leaf = np.where(city >= 0, world.cities[city], country)
    far = np.flatnonzero(city < 0)
    if len(far):
        distance, nearest = world.all_cities.query(vectors[far], distance_upper_bound=chord(REGION_REACH_KM))
        found = np.isfinite(distance)
        leaf[far[found]] = world.division[nearest[found]]
    return leaf


def _in_boxes(
    world: Territories,
    gazetteer: Gazetteer,
    points: NDArray[np.float64],
    leaf: NDArray[np.int64],
    rows: NDArray[np.int64],
    kind: str,
) -> None:
    """Put the points at `rows` into the first box of that kind that holds them."""
    for number, (its_kind, _, south, west, north, east) in enumerate(gazetteer.regions):
        if its_kind != kind or not len(rows):
            continue
        lat, lon = points[rows].T
        inside = (south <= lat) & (lat <= north) & ((lon - west) % 360 <= east - west)
        leaf[rows[inside]] = world.regions[number]
        rows = rows[~inside]
