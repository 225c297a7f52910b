"""The semantic partitioning of Theiner et al. (WACV 2022, sect. 3.1): classes that are cities, parks, countries.

Given the hierarchy (`hierarchy.py`) and a threshold τ, locations with fewer than τ images, counting those in finer
locations, are dropped. The class of an image is its finest remaining location. If finer locations of a location remain
too, it is the class of its other images: "rest of Jordan". These may number fewer than τ; the location as a whole has
at least τ.

Several thresholds give several levels. The paper leaves open what happens to a class without a coarser one, and the
authors' code makes it a child of class 0. Here each image has a class at every level or at none: images of which no
location remains at the lowest threshold, since even their root has fewer images, are in no cell, as in the paper. A
root that remains there also remains at all higher thresholds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.hierarchy import Hierarchy, build_hierarchy, key_ranks
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Assign, Partitioning
from geoexplain.geography.places import unique_labels
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.semantic_assign import AddressOf, ByAddress, nearest_coordinate
from geoexplain.geography.semantic_borders import BorderOf, class_borders, known_borders, only_polygons
from geoexplain.geography.sphere import degrees, unit_vectors

Indices = NDArray[np.int64]

LAST_IN_LABELS = "country"
"""The kind of location that a label's path ends with: a reader needs no continent after "Wadi Rum, Ma'an, Jordan"."""


DIGITS = 7
"""Decimal places of a centre in degrees, about a centimetre; tables use the same."""


@dataclass(frozen=True, eq=False)
class Level:
    """The K classes at one threshold.

    classes  int64 (K,), their locations, in the order of the keys
    finest   int64 (L,), the finest remaining location among each location and those that contain it; −1 for none
    row      int64 (L + 1,), the class of each location; −1 for a location that is not a class, and at the end
    cells    int64 (N,), the class of each image; −1 for an image in none
    """

    classes: Indices
    finest: Indices
    row: Indices
    cells: Indices


def build_semantic(
    addresses: Addresses,
    thresholds: Sequence[int],
    *,
    name: str,
    border_of: BorderOf | None = None,
    address_of: AddressOf | None = None,
    tree_name: str = "territory",
    progress: Callable[[int, int], None] | None = None,
) -> Partitioning:
    """Build the partitioning of N images by their addresses, with one level per threshold, by the rules above.

    thresholds  distinct numbers of images, at least 1, in any order; levels are sorted from the lowest, the finest
    name        identifier of the partitioning
    border_of   returns the outline of a location; without one, a class gets the border that `class_borders` computes
    address_of  `territory_addresses`, if it computed these addresses: assigns points by their address (`ByAddress`).
                None assigns them to the class of the nearest coordinate (`NearestCoordinate`), as natural addresses
                need, since their files may be missing where the partitioning is read. `settings["assign"]` records it
    tree_name   "territory" or "nature": the kind of addresses, and so of places in the tree
    progress    is called with (classes drawn, classes of all levels) if there are borders to draw

    The centre of a class is the mean of its images on the sphere. If they cancel out (antipodes), the first image from
    south to north, then west to east, is the centre. Classes are in the order of their keys; labels are paths,
    "Wadi Rum, Ma'an, Jordan". The tree contains the finest classes and all locations above them.
    Raises DataError for other thresholds, and when no location reaches the lowest threshold.
    """
    limits = sorted(thresholds)
    if not limits or limits[0] < 1 or len(set(limits)) < len(limits):
        raise DataError(
            f"semantic partitioning: expected distinct numbers of images from 1 up, got {list(thresholds)}: "
            "give thresholds like 100, 125, 250."
        )
    hierarchy = build_hierarchy(addresses)
    levels = _levels(hierarchy, limits)
    if not len(levels[0].classes):
        most = int(hierarchy.images.max(initial=0))
        raise DataError(
            f"semantic partitioning: expected a location with at least {limits[0]} images, got at most {most}: "
            "lower the thresholds or give more coordinates."
        )
    # Sorted, so that not even the last digit of a mean depends on the order of the images.
    order = np.lexsort((addresses.points_deg[:, 1], addresses.points_deg[:, 0]))
    centers = [_centers(addresses.points_deg[order], level.cells[order], len(level.classes)) for level in levels]
    borders, known = _borders(hierarchy, levels, centers, border_of, progress)
    partitions = []
    for i, level in enumerate(levels):
        coarser = levels[i + 1] if i + 1 < len(levels) else None
        parents = None if coarser is None else coarser.row[coarser.finest[level.classes]]
        labels = tuple(unique_labels(_names(hierarchy, level), centers[i]))
        drawn = borders[i] if any(border is not None for border in borders[i]) else None
        partitions.append(Partition(f"{name}-{limits[i]}", labels, centers[i], parents, drawn))
    tree, place_of = _tree(hierarchy, levels[0], borders[0], known, tree_name)
    assign: Assign = nearest_coordinate(addresses.points_deg, levels[0].cells)
    if address_of is not None:
        keys = [location.key for location in hierarchy.locations]
        of_location = zip(keys, place_of[levels[0].finest].tolist(), hierarchy.images.tolist(), strict=True)
        # Locations without images are left out: the rest of a point's own address decides.
        places = {key: place for key, place, images in of_location if images}
        assign = ByAddress(address_of, places, tree, centers[0])
    settings: dict[str, Any] = {
        "thresholds": limits,
        "addresses": tree_name,
        "assign": "nearest coordinate" if address_of is None else "offline address",
        "in_no_cell": int((levels[0].cells < 0).sum()),
    }
    return Partitioning(
        name,
        "semantic",
        tuple(partitions),
        tuple(tuple(hierarchy.locations[each].key for each in level.classes.tolist()) for level in levels),
        tuple(np.bincount(level.cells[level.cells >= 0], minlength=len(level.classes)) for level in levels),
        borders,
        assign,
        settings,
        tree,
    )


