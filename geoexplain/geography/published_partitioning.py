"""Read the partitionings that TIB published as `Partitioning`s."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Assign, Partitioning
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.s2_partitioning import assign_by_tokens
from geoexplain.geography.semantic_assign import nearest_coordinate
from geoexplain.geography.tib_tables import COLUMNS, partitions_of, read_table
from geoexplain.words import printable


def read_published(files: Sequence[Path], tree: Path | None = None, *, name: str = "published") -> Partitioning:
    """Read a published partitioning from its tables, in any order, and for a semantic one the `tree` `h_dict.json`.

    Tables with a column of S2 tokens give kind "s2", with outlines. Others give kind "semantic", without outlines; it
    assigns points to the nearest centre, since the tables do not contain the addresses of its locations. Centres and
    counts are those of the tables; a missing count is 0.
    Raises DataError for tables, or a tree, that are damaged or do not belong together.
    """
    kind = "s2" if all(_has_tokens(file) for file in files) else "semp"
    tables = sorted((read_table(file, COLUMNS[kind]) for file in files), key=lambda table: len(table.names))
    if kind == "semp" and tree is None and len(tables) > 1:
        raise DataError("partitioning: expected h_dict.json with the parents of the cells, got none: add it.")
    levels = tuple(partitions_of(kind, tables, tree if kind == "semp" else None, name)[::-1])
    keys = tuple(tuple(table.names) for table in tables[::-1])
    finest = tables[-1]
    assign: Assign = (
        assign_by_tokens(finest.names)
        if kind == "s2"
        else nearest_coordinate(finest.centers_deg, np.arange(len(finest.names)))
    )
    return Partitioning(
        name=name,
        kind="s2" if kind == "s2" else "semantic",
        levels=levels,
        keys=keys,
        counts=tuple(table.counts for table in tables[::-1]),
        borders=tuple(level.borders or (None,) * len(level) for level in levels),
        assign=assign,
        settings={"published": [file.name for file in files], "in_no_cell": 0},
        tree=None if kind == "s2" else _place_tree(levels, keys),
    )


def _has_tokens(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as text:
            return any(str(COLUMNS["s2"]["label"]) in text.readline(10_000) for _ in range(3))
    except OSError as error:
        raise DataError(
            f"{printable(file.name)}: expected a readable table, got '{error.strerror}': check the path."
        ) from None


def _place_tree(levels: Sequence[Partition], keys: Sequence[Sequence[str]]) -> PlaceTree:
    """Return a tree of the locations of all levels; each is below its parent at the next coarser level."""
    labels: dict[str, str] = {}
    above: dict[str, str] = {}
    for i, (level, names) in enumerate(zip(levels, keys, strict=True)):
        for cell, key in enumerate(names):
            labels.setdefault(key, level.labels[cell])
            parent = key if level.parents is None else keys[i + 1][level.parents[cell]]
            if parent != key:
                above.setdefault(key, parent)
    place = {key: number for number, key in enumerate(labels)}
    return PlaceTree(
        "territory",
        tuple(labels.values()),
        ("place",) * len(place),
        np.array([place[above[key]] if key in above else -1 for key in place], dtype=np.int64),
        np.array([place[key] for key in keys[0]], dtype=np.int64),
        (None,) * len(place),
    )
