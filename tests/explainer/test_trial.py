"""Trials: the same figures as measuring one by one, and the announced number of network passes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.combine import combine
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.metrics import deletion, insertion, road
from geoexplain.explainer.subject import Subject, prepare_subject
from geoexplain.explainer.table import BASELINE, EXPLANATIONS, kinds_of_family, stage_maps
from geoexplain.explainer.trace import trace
from geoexplain.explainer.trial import custom_combination, images_needed, shifted_heatmaps, try_explanations
from geoexplain.explainer.tuned import candidates_of
from geoexplain.locator.model import GeoModel
from tests.explainer.drawn import baseline, drawn
from tests.explainer.networks import image_tensor, random_model

SIZE = (64, 64)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return random_model()


def test_every_row_holds_what_the_metrics_say_one_by_one(model: GeoModel) -> None:
    x = image_tensor(1, SIZE)
    candidates = {name: EXPLANATIONS[name] for name in ("grad-cam", "combi-cam")}
    trial = try_explanations(model, x, 3, candidates, steps=4, road_steps=2, seed=5, chance=3)
    looked_at, tried = trial.subject, trial.explanations
    assert [one.name for one in tried] == ["grad-cam", "combi-cam", *kinds_of_family(BASELINE)]
    assert [one.baseline for one in tried] == [False, False, True, True, True]
    one_by_one = prepare_subject(model, x, 3)
    traced = trace(model, x, 3, "probability")
    for one in tried:
        expected = baseline(one.name, x, 3, (5, 0)) if one.baseline else drawn(one.name, model, x, traced)
        assert np.array_equal(one.heatmap.values, expected.values)
        values = {measure.name: measure.value for measure in one.measures}
        assert values["deletion@4"] == pytest.approx(deletion(one_by_one, expected, 4).value, abs=1e-7)
        assert values["insertion@4"] == pytest.approx(insertion(one_by_one, expected, 4).value, abs=1e-7)
        assert values["road-morf@2"] == pytest.approx(road(one_by_one, expected, 2, 5)[0].value, abs=1e-6)
    assert looked_at.target == 3
    assert len({one.drawing_s for one in tried}) == len(tried)
    # The maps of the chance level are the candidates' own maps in turn, shifted.
    maps = shifted_heatmaps([one.heatmap for one in tried if not one.baseline], 3, 5)
    assert len(trial.chance) == 3
    for measures, heatmap in zip(trial.chance, maps, strict=True):
        if not heatmap.flat:
            assert measures[0].value == pytest.approx(deletion(one_by_one, heatmap, 4).value, abs=1e-7)


def test_maps_of_chance_are_the_same_maps_shifted(model: GeoModel) -> None:
    x = image_tensor(1, SIZE)
    traced = trace(model, x, 3, "probability")
    maps = [drawn(name, model, x, traced) for name in ("grad-cam", "combi-cam")]
    result = shifted_heatmaps([maps[0], replace(maps[0], values=np.zeros(SIZE, np.float32), flat=True), maps[1]], 5)
    assert len(result) == 5
    for place, one in enumerate(result):
        original = maps[place % 2]
        assert set(np.unique(one.values)) <= set(np.unique(original.values))
        assert not np.array_equal(one.values, original.values)
        assert one.flat == bool(np.ptp(one.values) <= 1e-6 * one.values.max())
    assert len({one.values.tobytes() for one in result}) == 5
    assert shifted_heatmaps([replace(maps[0], flat=True)], 5) == []


def test_progress_counts_explanations_up_to_all(model: GeoModel) -> None:
    reports: list[tuple[int, int]] = []
    try_explanations(
        model,
        image_tensor(2, SIZE),
        0,
        {"grad-cam": EXPLANATIONS["grad-cam"]},
        baselines=("gaussian",),
        steps=40,
        chance=1,
        progress=lambda done, total: reports.append((done, total)),
    )
    assert {total for _, total in reports} == {300}
    done = [done for done, _ in reports]
    assert done == sorted(done)
    assert {100, 200, 300} <= set(done)
    assert any(0 < value < 100 for value in done)


@pytest.mark.parametrize("metrics", [tuple(METRICS), ("deletion",), ("adcc",), ("road-lerf", "insertion")], ids=str)
def test_the_announced_number_of_images_passes(
    model: GeoModel, monkeypatch: pytest.MonkeyPatch, metrics: tuple[str, ...]
) -> None:
    passed = []

    def logits(x: Tensor) -> Tensor:
        passed.append(len(x))
        return GeoModel.logits(model, x)

    monkeypatch.setattr(model, "logits", logits)
    try_explanations(
        model, image_tensor(3, SIZE), 1, {}, baselines=("gaussian",), metrics=metrics, steps=6, road_steps=3
    )
    # Plus the image, the blank and the blurred one. A trace does not call `logits`.
    assert sum(passed) == 3 + images_needed(metrics, 6, 3)


def test_cancelled_before_the_next_pass(model: GeoModel) -> None:
    calls = []

    def cancelled() -> bool:
        calls.append(None)
        return len(calls) > 3

    with pytest.raises(ExplanationCancelledError):
        try_explanations(model, image_tensor(4, SIZE), 1, candidates_of(model), cancelled=cancelled)
    assert len(calls) == 4


def test_a_custom_combination_is_what_combine_returns(model: GeoModel) -> None:
    x = image_tensor(5, SIZE)
    traced = trace(model, x, 2, "probability")
    weights = (0, 0, 1, 0.5, 0, 2, 1)
    drawn = custom_combination("layer-cam", "stage", "max", weights).draw(Subject(model, x, traced))
    expected = combine(stage_maps(traced, "layer-cam", "stage"), weights, "max", SIZE)
    assert np.array_equal(drawn.values, expected.values)
    for setting in (("score-cam", "stage", "max", weights), ("grad-cam", "room", "max", weights)):
        with pytest.raises(DataError):
            custom_combination(*setting).draw(Subject(model, x, traced))
    with pytest.raises(DataError):
        custom_combination("grad-cam", "stage", "max", (1, float("nan"))).draw(Subject(model, x, traced))


def test_invalid_settings_are_refused_before_the_network_runs(model: GeoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "logits", lambda _x: pytest.fail("the network ran"))
    x = torch.zeros(1, 3, *SIZE)
    for wrong in ({"metrics": ("luck",)}, {"metrics": ()}, {"steps": 0}, {"road_steps": 0}):
        with pytest.raises(DataError):
            try_explanations(model, x, 0, {}, **wrong)
