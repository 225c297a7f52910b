"""What the browser is sent, decoded again and held against what it was made from."""

import base64
import io
import json
import struct

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from geoexplain.explainer.cams import StageMap
from geoexplain.explainer.combine import COMBINATIONS, combine
from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.explainer.table import GRADIENT_CAM, kinds_of_family
from geoexplain.explainer.target import SCORES
from geoexplain.explainer.trace import LEVELS
from geoexplain.explainer.tuned import presets
from geoexplain.locator.model import GeoModel
from geoexplain.studio.payload import (
    data_url,
    encode,
    explanation_payload,
    menu,
    on_demand_payload,
    shown_image,
)
from geoexplain.view.overlay import COLORMAPS

NAME = "a name"


@pytest.fixture(scope="module")
def explanation(model: GeoModel) -> Explanation:
    return explain(np.random.default_rng(3).integers(0, 256, (96, 80, 3), dtype=np.uint8), model)


def test_a_map_travels_row_by_row_as_little_endian_floats() -> None:
    values = np.array([[0.0, 1.5, 2.0], [3.0, 0.25, 1e-20]], dtype=np.float32)
    for array in (values, np.asfortranarray(values), values.astype(">f4")):
        sent = base64.b64decode(encode(StageMap(array, 1, "stage", "grad-cam", 0, "probability", False)))
        assert struct.unpack("<6f", sent) == pytest.approx((0, 1.5, 2, 3, 0.25, 1e-20), rel=1e-7)


def test_the_browser_gets_every_map_of_every_gradient_method(model: GeoModel, explanation: Explanation) -> None:
    sent = json.loads(json.dumps(explanation_payload(NAME, model, explanation), allow_nan=False))
    assert set(sent["maps"]) == set(kinds_of_family(GRADIENT_CAM))
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
    assert sent["model"] == NAME
    for name, weights in sent["preset_weights"].items():
        count = len(sent["blocks"]) if presets()[name].level == "block" else len(sent["stage_ends"])
        assert weights == list(presets()[name].weights(count))


def test_the_explanation_says_what_is_explained(model: GeoModel) -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    sent = explanation_payload(NAME, model, explain(image, model, target=7, score="logit"))
    assert "the logit of cell 7, cell 7 (" in sent["words"]
    assert sent["score"] == "logit"
    assert "cell 7" in sent["alt"]


def test_score_cam_is_sent_as_its_raw_values() -> None:
    values = np.array([[0, 1], [2, 3], [4, 5]], np.float32)
    found = StageMap(values, 7, "stage", "score-cam", 3, "logit", False)
    sent = on_demand_payload(combine([found], (1.0,), "sum", (12, 8)))
    assert (sent["h"], sent["w"]) == (3, 2)
    assert np.frombuffer(base64.b64decode(sent["values"]), "<f4").tolist() == [0, 1, 2, 3, 4, 5]


def test_the_menu_offers_what_the_registries_hold() -> None:
    offered = menu()
    assert [m["name"] for m in offered["methods"]] == list(kinds_of_family(GRADIENT_CAM))
    assert [p["name"] for p in offered["presets"]] == list(presets())
    assert [c["name"] for c in offered["combinations"]] == list(COMBINATIONS)
    assert (offered["levels"], offered["scores"]) == (list(LEVELS), list(SCORES))
    assert offered["first_preset"] == "combi-cam"
    assert offered["first_preset"] in presets()
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
