"""Coordinates → place names that a person can picture, without a network: "near Lyon, France"."""

from collections.abc import Callable, Sequence

import numpy as np
import shapely
from geopy.exc import GeopyError
from geopy.geocoders import Nominatim
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.gazetteer import Gazetteer, load_gazetteer
from geoexplain.geography.sphere import EARTH_RADIUS_KM, great_circle_km, spherical_mean, unit_vectors

Names = Callable[[NDArray[np.float64]], list[str]]
"""Points (N, 2) in degrees → what they are called, as `place_names` does it."""

LARGE_CITY = 100_000  # inhabitants
NEAR_KM = 100.0
LARGE_CITY_REACH_KM = 300.0
TOWN_REACH_KM = 1500.0
COAST_TOLERANCE_KM = 10.0  # piers, lagoons and islets that the 1:50m coast leaves out still belong to their country
OFFSHORE_KM = 300.0

# A city counts as (distance + 25 km) / inhabitants^0.4: Lyon before its suburb Villeurbanne, yet Orléans before Paris.
CITY_RADIUS_KM = 25.0
POPULATION_WEIGHT = 0.4

WINDS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
WIND_WORDS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")


def place_name(lat_deg: float, lon_deg: float) -> str:
    """Name of one point in degrees: "near Lyon, France", "350 km NW of Tamanrasset, Algeria", "Black Sea, off Turkey".

    Raises DataError for a latitude beyond ±90 or a value that is not finite; longitudes may run past ±180.
    """
    return place_names([[lat_deg, lon_deg]])[0]


