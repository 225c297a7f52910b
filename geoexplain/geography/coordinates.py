"""Read millions of coordinates from a CSV table in bounded memory; errors name the line."""

import csv
import io
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.words import printable

LATITUDES = ("lat", "latitude", "lat_deg")
LONGITUDES = ("lon", "lng", "long", "longitude", "lon_deg")
"""Accepted column names, in upper or lower case. If a table has several of them, the first in this list is used."""

DELIMITERS = ",;\t"
MAX_ROWS = 200_000_000
"""Each row takes 16 bytes of memory."""

MAX_LINE = 1_000_000
"""Longest line in characters, since a line is held in memory whole."""

ROWS_AT_A_TIME = 250_000


def read_coordinates(table: Path, *, progress: Callable[[int, int], None] | None = None) -> NDArray[np.float64]:
    """Read the coordinates of a table: float64 (N, 2), latitude and longitude in degrees, N ≥ 1, in the table's order.

    The table is CSV in UTF-8 with commas, semicolons or tabs. Its header names one of LATITUDES and one of LONGITUDES;
    other columns and empty lines are ignored. `progress` is called with (bytes read, size of the file in bytes).
    Raises DataError if the file is not such a table, if a value is not a coordinate on Earth (the message names the
    line), or if there are more than MAX_ROWS rows.
    """
    name = printable(table.name or str(table))
    if not table.is_file():
        raise DataError(f"{name}: expected a CSV table of coordinates, found none: check the path.")
    try:
        size = table.stat().st_size
        blocks = []
        for block, done in _read_blocks(table, name):
            blocks.append(block)
            if sum(map(len, blocks)) > MAX_ROWS:
                raise DataError(f"{name}: expected at most {MAX_ROWS:,} coordinates, got more: split the table.")
            if progress is not None:
                progress(min(done, size), size)
    except UnicodeDecodeError:
        raise DataError(f"{name}: expected text in UTF-8, got another encoding: save the table as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{name}: expected a readable table, got '{error.strerror}': check the file.") from None
    if not blocks:
        raise DataError(
            f"{name}: expected a coordinate in every line, got none after the header: check that the file is complete."
        )
    return np.concatenate(blocks)


@dataclass(frozen=True)
class _Layout:
    """The delimiter, the columns of latitude and longitude, and the number of lines up to and including the header."""

    delimiter: str
    columns: tuple[int, int]
    lines: int


def _read_blocks(table: Path, name: str) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Yield blocks (n, 2), n ≥ 1, and the number of bytes read so far."""
    with table.open("rb") as data:
        text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")  # closes `data` when it is garbage-collected
        lines = _read_lines(text, name)
        layout = _read_header(lines, name)
        rows = 0
        while (block := _next_block(lines, layout)) is None or len(block):
            if block is None:  # a wrong value, or a form that NumPy cannot parse: parse the rest line by line
                yield from _read_by_line(table, name, rows)
                return
            rows += len(block)
            yield block, data.tell()


def _read_lines(file: TextIO, name: str) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise DataError(
                f"{name}: expected lines of less than {MAX_LINE:,} characters, got a longer one: is it a table?"
            )
        yield line


def _read_header(lines: Iterator[str], name: str) -> _Layout:
    above, header = next(((i, line) for i, line in enumerate(lines, 1) if line.strip()), (0, ""))
    for delimiter in DELIMITERS:
        titles = [title.strip().lower() for title in next(csv.reader([header], delimiter=delimiter), [])]
        columns = [
            next((titles.index(title) for title in names if title in titles), None) for names in (LATITUDES, LONGITUDES)
        ]
        if None not in columns:
            lat, lon = (column for column in columns if column is not None)
            return _Layout(delimiter, (lat, lon), above)
    raise DataError(
        f"{name}: expected a header with {' or '.join(LATITUDES[:2])} and with {' or '.join(LONGITUDES[:4])}, got "
        f"{printable(header.strip())!r}: rename the columns."
    )


def _next_block(lines: Iterator[str], layout: _Layout) -> NDArray[np.float64] | None:
    """Return the next rows (n, 2), an empty array (0, 2) at the end, or None if one of the rows is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of empty input at the end of the file
            block = np.loadtxt(
                lines,
                delimiter=layout.delimiter,
                usecols=layout.columns,
                quotechar='"',
                comments=None,
                ndmin=2,
                max_rows=ROWS_AT_A_TIME,
            )
    except UnicodeDecodeError:
        raise
    except ValueError:
        return None
    block = block.reshape(-1, 2)
    return block if (np.abs(block) <= (90, 180)).all() else None  # None for NaN too


def _read_by_line(table: Path, name: str, skip: int) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Yield what `_read_blocks` yields, after the first `skip` rows. Raises DataError that names the wrong line."""
    with table.open("rb") as data:
        text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")  # closes `data` when it is garbage-collected
        lines = _read_lines(text, name)
        layout = _read_header(lines, name)
        points = _parse_points(lines, layout, name)
        for _ in itertools.islice(points, skip):
            pass
        while len(block := np.array(list(itertools.islice(points, ROWS_AT_A_TIME)))):
            yield block, data.tell()


def _parse_points(lines: Iterator[str], layout: _Layout, name: str) -> Iterator[tuple[float, float]]:
    rows = csv.reader(lines, delimiter=layout.delimiter)
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            cells = [row[column].strip() if column < len(row) else "" for column in layout.columns]
            try:
                # Python accepts 1_000 as a number; in a table it is a mistake.
                lat, lon = (float(cell.replace("_", "?")) for cell in cells)
            except ValueError:
                lat = lon = math.nan
            if not (abs(lat) <= 90 and abs(lon) <= 180):
                raise DataError(
                    f"{name}, line {layout.lines + rows.line_num:,}: expected a latitude from -90 to 90 and a "
                    "longitude from -180 to 180 degrees, such as 48.8584 and 2.2945, got "
                    f"{printable(' and '.join(cells))!r}: correct or remove the line."
                )
            yield lat, lon
    except csv.Error as error:
        raise DataError(
            f"{name}, line {layout.lines + rows.line_num:,}: expected values separated by {layout.delimiter!r}, got a "
            f"line that cannot be parsed ({error}): correct it."
        ) from None
