"""A tree of places (cities, regions, countries, deserts) with the cells in them; sums probabilities up the tree."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.words import extremes


@dataclass(frozen=True, eq=False)
class PlaceTree:
    """M places, each in at most one other, and the place of each of K cells.

    name     kind of tree: "territory" or "nature"
    labels   M names to display, "Jordan"; they need not be distinct
    kinds    M kinds: "city", "region", "country", "desert", …
    parents  int64 (M,), the place that contains each place; −1 for a root
    of_cell  int64 (K,), the finest place that contains each cell; −1 for a cell in none
    borders  M outlines, x = longitude in degrees, which may exceed ±180, y = latitude; None if unknown

    Raises DataError when these fields do not fit together, or if the parents form a cycle.
    """

    name: str
    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    parents: NDArray[np.int64] = field(repr=False)
    of_cell: NDArray[np.int64] = field(repr=False)
    borders: Sequence[BaseGeometry | None] = field(repr=False)

    def __post_init__(self) -> None:
        places = len(self.labels)
        if not len(self.kinds) == len(self.borders) == len(self.parents) == places:
            raise DataError(
                f"places of {self.name}: expected a kind, a parent and a border for each of {places} names, got "
                f"{len(self.kinds)}, {len(self.parents)} and {len(self.borders)}; build the tree again."
            )
        for what, indices in (("parents", self.parents), ("places of cells", self.of_cell)):
            if indices.ndim != 1 or ((indices < -1) | (indices >= places)).any():
                raise DataError(
                    f"places of {self.name}: expected {what} from -1 to {places - 1}, got "
                    f"{extremes(indices.ravel())}: build the tree again."
                )
        if (self.depth < 0).any():
            raise DataError(
                f"places of {self.name}: expected every place below a root, got some that hold each other; "
                "build the tree again."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def depth(self) -> NDArray[np.int64]:
        """Number of steps from each place up to its root: int64 (M,)."""
        end = len(self.parents)  # parent of the roots and of itself
        above = np.append(np.where(self.parents < 0, end, self.parents), end)
        depth = np.append(np.where(self.parents < 0, 0, 1), 0)
        for _ in range(end.bit_length()):  # each round doubles the distance: a chain of M places takes log M rounds
            depth, above = depth + depth[above], above[above]
        return np.where(above == end, depth, -1)[:end]  # −1 for places in a cycle

    def path(self, place: int) -> list[int]:
        """Return a place and all places that contain it, fine to coarse; an empty list for −1."""
        path = []
        while place >= 0:
            path.append(place)
            place = int(self.parents[place])
        return path

    def words(self, place: int) -> str:
        """Return the path as text, "Aqaba, Jordan, Western Asia, Asia", without equal neighbours; "" for −1."""
        names = [self.labels[step] for step in self.path(place)]
        return ", ".join(name for i, name in enumerate(names) if i == 0 or name != names[i - 1])

    def cells(self, place: int) -> NDArray[np.int64]:
        """Return the cells in a place or below it, in ascending order. Raises DataError for an unknown place."""
        if not 0 <= place < len(self):
            raise DataError(f"expected a place from 0 to {len(self) - 1} of {self.name}, got {place}: choose another.")
        return np.flatnonzero((self._chains == place).any(axis=1))

    @cached_property
    def _chains(self) -> NDArray[np.int64]:
        """The places that contain each cell, (K, D), fine to coarse, padded with −1."""
        above = np.append(self.parents, -1)  # the parent of −1 is −1
        columns = [self.of_cell]
        while (columns[-1] >= 0).any():
            columns.append(above[columns[-1]])
        return np.stack(columns, axis=1)

    def shares(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each place, float64 (M,): the sum over its cells' `probabilities` (K,).

        Raises DataError for another number of cells.
        """
        given = np.asarray(probabilities, dtype=np.float64)
        if given.shape != self.of_cell.shape:
            raise DataError(
                f"places of {self.name}: expected probabilities of {len(self.of_cell)} cells, got {given.shape}; "
                "is this the tree of another model?"
            )
        total = np.zeros(len(self))
        for column in self._chains.T:
            held = column >= 0
            total += np.bincount(column[held], weights=given[held], minlength=len(self))
        return total


def find_place(tree: PlaceTree, name: str) -> Sequence[int]:
    """Return the places with that name, ignoring case, the coarsest first.

    For a path, "Lyon, France", only places in the places after the comma are returned.
    """
    wanted = [part.strip().casefold() for part in name.split(",")]
    found = []
    for place, label in enumerate(tree.labels):
        if label.casefold() == wanted[0]:
            above = [tree.labels[step].casefold() for step in tree.path(place)[1:]]
            if all(part in above for part in wanted[1:]):
                found.append(place)
    return sorted(found, key=lambda place: len(tree.path(place)))
