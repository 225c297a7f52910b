"""Explanations of one image that stand out from chance, by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from geoexplain.explainer.standing import Standing, find_standing
from geoexplain.explainer.subject import Measure
from geoexplain.explainer.trial import MeasuredExplanation, Trial
from tests.explainer.noise import heatmap

FLAT = heatmap(np.zeros((2, 2)))
CHANCE = [0.3, 0.4, 0.5, 0.6, 0.7]


def trial(methods: dict[str, float | None], baselines: dict[str, float], chance: list[float | None]) -> Trial:
    rows = [
        MeasuredExplanation(name, name.title(), known, FLAT, 0, (Measure("m", value),))
        for known, values in ((False, methods), (True, baselines))
        for name, value in values.items()
    ]
    return Trial(None, tuple(rows), tuple((Measure("m", value),) for value in chance))  # type: ignore[arg-type]


def test_the_limit_is_that_of_a_prediction_interval_of_logits() -> None:
    odds = np.log(np.array(CHANCE) / (1 - np.array(CHANCE)))  # symmetric around 0
    reach = stats.t.ppf(1 - 0.05 / 2, 4) * odds.std(ddof=1) * math.sqrt(1 + 1 / 5)  # two methods
    limit = 1 / (1 + math.exp(-reach))
    two = {"one": limit + 0.001, "two": limit - 0.001}
    result = find_standing(trial(two, {"blot": 0.5}, CHANCE), "insertion", "m")
    assert result == Standing(pytest.approx(limit), ("one",), ())
    # For deletion lower is better, so the limit lies on the other side; for percent it is a hundred times as large.
    less = find_standing(
        trial({"one": 1 - limit - 0.001, "two": 1 - limit + 0.001}, {"blot": 0.5}, CHANCE), "deletion", "m"
    )
    assert less == Standing(pytest.approx(1 - limit), ("one",), ())
    percent = find_standing(
        trial({"one": 99.9, "two": 1}, {}, [100 * value for value in CHANCE]), "average-increase", "m"
    )
    assert percent.limit == pytest.approx(100 * limit)


def test_a_better_baseline_prevents_standing_out() -> None:
    beaten = find_standing(trial({"one": 0.99, "two": 0.985}, {"blot": 0.987, "edges": 0.1}, CHANCE), "insertion", "m")
    assert (beaten.outstanding, beaten.ahead) == (("one",), ())
    gone = find_standing(trial({"one": 0.99}, {"blot": 0.995, "edges": 0.1}, CHANCE), "insertion", "m")
    assert (gone.outstanding, gone.ahead) == ((), ("Blot",))


def test_without_values_no_method_stands_out() -> None:
    for chance in (CHANCE[:4], [0.5] * 9, [None] * 9, [0.0] * 9, []):
        assert find_standing(trial({"one": 1.0}, {"blot": 0.5}, chance), "insertion", "m") == Standing(None, (), ())
    assert find_standing(trial({"one": None}, {"blot": 0.5}, CHANCE), "insertion", "m").outstanding == ()
    # Zeros and ones have no logit and count as a thousandth from the end: they scatter widely.
    wide = find_standing(trial({"one": 0.999}, {"blot": 0.5}, [0.0, 1.0, 0.5, 0.0, 1.0]), "insertion", "m")
    assert wide.limit is not None
    assert wide.limit > 0.999