def place_names(points_deg: ArrayLike) -> list[str]:
    """Names of N points (N, 2), (latitude, longitude) in degrees; points close together may share a name.

    On land: the nearest city of the same country, cities of 100,000 before smaller towns, larger ones before their
    suburbs, with direction and rough distance beyond 100 km. At sea: the sea, and the country within 300 km.
    Raises DataError for another shape, a latitude beyond ±90, or a value that is not finite.
    """
    points = np.asarray(points_deg, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise DataError(
            f"place names: expected points of shape (N, 2), got {points.shape}; pass (latitude, longitude)."
        )
    if not np.isfinite(points).all() or (np.abs(points[:, 0]) > 90).any():
        raise DataError("place names: expected finite latitudes in [-90, 90], got others; are the columns swapped?")
    if not len(points):
        return []
    gazetteer = load_gazetteer()
    lat, lon = points[:, 0], (points[:, 1] + 180) % 360 - 180
    points = np.stack([lat, lon], axis=1)
    country, coast_km, coast_country = _countries(gazetteer, points)
    names = [""] * len(points)
    for index in np.unique(country):
        rows = np.flatnonzero(country == index)
        if index < 0:
            texts = [_sea_name(gazetteer, points[r], coast_km[r], int(coast_country[r])) for r in rows]
        elif gazetteer.countries[index] == "Antarctica":
            texts = [_antarctic_name(gazetteer, points[r]) for r in rows]
        else:
            texts = _land_names(gazetteer, points[rows], int(index))
        for row, text in zip(rows, texts, strict=True):
            names[row] = text
    return names


def unique_labels(names: Sequence[str], centers_deg: ArrayLike) -> list[str]:
    """The N names, made distinct: labels for the cells of a partition with centres (N, 2) in degrees.

    Names that occur once stay. Others get their direction from the middle of all that share the name, "(north)", if
    that tells each of them apart; else their coordinates, "(24° N, 12° E)"; and, for the rest, a number, "(2)".
    """
    centers = np.asarray(centers_deg, dtype=np.float64).reshape(-1, 2)
    if len(names) != len(centers):
        raise DataError(f"labels: expected one centre for each of {len(names)} names, got {len(centers)}.")
    sharing: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        sharing.setdefault(name, []).append(row)
    labels = list(names)
    for name, rows in sharing.items():
        if len(rows) == 1:
            continue
        hints = _direction_hints(centers[rows])
        if len(set(hints)) < len(rows):
            hints = [_coordinates(lat, lon) for lat, lon in centers[rows]]
        for row, hint in zip(rows, hints, strict=True):
            labels[row] = f"{name} ({hint})"
    return _numbered(labels)


def online_place_name(
    lat_deg: float, lon_deg: float, *, server: str = "nominatim.openstreetmap.org", timeout_s: float = 10.0
) -> str:
    """Address of a point in degrees from a Nominatim server: the only function here that uses the network.

    It tells the server the coordinates, so it is for a person who asked for it; the public server allows one request
    per second. `server` is a host, with "http://" in front for one without TLS.
    Raises DataError when the server cannot be reached in `timeout_s` seconds, refuses, or knows no address there.
    """
    scheme, _, domain = server.rpartition("://")
    try:
        service = Nominatim(
            user_agent="geoexplain (place names by request)",
            domain=domain,
            scheme=scheme or "https",
            timeout=timeout_s,  # type: ignore[arg-type]  # geopy's annotation names only its default
        )
        found = service.reverse((lat_deg, lon_deg), language="en", exactly_one=True)
    except (GeopyError, ValueError) as error:
        raise DataError(
            f"place names: expected an address from {domain}, got {type(error).__name__}; "
            "try again later, or use the offline names."
        ) from error
    if found is None:
        raise DataError(
            f"place names: {domain} knows no address at {lat_deg:.4f}, {lon_deg:.4f}; use the offline name."
        )
    return str(found.address)


def _countries(
    gazetteer: Gazetteer, points: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Country of each point (-1 at sea), distance in km to the nearest border or coast, and whose that is."""
    country = np.full(len(points), -1)
    for turn in (0.0, 360.0):  # countries that the antimeridian cuts go on beyond 180° E
        row, shape = gazetteer.shapes.query(shapely.points(points[:, 1] + turn, points[:, 0]), predicate="intersects")
        country[row] = shape
    chord, nearest = gazetteer.coast.query(unit_vectors(points))
    distance = 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0, 1))
    owner = gazetteer.coast_country[nearest]
    country = np.where((country < 0) & (distance <= COAST_TOLERANCE_KM), owner, country)
    return country, distance, owner


def _land_names(gazetteer: Gazetteer, points: NDArray[np.float64], index: int) -> list[str]:
    country = gazetteer.countries[index]
    cities = gazetteer.cities_of.get(gazetteer.codes[index])
    if cities is None:
        return [country] * len(points)
    names = []
    large = gazetteer.city_population[cities] >= LARGE_CITY
    weight = np.maximum(gazetteer.city_population[cities], 1.0) ** POPULATION_WEIGHT
    for start in range(0, len(points), 256):  # bounds the (points, cities) matrix at 7 MB for China
        block = points[start : start + 256]
        distances = great_circle_km(block[:, None], gazetteer.city_deg[cities][None])
        for point, distance in zip(block, distances, strict=True):
            choice = _choose_city(distance, large, weight)
            if choice is None:
                names.append(country)
                continue
            city = gazetteer.city_deg[cities[choice]]
            name = f"{gazetteer.cities[cities[choice]]}, {country}"
            where = _from_city(city, point, distance[choice])
            names.append(f"{where} {name}" if where else name)
    return names


def _choose_city(distance_km: NDArray[np.float64], large: NDArray[np.bool_], weight: NDArray[np.float64]) -> int | None:
    cost = (distance_km + CITY_RADIUS_KM) / weight
    for fit in (large & (distance_km <= NEAR_KM), distance_km <= NEAR_KM):
        if fit.any():
            return int(np.argmin(np.where(fit, cost, np.inf)))
    for fit in (large & (distance_km <= LARGE_CITY_REACH_KM), distance_km <= TOWN_REACH_KM):
        if fit.any():
            return int(np.argmin(np.where(fit, distance_km, np.inf)))
    return None


def _from_city(city_deg: NDArray[np.float64], point_deg: NDArray[np.float64], distance_km: float) -> str:
    if distance_km <= NEAR_KM:
        return "near"
    step = 50 if distance_km < 1000 else 100
    wind = WINDS[_wind(_bearing_deg(city_deg, point_deg))]
    return f"{step * round(distance_km / step):,} km {wind} of"


def _sea_name(gazetteer: Gazetteer, point: NDArray[np.float64], coast_km: float, coast_country: int) -> str:
    sea = _region(gazetteer, "sea", point) or "open sea"
    return f"{sea}, off {gazetteer.countries[coast_country]}" if coast_km <= OFFSHORE_KM else sea


def _antarctic_name(gazetteer: Gazetteer, point: NDArray[np.float64]) -> str:
    land = _region(gazetteer, "land", point)
    return f"{land}, Antarctica" if land else "Antarctica"


def _region(gazetteer: Gazetteer, kind: str, point: NDArray[np.float64]) -> str | None:
    lat, lon = point
    for its_kind, name, south, west, north, east in gazetteer.regions:
        if its_kind == kind and south <= lat <= north and (lon - west) % 360 <= (east - west):
            return name
    return None


def _bearing_deg(start_deg: NDArray[np.float64], end_deg: NDArray[np.float64]) -> float:
    (lat_1, lon_1), (lat_2, lon_2) = np.radians(start_deg), np.radians(end_deg)
    east = np.cos(lat_2) * np.sin(lon_2 - lon_1)
    north = np.cos(lat_1) * np.sin(lat_2) - np.sin(lat_1) * np.cos(lat_2) * np.cos(lon_2 - lon_1)
    return float(np.degrees(np.arctan2(east, north)))


def _wind(bearing_deg: float) -> int:
    return round(bearing_deg / 45) % 8


def _direction_hints(centers: NDArray[np.float64]) -> list[str]:
    try:
        middle = spherical_mean(centers)
    except DataError:  # antipodes have no middle
        return []
    return [WIND_WORDS[_wind(_bearing_deg(middle, center))] for center in centers]


def _coordinates(lat_deg: float, lon_deg: float) -> str:
    return f"{abs(lat_deg):.0f}° {'N' if lat_deg >= 0 else 'S'}, {abs(lon_deg):.0f}° {'E' if lon_deg >= 0 else 'W'}"


def _numbered(labels: list[str]) -> list[str]:
    taken: set[str] = set(labels)
    seen: set[str] = set()
    result = []
    for label in labels:
        unique, number = label, 1
        while unique in seen or (number > 1 and unique in taken):
            number += 1
            unique = f"{label} ({number})"
        seen.add(unique)
        result.append(unique)
    return result
