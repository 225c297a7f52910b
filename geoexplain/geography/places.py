"""Describe places by cities, "350 km NW of Tamanrasset", and make labels of cells unique."""

from collections.abc import Sequence

import numpy as np
from geopy.exc import GeopyError
from geopy.geocoders import Nominatim
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.sphere import spherical_mean
from geoexplain.words import exact_km, position

LARGE_CITY = 100_000  # inhabitants
NEAR_KM = 100.0
LARGE_CITY_REACH_KM = 300.0
TOWN_REACH_KM = 1500.0

# A city counts as (distance + 25 km) / inhabitants^0.4: Lyon before its suburb Villeurbanne, yet Orléans before Paris.
CITY_RADIUS_KM = 25.0
POPULATION_WEIGHT = 0.4

WINDS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
WIND_WORDS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")


def choose_city(distance_km: NDArray[np.float64], population: NDArray[np.float64]) -> int | None:
    """Return the index of the city that describes a place best, from C distances (C,) in km and populations (C,).

    Within 100 km, cities of 100,000 come before smaller towns and large cities before their suburbs. Otherwise it is
    the nearest city of 100,000 within 300 km, or else the nearest town within 1,500 km. None if there is none.
    """
    large = population >= LARGE_CITY
    cost = (distance_km + CITY_RADIUS_KM) / np.maximum(population, 1.0) ** POPULATION_WEIGHT
    for fit in (large & (distance_km <= NEAR_KM), distance_km <= NEAR_KM):
        if fit.any():
            return int(np.argmin(np.where(fit, cost, np.inf)))
    for fit in (large & (distance_km <= LARGE_CITY_REACH_KM), distance_km <= TOWN_REACH_KM):
        if fit.any():
            return int(np.argmin(np.where(fit, distance_km, np.inf)))
    return None


def way_from_city(city_deg: NDArray[np.float64], point_deg: NDArray[np.float64], distance_km: float) -> str:
    """Describe the position of a point relative to a city at `distance_km`: "near" up to 100 km, else "350 km W of"."""
    if distance_km <= NEAR_KM:
        return "near"
    step = 50 if distance_km < 1000 else 100
    wind = WINDS[_wind(_bearing_deg(city_deg, point_deg))]
    return f"{exact_km(step * round(distance_km / step))} {wind} of"


def unique_labels(names: Sequence[str], centers_deg: ArrayLike) -> list[str]:
    """Return N unique labels from the names of cells with centres (N, 2) in degrees.

    Names that occur once stay unchanged. Others get their direction from the middle of all cells with that name,
    "(north)", if that makes them unique; else their coordinates, "(24° N, 12° E)"; and finally a number, "(2)".
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
            hints = [position(lat, lon, digits=0) for lat, lon in centers[rows]]
        for row, hint in zip(rows, hints, strict=True):
            labels[row] = f"{name} ({hint})"
    return _numbered(labels)


def online_place_name(
    lat_deg: float, lon_deg: float, *, server: str = "nominatim.openstreetmap.org", timeout_s: float = 10.0
) -> str:
    """Request the address of a point in degrees from a Nominatim server: the only function here that uses the network.

    It sends the coordinates to the server, so call it only when the user requests it; the public server allows one
    request per second. `server` is a host, with "http://" in front for one without TLS.
    Raises DataError when the server cannot be reached in `timeout_s` seconds, refuses, or has no address there.
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
