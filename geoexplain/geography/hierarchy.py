"""The semantic hierarchy of Theiner et al. (WACV 2022, sect. 3.1): addresses that disagree → one tree of locations.

A reverse geocoder names the places that hold a coordinate, fine to coarse, but not always the same ones in the same
order: a street runs through two towns, a middle level is missing here and there, a park holds a town that elsewhere
holds the park. The paper makes a hierarchy of it in this order:

1. Every address gives an edge from each of its locations to the next coarser one; edges are counted over all images.
2. Of several parents of a location only the most frequent edge stays. Of equally frequent ones that to the parent with
   the smaller key stays, so that neither the order of the images nor that of the locations matters.
3. Each address is replaced by the shortest path from its finest location to a root. What remains after step 2 has one
   way up from each location, so the shortest path is that way; choosing among several ways before step 2 would prefer
   whatever skips the most levels, a rare address without its town over a hundred with it.

The paper does not say what happens when the edges that stay lead round in a circle (A in B, B in A), from which there
is no path to a root. Here the least frequent edge of each circle is dropped (of equally frequent ones that which leaves
the location with the smaller key), its location takes its next most frequent parent, or becomes a root when it has no
other, and so on until no circle is left. The result depends on the counts and keys alone.
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

    locations  L locations, every key once
    parents    int64 (L,), the location that holds each location; −1 for a root
    finest     int64 (N,), the finest location of each image; −1 for one without an address

    Raises DataError when these do not fit together, or locations hold each other in a circle.
    """

    locations: tuple[Location, ...] = field(repr=False)
    parents: Indices = field(repr=False)
    finest: Indices = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.locations)
        if self.parents.shape != (count,) or self.finest.ndim != 1:
            raise DataError(f"hierarchy: expected one parent for each of {count} locations, got {self.parents.shape}.")
        for indices in (self.parents, self.finest):
            if ((indices < -1) | (indices >= count)).any():
                raise DataError(
                    f"hierarchy: expected locations from -1 to {count - 1}, got {extremes(indices)}: number them anew."
                )
        if len(_on_circles(self.parents)):
            raise DataError("hierarchy: expected every location below a root, got some that hold each other.")

    def __len__(self) -> int:
        return len(self.locations)

    def path(self, location: int) -> list[int]:
        """A location and all that hold it, fine to coarse; empty for −1."""
        path = []
        while location >= 0:
            path.append(location)
            location = int(self.parents[location])
        return path

    @cached_property
    def depth(self) -> Indices:
        """int64 (L,): steps from each location up to its root."""
        count = len(self)
        above = _with_end(self.parents)
        steps = (above != count).astype(np.int64)
        while (above != count).any():
            steps = steps + steps[above]
            above = above[above]
        return steps[:count]

    @cached_property
    def images(self) -> Indices:
        """int64 (L,): how many images lie in each location, those in the locations that it holds included."""
        images = np.bincount(self.finest[self.finest >= 0], minlength=len(self)).astype(np.int64)
        order = np.argsort(-self.depth, kind="stable")
        ends = np.flatnonzero(np.diff(self.depth[order], append=-1)) + 1
        start = 0
        for end in ends[:-1].tolist():  # the deepest first; roots, the last, hand nothing on
            rows = order[start:end]
            np.add.at(images, self.parents[rows], images[rows])
            start = end
        return images

    def nearest_kept(self, kept: NDArray[np.bool_]) -> Indices:
        """int64 (L,): each location that is `kept` (L,) itself, else the finest kept one that holds it, else −1."""
        count = len(self)
        step = np.append(np.where(kept, np.arange(count), _with_end(self.parents)[:count]), count)
        while not np.array_equal(above := step[step], step):
            step = above
        return np.where(step[:count] == count, -1, step[:count])


def build_hierarchy(addresses: Addresses) -> Hierarchy:
    """The tree of all locations of N addresses, as the module's text says; a million addresses in about a second.

    A location that follows itself in an address counts once; locations that no address names are roots of their own.
    Raises DataError for an address that goes on after a gap.
    """
    children, coarser, frequency = _edges(addresses.paths, len(addresses.locations))
    rank = key_ranks(addresses.locations)
    order = np.lexsort((rank[coarser], -frequency, children))
    parents = _one_parent_each(children[order], coarser[order], frequency[order], rank)
    named = addresses.paths[:, 0] if addresses.paths.shape[1] else np.full(len(addresses), -1)
    return Hierarchy(addresses.locations, parents, named.astype(np.int64))


def key_ranks(locations: tuple[Location, ...]) -> Indices:
    """int64 (L,): the place of each location when they are sorted by key."""
    keys = [location.key for location in locations]
    rank = np.empty(len(keys), dtype=np.int64)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return rank


def _edges(paths: NDArray[np.int32], count: int) -> tuple[Indices, Indices, Indices]:
    """All distinct edges, finer → next coarser location, and how many addresses hold each; three arrays (E,)."""
    found, often = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for finer, coarser in zip(paths.T[:-1], paths.T[1:], strict=True):
        if ((finer < 0) & (coarser >= 0)).any():
            raise DataError("addresses: expected -1 only after the last location of an address, got one before it.")
        rows = (coarser >= 0) & (finer != coarser)
        # One column at a time, and an edge as one number: a million addresses are sorted in a few megabytes.
        edge, times = np.unique(finer[rows].astype(np.int64) * count + coarser[rows], return_counts=True)
        found.append(edge)
        often.append(times)
    edges, which = np.unique(np.concatenate(found), return_inverse=True)
    frequency = np.bincount(which, weights=np.concatenate(often), minlength=len(edges)).astype(np.int64)
    return edges // max(count, 1), edges % max(count, 1), frequency


def _one_parent_each(children: Indices, coarser: Indices, frequency: Indices, rank: Indices) -> Indices:
    """Parents (L,) without a circle; edges (E,) are sorted by child, the child's preferred parent first."""
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
    """Parents with L in place of −1, and an L-th location that holds itself: where every way up ends."""
    return np.append(np.where(parents < 0, len(parents), parents), len(parents))


def _on_circles(parents: Indices) -> Indices:
    """The locations that hold themselves through others, ascending."""
    count = len(parents)
    above, steps = _with_end(parents), 1
    while steps < count and (above != count).any():  # after L steps a way up has ended, or is on a circle
        above, steps = above[above], steps * 2
    return np.unique(above[above < count])


def _circles(looping: Indices, parents: Indices) -> list[list[int]]:
    """Locations on circles, circle by circle."""
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
