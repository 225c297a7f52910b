"""The adaptive S2 partitioning of Weyand et al. (ECCV 2016), at several levels as Müller-Budack et al. (ECCV 2018).

From the six faces on, a cell is cut into quarters while it holds more than τ_max coordinates; of the cells that are
left, those with fewer than τ_min are dropped, and their coordinates are in no cell. Cells of the last level of S2, a
centimetre wide, are not cut, however many coordinates they hold.

Levels are built from the coordinates alone, each with its own (τ_min, τ_max). With a τ_max that falls from coarse to
fine every finer cell lies in one cell of the coarser level, if that one was kept. Where the coarser level has dropped
it, having a larger τ_min, the finer one is dropped, too: every cell holds τ_min coordinates of its own level and all
coarser ones, and a coordinate has a class at every level or, for training, at none. A coarse cell of which no finer
one is left, whose class nothing could be trained on, is dropped likewise.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography import s2
from geoexplain.geography.addresses.cell_names import NameCells, name_cells, unnamed
from geoexplain.geography.partitioning import Assign, Partitioning
from geoexplain.geography.ring_polygons import s2_polygons
from geoexplain.geography.sphere import degrees, unit_vectors

PUBLISHED = ((50, 5000), (50, 2000), (50, 1000))
"""(τ_min, τ_max) of Müller-Budack et al. for 4.7 million photos, coarse to fine."""

DIGITS = 7
"""Of a centre in degrees, about a centimetre, as tables keep it."""

Cells = NDArray[np.uint64]


def build_s2(
    points_deg: NDArray[np.float64],
    thresholds: Sequence[tuple[int, int]] = PUBLISHED,
    *,
    name: str = "s2",
    name_by: NameCells = name_cells,
    progress: Callable[[int, int], None] | None = None,
) -> Partitioning:
    """The S2 partitioning of points (N, 2) in degrees at one level for each (τ_min, τ_max), given coarse to fine.

    Cells are in the order of their numbers; centres are the means of their coordinates on the sphere, `name_by`
    gives labels, keys are the tokens. `progress` hears (steps done, steps in all).
    Raises DataError for thresholds other than 1 ≤ τ_min ≤ τ_max with τ_max falling or staying from coarse to fine, and
    when no cell holds as many coordinates as asked for.
    """
    _check(thresholds)
    tell, steps = progress or (lambda _done, _total: None), 3 + len(thresholds)
    leaves = _leaf_ids(points_deg)
    tell(1, steps)
    order = np.argsort(leaves)
    leaves = leaves[order]
    cells = _levels(leaves, thresholds)
    tell(2, steps)
    vectors = unit_vectors(points_deg[order])
    held = [_means(leaves, vectors, level) for level in cells]
    del vectors
    tell(3, steps)
    partitions, borders = [], []
    for i, (level, (_, centers)) in enumerate(zip(cells, held, strict=True)):
        borders.append(tuple(s2_polygons(level)))
        parents = s2.holding(cells[i - 1], level) if i else None
        limits = "-".join(map(str, thresholds[i]))
        partitions.append(name_by(unnamed(f"{name}-{limits}", centers, parents, borders[i])))
        tell(4 + i, steps)
    counts = [count for count, _ in held]
    keys = [tuple(s2.tokens(level)) for level in cells]
    return Partitioning(
        name=name,
        kind="s2",
        levels=tuple(partitions[::-1]),
        keys=tuple(keys[::-1]),
        counts=tuple(counts[::-1]),
        borders=tuple(borders[::-1]),
        assign=assign_by_tokens(keys[-1]),
        settings={
            "thresholds": [f"{least}:{most}" for least, most in thresholds],
            "in_no_cell": int(len(leaves) - counts[-1].sum()),
        },
    )


def assign_by_tokens(tokens: Sequence[str]) -> Assign:
    """The rule of a partitioning whose finest cells have these S2 tokens: the cell that holds a point, or −1.

    Raises DataError for what is no token, and for cells that overlap.
    """
    cells = s2.from_tokens(tokens)
    order = np.argsort(cells)
    s2.check_apart(cells[order], [tokens[place] for place in order.tolist()])
    return partial(_assign, cells[order], np.append(order, -1))


def _assign(cells: Cells, places: NDArray[np.int64], points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    return places[s2.holding(cells, _leaf_ids(points_deg))]


def _leaf_ids(points_deg: NDArray[np.float64]) -> Cells:
    """As `s2.leaf_ids`, which tells −180° from 180° as S2 does: here a place is in one cell however it is written."""
    west = points_deg[:, 1] == -180
    if west.any():
        points_deg = points_deg.copy()
        points_deg[west, 1] = 180.0
    return s2.leaf_ids(points_deg)


def _check(thresholds: Sequence[tuple[int, int]]) -> None:
    falling = all(fine <= coarse for (_, coarse), (_, fine) in pairwise(thresholds))
    if not thresholds or not falling or not all(1 <= least <= most for least, most in thresholds):
        raise DataError(
            "S2 partitioning: expected pairs of 1 ≤ τ_min ≤ τ_max, coarse to fine, so that τ_max falls, got "
            f"{', '.join(f'{least}:{most}' for least, most in thresholds) or 'none'}: give them like 50:5000 50:1000."
        )


def _levels(leaves: Cells, thresholds: Sequence[tuple[int, int]]) -> list[Cells]:
    """The cells of each level, coarse to fine, ascending, for leaves in ascending order."""
    levels: list[Cells] = []
    for least, most in thresholds:
        cells = _split(leaves, most)
        cells = cells[_counts(leaves, cells) >= least]
        levels.append(cells[s2.holding(levels[-1], cells) >= 0] if levels else cells)
    for i in range(len(levels) - 1, 0, -1):
        levels[i - 1] = levels[i - 1][np.unique(s2.holding(levels[i - 1], levels[i]))]
    if not len(levels[-1]):
        least = max(least for least, _ in thresholds)
        raise DataError(
            f"S2 partitioning: expected a cell with at least {least} coordinates, got none among {len(leaves):,}: "
            "lower τ_min or give more coordinates."
        )
    return levels


def _split(leaves: Cells, most: int) -> Cells:
    """The cells left when each that holds more than `most` leaves is cut into quarters."""
    cells, left = s2.faces(), []
    for _ in range(s2.LEAF_LEVEL):
        full = _counts(leaves, cells) > most
        left.append(cells[~full])
        cells = s2.children(cells[full]).ravel()
    return np.sort(np.concatenate([*left, cells]))


def _bounds(leaves: Cells, cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, last = s2.leaf_ranges(cells)
    return np.searchsorted(leaves, first), np.searchsorted(leaves, last, side="right")


def _counts(leaves: Cells, cells: Cells) -> NDArray[np.int64]:
    start, end = _bounds(leaves, cells)
    return end - start


def _means(leaves: Cells, vectors: NDArray[np.float64], cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How many leaves each cell holds, and the mean of their vectors, as a point in degrees; no cell is empty."""
    start, end = _bounds(leaves, cells)
    edges = np.stack([start, end], axis=1).ravel()  # even ranges are the cells, odd ones what lies between them
    padded = edges[:-1] if edges[-1] == len(leaves) else edges
    return end - start, degrees(np.add.reduceat(vectors, padded)[::2]).round(DIGITS)
