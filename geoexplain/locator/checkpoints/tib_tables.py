"""TIB's tables of cells: one CSV per partitioning, and which cell lies in which."""

import csv
import json
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.places import place_names
from geoexplain.locator.checkpoints.cells import MAX_CELLS, check_size

MAX_TREE_BYTES = 256 * 2**20
COLUMNS = {
    "s2": {"skiprows": 2, "index": "class_label", "label": "hex_id"},
    "semp": {"skiprows": 0, "index": "class_index", "label": "class_label"},
}
"""How the published tables are laid out; hparams.yaml may say otherwise."""

SETTINGS = {
    "skiprows": "skiprows",
    "index": "index_col",
    "label": "col_class_label",
    "latitude": "col_latitude",
    "longitude": "col_longitude",
}
"""What a column is → what hparams.yaml calls the setting that names it."""


def read_partitionings(
    kind: str, files: Sequence[Path], tree: Path | None, columns: Mapping[str, Any], name: str
) -> tuple[Partition, tuple[Partition, ...]]:
    """Tables, coarse to fine → the finest Partition `name` and the coarser ones, next coarser first.

    kind     "s2": a cell lies in the one that its token descends from; "semp": in the one that `tree` says
    tree     `h_dict.json`: {"m_<number of classes>": {location: location one level coarser}}
    columns  `base_part_kwargs` of hparams.yaml: what the columns are called, how many rows to skip

    Labels are place names with the authors' own name of the cell. Raises DataError for a table that does not fit.
    """
    layout = COLUMNS[kind] | {"latitude": "latitude_mean", "longitude": "longitude_mean"}
    layout |= {part: columns[setting] for part, setting in SETTINGS.items() if setting in columns}
    if "col_latitute" in columns:  # as the published settings spell it
        layout["latitude"] = columns["col_latitute"]
    tables = [read_table(file, layout) for file in files]
    parents = _read_tree(tree, tables) if tree is not None else [_s2_parents(*pair) for pair in _pairs(tables)]
    partitions = [
        Partition(name, _labels(names, centers), centers, above)
        for (names, centers), above in zip(tables, [None, *parents], strict=True)
    ]
    return partitions[-1], tuple(partitions[-2::-1])


Table = tuple[list[str], NDArray[np.float64]]
"""The authors' names of the cells, in the order of their classes, and their centres (K, 2) in degrees."""


def read_table(file: Path, layout: Mapping[str, Any]) -> Table:
    """One table. Raises DataError when it is too large, lacks a column or a number, or classes are not 0 … K − 1."""
    skip = layout["skiprows"]
    skip = skip if type(skip) is int and 0 <= skip <= 100 else 0
    rows: dict[int, tuple[str, float, float]] = {}
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
                rows[index] = (line[wanted[1]], float(line[wanted[2]]), float(line[wanted[3]]))
    except (OSError, UnicodeDecodeError, csv.Error, TypeError, ValueError) as error:
        raise DataError(
            f"{file.name}: expected a CSV table with a class, a name, a latitude and a longitude in every row, "
            f"could not read it ({str(error)[:100]}): get the file again."
        ) from None
    if not 0 < len(rows) <= MAX_CELLS or twice or sorted(rows) != list(range(len(rows))):
        raise DataError(f"{file.name}: expected the classes 0, 1, 2, … once each, got others: get the file again.")
    in_order = [rows[index] for index in range(len(rows))]
    centers = np.array([(lat, lon) for _, lat, lon in in_order], dtype=np.float64)
    if not ((np.abs(centers) <= (90, 180)).all()):  # also false for NaN
        raise DataError(f"{file.name}: expected latitudes within ±90 and longitudes within ±180, got others.")
    names = [name or "" for name, _, _ in in_order]
    if len(set(names)) < len(names):
        raise DataError(f"{file.name}: expected every cell's name once, got one twice: get the file again.")
    return names, centers


def s2_parent(token: str) -> str:
    """Token of the S2 cell one level up; "" for a face, which has none. Raises ValueError for what is no token.

    A cell's 64-bit number ends in a single set bit, two places further left a level up
    (s2geometry.io/devguide/s2cell_hierarchy).
    """
    number = int(token.ljust(16, "0"), 16)
    last = number & -number
    if number == 0 or len(token) > 16 or last.bit_length() % 2 == 0:
        raise ValueError(f"{token!r} is no S2 token")
    up = last << 2
    if up >= 1 << 61:
        return ""
    return f"{(number & -up) | up:016x}".rstrip("0")


def _pairs(tables: Sequence[Table]) -> list[tuple[Table, Table]]:
    return list(pairwise(tables))


def _s2_parents(coarse: Table, fine: Table) -> NDArray[np.int64]:
    place = {name.lower(): index for index, name in enumerate(coarse[0])}
    parents = []
    for name in fine[0]:
        try:
            token = name.lower()
            while token and token not in place:
                token = s2_parent(token)
        except ValueError:
            raise DataError(
                f"partitioning: expected S2 tokens such as '89c25', got {name[:40]!r}: is this table of another kind?"
            ) from None
        if not token:
            raise DataError(
                f"partitioning: expected every cell in one of the next coarser table, got {name[:40]!r} in none: "
                "are these tables of one model?"
            )
        parents.append(place[token])
    return np.array(parents, dtype=np.int64)


def _read_tree(file: Path, tables: Sequence[Table]) -> list[NDArray[np.int64]]:
    if file.stat().st_size > MAX_TREE_BYTES:
        raise DataError(f"{file.name}: expected at most {MAX_TREE_BYTES // 2**20} MiB of JSON, got more.")
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{file.name}: expected JSON, could not read it ({str(error)[:100]}): get the file again."
        ) from None
    return [_tree_parents(file.name, tree, coarse[0], fine[0]) for coarse, fine in _pairs(tables)]


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


def _labels(names: list[str], centers: NDArray[np.float64]) -> tuple[str, ...]:
    return tuple(f"{place} ({name[:60]})" for place, name in zip(place_names(centers), names, strict=True))
