"""Places by name: the cells of a place, and errors for unknown and ambiguous names."""

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.explainer.place import named_group, place_group
from geoexplain.explainer.target import CellGroup
from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.model import GeoModel
from tests.explainer.networks import random_model

LABELS = ("Europe", "Georgia", "Asia", "Georgia", "Tbilisi", "Rome")
#          0         1 in 2     2       3 in 0     4 in 1     5 in 0
TREE = PlaceTree(
    "territory",
    LABELS,
    ("continent", "country", "continent", "country", "city", "city"),
    np.array([-1, 2, -1, 0, 1, 0]),
    np.array([4, 4, 1, 5, 3, -1, 2, 0, 0, 0, 5, 5]),
    (None,) * 6,
)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    plain = random_model()
    return GeoModel(
        plain.backbone, plain.head, plain.partition, plain.preprocess, name="places", device="cpu", own_trees=(TREE,)
    )


def test_names_are_case_insensitive(model: GeoModel) -> None:
    assert named_group(model, "asia") == CellGroup("Asia", (0, 1, 2, 6))
    assert named_group(model, "Tbilisi") == CellGroup("Tbilisi, Georgia, Asia", (0, 1))
    assert named_group(model, " Georgia , europe") == CellGroup("Georgia, Europe", (4,))
    assert place_group(TREE, 0) == CellGroup("Europe", (3, 4, 7, 8, 9, 10, 11))


def test_ambiguous_and_unknown_names_are_refused(model: GeoModel) -> None:
    with pytest.raises(DataError, match="got 2 called 'Georgia': say which, “Georgia, Asia”; “Georgia, Europe”"):
        named_group(model, "Georgia")
    with pytest.raises(DataError, match="got 'Roma'; did you mean Rome"):
        named_group(model, "Roma")
    with pytest.raises(DataError, match="got 'Xyzzy': choose a country"):
        named_group(model, "Xyzzy")
    with pytest.raises(DataError, match="got 'Rome, Asia'"):
        named_group(model, "Rome, Asia")
    with pytest.raises(DataError, match="expected a place from 0 to 5"):
        place_group(TREE, 6)
