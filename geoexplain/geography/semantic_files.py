"""Read and write the extra files of a semantic partitioning: its place tree and its rule that assigns points."""

import json
from pathlib import Path

import numpy as np

from geoexplain.errors import DataError
from geoexplain.files.archives import read_arrays, write_arrays, write_bytes
from geoexplain.files.reading import read_bytes
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Assign, Partitioning
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.placetree_files import read_place_trees, write_place_trees
from geoexplain.geography.semantic_assign import STEP_DEG, ByAddress, NearestCoordinate
from geoexplain.words import extremes, listed

TREE, COORDINATES, LOCATIONS = "places.json", "coordinates.npz", "locations.json"

FORMAT = "geoexplain-locations/1"
MAX_BYTES = 256 * 2**20


def write_semantic(partitioning: Partitioning, folder: Path) -> None:
    """Write the tree and what `assign` needs: TREE and either COORDINATES or LOCATIONS; the other one is removed.

    Raises DataError for a partitioning that `build_semantic` did not make, or a folder that cannot be written.
    """
    assign, tree = partitioning.assign, partitioning.tree
    if tree is None or not isinstance(assign, NearestCoordinate | ByAddress):
        raise DataError(f"partitioning {partitioning.name}: expected a semantic one, got another: build it again.")
    other = folder / (COORDINATES if isinstance(assign, ByAddress) else LOCATIONS)
    if isinstance(assign, NearestCoordinate):
        write_arrays(folder / COORDINATES, {"steps": assign.steps, "cells": assign.cells})
    else:
        content = {"format": FORMAT, "places": dict(assign.places)}
        write_bytes(folder / LOCATIONS, json.dumps(content, ensure_ascii=False).encode())
    try:
        other.unlink(missing_ok=True)
        write_place_trees([tree], folder / TREE)
    except OSError as error:
        raise DataError(f"{TREE}: expected to write it, got '{error.strerror}': check the folder.") from None


def read_semantic(folder: Path, finest: Partition) -> tuple[Assign, PlaceTree]:
    """Read what `write_semantic` wrote for a partitioning with these `finest` cells: the assignment rule and the tree.

    A rule by address computes addresses with `territory_addresses`. Raises DataError for files that are missing,
    damaged, or of other cells.
    """
    trees = read_place_trees(folder / TREE)
    if len(trees) != 1 or len(trees[0].of_cell) != len(finest):
        raise DataError(
            f"{TREE}: expected one tree over {len(finest)} cells, got "
            f"{listed([len(tree.of_cell) for tree in trees])}: are these files of one kind?"
        )
    tree = trees[0]
    if (folder / LOCATIONS).is_file():
        if (tree.of_cell < 0).any() or len(set(tree.of_cell.tolist())) < len(finest):
            raise DataError(
                f"{TREE}: expected a place of its own for each of {len(finest)} cells, got "
                f"{len(set(tree.of_cell[tree.of_cell >= 0].tolist()))}: build the partitioning again."
            )
        return ByAddress(territory_addresses, _places(folder / LOCATIONS, len(tree)), tree, finest.centers_deg), tree
    steps, cells = read_arrays(folder / COORDINATES, {"steps": (np.int32, 2), "cells": (np.int32, 1)})
    fits = steps.shape == (len(cells), 2) and len(cells) and -1 <= cells.min() <= cells.max() < len(finest)
    if not fits or (np.abs(steps.astype(np.int64)) > [round(90 / STEP_DEG), round(180 / STEP_DEG)]).any():
        raise DataError(
            f"{COORDINATES}: expected coordinates and cells from -1 to {len(finest) - 1}, got {extremes(cells)}: "
            "are these files of one partitioning?"
        )
    return NearestCoordinate(steps, cells), tree


def _places(file: Path, places: int) -> dict[str, int]:
    data = read_bytes(file, MAX_BYTES)
    try:
        content = json.loads(data)
        found = content["places"] if content["format"] == FORMAT else {}
        fits = bool(found) and all(type(place) is int and -1 <= place < places for place in found.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fits, found = False, {}
    if not fits:
        raise DataError(
            f"{file.name}: expected the place of each location ({FORMAT}), got something else or a damaged file: "
            "build the partitioning again."
        )
    return dict(found)
