"""Compute addresses offline: city, region, country, part of the continent, continent; or the sea."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.forest import addresses_in, checked_points, last_part
from geoexplain.geography.addresses.territories import Territories, chord, load_territories, with_territory
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import unit_vectors

COAST_TOLERANCE_KM = 10.0
"""Width of the sea along a coast that belongs to its country: the 1:50m coast omits piers, lagoons and islets."""

REGION_REACH_KM = 250.0
"""Without a city of the country within this distance, an address has no region."""

POINTS_AT_A_TIME = 100_000
"""Limits the memory, apart from the result, to about 50 MB."""


Progress = Callable[[int, int], None] | None
"""Is called with (points done, number of points)."""


def territory_addresses(points_deg: ArrayLike, *, progress: Progress = None) -> Addresses:
    """Return addresses of points (N, 2) in degrees: city → region → country → part of the continent → continent.

    The city is in the same country, and the point lies within its reach (`territories.CITY_REACH_KM`); of several
    cities, the one with the smallest ratio of distance to reach. Without one the address starts with the region of the
    nearest city, or with the country. At sea it is the sea and its ocean. Countries extend 10 km into the sea.
    Borders are those of Natural Earth, except that a city slightly inside a neighbour's land stays in its country.
    Longitudes may exceed ±180. Raises DataError for another shape, a latitude beyond ±90, or a non-finite value.
    """
    points = checked_points(points_deg)
    world = load_territories()
    leaf = in_blocks(lambda block: _leaves(world, block, _territories(world, block), REGION_REACH_KM), points, progress)
    return addresses_in(points, leaf, world.locations, world.parents)


def finest_locations(
    world: Territories, points_deg: NDArray[np.float64], region_reach_km: float = REGION_REACH_KM
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the finest location (N,) of points (N, 2), and whether (N,) each lies inside a border.

    Longitudes are in [-180, 180). Points outside all borders are at sea, on an ice shelf, or in the strip of sea that
    belongs to a country. Points further than `region_reach_km` from the nearest city of their country have no region.
    """
    leaf = np.full(len(points_deg), -1)
    inside = np.zeros(len(points_deg), dtype=bool)
    for start in range(0, len(points_deg), POINTS_AT_A_TIME):
        block = slice(start, start + POINTS_AT_A_TIME)
        territory = _within_borders(world, points_deg[block])
        inside[block] = territory >= 0
        territory = _with_coasts(world, points_deg[block], territory)
        leaf[block] = _leaves(world, points_deg[block], territory, region_reach_km)
    return leaf, inside


def finest_seas(world: Territories, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the sea that contains each point (N, 2), longitudes in [-180, 180): locations (N,), −1 on land."""
    leaf = np.full(len(points_deg), -1)
    at_sea = np.flatnonzero(in_blocks(lambda block: _territories(world, block), points_deg) < 0)
    _into_boxes(world, points_deg, leaf, at_sea, "sea")
    return leaf


def in_blocks(
    find: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    points_deg: NDArray[np.float64],
    progress: Progress = None,
) -> NDArray[np.int64]:
    """Return `find` of points (N, 2), evaluated in blocks: int64 (N,)."""
    found = np.full(len(points_deg), -1)
    for start in range(0, len(points_deg), POINTS_AT_A_TIME):
        block = slice(start, start + POINTS_AT_A_TIME)
        found[block] = find(points_deg[block])
        if progress is not None:
            progress(min(start + POINTS_AT_A_TIME, len(points_deg)), len(points_deg))
    return found


def _territories(world: Territories, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The territory of each point; −1 at sea."""
    return _with_coasts(world, points, _within_borders(world, points))


def _within_borders(world: Territories, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The territory in whose border, or circle, each point lies; −1 in none."""
    territory = last_part(world.parts, world.owner, points)
    centers, reach, owner = world.circles
    distance, nearest = centers.query(unit_vectors(points), distance_upper_bound=reach.max())
    held = np.flatnonzero(np.isfinite(distance))
    held = held[distance[held] <= reach[nearest[held]]]
    territory[held] = owner[nearest[held]]
    return territory


def _with_coasts(world: Territories, points: NDArray[np.float64], territory: NDArray[np.int64]) -> NDArray[np.int64]:
    """The territories of points, and for those in none the territory of a coast that is near enough."""
    outside = np.flatnonzero(territory < 0)
    if not len(outside):
        return territory
    gazetteer = load_gazetteer()
    reach = chord(COAST_TOLERANCE_KM)
    distance, nearest = gazetteer.coast.query(unit_vectors(points[outside]), distance_upper_bound=reach)
    near = np.isfinite(distance)
    found = territory.copy()
    found[outside[near]] = world.of_shape[gazetteer.coast_country[nearest[near]]]
    return found


def _leaves(
    world: Territories, points: NDArray[np.float64], territory: NDArray[np.int64], region_reach_km: float
) -> NDArray[np.int64]:
    """The finest location of each point, of which the territory is known."""
    at_sea = territory < 0
    leaf = np.where(at_sea, -1, world.territory[territory])
    land = np.flatnonzero(~at_sea)
    leaf[land] = _on_land(world, points[land], territory[land], leaf[land], region_reach_km)
    _into_boxes(world, points, leaf, np.flatnonzero(at_sea), "sea")
    _into_boxes(world, points, leaf, np.flatnonzero(leaf == world.antarctica), "land")
    return leaf


def _on_land(
    world: Territories,
    points: NDArray[np.float64],
    territory: NDArray[np.int64],
    country: NDArray[np.int64],
    region_reach_km: float,
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
        distance, nearest = world.all_cities.query(vectors[far], distance_upper_bound=chord(region_reach_km))
        found = np.isfinite(distance)
        leaf[far[found]] = world.division[nearest[found]]
    return leaf


def _into_boxes(
    world: Territories, points: NDArray[np.float64], leaf: NDArray[np.int64], rows: NDArray[np.int64], kind: str
) -> None:
    """Set the leaves at `rows` to the first box of that kind that holds each point."""
    for location, (its_kind, _, south, west, north, east) in zip(world.boxes, load_gazetteer().regions, strict=True):
        if its_kind != kind or not len(rows):
            continue
        lat, lon = points[rows].T
        inside = (south <= lat) & (lat <= north) & ((lon - west) % 360 <= east - west)
        leaf[rows[inside]] = location
        rows = rows[~inside]
