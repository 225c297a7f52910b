"""Read and write a partitioning as a folder: tables, outlines, and the files that its kind needs to assign points.

partition.json describes the other files and is written last, so that an incomplete folder does not have it. The other
files are, finest level first, cells.csv, cells.1.csv, … and outlines.geojson, outlines.1.geojson, …
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geoexplain.errors import DataError
from geoexplain.files.archives import write_bytes
from geoexplain.files.reading import read_bytes
from geoexplain.geography.cell_tables import read_cell_table
from geoexplain.geography.kmeans_partitioning import assign_to_nearest
from geoexplain.geography.outline_files import read_outlines, write_outlines
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Assign, Partitioning
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.ring_polygons import s2_polygons
from geoexplain.geography.s2 import from_tokens
from geoexplain.geography.s2_partitioning import assign_by_tokens
from geoexplain.geography.semantic_files import read_semantic, write_semantic
from geoexplain.words import extremes, printable

DESCRIPTION = "partition.json"
FORMAT = "geoexplain-partition/1"

MAX_BYTES = 2**20
MAX_LEVELS = 20
MOST_COUNTED = 10**15
SMALLEST_DEG = 5e-5


@dataclass(frozen=True)
class Kind:
    """How a kind of partitioning is read and written, apart from tables and outlines.

    read     (folder, finest cells, their keys) → the rule that assigns points, and its own tree or None
    write    (partitioning, folder): writes its extra files; None if there are none
    borders  keys → outlines, if the keys determine them; None if outlines are read from files
    """

    read: Callable[[Path, Partition, tuple[str, ...]], tuple[Assign, PlaceTree | None]]
    write: Callable[[Partitioning, Path], None] | None = None
    borders: Callable[[tuple[str, ...]], Sequence[BaseGeometry]] | None = None


KINDS: Mapping[str, Kind] = {
    "s2": Kind(
        lambda _folder, _finest, keys: (assign_by_tokens(keys), None),
        borders=lambda keys: s2_polygons(from_tokens(keys)),
    ),
    "semantic": Kind(lambda folder, finest, _keys: read_semantic(folder, finest), write_semantic),
    "kmeans": Kind(lambda _folder, finest, _keys: (assign_to_nearest(finest.centers_deg), None)),
}


def write_partitioning(partitioning: Partitioning, folder: Path) -> None:
    """Write a partitioning of a kind in KINDS into a folder, which is created, or whose partitioning is replaced.

    If interrupted, it leaves a folder that `read_partitioning` refuses. Other files of the folder are not changed.
    Raises DataError if something cannot be written, or for another kind.
    """
    kind = _kind(partitioning.kind, partitioning.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)
        for level in range(MAX_LEVELS):
            for file in (cells_file(folder, level), outlines_file(folder, level)):
                file.unlink(missing_ok=True)
        for level, cells in enumerate(partitioning.levels):
            _write_cells(cells_file(folder, level), cells, partitioning.keys[level], partitioning.counts[level])
            write_outlines(outlines_file(folder, level), _large(partitioning.borders[level]), cells.labels)
    except OSError as error:
        raise DataError(
            f"{printable(folder.name)}: expected to write a partitioning there, got '{error.strerror}': "
            "check the folder."
        ) from None
    if kind.write is not None:
        kind.write(partitioning, folder)
    lost = int(partitioning.settings.get("in_no_cell", 0))
    facts = {
        "format": FORMAT,
        "kind": partitioning.kind,
        "name": partitioning.name,
        "settings": dict(partitioning.settings),
        "levels": [
            {"cells": len(cells), "file": cells_file(folder, level).name, "name": cells.name}
            for level, cells in enumerate(partitioning.levels)
        ],
        "coordinates": int(partitioning.counts[0].sum()) + lost,
        "in_no_cell": lost,
    }
    write_bytes(folder / DESCRIPTION, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())


def read_partitioning(folder: Path) -> Partitioning:
    """Read the partitioning in a folder that `write_partitioning` wrote.

    Raises DataError for any other folder, and for files that are missing, too large, damaged, or of different
    partitionings.
    """
    facts = _facts(folder)
    kind = _kind(facts["kind"], facts["name"])
    levels, keys, counts, borders = [], [], [], []
    for level, said in enumerate(facts["levels"]):
        file = cells_file(folder, level)
        if not file.is_file():
            raise DataError(f"{file.name}: expected this table beside {DESCRIPTION}, found none: build it again.")
        cells, (names, counted) = read_cell_table(file, said["name"], ("key", "count"))
        if len(cells) != said["cells"]:
            raise DataError(
                f"{file.name}: expected {said['cells']:,} cells, as {DESCRIPTION} says, got {len(cells):,}: "
                "are these files of one partitioning?"
            )
        file = outlines_file(folder, level)
        drawn = tuple(kind.borders(names)) if kind.borders is not None else read_outlines(file, len(cells))
        levels.append(replace(cells, borders=drawn if any(border is not None for border in drawn) else None))
        keys.append(names)
        counts.append(_counts(counted, file.name))
        borders.append(drawn)
    _check_parents(levels, folder)
    assign, tree = kind.read(folder, levels[0], keys[0])
    return Partitioning(
        name=facts["name"],
        kind=facts["kind"],
        levels=tuple(levels),
        keys=tuple(keys),
        counts=tuple(counts),
        borders=tuple(borders),
        assign=assign,
        settings=facts["settings"],
        tree=tree,
    )


def cells_file(folder: Path, level: int) -> Path:
    """Return the path of the table of a level, 0 for the finest."""
    return folder / (f"cells.{level}.csv" if level else "cells.csv")


def outlines_file(folder: Path, level: int) -> Path:
    """Return the path of the outlines of a level, 0 for the finest."""
    return folder / (f"outlines.{level}.geojson" if level else "outlines.geojson")


def _kind(kind: str, name: str) -> Kind:
    if kind not in KINDS:
        raise DataError(
            f"partitioning {name}: expected one of the kinds {', '.join(KINDS)}, got {printable(str(kind))!r}."
        )
    return KINDS[kind]


def _large(borders: Sequence[BaseGeometry | None]) -> list[BaseGeometry | None]:
    """Replace outlines that vanish at a file's precision, of S2 cells a few centimetres wide, by None."""
    widths = [
        0.0 if border is None else min(np.ptp(border.bounds[::2]), np.ptp(border.bounds[1::2])) for border in borders
    ]
    return [border if width > SMALLEST_DEG else None for border, width in zip(borders, widths, strict=True)]