def _levels(hierarchy: Hierarchy, limits: Sequence[int]) -> list[Level]:
    rank, images = key_ranks(hierarchy.locations), hierarchy.images
    roots = (hierarchy.parents < 0) & (images >= limits[0])
    levels = []
    for limit in limits:
        finest = hierarchy.nearest_kept((images >= limit) | roots)
        of_image = np.append(finest, -1)[hierarchy.finest]
        classes = np.unique(of_image[of_image >= 0])
        classes = classes[np.argsort(rank[classes])]
        row = np.full(len(hierarchy) + 1, -1)
        row[classes] = np.arange(len(classes))
        levels.append(Level(classes, finest, row, row[of_image]))
    return levels


def _centers(points_deg: NDArray[np.float64], cells: Indices, count: int) -> NDArray[np.float64]:
    points, cells = points_deg[cells >= 0], cells[cells >= 0]
    vectors = unit_vectors(points)
    sums = np.stack([np.bincount(cells, weights=vectors[:, axis], minlength=count) for axis in range(3)], axis=-1)
    centers = degrees(sums)
    lost = np.linalg.norm(sums, axis=1) <= 1e-9 * np.bincount(cells, minlength=count)
    for cell in np.flatnonzero(lost):
        centers[cell] = points[cells == cell][0]
    return centers.round(DIGITS)


def _names(hierarchy: Hierarchy, level: Level) -> list[str]:
    """Return the name of each class: its path up to the country, without equal neighbours."""
    remaining = level.finest == np.arange(len(hierarchy))
    holding = set(hierarchy.parents[remaining].tolist())
    names = []
    for each in level.classes.tolist():
        words: list[str] = []
        for step in hierarchy.path(each):
            location = hierarchy.locations[step]
            if not words or words[-1] != location.name:
                words.append(location.name)
            if location.kind == LAST_IN_LABELS:
                break
        names.append(("rest of " if each in holding else "") + ", ".join(words))
    return names


Borders = tuple[tuple[BaseGeometry | None, ...], ...]


def _borders(
    hierarchy: Hierarchy,
    levels: Sequence[Level],
    centers: Sequence[NDArray[np.float64]],
    border_of: BorderOf | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Borders, dict[int, BaseGeometry]]:
    """Return the borders of the classes of each level, and the known polygons of the finest classes' locations."""
    if border_of is None:
        return tuple((None,) * len(level.classes) for level in levels), {}
    known = known_borders(hierarchy, levels[0].classes, border_of)
    total = sum(len(level.classes) for level in levels)
    borders, done = [], 0
    for level, middle in zip(levels, centers, strict=True):
        before = done
        report = None if progress is None else lambda drawn, _, before=before: progress(before + drawn, total)
        borders.append(class_borders(hierarchy, level.classes, middle, known, report))
        done += len(level.classes)
    return tuple(borders), known


def _tree(
    hierarchy: Hierarchy,
    finest: Level,
    borders: Sequence[BaseGeometry | None],
    known: dict[int, BaseGeometry],
    name: str,
) -> tuple[PlaceTree, Indices]:
    """Return the tree of the finest classes and all above them, and the place (L + 1,) of each location or −1."""
    below: dict[int, list[int]] = {}
    for cell, each in enumerate(finest.classes.tolist()):
        for step in hierarchy.path(each):
            below.setdefault(step, []).append(cell)
    places = sorted(below, key=lambda step: hierarchy.locations[step].key)
    place_of = np.full(len(hierarchy) + 1, -1)
    place_of[places] = np.arange(len(places))
    outlines = []
    for step in places:
        drawn = [border for cell in below[step] if (border := borders[cell]) is not None]
        whole = known.get(step)
        if whole is None and drawn:
            whole = drawn[0] if len(drawn) == 1 else only_polygons(drawn)
        outlines.append(whole)
    tree = PlaceTree(
        name,
        tuple(hierarchy.locations[step].name for step in places),
        tuple(hierarchy.locations[step].kind for step in places),
        place_of[hierarchy.parents[places]],
        place_of[finest.classes],
        tuple(outlines),
    )
    return tree, place_of
