"""Assign points to the classes of a semantic partitioning, by offline address or by the nearest coordinate."""

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
"""Points (N, 2) in degrees → their addresses, computed offline."""

STEP_DEG = 1e-5
"""Precision of stored coordinates: about a metre."""


@dataclass(frozen=True, eq=False)
class NearestCoordinate:
    """Assigns points to the class of the nearest coordinate that a partitioning was built from, at any distance.

    steps  int32 (M, 2), distinct coordinates in units of STEP_DEG, latitude first
    cells  int32 (M,), the most frequent class of the images there; −1 where most have none
    """

    steps: NDArray[np.int32] = field(repr=False)
    cells: NDArray[np.int32] = field(repr=False)

    @cached_property
    def _index(self) -> KDTree:
        return KDTree(unit_vectors(self.steps * STEP_DEG))

    def __call__(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the classes, int64 (N,), of points (N, 2) in degrees; −1 where the nearest coordinate has none."""
        _, nearest = self._index.query(unit_vectors(points_deg).reshape(-1, 3), workers=-1)
        return self.cells[nearest].astype(np.int64)


def nearest_coordinate(points_deg: NDArray[np.float64], cells: NDArray[np.int64]) -> NearestCoordinate:
    """Build the rule from images at points (N, 2) in degrees with classes (N,), N ≥ 1; ties go to the first class."""
    steps = np.rint(points_deg / STEP_DEG).astype(np.int32)
    steps[steps[:, 1] == round(-180 / STEP_DEG), 1] = round(180 / STEP_DEG)  # the same meridian
    turns = np.int64(round(360 / STEP_DEG) + 1)
    place = (steps[:, 0].astype(np.int64) + round(90 / STEP_DEG)) * turns + steps[:, 1] + round(180 / STEP_DEG)
    order = np.lexsort((cells, place))
    place, cells, rows = place[order], cells[order], order
    starts = np.flatnonzero(np.append(True, (np.diff(place) != 0) | (np.diff(cells) != 0)))
    often = np.diff(np.append(starts, len(place)))
    best = np.lexsort((cells[starts], -often, place[starts]))  # the most frequent class of each coordinate first
    first = np.append(True, np.diff(place[starts[best]]) != 0)
    chosen = starts[best[first]]
    return NearestCoordinate(steps[rows[chosen]], cells[chosen].astype(np.int32))


@dataclass(frozen=True, eq=False)
class ByAddress:
    """Assigns points to classes by their offline addresses.

    The finest location of a point's address that is in `places` leads to a place of the tree. If that place is a class,
    the point gets it; if it only contains classes, the point gets the one with the nearest centre. Points without such
    a location get −1.

    address_of   computes the addresses
    places       key of a location with images → its place in the tree, −1 if that was dropped
    tree         the places that contain the K classes
    centers_deg  float64 (K, 2), the centres of the classes
    """

    address_of: AddressOf = field(repr=False)
    places: Mapping[str, int] = field(repr=False)
    tree: PlaceTree = field(repr=False)
    centers_deg: NDArray[np.float64] = field(repr=False)

    def __call__(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the classes, int64 (N,), of points (N, 2) in degrees; −1 for a point in none."""
        addresses = self.address_of(points_deg)
        unknown = -2
        place_of = np.array([self.places.get(each.key, unknown) for each in addresses.locations] + [unknown])
        finest = np.full(len(addresses), unknown)
        for column in addresses.paths.T:
            finest = np.where(finest == unknown, place_of[column], finest)
        class_of = np.full(len(self.tree) + 2, -1)
        class_of[self.tree.of_cell] = np.arange(len(self.tree.of_cell))
        cells = class_of[finest]
        for place in np.unique(finest[(cells < 0) & (finest >= 0)]).tolist():
            rows, inside = np.flatnonzero(finest == place), self.tree.cells(place)
            similarity = unit_vectors(points_deg[rows]) @ unit_vectors(self.centers_deg[inside]).T
            cells[rows] = inside[similarity.argmax(axis=1)]
        return cells
