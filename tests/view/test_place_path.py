"""The way down the tree, by hand: every level's most probable place, where it ends, and where the best cell parts."""

import json

import numpy as np
import pytest

from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.model import LocalizableRule
from geoexplain.locator.prediction import Prediction
from geoexplain.view.place_path import (
    UNDECIDED,
    answer_name,
    answer_place,
    headline,
    path_record,
    place_path,
    place_words,
    siblings,
)
from tests.geography.trees import (
    AFRICA,
    AQABA,
    ASIA,
    EGYPT,
    JORDAN,
    MAAN,
    SAUDI_ARABIA,
    SHARES,
    WADI_RUM,
    wadi_rum_tree,
)


def prediction_of(shares: np.ndarray) -> Prediction:
    return Prediction(int(shares.argmax()), shares, 0.0, 0.0, {}, LocalizableRule(), 0.0, True, "cell centre")


def changed(**cells: float) -> np.ndarray:
    """The shares with some set to others, unscaled: the path compares, and needs no sum of one."""
    shares = SHARES.copy()
    for cell, share in cells.items():
        shares[int(cell.removeprefix("c"))] = share
    return shares


def test_the_most_probable_place_of_every_level_by_hand() -> None:
    path = place_path(wadi_rum_tree(), prediction_of(SHARES))
    assert path.places == (ASIA, JORDAN, MAAN, WADI_RUM)
    np.testing.assert_allclose(path.shares, [0.80, 0.50, 0.35, 0.20, 0.30, 0.12, 0.12, 0.05])
    # The single most probable cell lies in Saudi Arabia, although Jordan is the more probable country.
    assert path.best == (ASIA, SAUDI_ARABIA)
    assert path.elsewhere == SAUDI_ARABIA


def test_the_best_cell_on_the_way_parts_from_nothing() -> None:
    path = place_path(wadi_rum_tree(), prediction_of(changed(c0=0.3)))
    assert path.places == path.best == (ASIA, JORDAN, MAAN, WADI_RUM)
    assert path.elsewhere is None


def test_it_ends_where_more_lies_in_none_of_the_parts() -> None:
    # 0.5 directly in Jordan, against 0.35 in Ma'an.
    path = place_path(wadi_rum_tree(), prediction_of(changed(c2=0.5)))
    assert path.places == path.best == (ASIA, JORDAN)
    assert path.elsewhere is None
    # 0.6 directly in Ma'an against 0.2 in Wadi Rum, and the best cell among the 0.6.
    assert place_path(wadi_rum_tree(), prediction_of(changed(c1=0.6))).places == (ASIA, JORDAN, MAAN)


def test_it_goes_on_to_the_best_cell_although_more_lies_beside_it() -> None:
    # Two cells directly in Saudi Arabia's neighbour make more together than the best cell in its part.
    tree = wadi_rum_tree()
    of_cell = tree.of_cell.copy()
    of_cell[3] = JORDAN  # with cell 2 directly in Jordan: 0.25 + 0.2 against 0.3 + 0.01 in Ma'an
    moved = type(tree)(tree.name, tree.labels, tree.kinds, tree.parents, of_cell, tree.borders)
    shares = changed(c0=0.3, c1=0.01, c2=0.25, c3=0.2)
    assert place_path(moved, prediction_of(shares)).places == (ASIA, JORDAN, MAAN, WADI_RUM)


def test_through_a_place_and_on_from_there() -> None:
    tree = wadi_rum_tree()
    assert place_path(tree, prediction_of(SHARES), AFRICA).places == (AFRICA, EGYPT)
    assert place_path(tree, prediction_of(SHARES), AQABA).places == (ASIA, JORDAN, AQABA)
    assert place_path(tree, prediction_of(SHARES), JORDAN).places == (ASIA, JORDAN, MAAN, WADI_RUM)


def test_a_best_cell_in_no_place_is_nowhere() -> None:
    path = place_path(wadi_rum_tree(), prediction_of(changed(c7=0.9)))
    assert path.places == (ASIA, JORDAN, MAAN, WADI_RUM)
    assert path.best == ()
    assert path.elsewhere is None


