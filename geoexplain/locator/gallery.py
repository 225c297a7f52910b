"""A gallery: embeddings of photos whose places are known, by cell of a partition; and its own format, a folder.

The folder holds features.npy (N, D), float16 or float32, rows sorted by cell; positions.npy (N, 2), float64 degrees;
cells.npy (K + 1,), int64: the rows of cell k are cells[k] … cells[k + 1] − 1; and gallery.json with format, model,
dim, rows, cells and the fingerprint of the partition.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import unit_vectors
from geoexplain.locator.gallery_hdf5 import Hdf5Gallery, are_positions, open_hdf5

if TYPE_CHECKING:
    from geoexplain.research import Assignments

FORMAT = "geoexplain-gallery/1"
DESCRIPTION, FEATURES, POSITIONS, CELLS = "gallery.json", "features.npy", "positions.npy", "cells.npy"
HDF5_SUFFIXES = (".hdf5", ".h5")

MAX_DESCRIPTION_BYTES = 10_000
MAX_ROWS = 100_000_000
MAX_CELLS = 1_000_000


class Gallery(Protocol):
    """N photos, each with the embedding a model gives it and where it was taken; threads may share one."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def model(self) -> str | None:
        """Name of the model whose embeddings it holds; None when the file does not say."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""

    def __len__(self) -> int: ...

    def rows_of(self, cell: int) -> NDArray[np.int64]:
        """The rows in [0, N) that lie in a cell, int64 (n,); none for a cell that the gallery does not know."""

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings (n, dim) of some rows (n,). Raises DataError when they cannot be read or are not finite."""

    def positions_deg(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Latitude and longitude (n, 2) in degrees of some rows (n,)."""


@dataclass(frozen=True, eq=False)
class FolderGallery:
    """A gallery in its own format, memory-mapped: the rows of a cell lie side by side."""

    name: str
    model: str
    dim: int
    cells: NDArray[np.int64] = field(repr=False)
    positions: NDArray[np.float64] = field(repr=False)
    embeddings: NDArray[Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.positions)

    def rows_of(self, cell: int) -> NDArray[np.int64]:
        """See Gallery."""
        if not 0 <= cell < len(self.cells) - 1:
            return np.empty(0, dtype=np.int64)
        return np.arange(self.cells[cell], self.cells[cell + 1])

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See Gallery."""
        found = self.embeddings[rows].astype(np.float32)
        if not np.isfinite(found).all():
            raise DataError(
                f"gallery {self.name}: expected finite embeddings, got NaN or infinite ones: build it again."
            )
        return found

    def positions_deg(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """See Gallery."""
        return self.positions[rows]


def open_gallery(
    path: Path, partition: Partition, assignments: "Assignments | None" = None
) -> FolderGallery | Hdf5Gallery:
    """Open the gallery in a folder or an HDF5 file (.hdf5, .h5) for the cells of a partition.

    Which rows of an HDF5 file lie in which cell `assignments` say; without them every row lies in the cell whose centre
    is nearest. A folder says so itself, and `assignments` are not looked at.

    Raises DataError when there is no gallery, it is damaged, or it belongs to other cells than the partition's.
    """
    if path.is_dir():
        gallery = open_folder(path)
        _check_partition(path, partition)
        return gallery
    if path.suffix.lower() not in HDF5_SUFFIXES:
        raise DataError(
            f"gallery {path.name}: expected a folder made by `geoexplain gallery build`, or a file that ends in "
            f"{' or '.join(HDF5_SUFFIXES)}, found neither: check the path."
        )
    table = open_hdf5(path)
    if assignments is None:
        assignments = nearest_cells(partition, table.positions)
    else:
        _check_assignments(path.name, assignments, len(table), len(partition))
    return Hdf5Gallery(table, assignments)


def open_folder(folder: Path) -> FolderGallery:
    """Open a gallery in its own format, whatever its cells. Raises DataError when it is none, or is damaged."""
    facts = _description(folder)
    rows, dim, cells = facts["rows"], facts["dim"], facts["cells"]
    embeddings = _array(folder, FEATURES, (rows, dim), (np.float16, np.float32))
    positions = np.array(_array(folder, POSITIONS, (rows, 2), (np.float64,)))
    offsets = np.array(_array(folder, CELLS, (cells + 1,), (np.int64,)))
    if not are_positions(positions):
        raise DataError(
            f"gallery {folder.name}: {POSITIONS}: expected latitudes in [-90, 90] and longitudes in [-180, 180], "
            "got others: build the gallery again."
        )
    if offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets) < 0).any():
        raise DataError(
            f"gallery {folder.name}: {CELLS}: expected numbers that rise from 0 to {rows}, got others: "
            "build the gallery again."
        )
    return FolderGallery(folder.name, facts["model"], dim, offsets, positions, embeddings)


