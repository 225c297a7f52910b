"""Places in the studio: shares summed up the tree, what stands beside, and a place as what is explained."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.target import CellGroup
from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.model import GeoModel
from geoexplain.studio.handlers import Handlers
from geoexplain.studio.models import Loaded, Models
from geoexplain.studio.payload import encode, explanation_payload
from geoexplain.studio.places import Place, places_payload
from tests.explainer.networks import random_model
from tests.geography.maps import square, write_geojson
from tests.geography.trees import AFRICA, ASIA, EGYPT, JORDAN, MAAN, SAUDI_ARABIA, SHARES, WADI_RUM, wadi_rum_tree
from tests.studio.conftest import event, props
from tests.view.test_place_path import prediction_of


def halves() -> PlaceTree:
    """Twelve cells: six of the south in no place, six of the north in the north, of which two in its far east."""
    of_cell = np.array([-1] * 6 + [0] * 4 + [1] * 2)
    return PlaceTree(
        "territory", ("<b>North</b>", "Far East"), ("half", "corner"), np.array([-1, 0]), of_cell, (None,) * 2
    )


@pytest.fixture(scope="module")
def model() -> GeoModel:
    given = random_model()
    return GeoModel(
        given.network.backbone, given.head, given.partition, given.preprocess, name="halves", own_trees=(halves(),),
        device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def handlers(model: GeoModel) -> Handlers:
    return Handlers(Models(model), assets_url="static")


@pytest.fixture(scope="module")
def name(model: GeoModel) -> str:
    return Models(model).start


class Tree:
    """What stands for a loaded model where only its trees count."""

    trees = (wadi_rum_tree(),)


def levels(payload: dict[str, Any]) -> list[tuple[str, str]]:
    return [(level["label"], level["percent"]) for level in payload["levels"]]


def test_levels_and_what_stands_beside_them_by_hand() -> None:
    (tree,) = json.loads(json.dumps(places_payload(Tree(), prediction_of(SHARES), None), allow_nan=False))  # type: ignore[arg-type]
    assert (tree["tree"], tree["title"], tree["explained"]) == (0, "Territory", None)
    assert levels(tree) == [("Asia", "80.0 %"), ("Jordan", "50.0 %"), ("Ma'an", "35.0 %"), ("Wadi Rum", "20.0 %")]
    assert [level["cells"] for level in tree["levels"]] == ["6 cells", "4 cells", "2 cells", "1 cell"]
    beside = [[(place["label"], place["percent"]) for place in level["beside"]] for level in tree["levels"]]
    assert beside == [[("Africa", "12.0 %")], [("Saudi Arabia", "30.0 %")], [("Aqaba", "5.0 %")], []]
    assert [level["instead"] for level in tree["levels"][2:]] == [
        "instead of Ma'an:",
        "instead of Wadi Rum: nothing above 0.1 %",
    ]
    # The best cell alone is in Saudi Arabia: 22 % against 20.
    assert tree["elsewhere"]["label"] == "Saudi Arabia"
    assert tree["levels"][1]["shape"]["rings"]
    assert tree["levels"][2]["shape"]["cells"]


def test_the_path_goes_through_what_is_explained() -> None:
    (tree,) = places_payload(Tree(), prediction_of(SHARES), Place(0, SAUDI_ARABIA))  # type: ignore[arg-type]
    assert levels(tree) == [("Asia", "80.0 %"), ("Saudi Arabia", "30.0 %")]
    assert (tree["explained"], tree["elsewhere"]) == (SAUDI_ARABIA, None)
    (tree,) = places_payload(Tree(), prediction_of(SHARES), Place(0, AFRICA))  # type: ignore[arg-type]
    assert [level["place"] for level in tree["levels"]] == [AFRICA, EGYPT]


def test_what_does_not_reach_a_thousandth_is_not_offered() -> None:
    shares = SHARES.copy()
    shares[6] = 5e-4  # Egypt, and so Africa
    (tree,) = places_payload(Tree(), prediction_of(shares), None)  # type: ignore[arg-type]
    assert [place["place"] for place in tree["levels"][0]["beside"]] == []
    assert [level["place"] for level in tree["levels"]] == [ASIA, JORDAN, MAAN, WADI_RUM]


# ---- a place as what is explained


def test_a_place_is_explained_by_all_its_cells(
    handlers: Handlers, model: GeoModel, image: Image.Image, name: str
) -> None:
    *_, (world, answer, explanation) = handlers.show_cell(image, name, event(tree=0, place=0, score="logit"))
    expected = explain(image, model, target=CellGroup("<b>North</b>", tuple(range(6, 12))), score="logit")
    assert props(world)["target"] is None
    assert props(world)["place"]["name"] == "<b>North</b>"
    value = props(explanation)["value"]
    assert value == explanation_payload(name, model, expected, Place(0, 0))
    share = expected.prediction.probabilities[6:].sum()
    assert value["words"] == f"Explaining the logit of <b>North</b> ({100 * share:.1f} %, 6 cells)."
    assert value["maps"]["grad-cam"] == [encode(one) for one in expected.maps("grad-cam", "block")]
    assert value["target"] == value["cell"]["cell"] == 6 + int(expected.prediction.probabilities[6:].argmax())
    assert props(answer)["value"]["target"] is None
    assert [row["cell"] for row in props(answer)["value"]["rows"]] == expected.prediction.top(5)
    assert props(answer)["value"]["places"][0]["explained"] == 0


def test_a_cell_after_a_place_is_a_cell_again(handlers: Handlers, image: Image.Image, name: str) -> None:
    *_, (world, answer, explanation) = handlers.show_cell(image, name, event(cell=3))
    assert (props(world)["target"], props(world)["place"]) == (3, None)
    assert props(answer)["value"]["places"][0]["explained"] is None
    assert props(explanation)["value"]["place"] is None
    assert "of cell 3, " in props(explanation)["value"]["words"]


@pytest.mark.parametrize(
    "data",
    [
        {"tree": 0, "place": 2},
        {"tree": 0, "place": -1},
        {"tree": 1, "place": 0},
        {"tree": -1, "place": 0},
        {"tree": 0.5, "place": 0},
        {"tree": 0, "place": "Jordan"},
        {"tree": 0, "place": None},
        {"tree": None, "place": 0},
        {"place": 0},
        {"tree": [0], "place": {}},
        {"tree": float("nan"), "place": float("inf")},
    ],
)
def test_what_is_no_place_is_refused_in_a_sentence(
    handlers: Handlers, image: Image.Image, name: str, data: dict[str, Any]
) -> None:
    with pytest.raises(gr.Error, match="Expected a") as refusal:
        list(handlers.show_cell(image, name, event(**data)))
    assert not refusal.value.print_exception
    with pytest.raises(gr.Error, match="Expected a"):
        list(handlers.run_score_cam(image, name, event(method="score-cam", run=1, score="probability", **data)))


def test_score_cam_and_tuning_take_a_place(handlers: Handlers, image: Image.Image, name: str) -> None:
    *_, last = handlers.run_score_cam(
        image, name, event(method="score-cam", run=7, tree=0, place=1, score="probability")
    )
    place = props(last)["score_cam"]
    *_, last = handlers.run_score_cam(image, name, event(method="score-cam", run=8, cell=10, score="probability"))
    assert place["state"] == "done"
    assert place["values"] != props(last)["score_cam"]["values"]  # of two cells, and of one of them
    combi = {"method": "grad-cam", "level": "stage", "how": "sum", "weights": [1.0] * 7}
    *_, last = handlers.run_tuning(image, name, event(run=9, tree=0, place=1, combi=combi))
    assert props(last)["tuning"]["state"] == "done"


# ---- where places come from


def test_natural_places_join_those_of_the_model(model: GeoModel, tmp_path: Path) -> None:
    desert = ({"FEATURECLA": "Desert", "NAME": "Middle", "NE_ID": 1}, [square(-30, -40, 60, 40)])
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.json", [desert])
    territory, nature = Loaded(model, naturalearth=tmp_path).trees
    assert territory is model.trees[0]
    in_africa = model.partition.nearest(5.5, 13.6)
    assert nature.words(int(nature.of_cell[in_africa])).startswith("Middle")
    with pytest.raises(DataError):
        Models(model, naturalearth=tmp_path / "nothing")
