"""Which class of a semantic partitioning holds a point: by its offline address, or as the nearest coordinate has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geoexplain.geography.address import Addresses
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.sphere import unit_vectors

AddressOf = Callable[[NDArray[np.float64]], Addresses]
"""Points (N, 2) in degrees → their addresses, without a network."""

STEP_DEG = 1e-5
"""Coordinates are kept to about a metre."""


@dataclass(frozen=True, eq=False)
class NearestCoordinate:
    """Sorts points into the class of the nearest coordinate that a partitioning was built from, however far it is.

    steps  int32 (M, 2), distinct coordinates in units of STEP_DEG, latitude first
    cells  int32 (M,), the class that most of the images there have; −1 where most are in none
    """

    steps: NDArray[np.int32] = field(repr=False)
    cells: NDArray[np.int32] = field(repr=False)

    @cached_property
    def _index(self) -> KDTree:
        return KDTree(unit_vectors(self.steps * STEP_DEG))

    def __call__(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Points (N, 2) in degrees → classes int64 (N,); −1 near coordinates that are in none."""
        _, nearest = self._index.query(unit_vectors(points_deg).reshape(-1, 3), workers=-1)
        return self.cells[nearest].astype(np.int64)


def nearest_coordinate(points_deg: NDArray[np.float64], cells: NDArray[np.int64]) -> NearestCoordinate:
    """The rule for images at points (N, 2) in degrees with classes (N,), N ≥ 1; of equally frequent ones the first."""
    steps = np.rint(points_deg / STEP_DEG).astype(np.int32)
    steps[steps[:, 1] == round(-180 / STEP_DEG), 1] = round(180 / STEP_DEG)  # the same meridian
    turns = np.int64(round(360 / STEP_DEG) + 1)
    place = (steps[:, 0].astype(np.int64) + round(90 / STEP_DEG)) * turns + steps[:, 1] + round(180 / STEP_DEG)
    order = np.lexsort((cells, place))
    place, cells, rows = place[order], cells[order], order
    starts = np.flatnonzero(np.append(True, (np.diff(place) != 0) | (np.diff(cells) != 0)))
    often = np.diff(np.append(starts, len(place)))
    best = np.lexsort((cells[starts], -often, place[starts]))  # for each place, the most frequent class first
    first = np.append(True, np.diff(place[starts[best]]) != 0)
    chosen = starts[best[first]]
    return NearestCoordinate(steps[rows[chosen]], cells[chosen].astype(np.int32))


@dataclass(frozen=True, eq=False)
class ByAddress:
    """Sorts points into classes as their offline addresses say.

    A point goes to the finest place of the tree that holds the finest location of its address that is known here; of
    several classes in a place that is none itself, to that with the nearest centre. −1 where nothing is known.

    address_of   makes the addresses
    places       key of a location with images → its place in the tree, −1 where that was dropped
    tree         the places that the K classes lie in
    centers_deg  float64 (K, 2), the centres of the classes
    """

    address_of: AddressOf = field(repr=False)
    places: Mapping[str, int] = field(repr=False)
    tree: PlaceTree = field(repr=False)
    centers_deg: NDArray[np.float64] = field(repr=False)

    def __call__(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Points (N, 2) in degrees → classes int64 (N,); −1 for a point in none."""
        addresses = self.address_of(points_deg)
        unknown = -2
        place_of = np.array([self.places.get(each.key, unknown) for each in addresses.locations] + [unknown])
        found = np.full(len(addresses), unknown)
        for column in addresses.paths.T:
            found = np.where(found == unknown, place_of[column], found)
        class_of = np.full(len(self.tree) + 2, -1)
        class_of[self.tree.of_cell] = np.arange(len(self.tree.of_cell))
        cells = class_of[found]
        for place in np.unique(found[(cells < 0) & (found >= 0)]).tolist():
            rows, inside = np.flatnonzero(found == place), self.tree.cells(place)
            similarity = unit_vectors(points_deg[rows]) @ unit_vectors(self.centers_deg[inside]).T
            cells[rows] = inside[similarity.argmax(axis=1)]
        return cells
