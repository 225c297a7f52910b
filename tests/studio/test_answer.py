"""The answer that the browser is sent, held against the prediction it was made from."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.locator.model import GeoModel
from geoexplain.locator.prediction import RADII_KM, Prediction, predict, prediction_density
from geoexplain.studio.answer import answer_payload, found_words, loading
from geoexplain.studio.examples import Example, examples
from geoexplain.studio.models import Loaded
from geoexplain.view.place_path import headline
from geoexplain.view.radius_words import cell_words, reach_words
from geoexplain.words import percent, position
from tests.studio.conftest import BESIDE_DEG

NAME = "a name"
PICTURE = np.random.default_rng(3).integers(0, 256, (96, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def explanation(model: GeoModel) -> Explanation:
    return explain(PICTURE, model)


@pytest.fixture(scope="module")
def plain(model: GeoModel) -> Loaded:
    return Loaded(model)


@pytest.fixture(scope="module")
def found(searching: Loaded, explanation: Explanation) -> Prediction:
    trace = explanation.trace
    return predict(searching.model, trace.logits, features=trace.features, search=searching.search)


def distance_km(a_deg: tuple[float, float], b_deg: tuple[float, float]) -> float:
    """By the spherical law of cosines."""
    (lat_a, lon_a), (lat_b, lon_b) = [tuple(map(math.radians, point)) for point in (a_deg, b_deg)]
    cosine = math.sin(lat_a) * math.sin(lat_b) + math.cos(lat_a) * math.cos(lat_b) * math.cos(lon_b - lon_a)
    return 6371.0 * math.acos(max(-1.0, min(1.0, cosine)))


@pytest.mark.parametrize(
    ("lat", "lon", "digits", "text"),
    [
        (41.93, 12.46, 1, "41.9° N, 12.5° E"),
        (-33.86, 151.21, 1, "33.9° S, 151.2° E"),
        (-0.18, -78.47, 1, "0.2° S, 78.5° W"),
        (0, 0, 1, "0.0° N, 0.0° E"),
        (41.90278, 12.49637, 4, "41.9028° N, 12.4964° E"),
    ],
)
def test_position(lat: float, lon: float, digits: int, text: str) -> None:
    assert position(lat, lon, digits) == text


def test_a_model_that_is_loading_is_named() -> None:
    assert loading("Some <b>model</b>") == {"state": "locating", "words": "Loading Some <b>model</b> …"}


def test_the_table_holds_the_five_best_and_the_chosen_cell(model: GeoModel, plain: Loaded) -> None:
    prediction = explain(PICTURE, model).prediction
    by_share = sorted(range(12), key=lambda cell: -prediction.probabilities[cell])
    chosen = explain(PICTURE, model, target=by_share[2])
    rows = answer_payload(NAME, plain, chosen, prediction)["rows"]
    assert [row["cell"] for row in rows] == by_share[:5]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]

    chosen = explain(PICTURE, model, target=by_share[10])
    answer = answer_payload(NAME, plain, chosen, prediction)
    assert [row["cell"] for row in answer["rows"]] == [*by_share[:5], by_share[10]]
    last = answer["rows"][-1]
    assert last["rank"] == 11
    assert last["label"] == f"cell {by_share[10]}"
    assert last["share"] == prediction.probabilities[by_share[10]]
    assert answer["target"] == by_share[10]
    assert answer["model"] == NAME


def test_the_truth_and_its_distance_stand_beside_an_example(plain: Loaded, explanation: Explanation) -> None:
    prediction = explanation.prediction
    example = Example(examples()[0].file, "Somewhere", "coast", -12.0, 177.0, "nobody")
    answer = answer_payload(NAME, plain, explanation, prediction, example)
    (fact,) = [fact for fact in answer["facts"] if "Truth" in fact]
    error = distance_km((prediction.lat_deg, prediction.lon_deg), (-12.0, 177.0))
    assert fact == f"Truth: Somewhere, 12.0° S, 177.0° E: {error:,.0f} km away"
    answer = answer_payload(NAME, plain, explanation, prediction)
    assert not any("Truth" in fact for fact in answer["facts"])


def test_the_answer_says_how_far_the_probability_reaches_and_nothing_finer_than_a_cell(
    plain: Loaded, explanation: Explanation
) -> None:
    prediction = explanation.prediction
    answer = answer_payload(NAME, plain, explanation, prediction)
    assert reach_words(prediction) in answer["facts"]
    # Twelve cells share the Earth: each is thousands of kilometres wide, and 1, 25, 200 and 750 km say nothing.
    first, *others = answer["density"]
    assert first["label"] == cell_words(prediction.cell_width_km)
    assert first["share"] == prediction.probabilities[prediction.cell]
    assert [row["label"] for row in others] == [f"{km:,} km" for km in RADII_KM if km >= prediction.cell_width_km]
    curve = answer["curve"]
    assert min(curve["km"]) == pytest.approx(prediction.cell_width_km, abs=0.001)
    np.testing.assert_allclose(curve["share"], prediction.spread.within(curve["km"]), atol=1e-4)


def test_the_verdict_is_that_of_the_models_rule_and_can_be_found_for_any_other(
    plain: Loaded, explanation: Explanation
) -> None:
    prediction = explanation.prediction
    answer = answer_payload(NAME, plain, explanation, prediction)
    assert answer["rule"] == {"scale_km": 25, "scale_text": "25 km", "threshold": 0.2, "threshold_text": "20 %"}
    assert answer["counted"]["percent"] == [percent(share) for share in answer["counted"]["share"]]
    assert answer["localizable"] == (prediction.density_by_km[25] > 0.2)
    far, shares = np.array(answer["counted"]["km"]), np.array(answer["counted"]["share"])
    for scale_km in (0, 1, 25, 800, 2500, 4321.5, 20100):
        exact = prediction_density(prediction.probabilities, plain.model.partition, prediction.cell, scale_km)
        assert shares[far <= scale_km][-1] == pytest.approx(exact, abs=1e-12)


def test_without_a_gallery_there_is_no_search(plain: Loaded, explanation: Explanation) -> None:
    assert answer_payload(NAME, plain, explanation, explanation.prediction)["search"] is None


def test_what_the_search_found(searching: Loaded, explanation: Explanation, found: Prediction) -> None:
    answer = json.loads(json.dumps(answer_payload(NAME, searching, explanation, found), allow_nan=False))
    cell = explanation.prediction.cell
    lat, lon = searching.model.partition.centers_deg[cell]
    rows = answer["search"]["rows"]
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    places = {
        position(lat + north, lon, 4): north > 0 for north in (0, BESIDE_DEG - 0.001, BESIDE_DEG, BESIDE_DEG + 0.001)
    }
    assert {row["position"]: row["chosen"] for row in rows} == places
    # The mean of the three, half a degree of latitude from the centre, is the answer; without the search, the centre.
    assert answer["facts"][0] == f"{position(lat + BESIDE_DEG, lon, 3)} (search within cell)"
    best = f"Best cell: cell {cell}, {percent(explanation.prediction.probabilities[cell])}"
    assert answer["facts"][1] == best
    assert f"{6371 * math.radians(BESIDE_DEG):.1f} km from the centre of the cell" in answer["search"]["words"]
    assert answer["search"]["without"]["facts"][0] == f"{position(lat, lon)} (cell centre)"
    assert answer["search"]["without"]["facts"][1] == best
    # What lies within a distance is measured from either point.
    curves = [one["curve"]["share"] for one in (answer, answer["search"]["without"])]
    for curve, one in zip(curves, (found, explanation.prediction), strict=True):
        np.testing.assert_allclose(curve, one.spread.within(answer["curve"]["km"]), atol=1e-4)
    # A better point in the same cell is in no other place.
    labels = searching.model.partition.labels
    assert answer["place"] == answer["search"]["without"]["place"] == headline(searching.trees, labels, found)


def test_a_cell_without_photos_says_so(searching: Loaded, explanation: Explanation) -> None:
    search = answer_payload(NAME, searching, explanation, explanation.prediction)["search"]
    assert search["rows"] == []
    assert "no photo of the best cell" in search["words"]


def test_a_gallery_that_cannot_be_used_says_why(plain: Loaded, explanation: Explanation) -> None:
    search = answer_payload(NAME, plain, explanation, explanation.prediction, trouble="it <i>is</i> gone.")["search"]
    assert search == {"words": "Not possible: it <i>is</i> gone.", "rows": []}


def test_words_for_one_photo_for_none_that_lie_together_and_for_all(searching: Loaded, found: Prediction) -> None:
    neighbours, search = found.neighbours, searching.search
    assert "The 4 photos in the best cell. 3 lie together" in found_words(neighbours, search)
    assert "Of 1,234 photos in the best cell, the 4 most alike." in found_words(
        replace(neighbours, searched=1234), search
    )
    alone = replace(neighbours, chosen=np.array([True, False, False, False]))
    assert "No two of them lie within 1 km" in found_words(alone, search)
    only = replace(
        neighbours,
        rows=neighbours.rows[:1],
        similarity=neighbours.similarity[:1],
        positions_deg=neighbours.positions_deg[:1],
        chosen=np.array([True]),
        searched=1,
    )
    assert "holds one photo" in found_words(only, search)
