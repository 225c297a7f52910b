"""Galleries in the HDF5 format of their authors: the datasets features (N, D) and labels (N, 2), lat and lon.

The file is untrusted. HDF5 can make a program read other files (external links, external storage, virtual datasets) and
can unpack a few bytes to gigabytes (filters). Datasets that are not stored uncompressed in the file itself are refused
before anything is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.files import Assignments
from geoexplain.words import extremes

FEATURES, LABELS = "features", "labels"
_FLOAT16, _FLOAT32 = (h5py.h5t.IEEE_F16LE, h5py.h5t.IEEE_F16BE), (h5py.h5t.IEEE_F32LE, h5py.h5t.IEEE_F32BE)
_FLOAT64 = (h5py.h5t.IEEE_F64LE, h5py.h5t.IEEE_F64BE)
KINDS = {
    FEATURES: {"float16": _FLOAT16, "float32": _FLOAT32},
    LABELS: {"float32": _FLOAT32, "float64": _FLOAT64},
}
"""The accepted number types of each dataset, by name, in either byte order."""

MAX_ROWS = 100_000_000
MAX_DIM = 100_000
LABEL_ROWS_AT_A_TIME = 65_536
LARGEST_GAP = 3
"""Gaps of up to this many rows are read too, since one more HDF5 read takes as long as this many rows."""


@dataclass(frozen=True, eq=False)
class Hdf5Table:
    """The rows of an HDF5 file: positions in memory (16 bytes each), embeddings on disk.

    The file is opened for every read, which takes 0.1 ms, so that threads share nothing and forked processes do not use
    their parent's handle.
    """

    file: Path
    dim: int
    dtype: np.dtype
    positions: NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.positions)

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the embeddings (n, dim) of rows (n,) in any order; raise DataError if they are missing or not finite."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        embeddings = np.empty((len(rows), self.dim), dtype=np.float32)
        with _opened(self.file) as file:
            dataset = _dataset(self.file.name, file, FEATURES)
            if dataset.shape != (len(self), self.dim):
                raise DataError(
                    f"gallery {self.file.name}: expected features of shape {(len(self), self.dim)} as before, "
                    f"got {dataset.shape}: the file has changed, open it again."
                )
            for start, end, first, last in _runs(ascending):
                block = _read(dataset, int(first), int(last) + 1)
                embeddings[order[start:end]] = block[ascending[start:end] - first]
        if not np.isfinite(embeddings).all():
            bad = ascending[~np.isfinite(embeddings[order]).all(axis=1)][0]
            raise DataError(
                f"gallery {self.file.name}: expected finite features, got NaN or infinite ones in row {bad}: "
                "get the file again."
            )
        return embeddings


@dataclass(frozen=True, eq=False)
class Hdf5Gallery:
    """A gallery in an HDF5 file, with the rows of each cell."""

    table: Hdf5Table
    assignments: Assignments

    @property
    def name(self) -> str:
        """See Gallery."""
        return self.table.file.name

    @property
    def model(self) -> None:
        """None: the file does not name its model."""
        return

    @property
    def dim(self) -> int:
        """See Gallery."""
        return self.table.dim

    def __len__(self) -> int:
        return len(self.table)

    def rows_of(self, cell: int) -> NDArray[np.int64]:
        """See Gallery."""
        return self.assignments.rows_of(cell)

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See Gallery."""
        return self.table.features(rows)

    def positions_deg(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """See Gallery."""
        return self.table.positions[rows]


def open_hdf5(file: Path) -> Hdf5Table:
    """Check an HDF5 file and read its labels. Raises DataError if it does not hold a gallery, stored uncompressed."""
    name = file.name
    if not file.is_file():
        raise DataError(f"expected a gallery at {file}, found none: check the path.")
    with _opened(file) as opened:
        features, labels = _dataset(name, opened, FEATURES), _dataset(name, opened, LABELS)
        if len(features.shape) != 2 or not (1 <= features.shape[0] <= MAX_ROWS and 1 <= features.shape[1] <= MAX_DIM):
            raise DataError(
                f"gallery {name}: expected features of shape (N, D), got {features.shape}: is this a gallery?"
            )
        rows, dim = features.shape
        if labels.shape != (rows, 2):
            raise DataError(
                f"gallery {name}: expected labels of shape {(rows, 2)}, a latitude and longitude for each row of "
                f"features, got {labels.shape}: get the file again."
            )
        positions = np.empty((rows, 2), dtype=np.float64)
        for start in range(0, rows, LABEL_ROWS_AT_A_TIME):
            end = min(start + LABEL_ROWS_AT_A_TIME, rows)
            positions[start:end] = _read(labels, start, end)
        dtype = np.dtype(features.dtype).newbyteorder("=")
    if not are_positions(positions):
        raise DataError(
            f"gallery {name}: expected labels with latitudes in [-90, 90] and longitudes in [-180, 180] in degrees, "
            f"got {extremes(positions[:, 0])} and {extremes(positions[:, 1])}: are the columns swapped?"
        )
    return Hdf5Table(file, dim, dtype, positions)


def are_positions(points_deg: NDArray[np.float64]) -> bool:
    """Return whether all points (N, 2) have a latitude in [-90, 90] and a longitude in [-180, 180]."""
    return bool((np.abs(points_deg) <= (90, 180)).all())  # also false for NaN


@contextmanager
def _opened(file: Path) -> Iterator[h5py.h5f.FileID]:
    """Open a file for reading, and convert errors of HDF5 to DataError."""
    try:
        with h5py.File(file, "r") as opened:
            yield opened.id
    except (OSError, RuntimeError, KeyError, ValueError, OverflowError, MemoryError):
        # Messages of HDF5 name its internal functions and the full paths of files.
        raise DataError(
            f"gallery {file.name}: expected an HDF5 file, could not read it as one; it is damaged, cut short or of "
            "another kind: get the file again."
        ) from None


def _dataset(name: str, file: h5py.h5f.FileID, key: str) -> h5py.h5d.DatasetID:
    """Return a dataset of one of its KINDS, stored uncompressed in the file; raise DataError for anything else."""
    if not file.links.exists(key.encode()):
        others = ", ".join(repr(other.decode(errors="replace")[:40]) for other in islice(file, 5))
        raise DataError(
            f"gallery {name}: expected the datasets {FEATURES} and {LABELS}, got {others or 'none'}: is this a gallery?"
        )
    # Storage is checked before shape and type: HDF5 may open other files to get the shape of a virtual dataset.
    if file.links.get_info(key.encode()).type != h5py.h5l.TYPE_HARD:
        raise _refusal(name, key, "a link to somewhere else")
    item = h5py.h5o.open(file, key.encode())
    if not isinstance(item, h5py.h5d.DatasetID):
        raise _refusal(name, key, "something that is not a dataset")
    storage = item.get_create_plist()
    if storage.get_layout() == h5py.h5d.VIRTUAL or storage.get_external_count():
        raise _refusal(name, key, "one stored in other files")
    if storage.get_nfilters():
        raise DataError(
            f"gallery {name}: expected {key} stored uncompressed, got a compressed dataset: "
            "store it again without filters (h5repack -f NONE)."
        )
    if not any(item.get_type() in kinds for kinds in KINDS[key].values()):
        raise DataError(
            f"gallery {name}: expected {key} in {' or '.join(KINDS[key])}, got numbers of another kind or none at all: "
            "store them again."
        )
    expected = item.get_space().get_simple_extent_npoints() * item.get_type().get_size()
    # A dataset may declare any shape, but only written data take up space in the file.
    if item.get_storage_size() < expected or Path(os.fsdecode(file.name)).stat().st_size < expected:
        raise DataError(
            f"gallery {name}: expected {expected:,} bytes of {key} for its shape {item.shape}, got fewer: "
            "the file is not complete, get it again."
        )
    return item


def _refusal(name: str, key: str, got: str) -> DataError:
    return DataError(
        f"gallery {name}: expected {key} to be a dataset of floating-point numbers in the file itself, got {got}: "
        "copy the numbers into one file."
    )


def _read(dataset: h5py.h5d.DatasetID, start: int, end: int) -> NDArray:
    """Read rows [start, end) of a dataset (N, D) in its own type."""
    shape = (end - start, dataset.shape[1])
    block = np.empty(shape, dtype=dataset.dtype)
    chosen = dataset.get_space()
    chosen.select_hyperslab((start, 0), shape)
    dataset.read(h5py.h5s.create_simple(shape), chosen, block)
    return block


def _runs(rows: NDArray[np.int64]) -> Iterator[tuple[int, int, np.int64, np.int64]]:
    """Divide ascending rows into runs that one read covers: (start, end) in `rows`, (first, last) row of each run."""
    cuts = np.flatnonzero(np.diff(rows) > LARGEST_GAP + 1) + 1
    bounds = [0, *cuts.tolist(), len(rows)]
    for start, end in pairwise(bounds):
        yield start, end, rows[start], rows[end - 1]
