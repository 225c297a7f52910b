"""The semantic hierarchy of Theiner et al. (WACV 2022, sect. 3.1): merges inconsistent addresses into one tree.

A reverse geocoder lists the places that contain a coordinate, fine to coarse, but not always the same ones in the same
order: a street runs through two towns, a middle level is sometimes missing, a park contains a town that elsewhere
contains the park. The paper builds a hierarchy in three steps:

1. Every address gives an edge from each of its locations to the next coarser one; edges are counted over all images.
2. If a location has several parents, only the most frequent edge is kept; among ties, the edge to the parent with the
   smaller key. So neither the order of the images nor that of the locations matters.
3. Each address is replaced by the shortest path from its finest location to a root. After step 2 every location has
   one path up, so that is the shortest one. Choosing among several paths before step 2 would prefer the path that
   skips the most levels: one rare address without its town would outweigh a hundred with it.

The paper does not say what happens when the kept edges form a cycle (A in B, B in A), from which no path leads to a
root. Here the least frequent edge of each cycle is dropped (among ties, the edge from the location with the smaller
key), and its location takes its next most frequent parent or, without one, becomes a root; this is repeated until no
cycle remains. The result depends only on counts and keys.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.words import extremes

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """L locations, each in at most one other, and the finest location of each of N images.

    locations  L locations with unique keys
    parents    int64 (L,), the location that contains each location; −1 for a root
    finest     int64 (N,), the finest location of each image; −1 for one without an address

    Raises DataError when these fields do not fit together, or if the parents form a cycle.
    """

    locations: tuple[Location, ...] = field(repr=False)
    parents: Indices = field(repr=False)
    finest: Indices = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.locations)
        if self.parents.shape != (count,) or self.finest.ndim != 1:
            raise DataError(
                f"hierarchy: expected one parent for each of {count} locations and one location per image, got shapes "
                f"{self.parents.shape} and {self.finest.shape}: build it again."
            )
        for indices in (self.parents, self.finest):
            if ((indices < -1) | (indices >= count)).any():
                raise DataError(
                    f"hierarchy: expected locations from -1 to {count - 1}, got {extremes(indices)}: correct them."
                )
        if len(_on_circles(self.parents)):
            raise DataError("hierarchy: expected every location below a root, got a cycle: build it again.")

    def __len__(self) -> int:
        return len(self.locations)

    def path(self, location: int) -> list[int]:
        """Return a location and all locations that contain it, fine to coarse; an empty list for −1."""
        path = []
        while location >= 0:
            path.append(location)
            location = int(self.parents[location])
        return path

    @cached_property
    def depth(self) -> Indices:
        """Number of steps from each location up to its root: int64 (L,)."""
        count = len(self)
        above = _with_end(self.parents)
        steps = (above != count).astype(np.int64)
        while (above != count).any():
            steps = steps + steps[above]
            above = above[above]
        return steps[:count]

    @cached_property
    def images(self) -> Indices:
        """Number of images in each location and the locations that it contains: int64 (L,)."""
        images = np.bincount(self.finest[self.finest >= 0], minlength=len(self)).astype(np.int64)
        order = np.argsort(-self.depth, kind="stable")
        ends = np.flatnonzero(np.diff(self.depth[order], append=-1)) + 1
        start = 0
        for end in ends[:-1].tolist():  # deepest first; the last group, the roots, has no parents to add to
            rows = order[start:end]
            np.add.at(images, self.parents[rows], images[rows])
            start = end
        return images

    def nearest_kept(self, kept: NDArray[np.bool_]) -> Indices:
        """Return int64 (L,): the location itself if `kept` (L,), else the finest kept one that contains it, else −1."""
        count = len(self)
        step = np.append(np.where(kept, np.arange(count), _with_end(self.parents)[:count]), count)
        while not np.array_equal(above := step[step], step):
            step = above
        return np.where(step[:count] == count, -1, step[:count])


def build_hierarchy(addresses: Addresses) -> Hierarchy:
    """Build the tree of all locations of N addresses by the steps above; a million addresses take about a second.

    A location that follows itself in an address counts once. Locations that are in no address become roots.
    Raises DataError for an address with a gap (−1 before its last location).
    """
    children, coarser, frequency = _edges(addresses.paths, len(addresses.locations))
    rank = key_ranks(addresses.locations)
    order = np.lexsort((rank[coarser], -frequency, children))
    parents = _one_parent_each(children[order], coarser[order], frequency[order], rank)
    named = addresses.paths[:, 0] if addresses.paths.shape[1] else np.full(len(addresses), -1)
    return Hierarchy(addresses.locations, parents, named.astype(np.int64))


def key_ranks(locations: tuple[Location, ...]) -> Indices:
    """Return the rank of each location when they are sorted by key: int64 (L,)."""
    keys = [location.key for location in locations]
    rank = np.empty(len(keys), dtype=np.int64)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return rank


def _edges(paths: NDArray[np.int32], count: int) -> tuple[Indices, Indices, Indices]:
    """Return all distinct edges, finer → next coarser location, and their number of addresses: three arrays (E,)."""
    codes, counts = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for finer, coarser in zip(paths.T[:-1], paths.T[1:], strict=True):
        if ((finer < 0) & (coarser >= 0)).any():
            raise DataError(
                "addresses: expected -1 only after the last location of an address, got one before it: "
                "write the locations first."
            )
        rows = (coarser >= 0) & (finer != coarser)
        # One column at a time, with an edge as one number, a million addresses are sorted in a few megabytes.
        edge, times = np.unique(finer[rows].astype(np.int64) * count + coarser[rows], return_counts=True)
        codes.append(edge)
        counts.append(times)
    edges, which = np.unique(np.concatenate(codes), return_inverse=True)
    frequency = np.bincount(which, weights=np.concatenate(counts), minlength=len(edges)).astype(np.int64)
    return edges // max(count, 1), edges % max(count, 1), frequency


def _one_parent_each(children: Indices, coarser: Indices, frequency: Indices, rank: Indices) -> Indices:
    """Return parents (L,) without cycles; edges (E,) are sorted by child, then from the preferred parent on."""
    bounds = np.searchsorted(children, np.arange(len(rank) + 1))
    chosen, end = bounds[:-1].copy(), bounds[1:]
    padded = np.append(coarser, -1)
    while True:
        parents = np.where(chosen < end, padded[np.minimum(chosen, len(coarser))], -1)
        looping = _on_circles(parents)
        if not len(looping):
            return parents
        for circle in _circles(looping, parents):
            weakest = min(circle, key=lambda child: (frequency[chosen[child]], rank[child]))
            chosen[weakest] += 1


def _with_end(parents: Indices) -> Indices:
    """Return parents with L in place of −1, plus an L-th location, its own parent, where every path up ends."""
    return np.append(np.where(parents < 0, len(parents), parents), len(parents))


def _on_circles(parents: Indices) -> Indices:
    """Return the locations that are part of a cycle, in ascending order."""
    count = len(parents)
    above, steps = _with_end(parents), 1
    while steps < count and (above != count).any():  # after L steps a path up has ended, or it is in a cycle
        above, steps = above[above], steps * 2
    return np.unique(above[above < count])


def _circles(looping: Indices, parents: Indices) -> list[list[int]]:
    """Return the locations of each cycle."""
    circles, seen = [], set()
    for start in looping.tolist():
        circle, location = [], start
        while location not in seen:
            seen.add(location)
            circle.append(location)
            location = int(parents[location])
        if circle:
            circles.append(circle)
    return circles
