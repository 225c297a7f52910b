"""The chance level of two maps: every shift one by one, and comparison with maps that are known to be unrelated."""

import math

import numpy as np
import pytest

from geoexplain.explainer.baselines import centered_gaussian
from geoexplain.explainer.chance import chance_level, chance_limit, shifted_correlations
from geoexplain.explainer.similarity import rank_correlation, ranks
from tests.explainer.noise import coarse_map


def test_every_shift_of_the_mirrored_map_one_by_one() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((5, 7)), rng.random((5, 7))
    tile = ranks(other).reshape(5, 7)
    tile = np.concatenate([tile, tile[::-1]])
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1)  # one period, after which the tile repeats
    expected = []
    for down in range(10):
        for right in range(14):
            window = np.roll(tile, (-down, -right), (0, 1))[:5, :7]
            expected.append(np.corrcoef(ranks(one), window.ravel())[0, 1])
    result = shifted_correlations(one, other)
    assert result.size == len(expected)
    np.testing.assert_allclose(np.sort(result), np.sort(expected), atol=1e-9)
    assert result[0] == pytest.approx(rank_correlation(one, other))  # the zero shift
    assert chance_level(one, other) == pytest.approx(np.mean(np.abs(expected)))


@pytest.mark.parametrize("side", [4, 7, 14, 28])
def test_the_chance_level_is_the_mean_correlation_of_unrelated_maps(side: int) -> None:
    rng = np.random.default_rng(side)
    pairs = [(coarse_map(rng, side), coarse_map(rng, side)) for _ in range(300)]
    reached = np.array([abs(rank_correlation(*pair)) for pair in pairs])
    expected = np.array([chance_level(*pair) for pair in pairs])
    assert reached.mean() == pytest.approx(expected.mean(), rel=0.12)
    assert (reached > [chance_limit(*pair) for pair in pairs]).mean() < 0.03


def test_coarser_maps_have_a_higher_chance_level() -> None:
    rng = np.random.default_rng(3)
    levels = [chance_level(coarse_map(rng, side), coarse_map(rng, side)) for side in (3, 7, 14, 28)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.2
    assert levels[-1] < 0.06


def test_a_spot_in_the_middle_is_beyond_chance() -> None:
    """Mirroring alone would leave it in place, so that two such maps would count as agreeing by chance."""
    blot = centered_gaussian(np.zeros((3, 56, 56), np.float32), 0)
    noisy = blot + 0.2 * coarse_map(np.random.default_rng(1))
    assert rank_correlation(blot, noisy) > 0.9
    assert chance_level(blot, noisy) < 0.5


def test_a_large_map_is_subsampled_and_a_constant_one_has_no_level() -> None:
    rng = np.random.default_rng(5)
    small, large = np.random.default_rng(5), np.random.default_rng(5)
    one = chance_level(coarse_map(small), coarse_map(small))
    assert chance_level(*(coarse_map(large, size_hw=(224, 224)) for _ in range(2))) == pytest.approx(one, abs=0.03)
    assert (
        shifted_correlations(coarse_map(rng, size_hw=(300, 200)), coarse_map(rng, size_hw=(300, 200))).size
        <= 4 * 112**2
    )
    assert math.isnan(chance_level(np.ones((5, 5)), rng.random((5, 5))))
    assert math.isnan(chance_limit(rng.random((5, 5)), np.ones((5, 5))))
