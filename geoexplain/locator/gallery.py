"""Galleries: embeddings of photos of known position, by cell of a partition, and the folder format that stores them.

The folder holds features.npy (N, D), float16 or float32, rows sorted by cell; positions.npy (N, 2), float64 degrees;
cells.npy (K + 1,), int64: the rows of cell k are cells[k] … cells[k + 1] − 1; centers.npy (K, 2), float64 degrees: the
cells' centres, which identify the partition; and gallery.json with format, model, dim, rows and cells.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from geoexplain.errors import DataError
from geoexplain.files import Assignments
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km, unit_vectors
from geoexplain.locator.gallery_hdf5 import Hdf5Gallery, Hdf5Table, are_positions, open_hdf5
from geoexplain.words import extremes

FORMAT = "geoexplain-gallery/1"
DESCRIPTION = "gallery.json"
FEATURES, POSITIONS, CELLS, CENTERS = "features.npy", "positions.npy", "cells.npy", "centers.npy"
HDF5_SUFFIXES = (".hdf5", ".h5")

MAX_DESCRIPTION_BYTES = 10_000
MAX_ROWS = 100_000_000
MAX_CELLS = 1_000_000
LONGEST_HEADER = 300
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<>|=]\w{1,10})', 'fortran_order': (?P<by_columns>False|True), "
    rb"'shape': \((?P<shape>(?:\d{1,20},? ?){0,4})\), \} *\n",
    re.DOTALL,
)
"""Header of an array in NumPy's file format 1.0. NumPy's own reader would evaluate it as a Python literal."""

SAME_CENTER_KM = 0.01
"""Maximum distance between the centres of equal cells, since tables of cells are rounded."""


class Gallery(Protocol):
    """Embeddings and positions of N photos; threads may share a gallery."""

    @property
    def name(self) -> str:
        """Name of the gallery in messages."""

    @property
    def model(self) -> str | None:
        """Name of the model that computed the embeddings; None if unknown."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""

    def __len__(self) -> int: ...

    def rows_of(self, cell: int) -> NDArray[np.int64]:
        """Return the rows of a cell, int64 (n,) in [0, N); none for a cell that the gallery does not have."""

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the embeddings (n, dim) of rows (n,). Raises DataError if they cannot be read or are not finite."""

    def positions_deg(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return latitudes and longitudes (n, 2) in degrees of rows (n,)."""


