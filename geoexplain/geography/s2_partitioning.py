"""The adaptive S2 partitioning of Weyand et al. (ECCV 2016), at several levels as in Müller-Budack et al. (ECCV 2018).

Starting from the six faces, a cell is divided into quarters while it contains more than τ_max coordinates. Cells with
fewer than τ_min coordinates are then dropped, and their coordinates are in no cell. Cells of the last level of S2, a
centimetre wide, are never divided.

Levels are built from the coordinates alone, each with its own (τ_min, τ_max). If τ_max falls from coarse to fine, every
finer cell lies in one cell of the coarser level, provided that cell was kept. If the coarser level dropped it because
of a larger τ_min, the finer cell is dropped too. So every cell meets the τ_min of its own level and of all coarser
ones, and a coordinate has a class at every level or, for training, at none. A coarse cell without remaining finer
cells is dropped as well, since no image could train its class.
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
"""Decimal places of a centre in degrees, about a centimetre; tables use the same."""

Cells = NDArray[np.uint64]


def build_s2(
    points_deg: NDArray[np.float64],
    thresholds: Sequence[tuple[int, int]] = PUBLISHED,
    *,
    name: str = "s2",
    name_by: NameCells = name_cells,
    progress: Callable[[int, int], None] | None = None,
) -> Partitioning:
    """Build the S2 partitioning of points (N, 2) in degrees, with one level per (τ_min, τ_max), coarse to fine.

    Cells are in the order of their numbers. Centres are the means of their coordinates on the sphere; `name_by` sets
    the labels; keys are the tokens. `progress` is called with (steps done, number of steps).
    Raises DataError unless 1 ≤ τ_min ≤ τ_max and τ_max does not rise from coarse to fine, and if no cell reaches τ_min.
    """
    _check(thresholds)
    report, steps = progress or (lambda _done, _total: None), 3 + len(thresholds)
    leaves = _leaf_ids(points_deg)
    report(1, steps)
    order = np.argsort(leaves)
    leaves = leaves[order]
    cells = _levels(leaves, thresholds)
    report(2, steps)
    vectors = unit_vectors(points_deg[order])
    means = [_means(leaves, vectors, level) for level in cells]
    del vectors
    report(3, steps)
    partitions, borders = [], []
    for i, (level, (_, centers)) in enumerate(zip(cells, means, strict=True)):
        borders.append(tuple(s2_polygons(level)))
        parents = s2.containing_cells(cells[i - 1], level) if i else None
        limits = "-".join(map(str, thresholds[i]))
        partitions.append(name_by(unnamed(f"{name}-{limits}", centers, parents, borders[i])))
        report(4 + i, steps)
    counts = [count for count, _ in means]
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
    """Return the rule that assigns a point to the cell that contains it, or to −1; cells have these S2 tokens.

    Raises DataError for a text that is not a token, and for cells that overlap.
    """
    cells = s2.from_tokens(tokens)
    order = np.argsort(cells)
    s2.check_disjoint(cells[order], [tokens[i] for i in order.tolist()])
    return partial(_assign, cells[order], np.append(order, -1))


def _assign(cells: Cells, indices: NDArray[np.int64], points_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    return indices[s2.containing_cells(cells, _leaf_ids(points_deg))]


def _leaf_ids(points_deg: NDArray[np.float64]) -> Cells:
    """Return `s2.leaf_ids`, but with −180° taken as 180°: S2 distinguishes the two, which are the same meridian."""
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
            f"{', '.join(f'{least}:{most}' for least, most in thresholds) or 'none'}: write them as 50:5000 50:1000."
        )


def _levels(leaves: Cells, thresholds: Sequence[tuple[int, int]]) -> list[Cells]:
    """Return the cells of each level, coarse to fine, in ascending order; leaves are ascending too."""
    levels: list[Cells] = []
    for least, most in thresholds:
        cells = _split(leaves, most)
        cells = cells[_counts(leaves, cells) >= least]
        levels.append(cells[s2.containing_cells(levels[-1], cells) >= 0] if levels else cells)
    for i in range(len(levels) - 1, 0, -1):
        levels[i - 1] = levels[i - 1][np.unique(s2.containing_cells(levels[i - 1], levels[i]))]
    if not len(levels[-1]):
        least = max(least for least, _ in thresholds)
        raise DataError(
            f"S2 partitioning: expected a cell with at least {least} coordinates, got none among {len(leaves):,}: "
            "lower τ_min or give more coordinates."
        )
    return levels


def _split(leaves: Cells, most: int) -> Cells:
    """Return the cells that result when every cell with more than `most` leaves is divided into quarters."""
    cells, undivided = s2.faces(), []
    for _ in range(s2.LEAF_LEVEL):
        full = _counts(leaves, cells) > most
        undivided.append(cells[~full])
        cells = s2.children(cells[full]).ravel()
    return np.sort(np.concatenate([*undivided, cells]))


def _bounds(leaves: Cells, cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, last = s2.leaf_ranges(cells)
    return np.searchsorted(leaves, first), np.searchsorted(leaves, last, side="right")


def _counts(leaves: Cells, cells: Cells) -> NDArray[np.int64]:
    start, end = _bounds(leaves, cells)
    return end - start


def _means(leaves: Cells, vectors: NDArray[np.float64], cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of leaves in each cell, none of which is empty, and the mean of their vectors in degrees."""
    start, end = _bounds(leaves, cells)
    edges = np.stack([start, end], axis=1).ravel()  # even ranges are the cells, odd ranges the gaps between them
    padded = edges[:-1] if edges[-1] == len(leaves) else edges
    return end - start, degrees(np.add.reduceat(vectors, padded)[::2]).round(DIGITS)
