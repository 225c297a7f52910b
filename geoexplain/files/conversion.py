"""Convert the original pickles to CSV and .npz files."""

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.files.archives import write_bytes
from geoexplain.files.companions import (
    assignments_from,
    centers_from,
    metadata_from,
    save_assignments,
    save_centers,
)
from geoexplain.files.pickles import read_pickle
from geoexplain.words import printable


def convert(file: Path, out: Path) -> str:
    """Convert an original pickle to the format that fits its content, and return a short summary of what was written.

    Cell centres become a CSV table (label, latitude, longitude; the label is the cell's number) or an .npz, assignments
    an .npz, and metadata a CSV table (id, latitude, longitude) that is also a manifest of photos. Numbers keep every
    digit. An existing `out` is replaced atomically.

    Raises DataError if `file` is none of these, or if `out` has another suffix or cannot be written.
    """
    data = read_pickle(file)
    if isinstance(data, list):
        centers = centers_from(data, file.name)
        rows = ((number, *center) for number, center in enumerate(centers.tolist()))
        header = ("label", "latitude", "longitude")
        _write(out, {".csv": lambda: _table(out, header, rows), ".npz": lambda: save_centers(centers, out)})
        return f"{len(centers):,} cell centres"
    if isinstance(data, dict) and all(isinstance(value, dict) for value in data.values()):
        positions = metadata_from(data, file.name)
        rows = ((image, *position) for image, position in positions.items())
        _write(out, {".csv": lambda: _table(out, ("id", "latitude", "longitude"), rows)})
        return f"{len(positions):,} positions of images"
    if isinstance(data, dict):
        assignments = assignments_from(data, file.name)
        _write(out, {".npz": lambda: save_assignments(assignments, out)})
        return f"{len(assignments.rows):,} rows of {len(data):,} cells"
    raise DataError(
        f"{printable(file.name)}: expected cell centres, assignments or metadata, got a {type(data).__name__}: "
        "is this one of the original files?"
    )


def _write(out: Path, writers: dict[str, Callable[[], None]]) -> None:
    writer = writers.get(out.suffix.lower())
    if writer is None:
        raise DataError(
            f"{printable(out.name)}: expected a name that ends in {' or '.join(writers)} for this content, "
            f"got {out.suffix or 'no suffix'!r}: choose another name."
        )
    writer()


def _table(out: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(header)
    table.writerows(rows)
    write_bytes(out, text.getvalue().encode("utf-8"))
