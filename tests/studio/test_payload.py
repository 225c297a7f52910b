"""What the browser is sent, decoded again and held against what it was made from."""

import base64
import io
import json
import math
import struct

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from geoexplain.explainer.cams import METHODS, StageMap
from geoexplain.explainer.combine import COMBINATIONS, PRESETS
from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.explainer.trace import LEVELS, SCORES
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import Example, examples
from geoexplain.studio.payload import (
    answer_payload,
    data_url,
    encode,
    explanation_payload,
    menu,
    percent,
    position,
    score_cam_payload,
    shown_image,
)
from geoexplain.view.overlay import COLORMAPS


@pytest.fixture(scope="module")
def explanation(model: GeoModel) -> Explanation:
    return explain(np.random.default_rng(3).integers(0, 256, (96, 80, 3), dtype=np.uint8), model)


def distance_km(a_deg: tuple[float, float], b_deg: tuple[float, float]) -> float:
    """By the spherical law of cosines."""
    (lat_a, lon_a), (lat_b, lon_b) = [tuple(map(math.radians, point)) for point in (a_deg, b_deg)]
    cosine = math.sin(lat_a) * math.sin(lat_b) + math.cos(lat_a) * math.cos(lat_b) * math.cos(lon_b - lon_a)
    return 6371.0 * math.acos(max(-1.0, min(1.0, cosine)))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (1e-9, "< 0.1 %"), (0.00099, "< 0.1 %"), (0.001, "0.1 %"), (0.0123, "1.2 %"), (1, "100.0 %")],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("lat", "lon", "text"),
    [
        (41.93, 12.46, "41.9° N, 12.5° E"),
        (-33.86, 151.21, "33.9° S, 151.2° E"),
        (-0.18, -78.47, "0.2° S, 78.5° W"),
        (0, 0, "0.0° N, 0.0° E"),
    ],
)
def test_position(lat: float, lon: float, text: str) -> None:
    assert position(lat, lon) == text


def test_a_map_travels_row_by_row_as_little_endian_floats() -> None:
    values = np.array([[0.0, 1.5, 2.0], [3.0, 0.25, 1e-20]], dtype=np.float32)
    for array in (values, np.asfortranarray(values), values.astype(">f4")):
        sent = base64.b64decode(encode(StageMap(array, 1, "stage", "grad-cam", 0, "probability", False)))
        assert struct.unpack("<6f", sent) == pytest.approx((0, 1.5, 2, 3, 0.25, 1e-20), rel=1e-7)


def test_the_browser_gets_every_map_of_every_gradient_method(model: GeoModel, explanation: Explanation) -> None:
    sent = json.loads(json.dumps(explanation_payload(model, explanation), allow_nan=False))
    assert set(sent["maps"]) == {name for name, method in METHODS.items() if method.gradient}
    for name, encoded in sent["maps"].items():
        for text, block, stage_map in zip(encoded, sent["blocks"], explanation.maps(name, "block"), strict=True):
            values = np.frombuffer(base64.b64decode(text), "<f4").reshape(block["h"], block["w"])
            assert np.array_equal(values, stage_map.values)
        # Stages are not sent twice: the browser takes the last block of each.
        for end, stage_map in zip(sent["stage_ends"], explanation.maps(name, "stage"), strict=True):
            shape = (sent["blocks"][end]["h"], sent["blocks"][end]["w"])
            values = np.frombuffer(base64.b64decode(encoded[end]), "<f4").reshape(shape)
            assert np.array_equal(values, stage_map.values)
    assert [block["channels"] for block in sent["blocks"]] == [len(b.activation) for b in explanation.trace.blocks]
    assert [sent["blocks"][end]["stage"] for end in sent["stage_ends"]] == list(range(1, 8))
    assert sent["size"] == list(explanation.tensor.shape[2:])
    assert sent["target"] == explanation.target
    for name, weights in sent["preset_weights"].items():
        count = len(sent["blocks"]) if PRESETS[name].level == "block" else len(sent["stage_ends"])
        assert weights == list(PRESETS[name].weights(count))


def test_the_explanation_says_what_is_explained(model: GeoModel) -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    sent = explanation_payload(model, explain(image, model, target=7, score="logit"))
    assert "the logit of cell 7, cell 7 (" in sent["words"]
    assert sent["score"] == "logit"
    assert "cell 7" in sent["alt"]


