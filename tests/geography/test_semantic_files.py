"""What a semantic partitioning keeps in files: the same rule and tree afterwards; files of strangers."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from geoexplain.errors import DataError
from geoexplain.files.archives import write_arrays
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.partition_files import read_partitioning, write_partitioning
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.s2_partitioning import build_s2
from geoexplain.geography.semantic_files import COORDINATES, LOCATIONS, TREE, read_semantic, write_semantic
from geoexplain.geography.semantic_partitioning import build_semantic
from tests.geography.hand_addresses import addresses_of

POINTS = np.random.default_rng(5).uniform((-90, -180), (90, 180), (400, 2))


def by_coordinate() -> Partitioning:
    texts = ["a < land", "b < land", "c < other", ""]
    points = [(10.0, 20.0), (0.123456, -179.5), (-80.0, 100.0), (50.0, 50.0)]
    land = {"land": shapely.box(-10, -10, 30, 30)}
    return build_semantic(addresses_of(texts, points), [1], name="x", border_of=lambda each: land.get(each.key))


def by_address() -> Partitioning:
    around = np.array([(48.85, 2.35)] * 5 + [(45.76, 4.84)] * 3 + [(44.0, 3.0)] * 2 + [(52.5, 13.4)] * 3)
    return build_semantic(territory_addresses(around), [2, 3], name="x", address_of=territory_addresses)


@pytest.mark.parametrize("build", [by_coordinate, by_address])
def test_rule_and_tree_are_the_same_when_they_are_read(build: object, tmp_path: Path) -> None:
    made = build()
    write_semantic(made, tmp_path)
    assign, tree = read_semantic(tmp_path, made.levels[0])
    assert assign(POINTS).tolist() == made.assign(POINTS).tolist()
    assert (assign(POINTS) >= 0).any()
    assert (tree.name, tree.labels, tree.kinds) == (made.tree.name, made.tree.labels, made.tree.kinds)
    assert (tree.parents.tolist(), tree.of_cell.tolist()) == (made.tree.parents.tolist(), made.tree.of_cell.tolist())
    for one, other in zip(tree.borders, made.tree.borders, strict=True):
        assert (one is None) == (other is None)
        assert one is None or one.symmetric_difference(other).area < 0.01


@pytest.mark.parametrize("build", [by_coordinate, by_address])
def test_a_folder_keeps_a_semantic_partitioning(build: object, tmp_path: Path) -> None:
    made = build()
    write_partitioning(made, tmp_path / "cells")
    read = read_partitioning(tmp_path / "cells")
    assert read.classes(POINTS).tolist() == made.classes(POINTS).tolist()
    assert (read.kind, read.keys, dict(read.settings)) == (made.kind, made.keys, dict(made.settings))
    assert [level.labels for level in read.levels] == [level.labels for level in made.levels]
    assert [read.tree.words(place) for place in read.tree.of_cell] == [
        made.tree.words(place) for place in made.tree.of_cell
    ]


def test_places_that_cells_share_are_refused(tmp_path: Path) -> None:
    made = by_address()
    write_semantic(made, tmp_path)
    tree = json.loads((tmp_path / TREE).read_text(encoding="utf-8"))
    tree["trees"][0]["of_cell"][0] = tree["trees"][0]["of_cell"][1]
    (tmp_path / TREE).write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(DataError, match="a place of its own for each of 4 cells, got 3"):
        read_semantic(tmp_path, made.levels[0])


def test_offline_addresses_sort_points_as_people_would() -> None:
    found = by_address()
    labels = [found.levels[0].labels[cell] for cell in found.assign(np.array([(48.86, 2.3), (52.4, 13.5)]))]
    assert [label.partition(",")[0] for label in labels] == ["Paris", "Berlin"]
    assert labels[0].endswith("France")
    assert found.assign(np.array([(-30.0, -120.0)])).tolist() == [-1]  # the Pacific, which no image shows


def test_one_rule_replaces_the_other(tmp_path: Path) -> None:
    write_semantic(by_address(), tmp_path)
    write_semantic(by_coordinate(), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([COORDINATES, TREE])
    write_semantic(by_address(), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([LOCATIONS, TREE])


def test_another_kind_of_partitioning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a semantic one"):
        write_semantic(build_s2(POINTS, [(1, 100)]), tmp_path)


def test_files_of_other_cells_are_refused(tmp_path: Path) -> None:
    write_semantic(by_coordinate(), tmp_path)
    with pytest.raises(DataError, match="one tree over"):
        read_semantic(tmp_path, by_address().levels[0])


@pytest.mark.parametrize(
    ("steps", "cells"),
    [
        ([[0, 0]], [3]),
        ([[0, 0]], [-2]),
        ([[9_000_001, 0]], [0]),
        ([[0, -18_000_001]], [0]),
        ([[-(2**31), 0]], [0]),
        ([[0, 0]], [0, 1]),
        ([[0, 0, 0]], [0]),
        (np.empty((0, 2)), []),
    ],
)
def test_coordinates_that_do_not_fit_are_refused(steps: object, cells: object, tmp_path: Path) -> None:
    made = by_coordinate()
    write_semantic(made, tmp_path)
    write_arrays(tmp_path / COORDINATES, {"steps": np.array(steps, np.int32), "cells": np.array(cells, np.int32)})
    with pytest.raises(DataError, match="cells from -1 to 2"):
        read_semantic(tmp_path, made.levels[0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps({"format": "geoexplain-locations/1", "places": {}}).encode(),
        json.dumps({"format": "geoexplain-locations/1", "places": [1]}).encode(),
        json.dumps({"format": "geoexplain-locations/1", "places": {"a": 99999}}).encode(),
        json.dumps({"format": "geoexplain-locations/1", "places": {"a": True}}).encode(),
        json.dumps({"format": "geoexplain-locations/2", "places": {"a": 0}}).encode(),
    ],
)
def test_locations_that_do_not_fit_are_refused(content: bytes, tmp_path: Path) -> None:
    made = by_address()
    write_semantic(made, tmp_path)
    (tmp_path / LOCATIONS).write_bytes(content)
    with pytest.raises(DataError, match="place of each location"):
        read_semantic(tmp_path, made.levels[0])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    made = by_coordinate()
    write_semantic(made, tmp_path)
    (tmp_path / COORDINATES).unlink()
    with pytest.raises(DataError, match=COORDINATES):
        read_semantic(tmp_path, made.levels[0])
