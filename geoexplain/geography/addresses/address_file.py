"""Read and write addresses as two CSV tables: one with a line per coordinate, one with the names of the locations.

NAME.csv has the columns latitude, longitude and address: the keys of the locations, fine to coarse, separated by
" < ", or nothing without an address. NAME.locations.csv, next to it, has the columns key, name and kind.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.collected import MAX_STEPS, Collected
from geoexplain.words import listed, printable

BETWEEN = " < "

MAX_ROWS = 50_000_000
MAX_LINE = 100_000
"""Characters of a line."""

ROWS_AT_A_TIME = 100_000


def locations_file(file: Path) -> Path:
    """Return the path of the table of locations next to the table `file`: "a.csv" → "a.locations.csv"."""
    return file.with_name(f"{file.stem}.locations.csv")


def write_addresses(addresses: Addresses, file: Path) -> None:
    """Write addresses to `file` and `locations_file(file)`, coordinates rounded to 1e-7 degrees, about a centimetre.

    Both are there whole or not at all. Raises DataError for a key with " < " in it, one that is no single line, or a
    folder that cannot be written.
    """
    keys = [location.key for location in addresses.locations]
    for key in keys:
        if not key or BETWEEN in key or key != key.strip() or not key.isprintable():
            raise DataError(f"addresses: expected keys of one line without '{BETWEEN}', got {printable(key)!r}.")
    paths, path_of = np.unique(addresses.paths, axis=0, return_inverse=True)
    texts = [BETWEEN.join(keys[step] for step in path if step >= 0) for path in paths.tolist()]
    quoted = [_quoted(text) for text in texts]
    _write(locations_file(file), _location_lines(addresses))
    _write(file, _address_lines(addresses, path_of.reshape(-1), quoted))


def read_addresses(file: Path, *, progress: Callable[[int, int], None] | None = None) -> Addresses:
    """Read the addresses that `write_addresses` wrote; a million coordinates take a few seconds.

    `progress` is called with (bytes read, size of the file in bytes). Raises DataError, which names the line, for
    tables that are missing, damaged, do not fit together, or have more than MAX_ROWS lines.
    """
    found = Collected()
    for where, row in _rows(locations_file(file), ["key", "name", "kind"], None):
        if not row[0] or found.find(row[0]) is not None:
            raise DataError(f"{where}: expected every key once, got {printable(row[0])!r} again: correct the line.")
        found.location(*(printable(text, MAX_LINE) for text in row))
    known: dict[str, list[int]] = {"": []}
    for where, (lat, lon, address) in _rows(file, ["latitude", "longitude", "address"], progress):
        steps = known.get(address)
        if steps is None:
            steps = known[address] = _steps(address, found, where)
        found.add(*_position(lat, lon, where), steps)
    return found.addresses()


def _steps(address: str, found: Collected, where: str) -> list[int]:
    steps = [found.find(key) for key in address.split(BETWEEN)]
    if None in steps or len(steps) > MAX_STEPS:
        raise DataError(
            f"{where}: expected at most {MAX_STEPS} keys of the table of locations, got {printable(address)!r}: are "
            "these two tables of one run?"
        )
    return [step for step in steps if step is not None]


def _position(lat: str, lon: str, where: str) -> tuple[float, float]:
    try:
        position = float(lat), float(lon)
    except ValueError:
        position = (np.nan, np.nan)
    if not (abs(position[0]) <= 90 and abs(position[1]) <= 180):
        got = printable(f"{lat}, {lon}")
        raise DataError(f"{where}: expected a latitude and a longitude in degrees, got {got!r}: correct the line.")
    return position


def _rows(
    file: Path, titles: list[str], progress: Callable[[int, int], None] | None
) -> Iterator[tuple[str, list[str]]]:
    """The lines of a table below its titles, with what to call them in messages."""
    name = printable(file.name)
    if not file.is_file():
        raise DataError(f"{name}: expected a table with {', '.join(titles)}, found none: check the path.")
    try:
        with file.open("rb") as data, io.TextIOWrapper(data, encoding="utf-8-sig", newline="") as text:
            size = file.stat().st_size
            lines = csv.reader(_lines(text, name), strict=True)
            if (first := next(lines, None)) != titles:
                raise DataError(
                    f"{name}: expected the columns {listed(titles)} in its first line, got "
                    f"{printable(', '.join(first or [])) or 'none'}: is it another table?"
                )
            for count, row in enumerate(lines):
                where = f"{name}, line {lines.line_num:,}"
                if len(row) != len(titles) or count >= MAX_ROWS:
                    enough = f"{len(titles)} values, got {len(row)}", f"at most {MAX_ROWS:,} lines, got more"
                    raise DataError(f"{where}: expected {enough[count >= MAX_ROWS]}: correct the table.")
                yield where, row
                if progress is not None and count % ROWS_AT_A_TIME == 0:
                    progress(min(data.tell(), size), size)
            if progress is not None:
                progress(size, size)
    except csv.Error as error:
        raise DataError(
            f"{name}, line {lines.line_num:,}: expected values between commas, got '{error}': correct it."
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{name}: expected text in UTF-8, got another encoding: save the table as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{name}: expected a readable table, got '{error.strerror}': check the file.") from None


def _lines(file: TextIO, name: str) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise DataError(f"{name}: expected lines of less than {MAX_LINE:,} characters, got more: is it a table?")
        yield line


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"') else text


def _location_lines(addresses: Addresses) -> Iterator[str]:
    yield "key,name,kind\n"
    for location in addresses.locations:
        texts = (location.key, printable(location.name, MAX_LINE), printable(location.kind))
        yield ",".join(map(_quoted, texts)) + "\n"


def _address_lines(addresses: Addresses, path_of: np.ndarray, texts: list[str]) -> Iterator[str]:
    yield "latitude,longitude,address\n"
    for start in range(0, len(addresses), ROWS_AT_A_TIME):
        block = slice(start, start + ROWS_AT_A_TIME)
        rows = zip(*addresses.points_deg[block].T.tolist(), path_of[block].tolist(), strict=True)
        yield "".join(f"{lat:.7f},{lon:.7f},{texts[path]}\n" for lat, lon, path in rows)


def _write(file: Path, lines: Iterator[str]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as opened:
            opened.writelines(lines)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise DataError(
            f"{printable(file.name)}: expected to write it, got '{error.strerror}': check the folder."
        ) from None
