"""Tables of cells beside a weights file: the finest partitioning, and the coarser ones that hold its cells."""

import csv
import io
from dataclasses import replace
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.files.archives import write_bytes
from geoexplain.geography.addresses.cell_names import name_cells
from geoexplain.geography.addresses.cell_places import place_trees
from geoexplain.geography.cell_tables import COLUMNS, read_cells
from geoexplain.geography.outline_files import read_outlines
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree_files import write_place_trees
from geoexplain.words import extremes


def cells_file(weights: Path, level: int = 0) -> Path:
    """The table of cells that belongs to a weights file: same stem, `.cells.csv`; coarser: `.cells-1.csv` and so on."""
    return weights.with_suffix(f".cells-{level}.csv" if level else ".cells.csv")


def outlines_file(weights: Path) -> Path:
    """The borders of the finest cells of a weights file, where they are known: same stem, `.outlines.geojson`."""
    return weights.with_suffix(".outlines.geojson")


def places_file(weights: Path) -> Path:
    """The places that the cells of a weights file lie in, where they are stored: same stem, `.places.json`."""
    return weights.with_suffix(".places.json")


def read_partitions(weights: Path, name: str, coarser: int) -> tuple[Partition, tuple[Partition, ...]]:
    """The finest partition beside a weights file and the `coarser` ones above it, next coarser first.

    Raises DataError for a table that is missing or bad, or whose parents are not cells of the next coarser table.
    """
    finest, *others = [read_cells(cells_file(weights, level), name) for level in range(coarser + 1)]
    for level, (lower, upper) in enumerate(zip([finest, *others], others, strict=False)):
        parents = lower.parents
        if parents is None or not ((parents >= 0) & (parents < len(upper))).all():
            parents_text = "none" if parents is None else extremes(parents)
            raise DataError(
                f"{cells_file(weights, level).name}: expected for every cell a parent from 0 to {len(upper) - 1}, the "
                f"cells of {cells_file(weights, level + 1).name}, got {parents_text}: are these tables of one model?"
            )
    return finest, tuple(others)


def name_cells_beside(weights: Path, *, replace_places: bool = False) -> Partition:
    """Name the finest cells beside a weights file anew, and store the places that they lie in; the cells as named.

    In the table of cells only the labels change. Raises DataError for a table or borders that are missing or damaged,
    where something cannot be written, and, unless `replace_places`, where places are stored already: a model may have
    been trained on those.
    """
    places, table = places_file(weights), cells_file(weights)
    if places.exists() and not replace_places:
        raise DataError(
            f"{places.name}: expected no places beside the model yet, found some, which may be those that it was "
            "trained on: give --force to replace them."
        )
    cells = read_cells(table, weights.stem)
    if outlines_file(weights).exists():
        cells = replace(cells, borders=read_outlines(outlines_file(weights), len(cells)))
    named = name_cells(cells)
    rows = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8"), newline="")))
    column = rows[0].index(COLUMNS[0])
    for row, label in zip(filter(None, rows[1:]), named.labels, strict=True):
        row[column] = label
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_bytes(table, text.getvalue().encode())
    write_place_trees(place_trees(named), places, named.centers_deg)
    return named
