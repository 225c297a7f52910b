"""The places that a partition's cells lie in, by their shares of each cell's land.

A cell belongs to the country that holds more of its land than any other, and to a region or a city of that country if
this holds at least half of the land: with less, the answer would claim more than the cell can tell. What holds the
country holds the cell.

Land is what lies inside a border, lakes included, and the ice shelves of Antarctica. A cell with land is never at sea,
be it ever so little: land is what pictures are taken of, and of a cell around islands hardly a hundredth is land. A
cell without land, and without a coast, belongs to the sea that holds most of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.address import Location
from geoexplain.geography.addresses.borders import BordersByName, border_of
from geoexplain.geography.addresses.forest import checked_points
from geoexplain.geography.addresses.natural import load_regions, natural_leaves
from geoexplain.geography.addresses.offline import finest_locations
from geoexplain.geography.addresses.territories import Territories, load_territories
from geoexplain.geography.cell_samples import cells_at, sample_cells
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.sphere import degrees

TERRITORY, NATURE = "territory", "nature"

SEAS = ("sea", "ocean")

REGION_REACH_KM = 100.0
"""Regions are told by the nearest city; of a point further from it than this, across a gulf or a desert, none is."""

CITY_KM = 50.0
"""Cells further apart than this, in the median, are larger than cities, and in none."""

Indices = NDArray[np.int64]

# As long as a partition lives: its labels and its tree need the same.
_found: WeakKeyDictionary[Partition, Indices] = WeakKeyDictionary()


def place_trees(partition: Partition, naturalearth: Path | None = None) -> tuple[PlaceTree, ...]:
    """The places of a partition's K cells: the territorial tree, and the natural one with a folder of Natural Earth.

    Borders are known of countries, parts of continents, continents and natural regions. Raises DataError when files
    are missing or damaged.
    """
    trees = [territory_tree(partition)]
    if naturalearth is not None:
        trees.append(nature_tree(partition, naturalearth))
    return tuple(trees)


def territory_tree(partition: Partition) -> PlaceTree:
    """The countries, regions, cities and seas of a partition's K cells, by the rule in the text of this module."""
    world = load_territories()

    def borders(held: Sequence[Location]) -> Sequence[BaseGeometry | None]:
        return BordersByName([one.kind for one in held], [one.name for one in held])

    return tree_of(TERRITORY, world.locations, world.parents, cell_territories(partition), borders)


def nature_tree(partition: Partition, naturalearth: Path) -> PlaceTree:
    """The natural regions of a partition's K cells, or their seas, from a folder of Natural Earth's files.

    Of the kinds of regions that one counts which holds most of a cell's land, unless more of it is of no kind; of its
    regions one that holds half of the land. Raises DataError as `load_regions` does.
    """
    regions = load_regions(naturalearth)
    points, cells, _ = _counted_points(load_territories(), partition)
    leaf = natural_leaves(regions, points)
    finest = largest_shares(cells, leaf, regions.parents, _paths(regions.parents)[:, 0], len(partition))

    def borders(held: Sequence[Location]) -> Sequence[BaseGeometry | None]:
        return tuple(border_of(location, naturalearth) for location in held)

    return tree_of(NATURE, regions.locations, regions.parents, finest, borders)


def cell_territories(partition: Partition) -> Indices:
    """The finest of the locations of `load_territories` that each of K cells belongs to: int64 (K,), none −1."""
    if partition not in _found:
        world = load_territories()
        _, cells, leaf = _counted_points(world, partition)
        finest = largest_shares(cells, leaf, world.parents, countries_of(world), len(partition))
        if partition.spacing_km > CITY_KM:
            is_city = np.array([location.kind == "city" for location in world.locations])
            finest = np.where(is_city[finest], world.parents[finest], finest)
        _found[partition] = finest
    return _found[partition]


def with_labels(partition: Partition, labels: Sequence[str]) -> Partition:
    """A partition with other labels (K,), whose places need not be found again."""
    relabelled = replace(partition, labels=tuple(labels))
    _found[relabelled] = cell_territories(partition)
    return relabelled


