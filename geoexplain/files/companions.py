"""Read and write the data published with the CERTH model: cell centres, gallery rows of each cell, true positions.

The formats of visloc-estimation (Kordopatis-Zilos et al., ICMR 2021) are: `initial_mu_kappa.pkl`, a list of (latitude,
longitude), one for each cell; `cells_assignments.pkl`, a dict from cell to the set of its row numbers in the gallery,
without cells that have no rows; `metadata_*.pkl`, a dict from image id to {"lat", "lon"} as numbers or text.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.files.archives import is_archive, read_arrays, write_arrays
from geoexplain.files.pickles import read_pickle
from geoexplain.words import printable

MAX_CELLS = 1_000_000
"""Upper bound of the number of cells. Without it, one large cell number in a file would make a table of any size."""

MAX_ROWS = 2**40

_SIZED = (dict, list, set, tuple)


@dataclass(frozen=True, eq=False)
class Assignments:
    """Rows of a gallery that lie in each of K cells.

    offsets  int64 (K + 1,), not descending, from 0 to R: the rows of cell c are rows[offsets[c]:offsets[c + 1]]
    rows     int64 (R,), row numbers ≥ 0; within one cell in their original order

    K may be smaller than the number of cells of the partition: cells ≥ K have no rows.
    Raises DataError if `offsets` and `rows` are inconsistent.
    """

    offsets: NDArray[np.int64] = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)

    def __post_init__(self) -> None:
        offsets, rows = self.offsets, self.rows
        if (
            offsets.ndim != 1
            or rows.ndim != 1
            or {offsets.dtype, rows.dtype} != {np.dtype(np.int64)}
            or not 2 <= len(offsets) <= MAX_CELLS + 1
            or offsets[0] != 0
            or offsets[-1] != len(rows)
            or (offsets[1:] < offsets[:-1]).any()
            or (len(rows) and not 0 <= rows.min() <= rows.max() < MAX_ROWS)
        ):
            raise DataError(
                "assignments: expected int64 offsets from 0 to the number of rows, never descending, and int64 rows "
                f"of at least 0, got offsets {offsets.dtype} {offsets.shape} and rows {rows.dtype} {rows.shape} that "
                "do not fit: convert the original file again."
            )

    def rows_of(self, cell: int) -> NDArray[np.int64]:
        """Return the rows (n,) of a cell ≥ 0, n ≥ 0; raise DataError for a negative cell."""
        if cell < 0:
            raise DataError(f"assignments: expected a cell of at least 0, got {cell}: give a cell of the model.")
        if cell >= len(self.offsets) - 1:
            return self.rows[:0]
        return self.rows[self.offsets[cell] : self.offsets[cell + 1]]

    def over(self, cells: int) -> "Assignments":
        """Return the same assignments with K = `cells`; raise DataError if a cell ≥ `cells` has rows."""
        self.check(cells=cells)
        offsets = self.offsets[: cells + 1]
        beyond = np.full(cells + 1 - len(offsets), len(self.rows))
        return Assignments(np.concatenate([offsets, beyond]), self.rows)

    def check(self, *, cells: int, rows: int | None = None) -> None:
        """Raise DataError unless cells are below `cells` (the model's) and rows below `rows` (the gallery's)."""
        last_cell = int(np.searchsorted(self.offsets, len(self.rows))) - 1
        last_row = int(self.rows.max(initial=-1))
        if last_cell >= cells:
            raise DataError(
                f"assignments: expected cells below {cells:,}, got cell {last_cell:,}: do they belong to this model?"
            )
        if rows is not None and last_row >= rows:
            raise DataError(
                f"assignments: expected rows below {rows:,}, got row {last_row:,}: do they belong to this gallery?"
            )


def read_centers(file: Path) -> NDArray[np.float64]:
    """Read cell centres, float64 (K, 2) with latitude and longitude in degrees, K ≥ 1.

    `file` is the original pickle, or an .npz that `save_centers` wrote. Raises DataError for any other content, for
    positions out of range, and for more than MAX_CELLS cells.
    """
    if is_archive(file):
        (centers,) = read_arrays(file, {"centers_deg": (np.float64, 2)})
        return centers_from(centers.tolist(), file.name)
    return centers_from(read_pickle(file), file.name)


def centers_from(data: object, name: str) -> NDArray[np.float64]:
    """Convert the unpickled content of the file `name` to cell centres (K, 2); see `read_centers`."""
    if not isinstance(data, list) or not 1 <= len(data) <= MAX_CELLS:
        _refuse(name, f"a list of 1 to {MAX_CELLS:,} cell centres", data)
    centers = np.empty((len(data), 2))
    for place, pair in enumerate(data):
        numbers = isinstance(pair, tuple | list) and set(map(type, pair)) <= {float, int}
        if not numbers or len(pair) != 2 or not _is_position(*pair):
            _refuse(f"{name}, cell {place:,}", "a latitude from -90 to 90 and a longitude from -180 to 180", pair)
        centers[place] = pair
    return centers


def save_centers(centers_deg: NDArray[np.float64], file: Path) -> None:
    """Write cell centres (K, 2) in degrees as an .npz from which `read_centers` restores the same bits."""
    write_arrays(file, {"centers_deg": np.asarray(centers_deg, dtype=np.float64)})


def read_assignments(file: Path, cells: int | None = None) -> Assignments:
    """Read the gallery rows of each cell from the original pickle, or from an .npz that `save_assignments` wrote.

    Rows of one cell are in the iteration order of the pickle's sets. `cells` is the number of cells of the partition;
    None ends with the last cell that has rows. Raises DataError for any other content, and for a cell ≥ `cells`.
    """
    if is_archive(file):
        assignments = Assignments(*read_arrays(file, {"offsets": (np.int64, 1), "rows": (np.int64, 1)}))
        return assignments if cells is None else assignments.over(cells)
    return assignments_from(read_pickle(file), file.name, cells)


def assignments_from(data: object, name: str, cells: int | None = None) -> Assignments:
    """Convert the unpickled content of the file `name` to assignments; see `read_assignments`."""
    if not isinstance(data, dict) or not data:
        _refuse(name, "a dict from cell to rows of the gallery", data)
    last = MAX_CELLS if cells is None else cells
    for cell, rows in data.items():
        if type(cell) is not int or not 0 <= cell < last:
            _refuse(name, f"cells from 0 to {last - 1:,}", cell)
        if not isinstance(rows, set | list | tuple) or not set(map(type, rows)) <= {int}:
            _refuse(f"{name}, cell {cell:,}", "a set of row numbers", rows)
        if rows and not 0 <= min(rows) <= max(rows) < MAX_ROWS:
            _refuse(f"{name}, cell {cell:,}", f"rows from 0 to {MAX_ROWS:,}", min(rows) if min(rows) < 0 else max(rows))
    counts = np.zeros(max(data) + 1 if cells is None else cells, dtype=np.int64)
    counts[list(data)] = [len(rows) for rows in data.values()]
    offsets = np.concatenate([[0], counts.cumsum()])
    rows = np.fromiter((row for cell in sorted(data) for row in data[cell]), np.int64, count=int(offsets[-1]))
    return Assignments(offsets, rows)


def save_assignments(assignments: Assignments, file: Path) -> None:
    """Write assignments as an .npz that `read_assignments` reads; raise DataError if it cannot be written."""
    write_arrays(file, {"offsets": assignments.offsets, "rows": assignments.rows})


def read_metadata(file: Path) -> dict[str, tuple[float, float]]:
    """Read the true positions of a benchmark's images: id → (latitude, longitude) in degrees, in the file's order.

    `file` is an original pickle. Ids are not changed: some end in `.jpg`, some do not. Raises DataError for any other
    content, and for positions out of range.
    """
    return metadata_from(read_pickle(file), file.name)


def metadata_from(data: object, name: str) -> dict[str, tuple[float, float]]:
    """Convert the unpickled content of the file `name` to positions by image id; see `read_metadata`."""
    if not isinstance(data, dict) or not data:
        _refuse(name, "a dict from image id to {'lat', 'lon'}", data)
    positions: dict[str, tuple[float, float]] = {}
    for key, value in data.items():
        image = str(key) if type(key) is int else key
        if not isinstance(image, str) or not image.strip() or image in positions:
            _refuse(name, "image ids, each once", key)
        where = f"{name}, image {printable(image)!r}"
        if not isinstance(value, dict) or not {"lat", "lon"} <= value.keys():
            _refuse(where, "{'lat', 'lon'}", value)
        lat, lon = _number(value["lat"]), _number(value["lon"])
        if not _is_position(lat, lon):
            _refuse(where, "a latitude from -90 to 90 and a longitude from -180 to 180", (value["lat"], value["lon"]))
        positions[image] = lat, lon
    return positions


def _number(value: object) -> float:
    """Return a number or numeric text as a float; NaN for anything else."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        return math.nan


def _is_position(lat: float, lon: float) -> bool:
    return abs(lat) <= 90 and abs(lon) <= 180  # false for NaN


def _refuse(where: str, expected: str, got: object) -> NoReturn:
    raise DataError(f"{printable(where, 200)}: expected {expected}, got {_shown(got)}: is this the right file?")


def _shown(value: object) -> str:
    if isinstance(value, tuple) and 1 <= len(value) <= 3 and not any(isinstance(part, _SIZED) for part in value):
        return f"({', '.join(map(_shown, value))})"
    if isinstance(value, _SIZED):
        return f"a {type(value).__name__} of {len(value):,}"
    return printable(repr(value[:100] if isinstance(value, str | bytes) else value))
