"""A partitioning: cells at one or more levels, their settings, and the rule that assigns points to them."""

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
"""Points (N, 2) in degrees → the finest cell of each, int64 (N,); −1 for a point in no cell."""


@dataclass(frozen=True, eq=False)
class Partitioning:
    """Levels of cells over the Earth, the classes that a geolocator is trained on.

    name      identifier
    kind      "s2", "semantic" or "kmeans"
    levels    the partitions, finest first; parents of each point into the next one
    keys      per level, the identifier of each cell: S2 token, location or number
    counts    per level, int64 (K,): the number of coordinates in each cell
    borders   per level, the outline of each cell, x = longitude in degrees, which may exceed ±180; None if unknown, in
              which case the region nearest to the cell's centre is drawn
    assign    assigns points to the finest cells
    settings  what it was built with, as plain numbers and strings
    tree      the places that contain the finest cells, if the partitioning has its own; `of_cell` indexes them

    Raises DataError when these fields do not fit together.
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
            lengths = [len(each) for each in (self.levels, self.keys, self.counts, self.borders)]
            raise DataError(
                f"partitioning {self.name}: expected keys, counts and borders for each of {lengths[0]} levels (at "
                f"least one), got {listed(lengths[1:])}: build it again."
            )
        for level, *columns in zip(self.levels, self.keys, self.counts, self.borders, strict=True):
            if any(len(column) != len(level) for column in columns):
                raise DataError(
                    f"partitioning {self.name}: expected a key, a count and a border for each of {len(level)} cells, "
                    f"got {', '.join(str(len(column)) for column in columns)}: build it again."
                )
            if len(set(columns[0])) < len(level):
                raise DataError(f"partitioning {self.name}: expected unique keys, got one twice: build it again.")
        if self.tree is not None and len(self.tree.of_cell) != len(self.levels[0]):
            raise DataError(
                f"partitioning {self.name}: expected a tree over {len(self.levels[0])} cells, got one over "
                f"{len(self.tree.of_cell)}: build it again."
            )

    def classes(self, points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cells of points (N, 2) in degrees at L levels: int64 (N, L), coarse to fine.

        The row of a point in no cell is −1.
        """
        finest = self.assign(points_deg)
        table = hierarchy(self.levels[0], self.levels[1:])
        return np.where(finest[:, None] >= 0, table[finest], -1)
