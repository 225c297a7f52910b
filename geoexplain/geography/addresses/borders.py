"""Borders of the locations that addresses name: countries, parts of continents, continents, natural regions."""

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.address import Location
from geoexplain.geography.addresses.natural import load_regions
from geoexplain.geography.addresses.shipped_borders import FILE, Borders, read_borders
from geoexplain.geography.addresses.territories import load_territories
from geoexplain.geography.gazetteer import WORLD, load_gazetteer

BORDERED = ("country", "subregion", "continent")
"""Kinds of locations whose borders come with the package."""

_joining, _reading = threading.Lock(), threading.Lock()


class BordersByName(Sequence["BaseGeometry | None"]):
    """The borders of M locations by their kinds and names, as `border_of` knows them, read when they are needed."""

    def __init__(self, kinds: Sequence[str], names: Sequence[str]):
        self._named = tuple(zip(kinds, names, strict=True))

    def __len__(self) -> int:
        return len(self._named)

    @overload
    def __getitem__(self, place: int) -> BaseGeometry | None: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[BaseGeometry | None, ...]: ...

    def __getitem__(self, place: int | slice) -> BaseGeometry | tuple[BaseGeometry | None, ...] | None:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(len(self))))
        with _reading:  # the second of two threads waits for the first
            return _borders_by_name().get(self._named[place])


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
    if location.kind not in BORDERED:
        return None
    with _joining:  # the second of two threads waits for the first instead of joining everything again
        return _joined(location.key)


def joined_borders() -> Borders:
    """The borders of all locations that have one, by kind and name, joined anew: what `shipped_borders` writes.

    Raises DataError when files are missing or damaged.
    """
    locations = {(one.kind, one.name): one for one in load_territories().locations if one.kind in BORDERED}
    found = {named: border_of(location) for named, location in locations.items()}
    return {named: border for named, border in found.items() if border is not None}


@lru_cache(maxsize=1)
def _borders_by_name() -> Borders:
    shipped = read_borders(WORLD / FILE)
    return joined_borders() if shipped is None else shipped


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
