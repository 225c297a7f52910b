"""The model that the repository ships does what its card says, on the examples that the studio offers."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from geoexplain.evaluation.figures import FEWEST_IMAGES
from geoexplain.evaluation.tuning import REFERENCES
from geoexplain.explainer.explanation import explain, locate
from geoexplain.explainer.table import TUNED, tuned_weights
from geoexplain.explainer.tuned import presets_of
from geoexplain.geography.sphere import great_circle_km
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel
from geoexplain.locator.shards import weight_files
from geoexplain.locator.zoo import BUNDLED, load_model, model_file
from geoexplain.studio.examples import examples

NOTHING_TO_GO_BY = "Great Plains"


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return load_model()


def test_places_every_example_that_shows_something_and_not_the_other(model: GeoModel) -> None:
    errors_km = {}
    for example in examples():
        prediction = locate(example.file, model)
        assert prediction.localizable == (example.title != NOTHING_TO_GO_BY), example.title
        truth = (example.lat_deg, example.lon_deg)
        errors_km[example.title] = float(great_circle_km((prediction.lat_deg, prediction.lon_deg), truth))
    del errors_km[NOTHING_TO_GO_BY]
    assert max(errors_km.values()) < 750, errors_km


def test_answers_for_a_turned_and_a_darker_picture_stay_near(model: GeoModel) -> None:
    italy = next(example for example in examples() if example.title == "Italy")
    image = open_image(italy.file)
    for changed in (image.rotate(10).crop((70, 70, 570, 570)), image.point(lambda value: value * 0.8)):
        prediction = locate(changed, model)
        assert great_circle_km((prediction.lat_deg, prediction.lon_deg), (italy.lat_deg, italy.lon_deg)) < 750


@pytest.mark.parametrize("grain_px", [0, 1, 3, 8, 20, 50])
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_is_no_view_of_earth_and_nowhere(model: GeoModel, grain_px: float, channels: int) -> None:
    noise = np.random.default_rng(channels).normal(size=(240, 320, channels))
    smooth = gaussian_filter(noise, (grain_px, grain_px, 0))
    levels = (smooth - smooth.min()) / np.ptp(smooth)
    image = Image.fromarray((255 * np.broadcast_to(levels, (240, 320, 3))).astype(np.uint8))
    prediction = locate(image, model)
    assert (prediction.in_domain, prediction.localizable) == (False, False)


def test_explanations_have_structure(model: GeoModel) -> None:
    explanation = explain(examples()[0].file, model)
    assert not explanation.combi_cam().flat
    assert not any(explanation.heatmap(method).flat for method in ("grad-cam", "grad-cam++", "layer-cam"))


def test_tuned_weights_are_those_of_these_weights_and_were_tested_on_other_views(model: GeoModel) -> None:
    assert model.untuned == ""
    tuned, held_out = tuned_weights(model), tuned_weights(model).held_out
    assert held_out is not None
    assert held_out.images >= FEWEST_IMAGES
    assert set(held_out.gains) == set(REFERENCES)
    for one in (held_out.value, *held_out.gains.values()):
        assert -1 <= one.low <= one.mean <= one.high <= 1
    assert "world.200406" in tuned.tuned_on  # months 03 and 09 are for tests of the model alone
    assert "world.200406" in held_out.on
    preset = presets_of(model)[TUNED]
    weights = preset.weights(len(tuned.weights))
    explanation = explain(examples()[0].file, model)
    assert not explanation.combi_cam(weights, method=preset.method, level=preset.level, how=preset.how).flat


def test_card_and_size_are_as_promised(model: GeoModel) -> None:
    file = model_file(BUNDLED)
    card = json.loads(file.with_suffix(".card.json").read_text(encoding="utf-8"))
    assert card["name"] == model.name == BUNDLED
    assert card["cells"] == len(model.partition)
    assert card["bytes"] == sum(part.stat().st_size for part in weight_files(file)) <= 25_000_000
    assert card["size_px"] == model.preprocess.size_px == 160
