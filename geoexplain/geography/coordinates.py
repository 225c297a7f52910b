"""Millions of coordinates out of a CSV table, in bounded memory, with the line where one is wrong."""

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
"""Names of columns, in any case; of several that are there, the first one of this list counts."""

DELIMITERS = ",;\t"
MAX_ROWS = 200_000_000
"""Of 16 bytes each in memory."""

MAX_LINE = 1_000_000
"""Characters; a longer line would have to be held whole."""

ROWS_AT_A_TIME = 250_000


def read_coordinates(table: Path, *, progress: Callable[[int, int], None] | None = None) -> NDArray[np.float64]:
    """The coordinates of a table, float64 (N, 2), latitude and longitude in degrees, N ≥ 1, in its order.

    A CSV table in UTF-8 with commas, semicolons or tabs, and a header with one of LATITUDES and one of LONGITUDES;
    other columns and empty lines are left aside. `progress` hears (bytes read, bytes in all).
    Raises DataError for a file that is not such a table, with the line, for a value that is none on Earth, and for
    more than MAX_ROWS rows.
    """
    name = printable(table.name or str(table))
    if not table.is_file():
        raise DataError(f"{name}: expected a CSV table of coordinates, found none: check the path.")
    try:
        size = table.stat().st_size
        blocks = []
        for block, done in _read(table, name):
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
        raise DataError(f"{name}: expected a coordinate in every line, got none after the header.")
    return np.concatenate(blocks)


@dataclass(frozen=True)
class _Layout:
    """What the header says: the delimiter, the columns of latitude and longitude, the lines up to it."""

    delimiter: str
    places: tuple[int, int]
    lines: int


def _read(table: Path, name: str) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Blocks (n, 2), n ≥ 1, and the bytes read so far."""
    with table.open("rb") as data:
        text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")  # closes `data` when nothing holds it any more
        lines = _lines(text, name)
        layout = _header(lines, name)
        rows = 0
        while (block := _block(lines, layout)) is None or len(block):
            if block is None:  # something in it is wrong, or not as NumPy wants it: once more from there, line by line
                yield from _read_slowly(table, name, rows)
                return
            rows += len(block)
            yield block, data.tell()


def _lines(file: TextIO, name: str) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise DataError(f"{name}: expected lines of less than {MAX_LINE:,} characters, got more: is it a table?")
        yield line


def _header(lines: Iterator[str], name: str) -> _Layout:
    above, header = next(((i, line) for i, line in enumerate(lines, 1) if line.strip()), (0, ""))
    for delimiter in DELIMITERS:
        titles = [title.strip().lower() for title in next(csv.reader([header], delimiter=delimiter), [])]
        found = [next((titles.index(one) for one in names if one in titles), None) for names in (LATITUDES, LONGITUDES)]
        if None not in found:
            lat, lon = (place for place in found if place is not None)
            return _Layout(delimiter, (lat, lon), above)
    raise DataError(
        f"{name}: expected a header with {' or '.join(LATITUDES[:2])} and with {' or '.join(LONGITUDES[:4])}, got "
        f"{printable(header.strip())!r}: name the columns so."
    )


def _block(lines: Iterator[str], layout: _Layout) -> NDArray[np.float64] | None:
    """The next rows (n, 2); none (0, 2) at the end; None if something is wrong with one of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing is left
            block = np.loadtxt(
                lines,
                delimiter=layout.delimiter,
                usecols=layout.places,
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
    return block if (np.abs(block) <= (90, 180)).all() else None  # None for NaN, too


def _read_slowly(table: Path, name: str, known: int) -> Iterator[tuple[NDArray[np.float64], int]]:
    """The rows after so many `known` ones, as _read gives them. Raises DataError, with the line, where one is wrong."""
    with table.open("rb") as data:
        text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")  # closes `data` when nothing holds it any more
        lines = _lines(text, name)
        layout = _header(lines, name)
        points = _points(lines, layout, name)
        for _ in itertools.islice(points, known):
            pass
        while len(block := np.array(list(itertools.islice(points, ROWS_AT_A_TIME)))):
            yield block, data.tell()


def _points(lines: Iterator[str], layout: _Layout, name: str) -> Iterator[tuple[float, float]]:
    rows = csv.reader(lines, delimiter=layout.delimiter)
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            cells = [row[place].strip() if place < len(row) else "" for place in layout.places]
            try:
                # Not with Python's own grouping of digits, 1_000, which no table means.
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
            f"{name}, line {layout.lines + rows.line_num:,}: expected values between {layout.delimiter!r}, could not "
            f"read the line ({error}): correct it."
        ) from None
