"""Means and intervals of measures, by hand."""

import math
from typing import Any

import numpy as np
import pytest

from geoexplain.evaluation.explanations import Examination, ImageMeasures
from geoexplain.evaluation.scoreboard import Standing
from geoexplain.explainer.intervals import mean_interval

EXAMINATION = Examination(methods=("grad-cam", "layer-cam", "random"), metrics=("deletion", "insertion"), steps=7)


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
    board = EXAMINATION.findings(ANSWERS).board
    assert board["grad-cam"]["deletion@7"].mean == pytest.approx(0.3)
    assert board["grad-cam"]["deletion@7"].images == 2
    one = board["layer-cam"]["insertion@7"]
    assert (one.mean, one.low, one.high, one.images) == (0.5, -math.inf, math.inf, 1)
    two = board["grad-cam"]["insertion@7"]
    assert (two.low, two.high) == pytest.approx(mean_interval(np.array([0.5, 0.7])))
    constant = board["random"]["deletion@7"]
    assert (constant.low, constant.high) == pytest.approx((0.1, 0.1))


def many(count: int, **means: tuple[float, float]) -> list[ImageMeasures]:
    """Images on which the methods have these means, by deletion and insertion, with noise that all have in common."""
    rng = np.random.default_rng(0)
    common, own = rng.normal(0, 0.2, count), rng.normal(0, 0.005, (count, len(means), 2))
    return [
        answer(
            str(i),
            **{
                name: tuple(np.array(pair) + common[i] + own[i, place])
                for place, (name, pair) in enumerate(means.items())
            },
        )
        for i in range(count)
    ]


def test_the_best_is_told_from_all_others_image_by_image() -> None:
    # Images differ by far more than methods do; image by image the methods are told apart.
    clear = many(20, grad_cam=(0.3, 0.5), layer_cam=(0.2, 0.5), random=(0.4, 0.9))
    found = EXAMINATION.findings(clear).standings
    assert found["deletion@7"] == Standing("layer-cam", ("layer-cam",), ("grad-cam", "layer-cam"))
    # By insertion both methods have the same mean but for noise, and a random map does better than they do.
    tie = found["insertion@7"]
    assert (tie.best, set(tie.leading), tie.beating) == (None, {"grad-cam", "layer-cam"}, ())
    # The same differences on too few images are none.
    few = EXAMINATION.findings(clear[:9]).standings["deletion@7"]
    assert (few.best, set(few.leading), few.beating) == (None, {"grad-cam", "layer-cam"}, ())


def test_a_method_that_a_baseline_beats_is_not_the_best() -> None:
    beaten = many(20, grad_cam=(0.3, 0.5), layer_cam=(0.2, 0.5), random=(0.1, 0.5))
    found = EXAMINATION.findings(beaten).standings["deletion@7"]
    assert found == Standing(None, ("layer-cam",), ())
    alone = Examination(methods=("grad-cam", "layer-cam"), metrics=("deletion", "insertion"), steps=7)
    without = alone.findings(beaten).standings["deletion@7"]
    assert without == Standing("layer-cam", ("layer-cam",), ())  # where no baseline was measured
    only = Examination(methods=("grad-cam",), metrics=("deletion", "insertion"), steps=7)
    assert only.findings(beaten).standings["deletion@7"] == Standing(None, ("grad-cam",), ())  # better than nothing
    assert EXAMINATION.findings(ANSWERS[2:]).standings["deletion@7"] == Standing(None, (), ())
    baselines = Examination(methods=("random",), metrics=("deletion",), steps=7)
    assert baselines.findings(beaten).standings["deletion@7"] == Standing(None, (), ())


def summary(answers: list[ImageMeasures], settings: dict[str, str]) -> dict[str, Any]:
    return EXAMINATION.summary(answers, EXAMINATION.findings(answers), settings)


def test_the_summary_names_what_was_left_out_and_knows_no_nan() -> None:
    found = summary(ANSWERS, {"model": "m"})
    assert found["counts"] == {"evaluated": 2, "unreadable": 1, "failed": 0, "missing": 1}
    assert found["unreadable"] == [{"id": "c", "file": "c.png", "reason": "no picture"}]
    assert found["missing"] == ["d"]
    assert found["baselines"] == ["random"]
    assert found["higher_is_better"] == {"deletion@7": False, "insertion@7": True}
    empty = summary(ANSWERS[2:], {})
    assert empty["scores"]["grad-cam"]["deletion@7"] == {"mean": None, "low": None, "high": None, "images": 0}
    assert empty["best"] == {}
    assert (empty["leading"]["deletion@7"], empty["better_than_baselines"]["deletion@7"]) == ([], [])
    one = summary(ANSWERS, {})["scores"]["layer-cam"]["insertion@7"]
    assert one == {"mean": 0.5, "low": None, "high": None, "images": 1}
