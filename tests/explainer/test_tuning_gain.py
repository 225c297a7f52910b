"""The gain of tuning on its image: measured one by one, and distinguished from the noise of the steps."""

from dataclasses import replace

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.explainer import tuning_gain
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.intervals import mean_interval
from geoexplain.explainer.metrics import deletion, insertion, road
from geoexplain.explainer.objectives import CHECKED_BY, OBJECTIVES, Objective
from geoexplain.explainer.table import EXPLANATIONS
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import presets
from geoexplain.explainer.tuning import Case, Setting, heatmap_of, prepare_case
from geoexplain.explainer.tuning_gain import Gain, ImageGain, gain_text, image_gain, measurement_count, untuned_kinds
from geoexplain.locator.model import GeoModel
from tests.explainer.drawn import drawn
from tests.explainer.networks import image_tensor

SETTING = Setting("stage", "max", (0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0))


@pytest.fixture(scope="module")
def case(model: GeoModel) -> Case:
    return prepare_case(model, image_tensor(3, (64, 64)))


def test_the_gain_is_over_the_best_map_without_tuning(model: GeoModel, case: Case) -> None:
    reports: list[tuple[int, int]] = []
    result = image_gain(case, SETTING, steps=6, progress=lambda *step: reports.append(step))
    assert result is not None
    looked_at, traced = case.subject, trace(model, case.subject.tensor, case.subject.target, "probability")

    def area(heatmap, steps: int) -> float | None:
        shown, hidden = insertion(looked_at, heatmap, steps).value, deletion(looked_at, heatmap, steps).value
        return None if shown is None or hidden is None else shown - hidden

    maps = {name: drawn(name, model, looked_at.tensor, traced) for name in untuned_kinds()}
    assert {"grad-cam", "combi-cam"} <= maps.keys()  # Grad-CAM, and Combi-CAM as published, need no tuning
    values = {name: value for name, heatmap in maps.items() if (value := area(heatmap, 6)) is not None}
    best = max(values, key=values.__getitem__)
    assert result.other == EXPLANATIONS[best].title
    tuned = heatmap_of(case, SETTING)
    pairs = np.array([(area(tuned, steps), area(maps[best], steps)) for steps in (9, 11, 13, 17, 19)])
    assert (result.own.tuned, result.own.other) == pytest.approx(tuple(pairs.mean(axis=0)), abs=1e-6)
    assert (result.own.low, result.own.high) == pytest.approx(mean_interval(pairs[:, 0] - pairs[:, 1]), abs=1e-6)
    lost = [looked_at.probability - road(looked_at, tuned, steps)[0].value for steps in (3, 4, 5, 6, 7)]
    assert result.second.tuned == pytest.approx(np.mean(lost), abs=1e-6)
    assert {total for _, total in reports} == {measurement_count("insertion-deletion")}
    assert reports[-1][0] <= reports[-1][1]


def test_the_best_map_without_tuning_gains_nothing_over_itself(case: Case) -> None:
    """The best map without tuning, given as a tuned setting, is no gain with any numbers of steps."""
    result = image_gain(case, SETTING, steps=6)
    assert result is not None
    (preset,) = [name for name in presets() if EXPLANATIONS[name].title == result.other]
    count = len(case.maps[presets()[preset].level])
    same = image_gain(
        case, Setting(presets()[preset].level, presets()[preset].how, presets()[preset].weights(count)), steps=6
    )
    assert same is not None
    assert (same.own.low, same.own.high, same.own.verdict, same.second.verdict) == (0, 0, "no gain", "no gain")
    assert gain_text(same).startswith("No gain over ")


def test_a_search_among_noise_is_no_gain(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a measure of pure noise, the search's choice has the best value in its own steps by chance."""
    said = []
    for seed in range(60):
        rng = np.random.default_rng(seed)

        def noise(_subject, _heatmap, _again, steps, rng=rng) -> float:
            return float(rng.normal(0.9 if steps == 12 else 0.5, 0.1))

        objective = Objective("noise", True, -1.0, noise, OBJECTIVES["insertion-deletion"].key, (9, 11, 13, 17, 19))
        monkeypatch.setitem(tuning_gain.OBJECTIVES, "noise", objective)
        monkeypatch.setattr(tuning_gain, "CHECKED_BY", replace(objective, title="more noise"))
        result = image_gain(case, SETTING, "noise", 12)
        assert result is not None
        said += [result.own.verdict, result.second.verdict]
    assert said.count("no gain") >= 0.95 * len(said)


def test_flat_maps_and_measures_without_steps(model: GeoModel, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image_gain(case, Setting("stage", "max", (0.0,) * 7), steps=6) is None
    assert gain_text(None) == "There is nothing to compare with: every map that needs no tuning is flat."
    once = image_gain(case, SETTING, "adcc")
    if once is not None:
        assert once.own.verdict == "unknown"  # one measurement gives no interval
        assert gain_text(once).startswith("Measured once over ")
        assert "cannot show a gain" in gain_text(once)
    with pytest.raises(DataError, match="expected an objective"):
        image_gain(case, SETTING, "luck")
    with pytest.raises(ExplanationCancelledError):
        image_gain(case, SETTING, cancelled=lambda: True)
    assert CHECKED_BY not in OBJECTIVES.values()


def test_gain_texts_by_hand() -> None:
    second = Gain("probability lost to ROAD", 0.41, 0.45, -0.06, -0.02)
    better = ImageGain("LayerCAM", Gain("area", 0.731, 0.706, 0.012, 0.038), second)
    assert gain_text(better) == (
        "A gain of +0.025 over LayerCAM, the best that needs no tuning: area 0.731 against 0.706, a difference of "
        "+0.012 to +0.038. By another measure, which it was not tuned for, it is worse: probability lost to ROAD 0.410 "
        "against 0.450, a difference of −0.060 to −0.020."
    )
    level = replace(better, own=Gain("area", 0.708, 0.706, -0.004, 0.009), second=replace(second, high=0.01))
    assert gain_text(level).startswith(
        "No gain over LayerCAM, the best that needs no tuning: area 0.708 against 0.706; the difference, −0.004 to "
        "+0.009, is within the noise of the steps. By another measure, which it was not tuned for, it is no better:"
    )
    worse = replace(better, own=Gain("area", 0.664, 0.706, -0.054, -0.03))
    assert gain_text(worse).startswith(
        "No gain over LayerCAM, the best that needs no tuning: area 0.664 against 0.706, a"
    )
