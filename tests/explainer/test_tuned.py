"""The tuned preset and candidate, which only some models have."""

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.explainer.combine import combine
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import TUNED, stage_maps, tuned_weights
from geoexplain.explainer.target import SCORES
from geoexplain.explainer.trace import LEVELS, trace
from geoexplain.explainer.tuned import (
    candidate_of,
    candidates_of,
    preset_of,
    presets,
    presets_of,
)
from geoexplain.explainer.tuning_gain import untuned_kinds
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import TUNED_LEVELS, TUNED_SCORES, StageWeights
from tests.explainer.networks import image_tensor, random_model

WEIGHTS = (0.0, 0.25, 0.0, 1.0, 0.5, 0.0, 1.0)
FOUND = StageWeights("layer-cam", "stage", "probability", "tanh", WEIGHTS, "insertion-deletion@10", "tests", 4)


@pytest.fixture(scope="module")
def tuned_model() -> GeoModel:
    model = random_model()
    model.tuned = FOUND
    return model


def test_a_file_may_name_only_known_methods_and_combinations() -> None:
    assert LEVELS == TUNED_LEVELS
    assert set(TUNED_SCORES) == set(SCORES)


def test_the_preset_and_the_candidate_use_the_weights(tuned_model: GeoModel) -> None:
    preset = preset_of(tuned_model, TUNED)
    assert (preset.method, preset.level, preset.score, preset.how) == ("layer-cam", "stage", "probability", "tanh")
    assert preset.weights(7) == WEIGHTS
    assert dict(list(presets_of(tuned_model).items())[:-1]) == presets()
    tensor = image_tensor(0, (64, 64))
    traced = trace(tuned_model, tensor)
    drawn = candidate_of(tuned_model, TUNED).draw(Subject(tuned_model, tensor, traced))
    expected = combine(stage_maps(traced, "layer-cam", "stage"), WEIGHTS, "tanh", (64, 64))
    np.testing.assert_array_equal(drawn.values, expected.values)
    assert (drawn.method, drawn.how, drawn.weights) == ("layer-cam", "tanh", WEIGHTS)


def test_a_model_without_weights_has_neither_and_gives_the_reason(model: GeoModel) -> None:
    assert presets_of(model) == presets()
    assert set(candidates_of(model)) == {*untuned_kinds(), "score-cam"}
    for ask in (lambda: preset_of(model, TUNED), lambda: candidate_of(model, TUNED)):
        with pytest.raises(DataError, match="model random: expected weights tuned for it, got none"):
            ask()
    stale = random_model()
    stale.untuned = "x.tuned.json: expected weights tuned for x."
    with pytest.raises(DataError, match=r"^x.tuned.json: expected weights tuned for x\.$"):
        tuned_weights(stale)


def test_other_names_are_refused(tuned_model: GeoModel) -> None:
    with pytest.raises(DataError, match="expected a preset out of"):
        preset_of(tuned_model, "best")
    with pytest.raises(DataError, match="expected a method out of"):
        candidate_of(tuned_model, "gradcam")
