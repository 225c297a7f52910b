"""Read points and polygons from untrusted shapefiles; every count in the bytes is validated.

Formats: ESRI Shapefile Technical Description, July 1998, for the .shp; dBASE III for the .dbf with the properties.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography.features import Feature, Value, point, polygon
from geoexplain.words import printable

NULL = 0
POINTS = (1, 11, 21)
POLYGONS = (5, 15, 25)
"""Type codes without and with heights and measures; these follow the coordinates and are ignored."""

HEADER_BYTES = 100
MAX_ROWS = 20_000
"""Largest number of rows of a table and of shapes of a file; the urban areas at 1:10m are 12,000."""
MAX_COLUMNS = 255
MAX_RINGS = 50_000
"""Largest number of rings of one shape; the coast of all continents at 1:10m has 5,000."""


def read_shapefile(shp: bytes, dbf: bytes, name: str) -> tuple[Feature, ...]:
    """Return the features of a shapefile in their order, from its main file and its table; `name` is for messages.

    Raises DataError for files that are damaged, do not belong together, have more than MAX_ROWS shapes, or shapes
    other than points and polygons.
    """
    try:
        (count,) = struct.unpack_from("<4xI", dbf)
        shapes = list(islice(_shapes(shp, name), MAX_ROWS + 1))
        if max(count, len(shapes)) > MAX_ROWS:
            raise DataError(f"{name}: expected at most {MAX_ROWS:,} shapes, got more: is this the right file?")
        # Checked before the rows are parsed, since parsed rows take many times their size in the file.
        if count != len(shapes):
            raise DataError(
                f"{name}: expected as many shapes as rows in its table, got {len(shapes):,} and {count:,}: "
                "take the .shp and .dbf of one download."
            )
        rows = list(_rows(dbf))
    except (struct.error, ValueError, IndexError):
        raise DataError(
            f"{name}: expected a whole shapefile, got one that is damaged or cut short: download it again."
        ) from None
    return tuple(Feature(shape, row) for shape, row in zip(shapes, rows, strict=True))


def _shapes(data: bytes, name: str) -> Iterator[shapely.Geometry | None]:
    """Yield every record of a .shp. Raises ValueError or struct.error for inconsistent counts."""
    code, words = struct.unpack_from(">i20xi", data)
    if code != 9994 or 2 * words != len(data):
        raise ValueError("header")
    start = HEADER_BYTES
    while start < len(data):
        (words,) = struct.unpack_from(">4xi", data, start)
        body = data[start + 8 : start + 8 + 2 * words]
        if words < 2 or len(body) != 2 * words:
            raise ValueError("record")
        yield _shape(body, name)
        start += 8 + 2 * words


def _shape(body: bytes, name: str) -> shapely.Geometry | None:
    (kind,) = struct.unpack_from("<i", body)
    if kind == NULL:
        return None
    if kind in POINTS:
        return point(struct.unpack_from("<2d", body, 4), name)
    if kind not in POLYGONS:
        raise DataError(f"{name}: expected points or polygons, got shapes of type {kind}: take another layer.")
    parts, points = struct.unpack_from("<2i", body, 36)
    if not 0 <= parts <= MAX_RINGS or points < 0 or 44 + 4 * parts + 16 * points > len(body):
        raise ValueError("counts")
    starts = np.frombuffer(body, "<i4", parts, 44)
    xy = np.frombuffer(body, "<f8", 2 * points, 44 + 4 * parts).reshape(-1, 2).astype(np.float64)
    edges = [*starts.tolist(), points]
    if edges[0] != 0 or sorted(edges) != edges:
        raise ValueError("parts")
    return polygon(_with_holes([xy[a:b] for a, b in pairwise(edges)]), name)


def _with_holes(rings: Sequence[NDArray[np.float64]]) -> list[list[NDArray[np.float64]]]:
    """Group rings by shell: shells run clockwise, and a hole belongs to the smallest shell around it."""
    shells = [[ring] for ring in rings if not _counterclockwise(ring)]
    holes = [ring for ring in rings if _counterclockwise(ring)]
    if len(shells) == 1 or not holes:  # the usual case, which needs no search
        return [[*shells[0], *holes]] if holes else shells
    tree = shapely.STRtree([shapely.Polygon(shell) if len(shell) > 3 else shapely.Polygon() for (shell,) in shells])
    areas = shapely.area(tree.geometries)
    for hole in holes:
        around = tree.query(shapely.Point(hole[0]), predicate="intersects")
        if len(around):
            shells[around[areas[around].argmin()]].append(hole)
        else:
            shells.append([hole])  # a shell with the wrong direction
    return shells


def _counterclockwise(ring: NDArray[np.float64]) -> bool:
    x, y = (ring - ring[:1]).T  # relative to the first point, for numerical precision
    return bool(len(ring) > 2 and np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0)


def _rows(data: bytes) -> Iterator[dict[str, Value]]:
    """Yield every row of a .dbf, including deleted ones, which have shapes too. Raises like `_shapes`."""
    count, header, width = struct.unpack_from("<4xIHH", data)
    columns: list[tuple[str, str, int, int]] = []
    begin, offset = 32, 1  # the first byte of a row marks deletion
    while data[begin] != 0x0D:
        if len(columns) == MAX_COLUMNS:
            raise ValueError("columns")
        title, length = data[begin : begin + 11].split(b"\0")[0], data[begin + 16]
        if length == 0:  # a small file could declare many such columns and fill the memory
            raise ValueError("column")
        columns.append((_text(title).lower(), chr(data[begin + 11]), offset, offset + length))
        begin, offset = begin + 32, offset + length
    if offset > width or header + count * width > len(data):
        raise ValueError("rows")
    for start in range(header, header + count * width, width):
        row = data[start : start + width]
        yield {title: _value(_text(row[a:b]), kind) for title, kind, a, b in columns}


def _text(raw: bytes) -> str:
    # Natural Earth moved from Windows-1252 to UTF-8; text in the former is hardly ever valid UTF-8.
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    return printable(text.strip(" \0"), 254)


def _value(text: str, kind: str) -> Value:
    if not text:
        return None
    if kind in "NF":
        try:
            return float(text)
        except ValueError:  # asterisks replace a number that did not fit the column
            return None
    return text
