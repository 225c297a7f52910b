"""What the page is told of weights that were tuned: for its image, and for its model."""

import json
import threading
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from geoexplain.explainer.explanation import explain
from geoexplain.explainer.faithfulness import measure
from geoexplain.explainer.subject import prepare_subject
from geoexplain.explainer.tuning import Setting, prepare_case
from geoexplain.explainer.tuning_gain import Gain, ImageGain, gain_text, image_gain
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import HeldOut, Interval, StageWeights
from geoexplain.studio.handlers import Handlers
from geoexplain.studio.models import Models
from geoexplain.studio.payload import explanation_payload, tuned_words
from geoexplain.studio.tuning import STEPS, words_of
from tests.explainer.networks import random_model
from tests.studio.conftest import event, props

NAME = "random"
COMBI = {"method": "layer-cam", "level": "stage", "how": "max", "weights": [0.3, 1.0, 0.0, 0.0, 0.0, 0.0, 0.2]}


@pytest.fixture(scope="module")
def handlers(models: Models) -> Handlers:
    return Handlers(models, assets_url="gradio_api/file=/assets")


def test_weights_for_an_image_do_what_the_page_says(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    explanation = explain(image, model)
    cell = explanation.target
    sent = [props(one)["tuning"] for one in handlers.run_tuning(image, NAME, event(cell=cell, run=9, combi=COMBI))]
    *running, done = sent
    assert {one["state"] for one in running} == {"running"}
    assert {one["run"] for one in sent} == {9}
    assert running[-1]["done"] == running[-1]["total"]
    preset = json.loads(json.dumps(done["preset"], allow_nan=False))
    assert (preset["method"], preset["score"]) == ("layer-cam", "probability")
    looked_at = prepare_subject(model, explanation.tensor, cell)

    def objective(setting: dict[str, Any]) -> float:
        heatmap = explanation.combi_cam(
            tuple(setting["weights"]), method="layer-cam", level=setting["level"], how=setting["how"]
        )
        deleted, inserted = measure(looked_at, heatmap, lambda _: heatmap, ("deletion", "insertion"), steps=STEPS)
        assert deleted.value is not None
        assert inserted.value is not None
        return inserted.value - deleted.value

    assert objective(preset) > objective(COMBI)
    setting = Setting(preset["level"], preset["how"], tuple(preset["weights"]))
    case = prepare_case(model, explanation.tensor, cell, "layer-cam")
    assert gain_text(image_gain(case, setting, steps=STEPS)) in done["words"]


def test_leaving_calls_the_search_off(handlers: Handlers, image: Image.Image) -> None:
    before = threading.active_count()
    asking = handlers.run_tuning(image, NAME, event(cell=4, run=1, combi=COMBI))
    assert props(next(asking))["tuning"]["state"] == "running"
    asking.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate()[before:]:
        thread.join(timeout=20)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    "asked",
    [
        {"combi": None},
        {"combi": []},
        {"combi": {**COMBI, "weights": None}},
        {"combi": {**COMBI, "weights": [1.0]}},
        {"combi": {**COMBI, "weights": [float("nan")] * 7}},
        {"combi": {**COMBI, "weights": [-1.0] * 7}},
        {"combi": {**COMBI, "weights": ["<b>"] * 7}},
        {"combi": {**COMBI, "level": "layer"}},
        {"combi": {**COMBI, "how": "mean"}},
        {"combi": {**COMBI, "method": "score-cam"}},
        {"combi": {**COMBI, "method": "x"}},
        {"cell": 12},
        {"cell": "x"},
        {"run": None},
    ],
)
def test_nonsense_is_one_plain_sentence(handlers: Handlers, image: Image.Image, asked: dict[str, Any]) -> None:
    with pytest.raises(gr.Error) as refusal:
        list(handlers.run_tuning(image, NAME, event(**{"cell": 4, "run": 1, "combi": COMBI, **asked})))
    sentence = str(refusal.value.message)
    assert "xpected" in sentence
    assert "\n" not in sentence
    assert not refusal.value.print_exception


def test_without_an_image_or_for_another_model_nothing_is_searched(handlers: Handlers, image: Image.Image) -> None:
    with pytest.raises(gr.Error, match="not shown any more"):
        list(handlers.run_tuning(None, NAME, event(cell=4, run=1, combi=COMBI)))
    with pytest.raises(gr.Error, match="not shown any more"):
        list(handlers.run_tuning(image, NAME, event(cell=4, run=1, combi=COMBI, model="other")))


def test_words_by_hand() -> None:
    gain = ImageGain("Grad-CAM", Gain("area", 0.7, 0.5, 0.1, 0.3), Gain("loss", 0.4, 0.4, -0.1, 0.1))
    assert words_of(gain, kept=False) == f"{gain_text(gain)} Weights tuned on one image say nothing of others."
    assert words_of(gain, kept=True).startswith("Nothing that was tried is better than what is set. A gain of +0.200")


def test_a_model_with_tuned_weights_offers_them(model: GeoModel, image: Image.Image) -> None:
    assert explanation_payload(NAME, model, explain(image, model))["tuned"] is None
    tuned = random_model()
    weights = (0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0)
    tuned.tuned = StageWeights("grad-cam", "stage", "probability", "tanh", weights, "adcc", "4 <views>", 4)
    assert explanation_payload(NAME, tuned, explain(image, tuned))["tuned"] == {
        "method": "grad-cam",
        "level": "stage",
        "score": "probability",
        "how": "tanh",
        "weights": list(weights),
        "words": "Tuned for adcc on 4 <views>. Not tested on others.",
    }


def test_the_gain_on_other_images_is_said_with_the_preset() -> None:
    gains = {"grad-cam": Interval(0.02, -0.01, 0.05), "gaussian": Interval(0.03, 0.01, 0.05)}
    held_out = HeldOut("others", 30, "adcc", Interval(0.5, 0.4, 0.6), gains)
    other = HeldOut("others", 30, "road@5", Interval(0.5, 0.4, 0.6), {"grad-cam": Interval(-0.02, -0.03, -0.01)})
    tuned = StageWeights("grad-cam", "stage", "probability", "sum", (1.0,), "adcc", "4 views", 4, held_out)
    first = (
        "Tuned for adcc on 4 views. On 30 others, with the 95 % interval: no gain over Grad-CAM (+0.020, -0.010 to "
        "+0.050), better than Centred Gaussian (+0.030, +0.010 to +0.050)."
    )
    assert tuned_words(tuned) == first
    assert tuned_words(replace(tuned, cross_check=other)) == (
        f"{first} By road@5, for which they were not tuned: worse than Grad-CAM (-0.020, -0.030 to -0.010)."
    )
    few = replace(held_out, images=3)
    assert "too few to tell from Grad-CAM" in tuned_words(replace(tuned, held_out=few))
