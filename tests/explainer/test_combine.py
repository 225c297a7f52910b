"""Combi-CAM, worked out by hand: scaling, upsampling, weights, folding."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoexplain.errors import DataError
from geoexplain.explainer.cams import StageMap, is_flat
from geoexplain.explainer.combine import COMBINATIONS, combine, upsample
from geoexplain.explainer.tuned import presets


def stage_map(values: list, index: int = 1) -> StageMap:
    array = np.array(values, dtype=np.float32)
    return StageMap(array, index, "stage", "grad-cam", 7, "logit", is_flat(array))


COARSE = stage_map([[1.0, 3.0], [3.0, 5.0]], 1)
FINE = stage_map([[0.0, 0.0, 4.0], [0.0, 8.0, 0.0], [0.0, 0.0, 0.0]], 2)


def test_sum_adds_raw_maps_upsampled_with_the_corners_aligned() -> None:
    # The coarse map at 3 x 3 is [[1, 2, 3], [2, 3, 4], [3, 4, 5]].
    heatmap = combine([COARSE, FINE], [1, 0.5], "sum", (3, 3))
    np.testing.assert_allclose(heatmap.values, [[1, 2, 5], [2, 7, 4], [3, 4, 5]], rtol=1e-6)
    assert heatmap.values.dtype == np.float32
    assert (heatmap.method, heatmap.target, heatmap.score, heatmap.level) == ("grad-cam", 7, "logit", "stage")
    assert (heatmap.how, heatmap.weights, heatmap.flat) == ("sum", (1.0, 0.5), False)


def test_max_divides_each_map_by_its_maximum() -> None:
    heatmap = combine([COARSE, FINE], [5, 2], "max", (3, 3))
    np.testing.assert_allclose(heatmap.values, [[1, 2, 4], [2, 5, 4], [3, 4, 5]], rtol=1e-6)


def test_minmax_scales_each_map_to_one() -> None:
    # The coarse map becomes [[0, 1/4, 1/2], [1/4, 1/2, 3/4], [1/2, 3/4, 1]].
    heatmap = combine([COARSE, FINE], [4, 2], "minmax", (3, 3))
    np.testing.assert_allclose(heatmap.values, [[0, 1, 3], [1, 4, 3], [2, 3, 4]], rtol=1e-6, atol=1e-6)


def test_tanh_takes_the_maximum_of_squashed_maps() -> None:
    heatmap = combine([COARSE, FINE], [1, 1], "tanh", (3, 3))
    corner, edge, high = (math.tanh(2 * value / 5) for value in (1, 3, 5))
    assert heatmap.values[0, 0] == pytest.approx(corner, rel=1e-6)
    assert heatmap.values[0, 1] == pytest.approx((corner + edge) / 2, rel=1e-6)
    assert heatmap.values[0, 2] == pytest.approx(edge, rel=1e-6), "3/5 of the coarse map beats 4/8 of the fine one"
    assert heatmap.values[1, 1] == pytest.approx(high, rel=1e-6), "8/8 of the fine map beats 3/5 of the coarse one"
    assert heatmap.values[2, 2] == pytest.approx(high, rel=1e-6)


@pytest.mark.parametrize("how", COMBINATIONS)
def test_a_weight_of_zero_leaves_the_map_out(how: str) -> None:
    alone = combine([COARSE], [1], how, (6, 5)).values
    np.testing.assert_array_equal(combine([COARSE, FINE], [1, 0], how, (6, 5)).values, alone)


def test_one_hot_sum_is_the_single_map() -> None:
    np.testing.assert_array_equal(combine([COARSE, FINE], [0, 1], "sum", (3, 3)).values, FINE.values)


@pytest.mark.parametrize("how", COMBINATIONS)
def test_scaling_all_weights_scales_the_heatmap(how: str) -> None:
    once = combine([COARSE, FINE], [1, 0.5], how, (4, 9)).values
    np.testing.assert_allclose(combine([COARSE, FINE], [3, 1.5], how, (4, 9)).values, 3 * once, rtol=1e-5)


@pytest.mark.parametrize("how", ["max", "minmax", "tanh"])
def test_the_magnitude_of_a_map_matters_in_the_sum_alone(how: str) -> None:
    faint = replace(FINE, values=FINE.values * np.float32(1e-9))
    expected = combine([COARSE, FINE], [1, 1], how, (3, 3)).values
    np.testing.assert_allclose(combine([COARSE, faint], [1, 1], how, (3, 3)).values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(combine([COARSE, faint], [1, 1], "sum", (3, 3)).values, upsample(COARSE.values, (3, 3)))


@pytest.mark.parametrize("how", COMBINATIONS)
def test_a_combination_without_structure_is_flat_and_zero(how: str) -> None:
    level = stage_map([[0.3] * 7] * 7)
    for maps, weights in (([COARSE, FINE], [0, 0]), ([level], [1]), ([stage_map([[0.0]])], [2])):
        heatmap = combine(maps, weights, how, (224, 224))
        assert heatmap.flat
        assert not heatmap.values.any()


@pytest.mark.parametrize("how", ["max", "minmax", "tanh"])
def test_a_flat_map_adds_nothing(how: str) -> None:
    level = stage_map([[9.0, 9.0]], 3)
    expected = combine([COARSE, FINE], [1, 1], how, (5, 5)).values
    np.testing.assert_array_equal(combine([COARSE, FINE, level], [1, 1, 2], how, (5, 5)).values, expected)


@given(
    st.lists(st.floats(0, 2, width=32), min_size=2, max_size=2),
    st.sampled_from(sorted(COMBINATIONS)),
    st.integers(2, 12),
    st.integers(2, 12),
)
def test_flipping_every_map_flips_the_heatmap(weights: list[float], how: str, height: int, width: int) -> None:
    flipped = [replace(m, values=m.values[:, ::-1].copy()) for m in (COARSE, FINE)]
    straight = combine([COARSE, FINE], weights, how, (height, width))
    mirrored = combine(flipped, weights, how, (height, width))
    np.testing.assert_allclose(mirrored.values, straight.values[:, ::-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0], "expected 2 weights, one per stage, got 1"),
        ([1.0, -0.5], "at least 0, got -0.5"),
        ([1.0, math.nan], "finite"),
        ([math.inf, 1.0], "finite"),
    ],
)
def test_wrong_weights_are_refused(weights: list[float], words: str) -> None:
    with pytest.raises(DataError, match=words):
        combine([COARSE, FINE], weights, "sum", (3, 3))


def test_mixed_inputs_are_refused() -> None:
    with pytest.raises(DataError, match="got grad-cam of logit by stage for 2 targets"):
        combine([COARSE, replace(FINE, target=8)], [1, 1], "sum", (3, 3))
    with pytest.raises(DataError, match="at least one map"):
        combine([], [], "sum", (3, 3))
    with pytest.raises(DataError, match="'minmax'"):
        combine([COARSE], [1], "mean", (3, 3))


def test_preset_weights_for_any_number_of_maps() -> None:
    assert {name: preset.weights(7) for name, preset in presets().items()} == {
        "combi-cam": (1, 1, 1, 1, 1, 1, 1),
        "combi-cam-all": (1, 1, 1, 1, 1, 1, 1),
        "combi-cam-shallow": (1, 1, 1, 0, 0, 0, 0),
        "grad-cam": (0, 0, 0, 0, 0, 0, 1),
    }
    assert {name: preset.weights(1) for name, preset in presets().items()} == dict.fromkeys(presets(), (1,))
    assert presets()["combi-cam-shallow"].weights(4) == (1, 1, 0, 0)


def test_the_published_preset_has_the_settings_of_the_paper() -> None:
    published = presets()["combi-cam"]
    assert (published.level, published.score, published.how) == ("block", "probability", "sum")


def test_upsampling_agrees_with_scipy() -> None:
    from scipy.ndimage import map_coordinates

    values = np.random.default_rng(5).random((7, 9), dtype=np.float32)
    grid = np.meshgrid(np.linspace(0, 6, 33), np.linspace(0, 8, 20), indexing="ij")
    np.testing.assert_allclose(upsample(values, (33, 20)), map_coordinates(values, grid, order=1), atol=1e-6)
