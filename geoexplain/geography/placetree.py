"""Cells under places: which cells lie in which city, region, country, desert; probability summed up that tree."""

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
    """M places, each in at most one other, and the place that each of K cells lies in.

    name     what the tree is about: "territory" or "nature"
    labels   M names as people read them, "Jordan"; they need not be distinct
    kinds    M kinds: "city", "region", "country", "desert", …
    parents  int64 (M,), the place that holds each place; −1 for a root
    of_cell  int64 (K,), the finest place that holds each cell; −1 for a cell in none
    borders  M outlines, x = longitude in degrees, which may run past ±180, y = latitude; None where none is known

    Raises DataError when these do not fit together, or places hold each other in a circle.
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
        """int64 (M,): steps from each place up to its root."""
        end = len(self.parents)  # holds the roots, and itself
        above = np.append(np.where(self.parents < 0, end, self.parents), end)
        depth = np.append(np.where(self.parents < 0, 0, 1), 0)
        for _ in range(end.bit_length()):  # each time twice as far up: a chain of M places takes log M rounds
            depth, above = depth + depth[above], above[above]
        return np.where(above == end, depth, -1)[:end]  # −1 for places in a circle

    def path(self, place: int) -> list[int]:
        """A place and all that hold it, fine to coarse; empty for −1."""
        path = []
        while place >= 0:
            path.append(place)
            place = int(self.parents[place])
        return path

    def words(self, place: int) -> str:
        """The path as people write it, "Aqaba, Jordan, Western Asia, Asia"; equal neighbours once, "" for −1."""
        names = [self.labels[step] for step in self.path(place)]
        return ", ".join(name for i, name in enumerate(names) if i == 0 or name != names[i - 1])

    def cells(self, place: int) -> NDArray[np.int64]:
        """The cells in a place or in one that it holds, ascending. Raises DataError for a place that does not exist."""
        if not 0 <= place < len(self):
            raise DataError(f"expected a place from 0 to {len(self) - 1} of {self.name}, got {place}: choose another.")
        return np.flatnonzero((self._chains == place).any(axis=1))

    @cached_property
    def _chains(self) -> NDArray[np.int64]:
        """(K, D): the places above each cell, fine to coarse, −1 at the end."""
        above = np.append(self.parents, -1)  # what −1 leads to
        columns = [self.of_cell]
        while (columns[-1] >= 0).any():
            columns.append(above[columns[-1]])
        return np.stack(columns, axis=1)

    def shares(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (K,) of the cells, summed up the tree: float64 (M,), a place's with all that it holds.

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
    """The places of that name in any case, the coarsest first; for a path, "Lyon, France", those that lie there."""
    wanted = [part.strip().casefold() for part in name.split(",")]
    found = []
    for place, label in enumerate(tree.labels):
        if label.casefold() == wanted[0]:
            above = [tree.labels[step].casefold() for step in tree.path(place)[1:]]
            if all(part in above for part in wanted[1:]):
                found.append(place)
    return sorted(found, key=lambda place: len(tree.path(place)))
