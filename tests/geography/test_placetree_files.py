"""Place trees on disk: what is written is read, and nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from geoexplain.errors import DataError
from geoexplain.geography import placetree_files
from geoexplain.geography.addresses.borders import BordersByName
from geoexplain.geography.placetree import PlaceTree
from geoexplain.geography.placetree_files import read_place_trees, write_place_trees
from tests.geography.trees import JORDAN, SHARES, wadi_rum_tree

HOLE = shapely.Polygon([(178, 0), (190, 0), (190, 9), (178, 9)], [[(180, 1), (181, 1), (181, 2), (180, 2)]])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    tree = wadi_rum_tree()
    borders = (HOLE, *tree.borders[1:])
    other = PlaceTree("nature", ('Ü"\\ < ',), ("desert",), np.array([-1]), np.array([0, -1]), (None,))
    tree = PlaceTree(tree.name, tree.labels, tree.kinds, tree.parents, tree.of_cell, borders)
    write_place_trees([tree, other], tmp_path / "m.places.json")
    first, second = read_place_trees(tmp_path / "m.places.json")
    for a, b in ((tree, first), (other, second)):
        assert (a.name, a.labels, a.kinds) == (b.name, b.labels, b.kinds)
        assert np.array_equal(a.parents, b.parents)
        assert np.array_equal(a.of_cell, b.of_cell)
    assert first.borders[0].equals(HOLE)  # past 180°, hole and all
    assert first.borders[JORDAN].equals(shapely.box(35, 29, 39, 33))
    assert first.borders[2] is None
    assert np.array_equal(first.shares(SHARES), tree.shares(SHARES))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.places.json"]


def test_borders_are_rounded_to_ten_metres(tmp_path: Path) -> None:
    fine = shapely.box(0.123456, 0.00004, 1.99996, 1)
    dust = shapely.box(5, 5, 5.00001, 5.00001)
    tree = PlaceTree("x", ("a", "b"), ("k", "k"), np.array([-1, -1]), np.array([0]), (fine, dust))
    write_place_trees([tree], tmp_path / "t.json")
    ((rounded, gone),) = [tree.borders for tree in read_place_trees(tmp_path / "t.json")]
    assert rounded.bounds == (0.1235, 0.0, 2.0, 1.0)
    assert gone is None


def by_name() -> PlaceTree:
    """A tree whose borders come with the package: two that are known, and a city, which has none."""
    labels, kinds = ("Southern Europe", "Italy", "Rome"), ("subregion", "country", "city")
    return PlaceTree(
        "territory", labels, kinds, np.array([-1, 0, 1]), np.array([2, 1, -1]), BordersByName(kinds, labels)
    )


def test_borders_that_are_known_by_name_are_found_again(tmp_path: Path) -> None:
    write_place_trees([by_name()], tmp_path / "t.json")
    assert (tmp_path / "t.json").stat().st_size < 300
    (tree,) = read_place_trees(tmp_path / "t.json")
    whole, italy, rome = tree.borders
    assert shapely.Point(12.5, 41.9).within(italy)
    assert not shapely.Point(-3.7, 40.4).within(italy)
    assert whole.buffer(1e-6).contains(shapely.union_all([italy, shapely.Point(-3.7, 40.4)]))  # with Madrid
    assert rome is None


def test_places_of_other_cells_are_refused(tmp_path: Path) -> None:
    centers = np.array([(41.9, 12.5), (40.85, 14.27), (0.1 + 0.2, -180.0)])
    write_place_trees([by_name()], tmp_path / "t.json", centers)
    read_place_trees(tmp_path / "t.json")
    read_place_trees(tmp_path / "t.json", centers)
    read_place_trees(tmp_path / "t.json", centers.round(7))  # as a table of cells keeps them
    for others in (centers + np.array([0, 1e-6]), centers[::-1], centers[:2]):
        with pytest.raises(DataError, match=r"t\.json: expected the places of this model's cells, got those of others"):
            read_place_trees(tmp_path / "t.json", others)
    # A file that says of no cells, as older ones, is taken for any.
    write_place_trees([by_name()], tmp_path / "t.json")
    read_place_trees(tmp_path / "t.json", centers[:2])


def content() -> dict[str, Any]:
    tree = {"name": "x", "labels": ["a", "b"], "kinds": ["k", "k"], "parents": [-1, 0], "of_cell": [1, -1]}
    ring = [[0, 0], [0, 1], [1, 1], [0, 0]]
    return {
        "format": placetree_files.FORMAT,
        "trees": [tree | {"borders": [{"type": "MultiPolygon", "coordinates": [[ring]]}, None]}],
    }


def test_the_file_by_hand(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(content()))
    (tree,) = read_place_trees(tmp_path / "t.json")
    assert tree.borders[0].area == 0.5
    assert tree.words(1) == "b, a"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", ["a"]),
        ("labels", ["a", 7]),
        ("labels", "ab"),
        ("kinds", None),
        ("name", ["x"]),
        ("parents", [1, 0]),  # they hold each other
        ("parents", [-1, 2]),
        ("parents", [-1, 0.5]),
        ("parents", [-1, True]),
        ("parents", [-1, 10**30]),
        ("of_cell", [-2]),
        ("of_cell", [[0]]),
        ("borders", [None]),
        ("borders", [None, {"type": "Point", "coordinates": [0, 0]}]),
        ("borders", [None, {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 1]]]]}]),
        ("borders", [None, {"type": "MultiPolygon", "coordinates": [[[[0, 0], [0, 91], [1, 1], [0, 0]]]]}]),
        ("borders", [None, {"type": "MultiPolygon", "coordinates": [[[[0, 0], [541, 0], [1, 1], [0, 0]]]]}]),
        ("borders", [None, {"type": "MultiPolygon", "coordinates": [[[[0, 0], [float("nan"), 0], [1, 1], [0, 0]]]]}]),
        ("borders", [None, {"type": "MultiPolygon", "coordinates": [[[["0", 0], [1, 0], [1, 1], ["0", 0]]]]}]),
        ("borders", [None, {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1], [1, 1], [0, 0]]]]}]),
        ("borders", [None, {"type": "MultiPolygon", "coordinates": [[]]}]),
        ("borders", [None, 7]),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, key: str, value: object) -> None:
    changed = content()
    changed["trees"][0][key] = value
    (tmp_path / "t.json").write_text(json.dumps(changed))
    with pytest.raises(DataError, match=r"^t.json: (expected the places of a model's cells|places of x: expected)"):
        read_place_trees(tmp_path / "t.json")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"{}", b"[" * 100_000, b"\xff", b'{"format": "geoexplain-places/2", "trees": []}'),
        json.dumps(content() | {"trees": content()["trees"] * 9}).encode(),
        json.dumps(content() | {"trees": 7}).encode(),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.json").write_bytes(data)
    with pytest.raises(DataError, match=r"^t.json: expected the places of a model's cells"):
        read_place_trees(tmp_path / "t.json")


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_place_trees([wadi_rum_tree()], tmp_path / "t.json")
    monkeypatch.setattr(placetree_files, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="expected at most 100 bytes"):
        read_place_trees(tmp_path / "t.json")
    with pytest.raises(DataError, match="expected at most 8 trees"):
        write_place_trees([wadi_rum_tree()] * 9, tmp_path / "t.json")
    with pytest.raises(DataError, match="expected to write it"):
        write_place_trees([wadi_rum_tree()], tmp_path / "nowhere" / "t.json")


def chain(places: int) -> dict[str, Any]:
    """A tree in which every place lies in the one before it."""
    parents = [[*range(-1, places - 1)], ["a"] * places, ["k"] * places, [None] * places]
    columns = dict(zip(("parents", "labels", "kinds", "borders"), parents, strict=True))
    return {"format": placetree_files.FORMAT, "trees": [{"name": "x", "of_cell": [places - 1], **columns}]}


def test_a_tower_of_places_is_refused_before_every_cell_knows_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(chain(placetree_files.DEEPEST)))
    (tree,) = read_place_trees(tmp_path / "t.json")
    assert tree.depth.tolist() == list(range(placetree_files.DEEPEST))
    # Step by step these would take an hour, and a cell's chain of them as much memory as the file.
    for places in (placetree_files.DEEPEST + 1, 1_000_000):
        (tmp_path / "t.json").write_text(json.dumps(chain(places)))
        with pytest.raises(DataError, match=r"^t\.json: expected the places"):
            read_place_trees(tmp_path / "t.json")
    one = PlaceTree("x", ("a",) * 300, ("k",) * 300, np.arange(-1, 299), np.array([299]), (None,) * 300)
    with pytest.raises(DataError, match="expected less than 200 places above one another"):
        write_place_trees([one], tmp_path / "t.json")