def test_score_cam_keeps_the_number_of_its_run() -> None:
    values = np.array([[0, 1], [2, 3], [4, 5]], np.float32)
    sent = score_cam_payload(StageMap(values, 7, "stage", "score-cam", 3, "logit", False), 42)
    assert (sent["state"], sent["run"], sent["h"], sent["w"]) == ("done", 42, 3, 2)
    assert np.frombuffer(base64.b64decode(sent["values"]), "<f4").tolist() == [0, 1, 2, 3, 4, 5]


def test_the_table_holds_the_five_best_and_the_chosen_cell(model: GeoModel, explanation: Explanation) -> None:
    prediction = explanation.prediction
    by_share = sorted(range(12), key=lambda cell: -prediction.probabilities[cell])
    rows = answer_payload(model, prediction, by_share[2], None)["rows"]
    assert [row["cell"] for row in rows] == by_share[:5]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]

    answer = answer_payload(model, prediction, by_share[10], None)
    assert [row["cell"] for row in answer["rows"]] == [*by_share[:5], by_share[10]]
    last = answer["rows"][-1]
    assert last["rank"] == 11
    assert last["label"] == f"cell {by_share[10]}"
    assert last["share"] == prediction.probabilities[by_share[10]]
    assert answer["target"] == by_share[10]


def test_the_truth_and_its_distance_stand_beside_an_example(model: GeoModel, explanation: Explanation) -> None:
    prediction = explanation.prediction
    example = Example(examples()[0].file, "Somewhere", "coast", -12.0, 177.0, "nobody")
    (fact,) = [fact for fact in answer_payload(model, prediction, 0, example)["facts"] if "Truth" in fact]
    error = distance_km((prediction.lat_deg, prediction.lon_deg), (-12.0, 177.0))
    assert fact == f"Truth: Somewhere, 12.0° S, 177.0° E: {error:,.0f} km away"
    assert not any("Truth" in fact for fact in answer_payload(model, prediction, 0, None)["facts"])


def test_half_of_the_probability_lies_within_the_radius_that_is_said(model: GeoModel, explanation: Explanation) -> None:
    prediction = explanation.prediction
    facts = answer_payload(model, prediction, 0, None)["facts"]
    (said,) = [fact for fact in facts if fact.startswith("Half of the probability")]
    radius = float(said.removeprefix("Half of the probability lies within ").removesuffix(" km").replace(",", ""))
    point = (prediction.lat_deg, prediction.lon_deg)
    distances = np.array([distance_km(point, tuple(center)) for center in model.partition.centers_deg])
    assert prediction.probabilities[distances <= radius + 1].sum() >= 0.5
    assert prediction.probabilities[distances < radius - 1].sum() < 0.5


def test_the_verdict_follows_the_models_rule(model: GeoModel, explanation: Explanation) -> None:
    answer = answer_payload(model, explanation.prediction, 0, None)
    reached = explanation.prediction.density_by_km[25] > 0.2
    assert (answer["verdict"] == "Localizable") == answer["localizable"] == reached
    assert answer["why"].startswith("more than 20%" if reached else "less than 20%")
    assert "within 25 km" in answer["why"]


def test_the_menu_offers_what_the_registries_hold() -> None:
    offered = menu()
    assert [m["name"] for m in offered["methods"]] == [name for name, method in METHODS.items() if method.gradient]
    assert [p["name"] for p in offered["presets"]] == list(PRESETS)
    assert [c["name"] for c in offered["combinations"]] == list(COMBINATIONS)
    assert (offered["levels"], offered["scores"]) == (list(LEVELS), list(SCORES))
    assert offered["first_preset"] in PRESETS
    assert [c["name"] for c in offered["colormaps"]] == list(COLORMAPS)
    for row in offered["colormaps"]:
        lut = np.frombuffer(base64.b64decode(row["lut"]), np.uint8).reshape(256, 3)
        expected = np.array([mpl.colormaps[row["name"]](i)[:3] for i in range(256)]) * 255
        assert np.abs(lut - expected).max() <= 1


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((1000, 2000), (512, 1024)),  # large ones get smaller
        ((300, 200), (300, 200)),  # others stay as they are
        ((20, 10), (128, 64)),  # but no smaller than what the network sees
        ((4000, 400), (1200, 400)),  # and lose what the network does not see
    ],
)
def test_the_shown_image(model: GeoModel, size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert model.preprocess.size_px == 64
    assert shown_image(model, Image.new("RGB", size)).size == shown


def test_an_image_is_sent_as_a_jpeg_within_the_page() -> None:
    picture = Image.new("RGB", (9, 7), (200, 30, 60))
    head, _, body = data_url(picture).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as sent:
        assert (sent.format, sent.size) == ("JPEG", (9, 7))
        assert np.abs(np.asarray(sent, int) - np.asarray(picture, int)).max() <= 3
