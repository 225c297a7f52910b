"""How far a mean of few values can be trusted, and how many more values would settle a question."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

CONFIDENCE = 0.95
"""Of every interval, unless told otherwise."""

FEWEST = 5
"""Values below which nothing is said in words, however close to one another they lie."""

MOST = 1000
"""Values up to which `further_values` counts."""

SKEWNESS = 1.0
"""Skewness that an interval allows for, in either direction: that of |x| for a normal x is 0.995."""


def half_width(count: int, deviation: float, confidence: float = CONFIDENCE) -> float:
    """Half of the interval of a mean of `count` ≥ 2 values with this standard deviation (ddof 1).

    Student's t, plus the first term by which the t of skewed values departs from it, SKEWNESS (1 + 2 t²) / (6 √n)
    (Hall, The Bootstrap and Edgeworth Expansion, 1992, chapter 2). Without it the interval of 5 values of |x| misses
    the mean in 8 % of the cases instead of 5, nearly always by being too low. The term is added on both sides, since
    the skewness of so few values cannot be estimated: where there is none, the interval is somewhat too wide.
    """
    t = float(stdtrit(count - 1, (1 + confidence) / 2))
    return (t + SKEWNESS * (1 + 2 * t * t) / (6 * math.sqrt(count))) * deviation / math.sqrt(count)


def mean_interval(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval (low, high) of the mean of independent values (N,), as `half_width` says.

    Of one value nothing is known: (−∞, ∞). NaN for no values.
    """
    if not len(values):
        return math.nan, math.nan
    if len(values) == 1:
        return -math.inf, math.inf
    mean, half = float(values.mean()), half_width(len(values), float(values.std(ddof=1)), confidence)
    return mean - half, mean + half


def further_values(
    values: NDArray[np.float64], settled: Callable[[float, float], bool], confidence: float = CONFIDENCE
) -> int | None:
    """How many more values like these (N,) would let `settled(low, high)` say yes to the interval of their mean.

    The mean and the standard deviation are taken to stay what they are, so that this is an expectation. At least
    FEWEST values in all; 0 if they settle it as they are, None if not even MOST in all would.
    """
    count = len(values)
    if count < 2:
        return FEWEST - count
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    for total in range(max(count, FEWEST), MOST + 1):
        half = half_width(total, deviation, confidence)
        if settled(mean - half, mean + half):
            return total - count
    return None
