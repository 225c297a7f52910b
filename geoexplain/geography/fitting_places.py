"""Places that fit the size of cells: one that is some hundred kilometres wide is in a region, and in no city."""

import numpy as np

from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree

CITY_KM = 50.0
"""Cells further apart than this, in the median, are larger than cities."""

SMALL_KINDS = ("city",)


def fitting_places(tree: PlaceTree, partition: Partition) -> PlaceTree:
    """A tree that was found by the centres of cells, without its cities where cells are larger than those."""
    return without_kinds(tree, SMALL_KINDS) if partition.spacing_km > CITY_KM else tree


def without_kinds(tree: PlaceTree, kinds: tuple[str, ...]) -> PlaceTree:
    """A tree without the places of some kinds; what these hold is then directly in what holds them."""
    kept = np.array([kind not in kinds for kind in tree.kinds], dtype=bool)
    above = np.append(tree.parents, -1)  # what −1 leads to
    number = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    stays = np.append(kept, True)  # so does −1

    def upwards(places: np.ndarray) -> np.ndarray:
        while not stays[places].all():
            places = np.where(stays[places], places, above[places])
        return number[places]

    rows = np.flatnonzero(kept)
    return PlaceTree(
        tree.name,
        tuple(tree.labels[row] for row in rows),
        tuple(tree.kinds[row] for row in rows),
        upwards(tree.parents[rows]),
        upwards(tree.of_cell),
        tuple(tree.borders[row] for row in rows),
    )
