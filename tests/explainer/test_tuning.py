"""The search for weights: against every grid point of a problem worked out by hand, and by what it may never do."""

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
from geoexplain.explainer.subject import subject
from geoexplain.explainer.table import stage_maps
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import presets
from geoexplain.explainer.tuning import GRID, Case, Setting, moved, prepare, scaled, tune
from geoexplain.locator.model import GeoModel
from tests.explainer.networks import image_tensor, plain_network

SIDE = 12
STEPS = 4


def stage_map(values: np.ndarray, index: int, level: str = "stage") -> StageMap:
    values = values.astype(np.float32)
    return StageMap(values, index, level, "grad-cam", 1, "probability", is_flat(values))


def planted_case(seed: int) -> Case:
    """Cell 1 is seen in two patches, each marked by one map; a third, the strongest, marks what the network ignores."""
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
    return Case(subject(model, image, 1), "grad-cam", {"stage": maps, "block": blocks})


def independently(case: Case, setting: Setting) -> float | None:
    """Insertion − deletion through the front door; None for a flat map."""
    heatmap = combine(case.maps[setting.level], setting.weights, setting.how, case.subject.size_hw)
    removed, shown = measure(case.subject, heatmap, lambda _tensor: heatmap, ("deletion", "insertion"), steps=STEPS)
    return None if removed.value is None or shown.value is None else shown.value - removed.value


def test_finds_the_best_of_all_grid_points_where_what_matters_is_known() -> None:
    cases = [planted_case(seed) for seed in range(3)]
    found = tune(cases, how="max", steps=STEPS)
    points = [Setting("stage", "max", scaled(w)) for w in product(GRID, repeat=3) if max(w) > 0]
    best = max(np.mean([independently(case, point) for case in cases]) for point in points)
    assert found.value == pytest.approx(best)
    noise, north, south = found.setting.weights
    assert noise < min(north, south)  # by hand: both patches before anything else


def test_is_never_worse_than_any_preset_or_any_map_alone(model: GeoModel) -> None:
    cases = [prepare(model, image_tensor(seed, (64, 64))) for seed in range(2)]
    found = tune(cases, steps=STEPS, passes=1)
    counts = {level: len(maps) for level, maps in cases[0].maps.items()}
    settings = {name: Setting(p.level, p.how, p.weights(counts[p.level])) for name, p in presets().items()}
    for index in range(counts["stage"]):
        weights = tuple(float(i == index) for i in range(counts["stage"]))
        settings[f"stage {index + 1} alone"] = Setting("stage", "max", weights)
    assert set(found.starts) == set(settings)
    for name, setting in settings.items():
        values = [value for case in cases if (value := independently(case, setting)) is not None]
        assert found.starts[name] == (pytest.approx(np.mean(values)) if values else None), name
        assert found.without.get(name, 0) == len(cases) - len(values)
    assert found.value >= max(value for value in found.starts.values() if value is not None)
    assert found.value == pytest.approx(np.mean([independently(case, found.setting) for case in cases]))
    assert max(found.setting.weights) == 1
    assert min(found.setting.weights) >= 0
    assert found.objective == "insertion-deletion@4"


def test_a_preset_of_another_level_wins_when_nothing_beats_it() -> None:
    case = planted_case(0)
    perfect = stage_map(np.maximum(*(one.values for one in case.maps["stage"][1:])), 1, "block")
    case = replace(case, maps={"stage": case.maps["stage"][:1], "block": (perfect,)})
    found = tune([case], steps=STEPS)
    assert found.setting == Setting("block", "sum", (1.0,))
    assert found.value == found.starts["combi-cam"] > found.starts["combi-cam-all"]


def test_heatmaps_that_rank_the_pixels_alike_are_measured_once() -> None:
    heard: list[int] = []
    whole = planted_case(1)
    one = whole.maps["stage"][1]
    # A weight, a scale, or another way of combining does not change the order of a single map.
    alone = {"stage": (one,), "block": (replace(one, level="block"),)}
    found = tune([replace(whole, subject=replace(whole.subject, progress=heard.append), maps=alone)], steps=STEPS)
    assert (found.measured, sum(heard)) == (1, 2 * (STEPS - 1))
    heard.clear()
    found = tune([replace(whole, subject=replace(whole.subject, progress=heard.append))], steps=STEPS)
    assert sum(heard) == found.measured * 2 * (STEPS - 1)
    assert found.measured < found.trials


