"""Means and intervals of measures, by hand."""

import math

import numpy as np
import pytest

from geoexplain.evaluation.explanations import Examination, ImageMeasures
from geoexplain.evaluation.scoreboard import Standing, scoreboard, standings, summary_of
from geoexplain.explainer.intervals import mean_interval

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
    found = standings(clear, EXAMINATION)
    assert found["deletion@7"] == Standing("layer-cam", ("layer-cam",), ("grad-cam", "layer-cam"))
    # By insertion both methods have the same mean but for noise, and a random map does better than they do.
    tie = found["insertion@7"]
    assert (tie.best, set(tie.leading), tie.beating) == (None, {"grad-cam", "layer-cam"}, ())
    # The same differences on too few images are none.
    few = standings(clear[:9], EXAMINATION)["deletion@7"]
    assert (few.best, set(few.leading), few.beating) == (None, {"grad-cam", "layer-cam"}, ())


def test_a_method_that_a_baseline_beats_is_not_the_best() -> None:
    beaten = many(20, grad_cam=(0.3, 0.5), layer_cam=(0.2, 0.5), random=(0.1, 0.5))
    found = standings(beaten, EXAMINATION)["deletion@7"]
    assert found == Standing(None, ("layer-cam",), ())
    alone = Examination(("grad-cam", "layer-cam"), ("deletion", "insertion"), steps=7)
    without = standings(beaten, alone)["deletion@7"]
    assert without == Standing("layer-cam", ("layer-cam",), ())  # where no baseline was measured
    only = Examination(("grad-cam",), ("deletion", "insertion"), steps=7)
    assert standings(beaten, only)["deletion@7"] == Standing(None, ("grad-cam",), ())  # better than nothing
    assert standings(ANSWERS[2:], EXAMINATION)["deletion@7"] == Standing(None, (), ())
    baselines = Examination(("random",), ("deletion",), steps=7)
    assert standings(beaten, baselines)["deletion@7"] == Standing(None, (), ())


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
    assert (empty["leading"]["deletion@7"], empty["better_than_baselines"]["deletion@7"]) == ([], [])
    one = summary_of(ANSWERS, EXAMINATION, {})["scores"]["layer-cam"]["insertion@7"]
    assert one == {"mean": 0.5, "low": None, "high": None, "images": 1}
