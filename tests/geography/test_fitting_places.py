"""What is left of a tree without its smallest places, by hand."""

import numpy as np

from geoexplain.geography.fitting_places import fitting_places, without_kinds
from geoexplain.geography.partition import Partition
from tests.geography.trees import SHARES, wadi_rum_cells, wadi_rum_tree


def test_cells_of_a_place_that_goes_are_in_what_held_it() -> None:
    tree = without_kinds(wadi_rum_tree(), ("city", "region"))
    assert tree.labels == ("Asia", "Jordan", "Saudi Arabia", "Africa", "Egypt")
    assert tree.parents.tolist() == [-1, 0, 0, -1, 3]
    assert tree.of_cell.tolist() == [1, 1, 1, 1, 2, 2, 4, -1]
    np.testing.assert_allclose(tree.shares(SHARES), [0.8, 0.5, 0.3, 0.12, 0.12])
    assert [border is not None for border in tree.borders] == [True, True, False, False, False]


def test_a_root_that_goes_leaves_roots() -> None:
    tree = without_kinds(wadi_rum_tree(), ("continent",))
    assert [tree.labels[place] for place in np.flatnonzero(tree.parents < 0)] == ["Jordan", "Saudi Arabia", "Egypt"]


def test_cities_stay_for_cells_no_larger_than_they() -> None:
    cells = wadi_rum_cells()
    assert cells.spacing_km > 50  # a day's drive apart
    assert "Wadi Rum" not in fitting_places(wadi_rum_tree(), cells).labels
    dense = Partition("dense", cells.labels, cells.centers_deg / 10)
    assert dense.spacing_km < 50
    assert fitting_places(wadi_rum_tree(), dense).labels == wadi_rum_tree().labels