def largest_shares(cells: Indices, leaf: Indices, parents: Indices, rivals: Indices, count: int) -> Indices:
    """The location that each of `count` cells belongs to, by its points: int64 (count,), −1 for none.

    cells    int64 (M,), the cell of each point; every cell has one
    leaf     int64 (M,), the finest location of each point, −1 for none
    parents  int64 (L,), the location that holds each; −1 for a root
    rivals   int64 (L,), for each location the one among itself and those above that competes for the cell

    Of the rivals, and of none, the one with most of a cell's points wins, of equal ones the first. In the winner, and
    so on downwards, the cell belongs to the location that holds at least half of all its points.
    """
    finest, _ = _most_frequent(cells, np.append(rivals, -1)[leaf], count)
    points = np.bincount(cells, minlength=count)
    for above in _paths(parents).T:  # coarse to fine
        place, often = _most_frequent(cells, np.append(above, -1)[leaf], count)
        step = (place >= 0) & (parents[place] == finest) & (finest >= 0) & (2 * often >= points)
        finest = np.where(step, place, finest)
    return finest


def tree_of(
    name: str,
    locations: Sequence[Location],
    parents: Indices,
    finest: Indices,
    borders: Callable[[Sequence[Location]], Sequence[BaseGeometry | None]],
) -> PlaceTree:
    """The tree of the finest locations (K,) of cells, −1 for none, and of all that hold these, coarse to fine.

    locations  L locations, `parents` int64 (L,) what holds each
    borders    gives the outlines of the locations of the tree
    """
    paths = _paths(parents)
    used = np.unique(paths[finest[finest >= 0]])
    used = used[used >= 0]
    number = np.full(len(locations) + 1, -1)  # −1 stays −1
    number[used] = np.arange(len(used))
    held = [locations[i] for i in used]
    return PlaceTree(
        name,
        tuple(location.name for location in held),
        tuple(location.kind for location in held),
        number[parents[used]],
        number[finest],
        borders(held),
    )


def _counted_points(world: Territories, partition: Partition) -> tuple[NDArray[np.float64], Indices, Indices]:
    """The points (N, 2) by which a partition's cells are placed, the cell (N,) and the finest location (N,) of each.

    They are the points of a cell's area on land; of a cell without any the points of coasts in it, which finds the
    islands between the points of its area; of a cell without either all points of its area.
    """
    points, cells = sample_cells(partition)
    points = checked_points(points)
    leaf, inside = finest_locations(world, points, REGION_REACH_KM)
    dry = inside | (paths_of(world)[leaf, 0] == world.antarctica)
    land = np.bincount(cells[dry], minlength=len(partition)) > 0
    coast = np.empty((0, 2)) if land.all() else degrees(load_gazetteer().coast.data)
    of_coast = cells_at(partition, coast)
    rows = np.flatnonzero((of_coast >= 0) & ~land[of_coast])
    shore = np.bincount(of_coast[rows], minlength=len(partition)) > 0
    counted = np.where(land[cells], dry, ~shore[cells])
    coast_leaf, _ = finest_locations(world, coast[rows], REGION_REACH_KM)
    return (
        np.concatenate([points[counted], coast[rows]]),
        np.concatenate([cells[counted], of_coast[rows]]),
        np.concatenate([leaf[counted], coast_leaf]),
    )


@lru_cache(maxsize=1)
def paths_of(world: Territories) -> Indices:
    """For each of L locations all that hold it and itself, coarse to fine, then −1: int64 (L, D)."""
    return _paths(world.parents)


@lru_cache(maxsize=1)
def countries_of(world: Territories) -> Indices:
    """The country (L,) of each location; of a sea or an ocean itself, of Antarctica's lands the continent."""
    paths = paths_of(world)
    rivals = paths[:, 0].copy()
    for above in paths.T:
        is_country = [place >= 0 and world.locations[place].kind == "country" for place in above.tolist()]
        rivals = np.where(is_country, above, rivals)
    at_sea = [location.kind in SEAS for location in world.locations]
    return np.where(at_sea, np.arange(len(rivals)), rivals)


def _paths(parents: Indices) -> Indices:
    columns = [np.arange(len(parents))]
    while (columns[-1] >= 0).any():
        columns.append(np.where(columns[-1] >= 0, parents[columns[-1]], -1))
    upwards = np.stack(columns[:-1], axis=1)
    length = (upwards >= 0).sum(axis=1, keepdims=True)
    step = length - 1 - np.arange(upwards.shape[1])
    return np.where(step >= 0, np.take_along_axis(upwards, np.maximum(step, 0), axis=1), -1)


def _most_frequent(cells: Indices, values: Indices, count: int) -> tuple[Indices, Indices]:
    """For each of `count` cells the most frequent of its values ≥ −1, of equal ones the first, and how often it is."""
    span = int(values.max(initial=-1)) + 2
    pairs, often = np.unique(cells * span + values + 1, return_counts=True)
    cell, value = np.divmod(pairs, span)
    order = np.lexsort((value, -often, cell))
    first = order[np.searchsorted(cell[order], np.arange(count))]
    return value[first] - 1, often[first]
