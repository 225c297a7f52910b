"""Read and write the tables of cells next to a weights file: the finest partition and the coarser ones."""

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
    """Return the path of a weights file's table of cells: same stem, `.cells.csv`; coarser ones `.cells-1.csv` etc."""
    return weights.with_suffix(f".cells-{level}.csv" if level else ".cells.csv")


def outlines_file(weights: Path) -> Path:
    """Return the path of the finest cells' borders, which may not exist: same stem, `.outlines.geojson`."""
    return weights.with_suffix(".outlines.geojson")


def places_file(weights: Path) -> Path:
    """Return the path of the cells' places, which may not exist: same stem, `.places.json`."""
    return weights.with_suffix(".places.json")


def read_partitions(weights: Path, name: str, coarser: int) -> tuple[Partition, tuple[Partition, ...]]:
    """Read the finest partition of a weights file and its `coarser` ones, next coarser first.

    Raises DataError if a table is missing or invalid, or if its parents are not cells of the next coarser table.
    """
    finest, *others = [read_cells(cells_file(weights, level), name) for level in range(coarser + 1)]
    for level, (lower, upper) in enumerate(zip([finest, *others], others, strict=False)):
        parents = lower.parents
        if parents is None or not ((parents >= 0) & (parents < len(upper))).all():
            parents_text = "none" if parents is None else extremes(parents)
            raise DataError(
                f"{cells_file(weights, level).name}: expected for every cell a parent from 0 to {len(upper) - 1}, the "
                f"cells of {cells_file(weights, level + 1).name}, got {parents_text}: are the tables of one model?"
            )
    return finest, tuple(others)


def name_cells_beside(weights: Path, *, replace_places: bool = False) -> Partition:
    """Rename the finest cells in the table next to a weights file, store their places, and return the renamed cells.

    In the table of cells only the labels change. Raises DataError if the table or the borders are missing or damaged,
    if a file cannot be written, and, unless `replace_places`, if places are stored already, since a model may have been
    trained on them.
    """
    places, table = places_file(weights), cells_file(weights)
    if places.exists() and not replace_places:
        raise DataError(
            f"{places.name}: expected no places next to the model yet, found some, which the model may have been "
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
