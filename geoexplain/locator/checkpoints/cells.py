"""Tables of cells beside a weights file: the finest partitioning, and the coarser ones that hold its cells."""

from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.geography.cell_tables import read_cells
from geoexplain.geography.partition import Partition


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
            raise DataError(
                f"{cells_file(weights, level).name}: expected for every cell a parent from 0 to {len(upper) - 1}, the "
                f"cells of {cells_file(weights, level + 1).name}, got others: are these tables of one model?"
            )
    return finest, tuple(others)
