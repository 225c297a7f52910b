"""Means and intervals of measures, by hand."""

import math

import numpy as np
import pytest

from geoexplain.evaluation.bootstrap import VALUES_AT_A_TIME, bootstrap_interval
from geoexplain.evaluation.explanations import Examination, ImageMeasures
from geoexplain.evaluation.scoreboard import best, scoreboard, summary_of

EXAMINATION = Examination(("grad-cam", "layer-cam", "random"), ("deletion", "insertion"), steps=7)


def answer(name: str, **values: tuple[float | None, float | None]) -> ImageMeasures:
    rows = {
        method.replace("_", "-"): dict(zip(("deletion@7", "insertion@7"), pair, strict=True))
        for method, pair in values.items()
    }
    return ImageMeasures(name, f"{name}.png", "ok", values=rows)


ANSWERS = [
    answer("a", grad_cam=(0.2, 0.5), layer_cam=(0.3, 0.5), random=(0.1, 0.9)),
    answer("b", grad_cam=(0.4, 0.7), layer_cam=(0.2, None), random=(0.1, 0.9)),
    ImageMeasures("c", "c.png", "unreadable", reason="no picture"),
    ImageMeasures("d", reason="no file of that name"),
]


def test_means_leave_out_what_has_no_value() -> None:
    board = scoreboard(ANSWERS, EXAMINATION)
    assert board["grad-cam"]["deletion@7"].mean == pytest.approx(0.3)
    assert board["grad-cam"]["deletion@7"].images == 2
    one = board["layer-cam"]["insertion@7"]
    assert (one.mean, one.low, one.high, one.images) == (0.5, 0.5, 0.5, 1)
    # Two images: their mean, or either of them twice, each with a probability of 1/4 or 1/2.
    two = board["grad-cam"]["insertion@7"]
    assert (two.low, two.high) == pytest.approx((0.5, 0.7))
    constant = board["random"]["deletion@7"]
    assert (constant.low, constant.high) == pytest.approx((0.1, 0.1))


def test_the_best_is_a_method_in_the_metrics_own_direction() -> None:
    # random would win both; layer-cam has the lower deletion, grad-cam the higher insertion
    assert best(scoreboard(ANSWERS, EXAMINATION), EXAMINATION) == {"deletion@7": "layer-cam", "insertion@7": "grad-cam"}
    tied = [answer("a", grad_cam=(0.2, None), layer_cam=(0.2, None), random=(0.1, 0.9))]
    assert best(scoreboard(tied, EXAMINATION), EXAMINATION) == {}


def test_the_summary_names_what_was_left_out_and_knows_no_nan() -> None:
    summary = summary_of(ANSWERS, EXAMINATION, {"model": "m"})
    assert summary["counts"] == {"evaluated": 2, "unreadable": 1, "failed": 0, "missing": 1}
    assert summary["unreadable"] == [{"id": "c", "file": "c.png", "reason": "no picture"}]
    assert summary["missing"] == ["d"]
    assert summary["baselines"] == ["random"]
    assert summary["higher_is_better"] == {"deletion@7": False, "insertion@7": True}
    empty = summary_of(ANSWERS[2:], EXAMINATION, {})
    assert empty["scores"]["grad-cam"]["deletion@7"] == {"mean": None, "low": None, "high": None, "images": 0}
    assert empty["best"] == {}


def test_the_bootstrap_interval_is_that_of_the_normal_distribution_for_many_values() -> None:
    values = np.random.default_rng(4).exponential(size=4000)
    low, high = bootstrap_interval(values)
    error = 1.96 * values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + error, abs=0.1 * error)
    assert bootstrap_interval(values) == (low, high)
    assert all(math.isnan(end) for end in bootstrap_interval(np.zeros(0)))


def test_the_memory_of_the_bootstrap_is_bounded_and_its_result_in_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random(100)
    at_once = bootstrap_interval(values)
    monkeypatch.setattr("geoexplain.evaluation.bootstrap.VALUES_AT_A_TIME", 7 * 100)
    assert bootstrap_interval(values) == at_once
    assert VALUES_AT_A_TIME * 8 < 2**28
