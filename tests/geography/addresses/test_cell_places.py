"""The places of cells: their probability summed by hand, their borders, and a natural tree beside."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.addresses import place_trees, tree_of
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import find_place
from tests.geography.maps import square, write_geojson

CELLS = Partition(
    "hand",
    ("Paris", "Lyon", "Berlin", "Wadi Rum", "Gulf of Guinea", "South Pole"),
    np.array([(48.86, 2.35), (45.76, 4.84), (52.52, 13.40), (29.57, 35.42), (0.0, 0.0), (-90.0, 0.0)]),
)
SHARES = np.array([0.2, 0.1, 0.3, 0.15, 0.05, 0.2])


def test_probability_of_places() -> None:
    (tree,) = place_trees(CELLS)
    assert tree.name == "territory"
    sums = dict(zip(tree.labels, tree.shares(SHARES), strict=True))
    expected = {"France": 0.3, "Western Europe": 0.6, "Europe": 0.6, "Jordan": 0.15, "Middle East": 0.15}
    expected |= {"Asia": 0.15, "Antarctica": 0.2, "Atlantic Ocean": 0.05}
    assert {name: sums[name] for name in expected} == pytest.approx(expected)
    assert tree.words(tree.of_cell[3]) == "Aqaba, Jordan, Middle East, Asia"
    assert tree.cells(find_place(tree, "France")[0]).tolist() == [0, 1]


def test_borders_hold_the_cells() -> None:
    (tree,) = place_trees(CELLS)
    bordered = [i for i, border in enumerate(tree.borders) if border is not None]
    assert {tree.kinds[i] for i in bordered} == {"country", "subregion", "continent"}
    for place in bordered:
        for cell in tree.cells(place):
            lat, lon = CELLS.centers_deg[cell]
            assert tree.borders[place].buffer(1e-6).intersects(shapely.Point(lon, lat))


def test_the_natural_tree_stands_beside(tmp_path: Path) -> None:
    desert = ({"featurecla": "Desert", "name": "RED SAND"}, [square(34, 28, 37, 31)])
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.geojson", [desert])
    territory, nature = place_trees(CELLS, tmp_path)
    assert (territory.name, nature.name) == ("territory", "nature")
    assert nature.words(nature.of_cell[3]) == "Red Sand, Deserts"
    assert nature.borders[nature.of_cell[3]].bounds == (34, 28, 37, 31)
    assert nature.of_cell.tolist()[:3] == [-1, -1, -1]
    assert nature.words(nature.of_cell[4]) == "Gulf of Guinea, Atlantic Ocean, Seas"


def test_addresses_that_disagree_make_one_tree() -> None:
    locations = tuple(Location(key, key.upper(), "place") for key in "abcde")
    # a lies in b twice and in c once; e is in no address.
    paths = np.array([(0, 1, 3), (0, 1, 3), (0, 2, 3), (-1, -1, -1)], dtype=np.int32)
    asked: list[str] = []
    tree = tree_of(Addresses(np.zeros((4, 2)), locations, paths), lambda location: asked.append(location.key), "x")
    assert [tree.words(place) for place in tree.of_cell] == ["A, B, D", "A, B, D", "A, B, D", ""]
    assert tree.labels == ("A", "B", "D")
    assert asked == ["a", "b", "d"]
