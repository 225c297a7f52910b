"""Similarity of maps: values by hand, comparison with SciPy and with one window at a time."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from geoexplain.errors import DataError
from geoexplain.explainer.similarity import SSIM_C1, SSIM_C2, rank_correlation, ranks, structural_similarity


def test_ranks_by_hand() -> None:
    np.testing.assert_array_equal(ranks(np.array([[0.0, 5, 0], [3, 0, 5]])), [2, 5.5, 2, 4, 2, 5.5])


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    one = np.maximum(rng.normal(size=(20, 30)), 0)  # with ties, as after a ReLU
    other = np.maximum(one + rng.normal(size=(20, 30)), 0)
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert rank_correlation(one, np.exp(3 * one)) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)


def test_a_constant_map_has_no_similarity() -> None:
    one, flat = np.random.default_rng(0).random((12, 12)), np.zeros((12, 12))
    assert math.isnan(rank_correlation(one, flat))
    assert math.isnan(structural_similarity(flat, one))


def test_ssim_window_by_window() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random((14, 17)), rng.random((14, 17)) ** 2
    x, y = ((values - values.min()) / (values.max() - values.min()) for values in (one, other))
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(bell, bell) / bell.sum() ** 2
    result = []
    for top in range(14 - 10):
        for left in range(17 - 10):
            a, b = (values[top : top + 11, left : left + 11] for values in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            result.append(
                (2 * mean_a * mean_b + SSIM_C1)
                * (2 * cov + SSIM_C2)
                / ((mean_a**2 + mean_b**2 + SSIM_C1) * (var_a + var_b + SSIM_C2))
            )
    assert structural_similarity(one, other) == pytest.approx(np.mean(result), rel=1e-9)
    assert structural_similarity(one, 5 * one + 2) == pytest.approx(1)


def test_maps_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(DataError, match="at least 11 × 11 px"):
        structural_similarity(np.eye(10), np.eye(10))