def test_a_trial_that_does_not_lead_is_not_measured_on_all_images() -> None:
    cases = [planted_case(seed) for seed in range(8)]
    found = tune(cases, steps=STEPS, passes=1)
    starts = len(found.starts) * len(cases)
    others = found.trials - len(found.starts)
    assert found.measured <= starts + others * len(cases)
    assert found.measured - starts < others * len(cases) / 2


def test_one_seed_gives_one_answer_and_progress_reaches_its_end() -> None:
    cases = [planted_case(seed) for seed in range(5)]
    heard: list[tuple[int, int]] = []
    first = tune(cases, steps=STEPS, seed=3, progress=lambda done, total: heard.append((done, total)))
    again = tune(cases, steps=STEPS, seed=3)
    assert (first.setting, first.value, first.starts) == (again.setting, again.value, again.starts)
    totals = {total for _, total in heard}
    assert len(totals) == 1
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert heard[-1][0] == heard[-1][1]


def test_stops_when_it_is_called_off() -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 6

    with pytest.raises(ExplanationCancelledError, match="Tuning was cancelled"):
        tune([planted_case(0)], steps=STEPS, cancelled=cancelled)
    assert len(asked) == 7


def test_adcc_is_that_of_the_metric(model: GeoModel) -> None:
    tensor = image_tensor(4, (64, 64))
    case = prepare(model, tensor)
    found = tune([case], objective="adcc", how="max", passes=1)
    setting = found.setting

    def again(other: torch.Tensor) -> object:
        maps = stage_maps(trace(model, other, case.subject.target, "probability"), "grad-cam", setting.level)
        return combine(maps, setting.weights, setting.how, (64, 64))

    heatmap = again(tensor)
    (wanted,) = measure(case.subject, heatmap, again, ("adcc",))  # type: ignore[arg-type]
    assert found.value == pytest.approx(wanted.value)
    assert found.objective == "adcc"
    assert found.value >= max(value for value in found.starts.values() if value is not None)


def test_a_flat_map_has_no_score() -> None:
    cases = [planted_case(seed) for seed in range(2)]
    blank = stage_map(np.zeros((SIDE, SIDE)), 3)
    faint = {"stage": (*cases[0].maps["stage"][:2], blank), "block": cases[0].maps["block"]}
    one = tune([replace(cases[0], maps=faint)], steps=STEPS)
    assert (one.starts["stage 3 alone"], one.without["stage 3 alone"]) == (None, 1)
    assert one.starts["grad-cam"] is None
    # On one image of two: the mean is that of the other, and it does not lead by being left out of the first.
    both = tune([replace(cases[0], maps=faint), cases[1]], steps=STEPS)
    alone = Setting("stage", "max", (0.0, 0.0, 1.0))
    assert both.starts["stage 3 alone"] == pytest.approx(independently(cases[1], alone))
    assert both.without["stage 3 alone"] == 1
    assert min(value for value in both.starts.values() if value is not None) > -1


def test_images_without_a_map_are_left_out_and_nothing_else_is_said() -> None:
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
def test_what_does_not_exist_is_refused(options: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        tune([planted_case(0)], **options)


def test_steps_by_hand() -> None:
    setting = Setting("stage", "max", (0.5, 1.0))
    assert moved(setting, 0, 2.0) == Setting("stage", "max", (1.0, 0.5))
    assert moved(setting, 1, 0.0) == Setting("stage", "max", (1.0, 0.0))
    assert moved(setting, None, "tanh") == Setting("stage", "tanh", (0.5, 1.0))
    assert moved(Setting("stage", "max", (0.0, 1.0)), 1, 0.0) is None
    assert objective_name("insertion-deletion", 12) == "insertion-deletion@12"
    assert objective_name("adcc", 12) == "adcc"
    assert set(COMBINATIONS) >= {"max", "tanh"}
