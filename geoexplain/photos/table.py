"""Read CSV tables of photos and their positions."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from geoexplain.errors import DataError
from geoexplain.geography.coordinates import LATITUDES, LONGITUDES
from geoexplain.words import printable

MAX_BYTES = 512 * 2**20

IDS = ("id", "img_id", "image_id", "photo_id")
PATHS = ("path", "file", "filename", "file_name", "image", "image_path", "img_path")
AUTHORS = ("author", "author_id", "user", "user_id", "owner", "photographer")
"""Names of columns, in any case; if a table has several of them, the first in this order is used."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    where   file and line, for messages
    path    None if the table has only ids
    author  "" if the table has none
    """

    where: str
    path: str | None
    lat_deg: float
    lon_deg: float
    author: str = ""


@dataclass(frozen=True)
class _Columns:
    delimiter: str
    id: int | None
    path: int | None
    lat: int
    lon: int
    author: int | None


def read_rows(table: Path) -> dict[str, Row]:
    """Read a table and return id → row; without a column of ids, the path is the id.

    Raises DataError for the reasons given in `read_manifest`.
    """
    rows: dict[str, Row] = {}
    for key, row in table_rows(table):
        if key in rows:
            raise DataError(
                f"{row.where}: expected each photo once, got {printable(key)!r} again, after "
                f"{rows[key].where.removeprefix(printable(table.name) + ', ')}: remove one of the lines."
            )
        rows[key] = row
    return rows


def table_rows(table: Path) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a table as (id, row), so that a table of millions need not be in memory.

    Raises DataError for the reasons given in `read_manifest`, except for repeated ids.
    """
    name = printable(table.name)
    if not table.is_file():
        raise DataError(f"{name}: expected a table of photos, or a metadata pickle, found none: check the path.")
    if table.stat().st_size > MAX_BYTES:
        raise DataError(f"{name}: expected at most {MAX_BYTES:,} bytes, got {table.stat().st_size:,}: split the table.")
    empty = True
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            for key, row in _read(file, name):
                empty = False
                yield key, row
    except UnicodeDecodeError:
        raise DataError(f"{name}: expected text in UTF-8, got another encoding: save the table as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{name}: expected a readable table, got '{error.strerror}': check the file.") from None
    if empty:
        raise DataError(f"{name}: expected a line for every photo, got none after the header: is this the right file?")


def _read(file: TextIO, name: str) -> Iterator[tuple[str, Row]]:
    columns, skipped = _header(file, name)
    lines = csv.reader(file, delimiter=columns.delimiter, strict=True)
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield _row(cells, columns, f"{name}, line {skipped + lines.line_num:,}")
    except csv.Error as error:
        raise DataError(
            f"{name}, line {skipped + lines.line_num:,}: expected values between {columns.delimiter!r}, could not read "
            f"the line ({error}): correct it."
        ) from None


def _header(file: TextIO, name: str) -> tuple[_Columns, int]:
    """Return the columns, and the number of lines up to and including the header."""
    line, skipped = "", 0
    while not line.strip():
        line = file.readline(10_000)
        skipped += 1
        if not line:
            break
    for delimiter in ",;\t":
        columns = _columns(line, delimiter)
        if columns is not None:
            return columns, skipped
    raise DataError(
        f"{name}: expected a header with {' or '.join(IDS[:2] + PATHS[:3])}, with {' or '.join(LATITUDES[:2])} "
        f"and with {' or '.join(LONGITUDES[:4])}, got {printable(line.strip())!r}: name the columns so."
    )


def _columns(line: str, delimiter: str) -> _Columns | None:
    try:
        names = [name.strip().lower() for cells in csv.reader([line], delimiter=delimiter) for name in cells]
    except csv.Error:
        return None

    def place(choices: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in choices if name in names), None)

    own, path, lat, lon = place(IDS), place(PATHS), place(LATITUDES), place(LONGITUDES)
    if lat is None or lon is None or own is path is None:
        return None
    return _Columns(delimiter, own, path, lat, lon, place(AUTHORS))


def _row(cells: list[str], columns: _Columns, where: str) -> tuple[str, Row]:
    def cell(place: int) -> str:
        return cells[place].strip() if place < len(cells) else ""

    path = None if columns.path is None else cell(columns.path)
    key = (path or "") if columns.id is None else cell(columns.id)
    if not key or path == "":
        raise DataError(f"{where}: expected the name of a photo, got none: complete or remove the line.")
    lat = _coordinate(cell(columns.lat), "a latitude from -90 to 90", 90, where)
    lon = _coordinate(cell(columns.lon), "a longitude from -180 to 180", 180, where)
    author = "" if columns.author is None else cell(columns.author)
    return key, Row(where, path, lat, lon, author)


def _coordinate(text: str, expected: str, limit: float, where: str) -> float:
    try:
        value = float(text.replace("_", "?"))  # Python would accept digits grouped by underscores
    except ValueError:
        value = float("nan")
    if not abs(value) <= limit:
        raise DataError(f"{where}: expected {expected} degrees, such as 48.8584, got {printable(text)!r}: correct it.")
    return value
