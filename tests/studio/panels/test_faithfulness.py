"""The scoreboard as the browser gets it, against the metrics themselves and counts worked out by hand."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.metrics import deletion
from geoexplain.explainer.standing import Standing
from geoexplain.explainer.subject import prepare_subject
from geoexplain.explainer.table import BASELINE, kinds_of_family
from geoexplain.explainer.tuning_gain import untuned_kinds
from geoexplain.locator.model import GeoModel
from geoexplain.studio.models import Loaded
from geoexplain.studio.panels.faithfulness import AS_SET, answer, frame, picture, reading, turns
from geoexplain.studio.panels.panel import Question
from tests.studio.test_markup import Elements

AS_PUBLISHED = {"method": "grad-cam", "level": "block", "how": "sum", "weights": [1] * 16}


def ask(model: GeoModel, image: Image.Image, asked: Mapping[str, Any], cell: int = 4) -> dict[str, Any]:
    heard: list[tuple[int, int]] = []
    found = answer(Question(Loaded(model), image, cell, asked), lambda *step: heard.append(step), lambda: False)
    assert heard[-1][0] == heard[-1][1]
    return found


def test_the_scoreboard_holds_the_metrics_of_every_explanation(model: GeoModel, image: Image.Image) -> None:
    found = ask(model, image, {"steps": 10, "combi": AS_PUBLISHED})
    gradient = list(untuned_kinds())
    assert [row["name"] for row in found["rows"]] == [AS_SET, *gradient, *kinds_of_family(BASELINE)]
    rows = {row["name"]: row for row in found["rows"]}
    assert rows[AS_SET]["values"] == rows["combi-cam"]["values"]
    explanation = explain(image, model, target=4)
    expected = deletion(prepare_subject(model, explanation.tensor, 4), explanation.combi_cam(), 10)
    assert rows["combi-cam"]["values"]["deletion"] == pytest.approx(expected.value, abs=1e-7)
    assert rows["combi-cam"]["curves"]["deletion"]["shares"] == pytest.approx(expected.shares)
    assert rows["combi-cam"]["curves"]["deletion"]["probabilities"] == pytest.approx(expected.probabilities, abs=1e-7)
    assert found["size"] == list(explanation.size_hw)
    assert found["blank"] == [124, 116, 104]  # ImageNet's mean colour, which is 0 to the network


def test_turns_say_at_which_step_each_pixel_is_changed() -> None:
    values = np.array([[0.1, 0.9, 0.5], [0.5, 0.2, 0.0]], dtype=np.float32)
    # In descending order, equal ones by index: 0.9, 0.5, 0.5, 0.2, 0.1, 0.0; three steps change two pixels each.
    assert list(turns(values, 3)) == [3, 1, 1, 2, 2, 3]
    # Of four steps the first changes 1 of 6 pixels, the second 2, the third 1, the last 2.
    assert list(turns(values, 4)) == [4, 1, 2, 2, 3, 4]


def test_turns_reach_the_browser_as_one_byte_per_pixel(model: GeoModel, image: Image.Image) -> None:
    found = ask(model, image, {"steps": 25, "combi": AS_PUBLISHED})
    ordered = [row for row in found["rows"] if row["order"] is not None]
    assert len(ordered) > len(found["rows"]) / 2
    assert all(row["reasons"]["deletion"] for row in found["rows"] if row not in ordered)
    for row in ordered:
        order = np.frombuffer(base64.b64decode(row["order"]), np.uint8)
        height, width = found["size"]
        assert order.size == height * width
        assert np.array_equal(np.bincount(order, minlength=26)[1:].cumsum(), np.arange(1, 26) * order.size // 25)


def test_what_the_browser_marks_is_what_stands_out(model: GeoModel, image: Image.Image) -> None:
    found = ask(model, image, {"steps": 10, "combi": AS_PUBLISHED})
    values = {row["name"]: row["values"] for row in found["rows"]}
    for metric, row in METRICS.items():
        limit, sign = found["limits"][metric], 1 if row.higher else -1
        if limit is None:
            assert found["limit_words"][metric] == "–"
        else:
            side, figure = found["limit_words"][metric].split(" ")
            assert side == ("above" if row.higher else "below")
            rounding = 0.5 if metric.startswith("average") else 0.0005
            assert float(figure.replace("−", "-")) == pytest.approx(limit, abs=1.001 * rounding)
        for name in found["standing"][metric]:
            assert sign * values[name][metric] > sign * limit
            assert all(
                sign * values[name][metric] > sign * values[other][metric] for other in kinds_of_family(BASELINE)
            )


def test_the_reading_says_who_stands_out_and_who_knows_nothing() -> None:
    nothing = {metric: Standing(None, (), ()) for metric in METRICS}
    plain = reading(nothing, {})
    assert plain.startswith("By no metric does a method stand out from chance")
    assert "has the best value by" not in plain
    assert plain.endswith("One image ranks no methods: “geoexplain evaluate explanations” compares them over many.")
    some = reading(
        nothing | {"deletion": Standing(0.1, ("one", "two"), ()), "average-drop": Standing(None, (), ("Random map",))},
        {"one": "One", "two": "Two"},
    )
    assert some.startswith(
        "Beyond chance, and better than every map that knows nothing of the network, by: Deletion AUC (One, Two)."
    )
    assert "A map that knows nothing of the network has the best value by: Average drop (Random map)." in some


def test_a_picture_is_the_image_that_the_network_sees(model: GeoModel, image: Image.Image) -> None:
    shown = picture(model.preprocess, model.tensor(image))
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(model.preprocess.view(image))).max() <= 1


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"steps": 7, "combi": AS_PUBLISHED},
        {"steps": 10},
        {"steps": 10, "combi": {**AS_PUBLISHED, "weights": "many"}},
        {"steps": 10, "combi": {**AS_PUBLISHED, "weights": [1] * 5}},
        {"steps": 10, "combi": {**AS_PUBLISHED, "weights": [None] * 16}},
        {"steps": 10, "combi": {**AS_PUBLISHED, "method": "score-cam"}},
        {"steps": 10, "combi": {**AS_PUBLISHED, "how": {}}},
        {"steps": [10], "combi": AS_PUBLISHED},
    ],
    ids=str,
)
def test_nonsense_is_refused_in_a_sentence(model: GeoModel, image: Image.Image, asked: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        ask(model, image, asked)


def test_no_cell_of_the_model_is_refused(model: GeoModel, image: Image.Image) -> None:
    with pytest.raises(DataError):
        ask(model, image, {"steps": 10, "combi": AS_PUBLISHED}, cell=12)


def test_the_table_has_a_column_for_every_metric() -> None:
    page = Elements(frame())
    assert page.values("data-metric") == [*METRICS, "time"]
    for metric in METRICS.values():
        assert metric.title in page.text
