"""The search for weights: all grid points of a problem worked out by hand, and properties of every search."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError, StageMap, is_flat
from geoexplain.explainer.combine import COMBINATIONS, combine
from geoexplain.explainer.faithfulness import measure
from geoexplain.explainer.objectives import objective_name
from geoexplain.explainer.subject import prepare_subject
from geoexplain.explainer.table import stage_maps
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import presets
from geoexplain.explainer.tuning import GRID, Case, Setting, apply_step, prepare_case, scale_to_largest, tune
from geoexplain.locator.model import GeoModel
from tests.explainer.networks import image_tensor, plain_network

SIDE = 12
STEPS = 4


def stage_map(values: np.ndarray, index: int, level: str = "stage") -> StageMap:
    values = values.astype(np.float32)
    return StageMap(values, index, level, "grad-cam", 1, "probability", is_flat(values))


def planted_case(seed: int) -> Case:
    """Return a case whose target depends on two patches, each marked by one map; the third and strongest is useless."""
    model = plain_network([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]], [[0.0, 0, 0], [40.0, 0, 0]])
    rng = np.random.default_rng(seed)
    north, south, other = np.zeros((3, SIDE, SIDE))
    north[1:4, 1:5] = 2 + rng.random((3, 4))
    south[8:11, 6:11] = 2 + rng.random((3, 5))
    other[5:8] = 9 + rng.random((3, SIDE))
    image = torch.zeros(1, 3, SIDE, SIDE)
    image[0, 0] = torch.from_numpy(((north + south) > 0) * 1.0)
    image[0, 1] = torch.from_numpy((other > 0) * 3.0)
    maps = tuple(stage_map(values, i) for i, values in enumerate((other, north, south), 1))
    blocks = tuple(replace(one, level="block") for one in maps)
    return Case(prepare_subject(model, image, 1), "grad-cam", {"stage": maps, "block": blocks})


def independently(case: Case, setting: Setting) -> float | None:
    """Compute insertion − deletion by the public functions; None for a flat map."""
    heatmap = combine(case.maps[setting.level], setting.weights, setting.how, case.subject.size_hw)
    removed, shown = measure(case.subject, heatmap, lambda _tensor: heatmap, ("deletion", "insertion"), steps=STEPS)
    return None if removed.value is None or shown.value is None else shown.value - removed.value


def test_finds_the_best_of_all_grid_points_where_what_matters_is_known() -> None:
    cases = [planted_case(seed) for seed in range(3)]
    result = tune(cases, how="max", steps=STEPS)
    points = [Setting("stage", "max", scale_to_largest(w)) for w in product(GRID, repeat=3) if max(w) > 0]
    best = max(np.mean([independently(case, point) for case in cases]) for point in points)
    assert result.value == pytest.approx(best)
    noise, north, south = result.setting.weights
    assert noise < min(north, south)  # by hand: both patches rank above everything else


def test_is_never_worse_than_any_preset_or_any_map_alone(model: GeoModel) -> None:
    cases = [prepare_case(model, image_tensor(seed, (64, 64))) for seed in range(2)]
    result = tune(cases, steps=STEPS, passes=1)
    counts = {level: len(maps) for level, maps in cases[0].maps.items()}
    settings = {name: Setting(p.level, p.how, p.weights(counts[p.level])) for name, p in presets().items()}
    for index in range(counts["stage"]):
        weights = tuple(float(i == index) for i in range(counts["stage"]))
        settings[f"stage {index + 1} alone"] = Setting("stage", "max", weights)
    assert set(result.starts) == set(settings)
    for name, setting in settings.items():
        values = [value for case in cases if (value := independently(case, setting)) is not None]
        assert result.starts[name] == (pytest.approx(np.mean(values)) if values else None), name
        assert result.without.get(name, 0) == len(cases) - len(values)
    assert result.value >= max(value for value in result.starts.values() if value is not None)
    assert result.value == pytest.approx(np.mean([independently(case, result.setting) for case in cases]))
    assert max(result.setting.weights) == 1
    assert min(result.setting.weights) >= 0
    assert result.objective == "insertion-deletion@4"


def test_a_preset_of_another_level_wins_when_nothing_beats_it() -> None:
    case = planted_case(0)
    perfect = stage_map(np.maximum(*(one.values for one in case.maps["stage"][1:])), 1, "block")
    case = replace(case, maps={"stage": case.maps["stage"][:1], "block": (perfect,)})
    result = tune([case], steps=STEPS)
    assert result.setting == Setting("block", "sum", (1.0,))
    assert result.value == result.starts["combi-cam"] > result.starts["combi-cam-all"]


def test_heatmaps_with_equal_pixel_ranks_are_measured_once() -> None:
    reports: list[int] = []
    whole = planted_case(1)
    one = whole.maps["stage"][1]
    # A weight, a scale, or another way of combining does not change the order of a single map.
    alone = {"stage": (one,), "block": (replace(one, level="block"),)}
    result = tune([replace(whole, subject=replace(whole.subject, progress=reports.append), maps=alone)], steps=STEPS)
    assert (result.measured, sum(reports)) == (1, 2 * (STEPS - 1))
    reports.clear()
    result = tune([replace(whole, subject=replace(whole.subject, progress=reports.append))], steps=STEPS)
    assert sum(reports) == result.measured * 2 * (STEPS - 1)
    assert result.measured < result.trials


def test_a_trial_that_does_not_lead_is_not_measured_on_all_images() -> None:
    cases = [planted_case(seed) for seed in range(8)]
    result = tune(cases, steps=STEPS, passes=1)
    starts = len(result.starts) * len(cases)
    others = result.trials - len(result.starts)
    assert result.measured <= starts + others * len(cases)
    assert result.measured - starts < others * len(cases) / 2


def test_one_seed_gives_one_result_and_progress_reaches_its_end() -> None:
    cases = [planted_case(seed) for seed in range(5)]
    reports: list[tuple[int, int]] = []
    first = tune(cases, steps=STEPS, seed=3, progress=lambda done, total: reports.append((done, total)))
    again = tune(cases, steps=STEPS, seed=3)
    assert (first.setting, first.value, first.starts) == (again.setting, again.value, again.starts)
    totals = {total for _, total in reports}
    assert len(totals) == 1
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert reports[-1][0] == reports[-1][1]


def test_stops_when_cancelled() -> None:
    calls: list[int] = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) > 6

    with pytest.raises(ExplanationCancelledError, match="Tuning was cancelled"):
        tune([planted_case(0)], steps=STEPS, cancelled=cancelled)
    assert len(calls) == 7


def test_the_adcc_objective_is_the_metric(model: GeoModel) -> None:
    tensor = image_tensor(4, (64, 64))
    case = prepare_case(model, tensor)
    result = tune([case], objective="adcc", how="max", passes=1)
    setting = result.setting

    def redraw(other: torch.Tensor) -> object:
        maps = stage_maps(trace(model, other, case.subject.target, "probability"), "grad-cam", setting.level)
        return combine(maps, setting.weights, setting.how, (64, 64))

    heatmap = redraw(tensor)
    (expected,) = measure(case.subject, heatmap, redraw, ("adcc",))  # type: ignore[arg-type]
    assert result.value == pytest.approx(expected.value)
    assert result.objective == "adcc"
    assert result.value >= max(value for value in result.starts.values() if value is not None)


def test_a_flat_map_has_no_score() -> None:
    cases = [planted_case(seed) for seed in range(2)]
    blank = stage_map(np.zeros((SIDE, SIDE)), 3)
    faint = {"stage": (*cases[0].maps["stage"][:2], blank), "block": cases[0].maps["block"]}
    one = tune([replace(cases[0], maps=faint)], steps=STEPS)
    assert (one.starts["stage 3 alone"], one.without["stage 3 alone"]) == (None, 1)
    assert one.starts["grad-cam"] is None
    # Flat on one image of two: the mean is that of the other, but the missing value counts against it.
    both = tune([replace(cases[0], maps=faint), cases[1]], steps=STEPS)
    alone = Setting("stage", "max", (0.0, 0.0, 1.0))
    assert both.starts["stage 3 alone"] == pytest.approx(independently(cases[1], alone))
    assert both.without["stage 3 alone"] == 1
    assert min(value for value in both.starts.values() if value is not None) > -1


def test_images_with_flat_maps_alone_are_left_out() -> None:
    case = planted_case(0)
    blank = stage_map(np.zeros((SIDE, SIDE)), 1)
    flat = replace(case, maps={"stage": (blank,) * 3, "block": (replace(blank, level="block"),) * 3})
    alone, both = tune([case], steps=STEPS), tune([case, flat], steps=STEPS)
    assert (both.images, both.value, both.setting) == (1, alone.value, alone.setting)
    with pytest.raises(DataError, match="got flat maps alone"):
        tune([flat], steps=STEPS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"level": "layer"}, "expected a level out of"),
        ({"how": "mean"}, "expected a way of combining out of"),
        ({"objective": "auc"}, "expected an objective out of"),
        ({"steps": 0}, "expected at least 1 step"),
    ],
)
def test_unknown_options_are_refused(options: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        tune([planted_case(0)], **options)


def test_steps_by_hand() -> None:
    setting = Setting("stage", "max", (0.5, 1.0))
    assert apply_step(setting, 0, 2.0) == Setting("stage", "max", (1.0, 0.5))
    assert apply_step(setting, 1, 0.0) == Setting("stage", "max", (1.0, 0.0))
    assert apply_step(setting, None, "tanh") == Setting("stage", "tanh", (0.5, 1.0))
    assert apply_step(Setting("stage", "max", (0.0, 1.0)), 1, 0.0) is None
    assert objective_name("insertion-deletion", 12) == "insertion-deletion@12"
    assert objective_name("adcc", 12) == "adcc"
    assert set(COMBINATIONS) >= {"max", "tanh"}
