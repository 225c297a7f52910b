"""The addresses of EMP-16 (Theiner et al., WACV 2022), as they are published: JSON Lines, packed with bzip2 or not.

A line is a photo: {"id", "latitude", "longitude", "h_raw", "h"}. `h_raw` is what Nominatim answered, the locations fine
to coarse as OpenStreetMap type and number, "R571747"; `h` is the same without locations of fewer than 50 photos of
MP-16. What the locations are called is in another file, an Arrow table (.feather) with the columns id, name_en, type.
"""

import bz2
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.collected import MAX_STEPS, Collected
from geoexplain.words import printable

COLUMNS = ("h", "h_raw")

MAX_ROWS = 50_000_000
MAX_LINE = 100_000
"""Bytes of a line, unpacked."""

ROWS_AT_A_TIME = 10_000

OSM_KEY = re.compile(r"[NWR]\d{1,19}")


def read_emp16(
    file: Path,
    *,
    column: str = "h",
    names: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Addresses:
    """Read the address of every photo, in the file's order: `column` "h" has filtered addresses, "h_raw" full ones.

    Locations are named by `names`, the published Arrow table, if it is given (needs pyarrow), else by their key.
    `progress` is called with (bytes read, size of the file in bytes). Raises DataError for another column, for a file
    that is damaged, of another form (the message names the line) or longer than MAX_ROWS lines, for names that cannot
    be read, and when `cancelled` returns True.
    """
    if column not in COLUMNS:
        raise DataError(f"EMP-16: expected the column {' or '.join(COLUMNS)}, got {printable(column)!r}.")
    name_of = {} if names is None else _names(names)
    found = Collected()
    for where, line in _lines(file, progress):
        if len(found) >= MAX_ROWS:
            raise DataError(f"{where}: expected at most {MAX_ROWS:,} lines, got more: is this the right file?")
        if cancelled is not None and len(found) % ROWS_AT_A_TIME == 0 and cancelled():
            raise DataError("EMP-16: stopped before all addresses were read.")
        lat, lon, keys = _row(line, column, where)
        found.add(lat, lon, [found.location(key, *name_of.get(key, (key, "place"))) for key in keys])
    if not len(found):
        raise DataError(f"{printable(file.name)}: expected a photo in every line, got none: is this the right file?")
    return found.addresses()


def _row(line: bytes, column: str, where: str) -> tuple[float, float, list[str]]:
    try:
        row = json.loads(line)
        lat, lon, keys = row["latitude"], row["longitude"], row[column] or []
        right = (
            all(isinstance(value, int | float) and not isinstance(value, bool) for value in (lat, lon))
            and abs(lat) <= 90
            and abs(lon) <= 180
            and isinstance(keys, list)
            and len(keys) <= MAX_STEPS
            and all(isinstance(key, str) and OSM_KEY.fullmatch(key) for key in keys)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        right = False
    if not right:
        raise DataError(
            f"{where}: expected a photo with latitude, longitude and {column}, such as "
            f'{{"latitude":-16.9,"longitude":-180,"{column}":["R4632581","R571747"]}}, got '
            f"{printable(line.decode('utf-8', 'replace').strip(), 60)!r}: download the file again."
        )
    return float(lat), float(lon), keys


def _lines(file: Path, progress: Callable[[int, int], None] | None) -> Iterator[tuple[str, bytes]]:
    name = printable(file.name)
    if not file.is_file():
        raise DataError(f"{name}: expected a file of EMP-16, found none: check the path.")
    try:
        with file.open("rb") as data:
            size = file.stat().st_size
            packed = data.read(3) == b"BZh"
            data.seek(0)
            number = 0
            lines = bz2.BZ2File(data) if packed else data
            while line := lines.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE:
                    raise DataError(f"{name}, line {number:,}: expected less than {MAX_LINE:,} bytes, got more.")
                if line.strip():
                    yield f"{name}, line {number:,}", line
                if progress is not None and number % ROWS_AT_A_TIME == 0:
                    progress(data.tell(), size)
            if progress is not None:
                progress(size, size)
    except EOFError:
        raise DataError(
            f"{name}, line {number + 1:,}: expected a whole file, got its beginning: download it again."
        ) from None
    except OSError as error:
        reason = error.strerror or "damaged data"
        raise DataError(
            f"{name}, line {number + 1:,}: expected readable JSON lines, packed with bzip2 or not, got '{reason}': "
            "download it again."
        ) from None


def _names(file: Path) -> dict[str, tuple[str, str]]:
    """Key → name and kind."""
    name = printable(file.name)
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional package
        from pyarrow import feather  # noqa: PLC0415
    except ImportError:
        raise DataError(f"{name}: expected pyarrow, which reads Arrow tables, got none: pip install pyarrow.") from None
    try:
        columns = feather.read_table(str(file), columns=["id", "name_en", "type"]).to_pydict()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(
            f"{name}: expected an Arrow table with the columns id, name_en and type, got '{printable(str(error))}': "
            "download it again."
        ) from None
    rows = zip(*(columns[title] for title in ("id", "name_en", "type")), strict=True)
    return {str(key): (printable(str(text or key)), printable(str(kind or "place"))) for key, text, kind in rows}