def _write_cells(file: Path, cells: Partition, keys: tuple[str, ...], counts: NDArray[np.int64]) -> None:
    parents = [""] * len(cells) if cells.parents is None else cells.parents.tolist()
    with file.open("w", newline="", encoding="utf-8") as opened:
        rows = csv.writer(opened)
        further = [] if cells.parents is None else ["parent"]
        rows.writerow(["label", "latitude", "longitude", *further, "key", "count"])
        for label, (lat, lon), parent, key, count in zip(
            cells.labels, cells.centers_deg.tolist(), parents, keys, counts.tolist(), strict=True
        ):
            rows.writerow([label, f"{lat:.7f}", f"{lon:.7f}", *([parent] if further else []), key, count])


def _facts(folder: Path) -> dict[str, Any]:
    name = printable(folder.name or str(folder))
    if not (folder / DESCRIPTION).is_file():
        raise DataError(
            f"{name}: expected the folder of a partitioning, found no {DESCRIPTION} in it: "
            "check the path, or build it again if that was interrupted."
        )
    data = read_bytes(folder / DESCRIPTION, MAX_BYTES)
    try:
        facts = json.loads(data)
        found = facts["format"]
        levels = facts["levels"]
        fits = (
            found == FORMAT and type(facts["settings"].get("in_no_cell", 0)) is int and 1 <= len(levels) <= MAX_LEVELS
        )
        fits = fits and all(isinstance(text, str) for text in (facts["kind"], facts["name"]))
        fits = fits and all(type(said["cells"]) is int and isinstance(said["name"], str) for said in levels)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise DataError(
            f"{name}: expected a {DESCRIPTION} of the format {FORMAT}, got something else or a damaged file: "
            "build it again."
        )
    facts["name"] = printable(facts["name"])
    for said in levels:
        said["name"] = printable(said["name"])
    return dict(facts)


def _counts(words: tuple[str, ...], name: str) -> NDArray[np.int64]:
    try:
        counts = np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError):
        counts = np.array([-1])
    if not ((counts >= 0) & (counts <= MOST_COUNTED)).all():
        wrong = next((word for word in words if not word.isdecimal() or len(word) > 18 or int(word) > MOST_COUNTED), "")
        raise DataError(
            f"{name}: expected a count of coordinates from 0 to {MOST_COUNTED:,} for every "
            f"cell, got such as {printable(wrong)!r}: build it again."
        )
    return counts


def _check_parents(levels: list[Partition], folder: Path) -> None:
    for level, cells in enumerate(levels):
        most = len(levels[level + 1]) if level + 1 < len(levels) else 0
        fits = cells.parents is None if not most else cells.parents is not None and (cells.parents < most).all()
        if not fits:
            expected = f"for every cell a parent below {most:,}" if most else "no parents at the coarsest level"
            got = "none" if cells.parents is None else f"parents from {extremes(cells.parents)}"
            raise DataError(
                f"{cells_file(folder, level).name}: expected {expected}, got {got}: "
                "are these files of one partitioning?"
            )
