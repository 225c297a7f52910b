"""The photos of a run: which are trained on, which choose, and where each was taken."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import unit_vectors
from geoexplain.photos.collection import PhotoCollection
from geoexplain.training.photo_heads import Truth


@dataclass(frozen=True, eq=False)
class PhotoSet:
    """Photos that are trained on and photos that choose among weights, with their cells.

    collection  where they are read from
    train       int64 (N,), rows of the collection; each lies in a cell
    validation  int64 (V,), other rows; they need not lie in one
    classes     int64 (M, L) of every row, coarse to fine; −1 for a photo in no cell
    positions   float32 (M, 3), unit vectors of every row
    in_no_cell  how many photos are not trained on for that reason
    """

    collection: PhotoCollection
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    classes: NDArray[np.int64]
    positions: NDArray[np.float32]
    in_no_cell: int

    def truth(self, rows: NDArray[np.int64], device: torch.device) -> Truth:
        """Where the photos of some rows (n,) were taken."""
        classes, positions = torch.from_numpy(self.classes[rows]), torch.from_numpy(self.positions[rows])
        return Truth(classes.to(device), positions.to(device))

    def fingerprint(self) -> str:
        """A digest of which photos are trained on, and where they were taken."""
        digest = hashlib.sha256()
        for rows in (self.train, self.validation):
            digest.update(rows.tobytes())
        digest.update(np.ascontiguousarray(self.collection.positions_deg).tobytes())
        for key in self.collection.keys:
            digest.update(key.encode() + b"\0")
        return digest.hexdigest()


def photo_set(
    collection: PhotoCollection,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    partitioning: Partitioning,
) -> PhotoSet:
    """The photos of a collection that a partitioning's cells are learned from, `train` and `validation` being rows.

    Raises DataError when fewer than two of those to train on lie in a cell.
    """
    classes = partitioning.classes(collection.positions_deg)
    held = train[classes[train, -1] >= 0]
    if len(held) < 2:
        raise DataError(
            f"expected photos to train on that lie in the cells of {partitioning.name}, got {len(held)} of "
            f"{len(train)}: is this the partitioning of other photos?"
        )
    positions = unit_vectors(collection.positions_deg).astype(np.float32)
    return PhotoSet(collection, held, validation, classes, positions, len(train) - len(held))


def evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of the rows (n,), evenly spaced: the first ones would be those of the first folders."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def cells_fingerprint(partitioning: Partitioning) -> str:
    """A digest of a partitioning's cells: their keys and centres on every level."""
    digest = hashlib.sha256()
    for level, keys in zip(partitioning.levels, partitioning.keys, strict=True):
        digest.update("\0".join(keys).encode() + np.round(level.centers_deg, 6).tobytes())
    return digest.hexdigest()
