"""Borders of the locations that addresses name: countries, parts of continents, continents, natural regions."""

import threading
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.address import Location
from geoexplain.geography.addresses.natural import load_regions
from geoexplain.geography.addresses.territories import load_territories
from geoexplain.geography.gazetteer import load_gazetteer

_joining = threading.Lock()


def border_of(location: Location, naturalearth: Path | None = None) -> BaseGeometry | None:
    """The (multi)polygon of a location, x = longitude in degrees, which may run past 180; None where none is known.

    Countries are those of Natural Earth 1:50m; parts of continents and continents are joined of them when they are
    first asked for (some 50 ms each) and kept. Cities, regions and seas have none. `naturalearth` is the folder that
    natural regions came from. Raises DataError when files are missing or damaged.
    """
    if naturalearth is not None:
        found = load_regions(naturalearth).shapes.get(location.key)
        if found is not None:
            return found
    if location.kind not in ("country", "subregion", "continent"):
        return None
    with _joining:  # the second of two threads waits for the first instead of joining everything again
        return _joined(location.key)


@lru_cache(maxsize=1024)
def _joined(key: str) -> BaseGeometry | None:
    world, shapes = load_territories(), load_gazetteer().shapes.geometries
    held = [number for number, location in enumerate(world.locations) if location.key == key]
    while True:
        children = np.flatnonzero(np.isin(world.parents, held))
        grown = np.union1d(held, children)
        if len(grown) == len(held):
            break
        held = grown.tolist()
    chosen = shapes[np.isin(world.territory[world.of_shape], held)]
    if not len(chosen):
        return None
    return chosen[0] if len(chosen) == 1 else shapely.union_all(shapely.make_valid(chosen))