@dataclass(frozen=True, eq=False)
class FolderGallery:
    """A gallery in the folder format; the rows of a cell are contiguous.

    The embeddings are memory-mapped only while they are read; otherwise the process would appear to use all memory that
    it has ever read.
    """

    folder: Path
    model: str
    dim: int
    cells: NDArray[np.int64] = field(repr=False)
    centers_deg: NDArray[np.float64] = field(repr=False)
    positions: NDArray[np.float64] = field(repr=False)

    @property
    def name(self) -> str:
        """See Gallery."""
        return self.folder.name

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored embeddings: float16 or float32."""
        return _embeddings(self.folder, len(self), self.dim).dtype

    def __len__(self) -> int:
        return len(self.positions)

    def rows_of(self, cell: int) -> NDArray[np.int64]:
        """See Gallery."""
        if not 0 <= cell < len(self.cells) - 1:
            return np.empty(0, dtype=np.int64)
        return np.arange(self.cells[cell], self.cells[cell + 1])

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See Gallery."""
        embeddings = _embeddings(self.folder, len(self), self.dim)[rows].astype(np.float32)
        if not np.isfinite(embeddings).all():
            raise DataError(
                f"gallery {self.name}: expected finite embeddings, got NaN or infinite ones: build it again."
            )
        return embeddings

    def positions_deg(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """See Gallery."""
        return self.positions[rows]


def is_hdf5(path: Path) -> bool:
    """Return whether a path is read as an HDF5 file."""
    return path.suffix.lower() in HDF5_SUFFIXES and not path.is_dir()


def open_gallery(
    path: Path, partition: Partition, assignments: Assignments | None = None
) -> FolderGallery | Hdf5Gallery:
    """Open the gallery in a folder or an HDF5 file (.hdf5, .h5) for the cells of a partition.

    `assignments` are the rows of each cell in an HDF5 file; without them, each row belongs to the cell with the nearest
    centre. A folder contains its own, and `assignments` are ignored.

    Raises DataError if there is no gallery, or if it is damaged or belongs to another partition.
    """
    if path.is_dir():
        gallery = open_folder(path)
        _check_partition(gallery, partition)
        return gallery
    if not is_hdf5(path):
        raise DataError(
            f"gallery {path.name}: expected a folder made by `geoexplain gallery build`, or a file that ends in "
            f"{' or '.join(HDF5_SUFFIXES)}, found neither: check the path."
        )
    return gallery_by_cell(open_hdf5(path), partition, assignments)


def gallery_by_cell(table: Hdf5Table, partition: Partition, assignments: Assignments | None = None) -> Hdf5Gallery:
    """Return the rows of an HDF5 file as a gallery for the cells of a partition; see `open_gallery`."""
    if assignments is None:
        return Hdf5Gallery(table, nearest_cells(partition, table.positions))
    assignments.check(cells=len(partition), rows=len(table))
    return Hdf5Gallery(table, assignments)


def open_folder(folder: Path) -> FolderGallery:
    """Open a gallery in the folder format, with any cells. Raises DataError if it is damaged or not a gallery."""
    facts = _description(folder)
    rows, dim, cells = facts["rows"], facts["dim"], facts["cells"]
    _embeddings(folder, rows, dim)
    positions, centers_deg = _positions(folder, POSITIONS, rows), _positions(folder, CENTERS, cells)
    offsets = np.array(_array(folder, CELLS, (cells + 1,), (np.int64,)))
    if offsets[0] != 0 or offsets[-1] != rows or (offsets[1:] < offsets[:-1]).any():
        raise DataError(
            f"gallery {folder.name}: {CELLS}: expected numbers that rise from 0 to {rows}, got some from "
            f"{extremes(offsets)} that do not: build the gallery again."
        )
    return FolderGallery(folder, facts["model"], dim, offsets, centers_deg, positions)


def nearest_cells(partition: Partition, positions_deg: NDArray[np.float64]) -> Assignments:
    """Assign points (N, 2) in degrees to the cells with the nearest centres, in their original order within a cell."""
    _, owner = KDTree(partition.unit_vectors).query(unit_vectors(positions_deg))
    counts = np.bincount(owner, minlength=len(partition))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Assignments(offsets, np.argsort(owner, kind="stable").astype(np.int64))


def _check_partition(gallery: FolderGallery, partition: Partition) -> None:
    cells = len(gallery.centers_deg)
    same = cells == len(partition)
    if not same or great_circle_km(gallery.centers_deg, partition.centers_deg).max() > SAME_CENTER_KM:
        raise DataError(
            f"gallery {gallery.name}: expected the {len(partition)} cells of {partition.name}, got {cells}"
            f"{' others' if same else ''} of model {gallery.model[:100]}: build a gallery with this model."
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
    except (ValueError, RecursionError):  # RecursionError: deeply nested brackets
        facts = None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise DataError(
            f"gallery {folder.name}: {DESCRIPTION}: expected JSON with the format {FORMAT!r}, got something else: "
            "build the gallery again."
        )
    tests = {
        "model": isinstance(facts.get("model"), str),
        "dim": _is_count(1, 100_000, facts.get("dim")),
        "rows": _is_count(1, MAX_ROWS, facts.get("rows")),
        "cells": _is_count(1, MAX_CELLS, facts.get("cells")),
    }
    for key, passed in tests.items():
        if not passed:
            raise DataError(
                f"gallery {folder.name}: {DESCRIPTION}: expected a valid value of {key!r}, "
                f"got {str(facts.get(key))[:100]!r}: build the gallery again."
            )
    return facts


def _embeddings(folder: Path, rows: int, dim: int) -> NDArray[Any]:
    return _array(folder, FEATURES, (rows, dim), (np.float16, np.float32))


def _positions(folder: Path, name: str, rows: int) -> NDArray[np.float64]:
    positions = np.array(_array(folder, name, (rows, 2), (np.float64,)))
    if not are_positions(positions):
        raise DataError(
            f"gallery {folder.name}: {name}: expected latitudes in [-90, 90] and longitudes in [-180, 180], "
            f"got {extremes(positions[:, 0])} and {extremes(positions[:, 1])}: build the gallery again."
        )
    return positions


def _array(folder: Path, name: str, shape: tuple[int, ...], dtypes: tuple[type, ...]) -> NDArray[Any]:
    """Check header and size of a .npy file of the folder, and memory-map it."""
    types = {np.dtype(dtype).str: np.dtype(dtype) for dtype in dtypes}
    expected = f"{' or '.join(dtype.name for dtype in types.values())} of shape {shape}"
    where = f"gallery {folder.name}: {name}"
    file = folder / name
    if not file.is_file():
        raise DataError(f"{where}: expected this file in the folder, found none: build the gallery again.")
    with file.open("rb") as stream:
        header = _HEADER.match(stream.read(LONGEST_HEADER))
    if header is None:
        raise DataError(f"{where}: expected a NumPy file, {expected}, got something else: build the gallery again.")
    got_shape = tuple(int(side) for side in header["shape"].split(b",") if side.strip())
    dtype, by_columns = header["dtype"].decode(), header["by_columns"] == b"True"
    if got_shape != shape or dtype not in types or by_columns:
        raise DataError(
            f"{where}: expected {expected}, got {dtype} of shape {got_shape}{' by columns' if by_columns else ''}: "
            "build the gallery again."
        )
    size, whole = file.stat().st_size, header.end() + math.prod(shape) * types[dtype].itemsize
    if size != whole:
        raise DataError(f"{where}: expected {whole:,} bytes, got {size:,}: build the gallery again.")
    return np.memmap(file, types[dtype], "r", header.end(), shape)
