"""Read tables of cells: CSV files with the label, the centre and optionally the parent of each cell."""

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.words import mebibytes

COLUMNS = ("label", "latitude", "longitude")
PARENT = "parent"
"""Optional column: the index of the cell's parent in the next coarser table."""

MAX_CELLS = 1_000_000
"""Largest number of cells in a table."""

MAX_BYTES = 256 * 2**20
"""Largest size of a table, since a single line is held in memory whole."""


def read_cells(file: Path, name: str) -> Partition:
    """Read a table of cells (CSV with label, latitude, longitude and optionally parent) as the Partition `name`.

    Raises DataError for a file that is missing, is not such a table, contains no cell or more than MAX_CELLS, or is
    larger than MAX_BYTES.
    """
    return read_cell_table(file, name)[0]


def read_cell_table(
    file: Path, name: str, further: Sequence[str] = ()
) -> tuple[Partition, tuple[tuple[str, ...], ...]]:
    """Do the same, and return the texts of the columns `further`, which the table must have as well."""
    labels: list[str] = []
    centers: list[tuple[float, float]] = []
    parents: list[int] = []
    texts: list[list[str]] = [[] for _ in further]
    try:
        check_size(file)
        with file.open(newline="", encoding="utf-8") as table:
            rows = csv.reader(table)
            header = next(rows, [])
            if not {*COLUMNS, *further} <= set(header):
                raise DataError(
                    f"{file.name}: expected a CSV table with the columns {', '.join((*COLUMNS, *further))}, "
                    f"got {', '.join(header)[:200]!r}: is this another table?"
                )
            places = [header.index(column) for column in (*COLUMNS, PARENT) if column in header]
            for row in islice(filter(None, rows), MAX_CELLS + 1):
                label, center, parent = _cell(row, places, f"{file.name}, line {rows.line_num}")
                labels.append(label)
                centers.append(center)
                parents += parent
                for column, title in zip(texts, further, strict=True):
                    column.append(row[header.index(title)] if header.index(title) < len(row) else "")
    except FileNotFoundError:
        raise DataError(
            f"expected the table of cells {file.name} beside the weights, found none: put it there."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file.name}: expected a CSV table in UTF-8, could not read it ({error}): get the file again."
        ) from error
    if len(labels) > MAX_CELLS:
        raise DataError(f"{file.name}: expected at most {MAX_CELLS} cells, got more: is this another table?")
    points = np.array(centers, dtype=np.float64).reshape(-1, 2)
    partition = Partition(name, tuple(labels), points, np.array(parents, dtype=np.int64) if parents else None)
    return partition, tuple(map(tuple, texts))


def check_size(file: Path) -> None:
    """Raise DataError for a table of more than MAX_BYTES bytes, OSError for a missing one."""
    if file.stat().st_size > MAX_BYTES:
        raise DataError(f"{file.name}: expected at most {mebibytes(MAX_BYTES)}, got more: is this another table?")


def _cell(row: list[str], places: list[int], where: str) -> tuple[str, tuple[float, float], list[int]]:
    try:
        label, lat, lon, *parent = (row[place] for place in places)
        return label, (float(lat), float(lon)), [_number(text) for text in parent]
    except (IndexError, ValueError):
        raise DataError(
            f"{where}: expected a label, a latitude and a longitude in degrees{' and a parent' * (len(places) > 3)}, "
            f"got {', '.join(row)[:200]!r}: correct the line."
        ) from None


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number < MAX_CELLS:
        raise ValueError(text)
    return number
