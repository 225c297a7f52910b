"""The places that a partition's cells lie in, from the addresses of their centres."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.natural import natural_addresses
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.hierarchy import build_hierarchy
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree

TERRITORY, NATURE = "territory", "nature"


def place_trees(partition: Partition, naturalearth: Path | None = None) -> tuple[PlaceTree, ...]:
    """The places of a partition's K cells: the territorial tree, and the natural one with a folder of Natural Earth.

    A cell lies where its centre does. Borders are filled in for countries, parts of continents, continents and natural
    regions. Raises DataError when files are missing or damaged.
    """
    trees = [tree_of(territory_addresses(partition.centers_deg), border_of, TERRITORY)]
    if naturalearth is not None:
        addresses = natural_addresses(partition.centers_deg, naturalearth)
        trees.append(tree_of(addresses, partial(border_of, naturalearth=naturalearth), NATURE))
    return tuple(trees)


def tree_of(addresses: Addresses, borders: Callable[[Location], BaseGeometry | None], name: str) -> PlaceTree:
    """The tree of the locations that N addresses name, one cell per address, as the hierarchy of them has it.

    Locations that hold no address are left out. `borders` is asked for the outline of each of the others.
    """
    hierarchy = build_hierarchy(addresses)
    used = np.flatnonzero(hierarchy.images)
    number = np.append(np.full(len(hierarchy), -1), -1)  # −1 stays −1
    number[used] = np.arange(len(used))
    locations = [hierarchy.locations[i] for i in used]
    return PlaceTree(
        name,
        tuple(location.name for location in locations),
        tuple(location.kind for location in locations),
        number[hierarchy.parents[used]],
        number[hierarchy.finest],
        tuple(borders(location) for location in locations),
    )
