"""Map files written byte by byte, as the two descriptions of the formats say."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

Ring = Sequence[tuple[float, float]]


def square(west: float, south: float, east: float, north: float) -> list[tuple[float, float]]:
    """A shell: clockwise, closed."""
    return [(west, south), (west, north), (east, north), (east, south), (west, south)]


def polygon_body(rings: Sequence[Ring], kind: int = 5) -> bytes:
    points = [point for ring in rings for point in ring]
    starts = [sum(len(ring) for ring in rings[:n]) for n in range(len(rings))]
    box = [f(p[i] for p in points) for f in (min, max) for i in (0, 1)] if points else [0.0] * 4
    body = struct.pack("<i4d2i", kind, *box, len(rings), len(points))
    body += struct.pack(f"<{len(starts)}i", *starts)
    body += b"".join(struct.pack("<2d", *point) for point in points)
    return body + (b"\0" * (16 + 8 * len(points)) if kind == 15 else b"")


def shp_bytes(bodies: Sequence[bytes], kind: int = 5) -> bytes:
    records = b"".join(struct.pack(">2i", n, len(body) // 2) + body for n, body in enumerate(bodies, 1))
    words = (100 + len(records)) // 2
    return struct.pack(">7i", 9994, 0, 0, 0, 0, 0, words) + struct.pack("<2i8d", 1000, kind, *[0.0] * 8) + records


def dbf_bytes(columns: Sequence[tuple[str, str, int]], rows: Sequence[Sequence[bytes]]) -> bytes:
    """Columns are (name, type, length); values are padded."""
    width = 1 + sum(length for _, _, length in columns)
    head = struct.pack("<B3BIHH20x", 3, 117, 11, 9, len(rows), 32 + 32 * len(columns) + 1, width)
    for name, kind, length in columns:
        head += struct.pack("<11sc4xBB14x", name.encode(), kind.encode(), length, 0)
    body = b"".join(
        b" " + b"".join(v.ljust(length)[:length] for v, (_, _, length) in zip(row, columns, strict=True))
        for row in rows
    )
    return head + b"\r" + body + b"\x1a"


def write_geojson(file: Path, features: Sequence[tuple[dict, list]]) -> Path:
    """Features are (properties, rings of one polygon)."""
    collection = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": of, "geometry": {"type": "Polygon", "coordinates": rings}}
            for of, rings in features
        ],
    }
    file.write_text(json.dumps(collection), encoding="utf-8")
    return file
