"""Intervals of means of few values: values by hand, coverage of the true mean, and numbers of further values."""

import math

import numpy as np
import pytest
from scipy import stats

from geoexplain.explainer.intervals import FEWEST, MOST, further_values, half_width, mean_interval

WORLDS = {
    "normal": lambda rng, shape: rng.normal(0.3, 1, shape),
    "|normal|": lambda rng, shape: np.abs(rng.normal(size=shape)),
    "1 − |normal|": lambda rng, shape: 1 - np.abs(rng.normal(0, 0.2, shape)),
    "|ρ| around 0.3": lambda rng, shape: np.abs(rng.normal(0.3, 0.25, shape)),
    "|ρ| of ±0.6": lambda rng, shape: np.abs(rng.choice([-0.6, 0.6], shape) + rng.normal(0, 0.1, shape)),
    "uniform": lambda rng, shape: rng.random(shape),
}


@pytest.mark.parametrize("count", [5, 10, 30])
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_cover_the_true_mean(world: str, count: int) -> None:
    rng = np.random.default_rng(count)
    truth = WORLDS[world](rng, 500_000).mean()
    held = [low <= truth <= high for low, high in map(mean_interval, WORLDS[world](rng, (3000, count)))]
    assert np.mean(held) > 0.93


def test_by_hand() -> None:
    # t(4; 0.975) = 2.7764, and (1 + 2 · 2.7764²) / (6 √5) = 1.2236; mean 3, deviation √2.5.
    low, high = mean_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (low, high) == pytest.approx((3 - 4.0 * math.sqrt(0.5), 3 + 4.0 * math.sqrt(0.5)), abs=2e-4)
    student = stats.t.ppf(0.995, 9) * 2 / math.sqrt(10)
    assert half_width(10, 2, 0.99) > student
    assert half_width(10**6, 2) == pytest.approx(1.96 * 2 / 1000, rel=1e-3)


def test_one_value_has_an_infinite_interval_and_equal_ones_a_point() -> None:
    assert mean_interval(np.array([0.9])) == (-math.inf, math.inf)
    assert all(math.isnan(end) for end in mean_interval(np.zeros(0)))
    assert mean_interval(np.ones(5)) == (1, 1)


def test_further_values_are_those_that_settle_it() -> None:
    def below(limit: float):
        return lambda _low, high: high < limit

    values = np.array([0.1, -0.1, 0.3, -0.3, 0.2, -0.2])
    more = further_values(values, below(0.1))
    assert more is not None
    deviation = values.std(ddof=1)
    assert half_width(len(values) + more, deviation) < 0.1 <= half_width(len(values) + more - 1, deviation)
    assert further_values(values, below(10)) == 0
    assert further_values(values, below(-0.1)) is None
    assert further_values(values[:1], below(10)) == FEWEST - 1
    assert further_values(values[:2], below(1e9)) == FEWEST - 2
    needed = [further_values(scale * values, below(0.2)) for scale in (0.5, 1, 1.5, 2, 3)]
    assert needed == sorted(needed)
    assert needed[0] < needed[-1] < MOST
    nearer = [further_values(values, below(limit)) for limit in (0.4, 0.3, 0.2, 0.1)]
    assert nearer == sorted(nearer)
    assert nearer[0] < nearer[-1]