def description(model: str, partition: Partition, rows: int, dim: int) -> dict[str, Any]:
    """What gallery.json holds."""
    cells = len(partition)
    facts = {"format": FORMAT, "model": model, "dim": dim, "rows": rows, "cells": cells}
    return {**facts, "partition": fingerprint(partition)}


def fingerprint(partition: Partition) -> str:
    """The cells' centres in a word: SHA-256 of their degrees to five decimals, as `Partition.save` writes them."""
    lines = "".join(f"{lat:.5f},{lon:.5f}\n" for lat, lon in partition.centers_deg)
    return hashlib.sha256(lines.encode()).hexdigest()


def nearest_cells(partition: Partition, positions_deg: NDArray[np.float64]) -> "Assignments":
    from geoexplain.research import Assignments  # noqa: PLC0415

    """Points (N, 2) in degrees by the cell whose centre is nearest, in their own order within a cell."""
    _, owner = KDTree(partition.unit_vectors).query(unit_vectors(positions_deg))
    counts = np.bincount(owner, minlength=len(partition))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Assignments(offsets, np.argsort(owner, kind="stable").astype(np.int64))


def _check_assignments(name: str, assignments: "Assignments", rows: int, cells: int) -> None:
    if len(assignments.offsets) - 1 > cells:
        raise DataError(
            f"gallery {name}: expected assignments to {cells} cells, got {len(assignments.offsets) - 1}: "
            "are these the assignments of another model?"
        )
    listed = assignments.rows
    if len(listed) and not (listed.min() >= 0 and listed.max() < rows):
        raise DataError(
            f"gallery {name}: expected assignments of rows from 0 to {rows - 1}, got {listed.min()} to {listed.max()}: "
            "are these the assignments of another gallery?"
        )


def _check_partition(folder: Path, partition: Partition) -> None:
    facts = _description(folder)
    if facts["cells"] != len(partition):
        raise DataError(
            f"gallery {folder.name}: expected the {len(partition)} cells of {partition.name}, got {facts['cells']} of "
            f"model {facts['model'][:100]}: build a gallery with this model."
        )
    if facts["partition"] != fingerprint(partition):
        raise DataError(
            f"gallery {folder.name}: expected the cells of {partition.name}, got as many others of model "
            f"{facts['model'][:100]}: build a gallery with this model."
        )


def _is_count(low: int, high: int, value: object) -> bool:
    return type(value) is int and low <= value <= high


def _description(folder: Path) -> Mapping[str, Any]:
    file = folder / DESCRIPTION
    if not file.is_file():
        raise DataError(f"gallery {folder.name}: expected {DESCRIPTION} in the folder, found none: is this a gallery?")
    with file.open("rb") as stream:
        content = stream.read(MAX_DESCRIPTION_BYTES + 1)
    try:
        facts = json.loads(content) if len(content) <= MAX_DESCRIPTION_BYTES else None
    except (ValueError, RecursionError):  # the latter from brackets within brackets
        facts = None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise DataError(
            f"gallery {folder.name}: {DESCRIPTION}: expected JSON with the format {FORMAT!r}, got something else: "
            "build the gallery again."
        )
    tests = {
        "model": isinstance(facts.get("model"), str),
        "partition": isinstance(facts.get("partition"), str),
        "dim": _is_count(1, 100_000, facts.get("dim")),
        "rows": _is_count(1, MAX_ROWS, facts.get("rows")),
        "cells": _is_count(1, MAX_CELLS, facts.get("cells")),
    }
    for key, passed in tests.items():
        if not passed:
            raise DataError(
                f"gallery {folder.name}: {DESCRIPTION}: expected a {key} that makes sense, "
                f"got {str(facts.get(key))[:100]!r}: build the gallery again."
            )
    return facts


def _array(folder: Path, name: str, shape: tuple[int, ...], dtypes: tuple[type, ...]) -> NDArray[Any]:
    """A .npy file of the folder, memory-mapped; objects, which NumPy would unpickle, are refused by its header."""
    wanted = f"{' or '.join(np.dtype(dtype).name for dtype in dtypes)} of shape {shape}"
    file = folder / name
    if not file.is_file():
        raise DataError(f"gallery {folder.name}: expected {name} in the folder, found none: build the gallery again.")
    try:
        found = open_memmap(file, mode="r")
    except (ValueError, OSError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError):
        raise DataError(
            f"gallery {folder.name}: {name}: expected a whole NumPy file, {wanted}, could not read it as one: "
            "build the gallery again."
        ) from None
    if found.shape != shape or found.dtype not in dtypes or not found.flags.c_contiguous:
        raise DataError(
            f"gallery {folder.name}: {name}: expected {wanted}, got {str(found.dtype)[:100]} of shape "
            f"{str(found.shape)[:100]}: build the gallery again."
        )
    return found