def test_what_stands_beside_a_place_the_most_probable_first() -> None:
    tree = wadi_rum_tree()
    path = place_path(tree, prediction_of(SHARES))
    assert siblings(tree, path, JORDAN) == [SAUDI_ARABIA]
    assert siblings(tree, path, ASIA) == [AFRICA]
    assert siblings(tree, path, AQABA) == [MAAN]
    assert siblings(tree, place_path(tree, prediction_of(changed(c6=0))), ASIA) == []  # nothing of it in Africa


@pytest.mark.parametrize(
    ("place", "words"),
    [(WADI_RUM, "Wadi Rum, Ma'an, Jordan"), (JORDAN, "Jordan"), (ASIA, "Asia"), (EGYPT, "Egypt"), (-1, "")],
)
def test_a_name_goes_as_far_as_the_country(place: int, words: str) -> None:
    assert place_words(wadi_rum_tree(), place) == words


@pytest.mark.parametrize(
    ("changes", "place", "name"),
    [
        ({}, JORDAN, "Jordan"),  # exactly half of the probability; Ma'an holds 35 %
        ({"c0": 0.4, "c4": 0.02}, MAAN, "Ma'an, Jordan"),  # 55 %, 40 of them in Wadi Rum
        ({"c0": 0.5, "c1": 0.0, "c2": 0.0, "c4": 0.17}, WADI_RUM, "Wadi Rum, Ma'an, Jordan"),
        ({"c1": 0.0, "c4": 0.37}, ASIA, "Asia"),  # Saudi Arabia 45 %, Jordan 35
        ({"c0": 0.0, "c1": 0.0, "c7": 0.43}, -1, None),  # Asia 45 %, in no place 43
        ({"c0": 0.0, "c1": 0.0, "c2": 0.0, "c7": 0.53}, -1, "cell 7"),  # more than half in no place
    ],
)
def test_an_answer_is_the_finest_place_that_holds_half(changes: dict, place: int, name: str | None) -> None:
    labels = [f"cell {cell}" for cell in range(8)]
    prediction = prediction_of(changed(**changes))
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert answer_place(wadi_rum_tree(), prediction) == place
    assert answer_name((wadi_rum_tree(),), labels, prediction) == name
    assert headline((wadi_rum_tree(),), labels, prediction) == (name or UNDECIDED)


def test_an_answer_without_a_tree_is_its_best_cell() -> None:
    labels = [f"cell {cell}" for cell in range(8)]
    assert answer_name((), labels, prediction_of(SHARES)) == "cell 4"


def test_what_is_above_countries_needs_nothing_beside_it() -> None:
    above = np.array([-1, 0, 1])
    kinds = ("continent", "subregion", "country")
    tree = PlaceTree("territory", ("Europe", "Southern Europe", "Italy"), kinds, above, above, (None,) * 3)
    assert [place_words(tree, place) for place in range(3)] == ["Europe", "Southern Europe", "Italy"]


def test_a_sea_needs_no_ocean_beside_it() -> None:
    above = np.array([-1, 0])
    tree = PlaceTree("territory", ("Indian Ocean", "Red Sea"), ("ocean", "sea"), above, above, (None, None))
    assert [place_words(tree, place) for place in (0, 1)] == ["Indian Ocean", "Red Sea"]


def test_a_path_as_plain_data() -> None:
    record = path_record(wadi_rum_tree(), prediction_of(SHARES))
    assert json.loads(json.dumps(record)) == record
    assert record["tree"] == "territory"
    assert [(step["label"], step["kind"]) for step in record["path"]] == [
        ("Asia", "continent"),
        ("Jordan", "country"),
        ("Ma'an", "region"),
        ("Wadi Rum", "city"),
    ]
    np.testing.assert_allclose([step["share"] for step in record["path"]], [0.8, 0.5, 0.35, 0.2])
    assert record["best_cell"] == "Saudi Arabia, Asia"
