"""Read TIB's tables of cells, one CSV file per level, and the parents of the cells."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.files.reading import read_bytes
from geoexplain.geography import s2
from geoexplain.geography.addresses.cell_names import cell_names, unnamed
from geoexplain.geography.addresses.cell_places import with_labels
from geoexplain.geography.cell_tables import MAX_CELLS, check_size
from geoexplain.geography.partition import Partition
from geoexplain.geography.ring_polygons import s2_polygons
from geoexplain.words import extremes

MAX_TREE_BYTES = 256 * 2**20
CENTERS = {"latitude": "latitude_mean", "longitude": "longitude_mean"}
COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "s2": {"skiprows": 2, "index": "class_label", "label": "hex_id"} | CENTERS,
    "semp": {"skiprows": 0, "index": "class_index", "label": "class_label"} | CENTERS,
}
"""Layout of the published tables; hparams.yaml may override it."""

COUNT = "imgs_per_cell"
"""Optional column: the number of photos that the cell was built from."""

SETTINGS = {
    "skiprows": "skiprows",
    "index": "index_col",
    "label": "col_class_label",
    "latitude": "col_latitude",
    "longitude": "col_longitude",
}
"""Part of the layout → the setting of hparams.yaml that overrides it."""


@dataclass(frozen=True, eq=False)
class Table:
    """K cells in the order of their classes.

    names        the authors' names of the cells: S2 tokens or locations
    centers_deg  float64 (K, 2), their centres in degrees
    counts       int64 (K,), number of photos in each; 0 if the table has no such column
    """

    names: list[str] = field(repr=False)
    centers_deg: NDArray[np.float64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)


def read_partitionings(
    kind: str, files: Sequence[Path], tree: Path | None, columns: Mapping[str, Any], name: str
) -> tuple[Partition, tuple[Partition, ...]]:
    """Read tables, given coarse to fine, as the finest Partition `name` and the coarser ones, next coarser first.

    kind     "s2": the parent of a cell is the ancestor of its token; "semp": `tree` lists the parents
    tree     `h_dict.json`: {"m_<number of classes>": {location: location one level coarser}}
    columns  `base_part_kwargs` of hparams.yaml: names of the columns and number of rows to skip

    Labels are place names followed by the authors' name of the cell; S2 cells have borders. Raises DataError for a
    table that does not fit.
    """
    layout = dict(COLUMNS[kind])
    layout |= {part: columns[setting] for part, setting in SETTINGS.items() if setting in columns}
    if "col_latitute" in columns:  # as the published settings spell it
        layout["latitude"] = columns["col_latitute"]
    partitions = partitions_of(kind, [read_table(file, layout) for file in files], tree, name)
    return partitions[-1], tuple(partitions[-2::-1])


def partitions_of(kind: str, tables: Sequence[Table], tree: Path | None, name: str) -> list[Partition]:
    """Convert tables, coarse to fine, to partitions in the same order; see `read_partitionings`."""
    pairs = pairwise(tables)
    parents = [_s2_parents(*pair) for pair in pairs] if tree is None else _read_tree(tree, tables)
    partitions = []
    for table, above in zip(tables, [None, *parents], strict=True):
        borders = tuple(s2_polygons(s2.from_tokens(table.names))) if kind == "s2" else None
        cells = unnamed(name, table.centers_deg, above, borders)
        named = zip(cell_names(cells), table.names, strict=True)
        partitions.append(with_labels(cells, [f"{place} ({own[:60]})" for place, own in named]))
    return partitions


def read_table(file: Path, layout: Mapping[str, Any]) -> Table:
    """Read one table. Raises DataError if it is too large, lacks a column or number, or classes are not 0 … K − 1."""
    skip = layout["skiprows"]
    skip = skip if type(skip) is int and 0 <= skip <= 100 else 0
    rows: dict[int, tuple[str, float, float, int]] = {}
    twice = False
    try:
        check_size(file)
        with file.open(newline="", encoding="utf-8-sig") as text:
            lines = csv.DictReader(islice(text, skip, None))
            wanted = [str(layout[part]) for part in ("index", "label", "latitude", "longitude")]
            found = lines.fieldnames or []
            if not set(wanted) <= set(found):
                raise DataError(
                    f"{file.name}: expected the columns {', '.join(wanted)}, got {', '.join(found)[:200]!r}: "
                    "is this another table?"
                )
            for line in islice(lines, MAX_CELLS + 1):
                index = int(line[wanted[0]])
                twice = twice or index in rows
                count = int(min(max(float(line.get(COUNT) or 0), 0.0), 1e12))
                rows[index] = (line[wanted[1]], float(line[wanted[2]]), float(line[wanted[3]]), count)
    except (OSError, UnicodeDecodeError, csv.Error, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{file.name}: expected a CSV table with a class, a name, a latitude and a longitude in every row, "
            f"could not read it ({str(error)[:100]}): get the file again."
        ) from None
    if not 0 < len(rows) <= MAX_CELLS or twice or sorted(rows) != list(range(len(rows))):
        raise DataError(
            f"{file.name}: expected the classes 0, 1, 2, … once each, got "
            f"{len(rows):,} from {extremes(rows)}{' and one of them twice' if twice else ''}: get the file again."
        )
    in_order = [rows[index] for index in range(len(rows))]
    centers = np.array([(lat, lon) for _, lat, lon, _ in in_order], dtype=np.float64)
    if not ((np.abs(centers) <= (90, 180)).all()):  # also false for NaN
        raise DataError(
            f"{file.name}: expected latitudes within ±90 and longitudes within ±180, got "
            f"{extremes(centers[:, 0])} and {extremes(centers[:, 1])}: get the file again."
        )
    names = [name or "" for name, *_ in in_order]
    if len(set(names)) < len(names):
        raise DataError(f"{file.name}: expected every cell's name once, got one twice: get the file again.")
    return Table(names, centers, np.array([count for *_, count in in_order], dtype=np.int64))


def _s2_parents(coarse: Table, fine: Table) -> NDArray[np.int64]:
    upper, lower = s2.from_tokens(coarse.names), s2.from_tokens(fine.names)
    order = np.argsort(upper)
    s2.check_disjoint(upper[order], [coarse.names[i] for i in order.tolist()])
    parents = s2.containing_cells(upper[order], lower)
    if (parents < 0).any():
        lost = fine.names[int(parents.argmin())]
        raise DataError(
            f"partitioning: expected every cell in one of the next coarser table, got {lost[:40]!r} in none: "
            "are these tables of one model?"
        )
    return order[parents]


def _read_tree(file: Path, tables: Sequence[Table]) -> list[NDArray[np.int64]]:
    data = read_bytes(file, MAX_TREE_BYTES)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{file.name}: expected JSON, could not read it ({str(error)[:100]}): get the file again."
        ) from None
    return [_tree_parents(file.name, tree, coarse.names, fine.names) for coarse, fine in pairwise(tables)]


def _tree_parents(file: str, tree: Any, coarse: list[str], fine: list[str]) -> NDArray[np.int64]:
    key = f"m_{len(fine)}"
    above = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(above, dict):
        raise DataError(f"{file}: expected the parents of {len(fine)} classes under {key!r}, got none.")
    place = {name: index for index, name in enumerate(coarse)}
    lost = [name for name in fine if not isinstance(above.get(name), str) or above[name] not in place]
    if lost:
        raise DataError(
            f"{file}: expected under {key!r} for every class one of the next coarser table, got none for "
            f"{', '.join(lost[:5])[:200]} ({len(lost)} in all): are these files of one model?"
        )
    return np.array([place[above[name]] for name in fine], dtype=np.int64)
