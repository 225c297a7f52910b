"""A partitioning: cells at one or more levels, what they were built from, and the rule that sorts points into them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition, hierarchy
from geoexplain.geography.placetree import PlaceTree
from geoexplain.words import listed

Assign = Callable[[NDArray[np.float64]], NDArray[np.int64]]
"""Points (N, 2) in degrees → the finest cell of each, int64 (N,); −1 for a point in none."""


@dataclass(frozen=True, eq=False)
class Partitioning:
    """Levels of cells over the Earth: the classes that a geolocator is trained on.

    name      identifier
    kind      "s2", "semantic" or "kmeans"
    levels    the partitions, finest first; parents of each point into the next one
    keys      per level, the identifier of each cell: S2 token, location, number
    counts    per level, int64 (K,): how many of the coordinates lie in each cell
    borders   per level, the outline of each cell, x = longitude in degrees, which may run past ±180; None where none
              is known, which then is drawn as what lies nearest to its centre
    assign    sorts points into the finest cells
    settings  what it was built with, as plain numbers and words
    tree      the places that the finest cells lie in, when the partitioning has its own; `of_cell` is over them

    Raises DataError when these do not fit together.
    """

    name: str
    kind: str
    levels: tuple[Partition, ...]
    keys: tuple[tuple[str, ...], ...] = field(repr=False)
    counts: tuple[NDArray[np.int64], ...] = field(repr=False)
    borders: tuple[tuple[BaseGeometry | None, ...], ...] = field(repr=False)
    assign: Assign = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tree: PlaceTree | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not len(self.levels) == len(self.keys) == len(self.counts) == len(self.borders) > 0:
            given = [len(each) for each in (self.levels, self.keys, self.counts, self.borders)]
            raise DataError(
                f"partitioning {self.name}: expected keys, counts and borders for every one of {given[0]} levels, "
                f"at least one, got {listed(given[1:])}: build it again."
            )
        for level, *columns in zip(self.levels, self.keys, self.counts, self.borders, strict=True):
            if any(len(column) != len(level) for column in columns):
                raise DataError(
                    f"partitioning {self.name}: expected a key, a count and a border for each of {len(level)} cells, "
                    f"got {', '.join(str(len(column)) for column in columns)}; build it again."
                )
            if len(set(columns[0])) < len(level):
                raise DataError(f"partitioning {self.name}: expected every key once, got one twice; build it again.")
        if self.tree is not None and len(self.tree.of_cell) != len(self.levels[0]):
            raise DataError(f"partitioning {self.name}: expected a tree of its own cells, got another; build it again.")

    def classes(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Points (N, 2) in degrees → int64 (N, L): their cells, coarse to fine; a row of −1 for a point in none."""
        finest = self.assign(points_deg)
        table = hierarchy(self.levels[0], self.levels[1:])
        return np.where(finest[:, None] >= 0, table[finest], -1)
