"""Name cells consistently with the places that contain them: "near Lyon, France", "Red Sea, off Egypt".

A cell is named after a city of its finest place: of the region where it lies in one, else of the country; one in the
cell, if there is any. Cities that borders on the map put into another country than the gazetteer, where the border is
disputed, name none. A cell at sea is named after its sea, with the country whose coast is near.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.addresses.cell_places import (
    SEAS,
    Indices,
    cell_territories,
    countries_of,
    paths_of,
    with_labels,
)
from geoexplain.geography.addresses.offline import finest_locations
from geoexplain.geography.addresses.territories import Territories, chord, load_territories
from geoexplain.geography.cell_samples import cells_at
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.partition import Partition
from geoexplain.geography.places import choose_city, unique_labels, way_from_city
from geoexplain.geography.sphere import great_circle_km, unit_vectors

OFFSHORE_KM = 300.0
"""Largest distance from the centre of a cell at sea to the coast whose country its name includes."""

NameCells = Callable[[Partition], Partition]
"""A partition → the same with its cells named, as `name_cells` does it."""


def unnamed(
    name: str,
    centers_deg: NDArray[np.float64],
    parents: Indices | None = None,
    borders: tuple[BaseGeometry | None, ...] | None = None,
) -> Partition:
    """Return a Partition whose K labels are numbers until it is named."""
    return Partition(name, tuple(map(str, range(len(centers_deg)))), centers_deg, parents, borders)


def name_cells(partition: Partition) -> Partition:
    """Return the partition with the labels of `cell_names`, extended where needed so that they are unique."""
    return with_labels(partition, unique_labels(cell_names(partition), partition.centers_deg))


def cell_names(partition: Partition) -> list[str]:
    """Return the name of each of K cells; names may repeat. Raises DataError when files are missing or damaged."""
    world, gazetteer = load_territories(), load_gazetteer()
    finest, above = cell_territories(partition), countries_of(world)
    city_deg = gazetteer.city_deg[world.city_rows]
    held_by = cells_at(partition, city_deg)
    holding = paths_of(world)[finest_locations(world, city_deg)[0]]  # (C, D)
    names = [""] * len(partition)
    for place in np.unique(finest).tolist():
        cells = np.flatnonzero(finest == place)
        centers = partition.centers_deg[cells]
        location, country = world.locations[place], world.locations[above[place]].name
        if location.kind in SEAS:
            texts = _sea_names(world, location.name, centers)
        else:
            cities = np.flatnonzero((holding == place).any(axis=1) & (above[world.division] == above[place]))
            texts = [location.name if location.name == country else f"{location.name}, {country}"] * len(cells)
            for row, (cell, center) in enumerate(zip(cells.tolist(), centers, strict=True)):
                own = cities[held_by[cities] == cell]
                texts[row] = _name_by_city(own, center, country) or _name_by_city(cities, center, country) or texts[row]
        for cell, text in zip(cells.tolist(), texts, strict=True):
            names[cell] = text
    return names


def _name_by_city(cities: Indices, center_deg: NDArray[np.float64], country: str) -> str:
    """Return a name after the best of `cities`, rows of `Territories.city_rows`; "" if none is near enough."""
    world, gazetteer = load_territories(), load_gazetteer()
    rows = world.city_rows[cities]
    distance_km = great_circle_km(center_deg, gazetteer.city_deg[rows])
    chosen = choose_city(distance_km, gazetteer.city_population[rows])
    if chosen is None:
        return ""
    way = way_from_city(gazetteer.city_deg[rows[chosen]], center_deg, float(distance_km[chosen]))
    return f"{way} {gazetteer.cities[rows[chosen]]}, {country}"


def _sea_names(world: Territories, sea: str, centers_deg: NDArray[np.float64]) -> list[str]:
    gazetteer = load_gazetteer()
    distance, nearest = gazetteer.coast.query(unit_vectors(centers_deg), distance_upper_bound=chord(OFFSHORE_KM))
    near = np.isfinite(distance)
    shapes = gazetteer.coast_country[np.where(near, nearest, 0)]
    countries = [world.locations[place].name for place in world.territory[world.of_shape[shapes]]]
    return [f"{sea}, off {country}" if close else sea for country, close in zip(countries, near, strict=True)]
