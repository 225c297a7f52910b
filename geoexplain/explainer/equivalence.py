"""Equivalence test: which of several ranges holds a mean, answered only if its whole interval lies in one range."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.intervals import FEWEST, further_values, mean_interval

TOO_FEW = "too few"


@dataclass(frozen=True)
class Equivalence:
    """Result of an equivalence test of a mean.

    verdict    name of the range that the mean lies in, or TOO_FEW
    possible   ranges that the interval overlaps, in order: a single one unless the verdict is TOO_FEW
    mean       mean of the values; NaN for no values
    low, high  its 95 % interval; infinite for one value
    count      number of values
    more       number of further values, if they are like these, that would give a verdict: 0 if there is one already,
               None if even MOST values in all would not
    """

    verdict: str
    possible: tuple[str, ...]
    mean: float
    low: float
    high: float
    count: int
    more: int | None


def equivalence(values: NDArray[np.float64], ranges: Mapping[str, tuple[float, float]]) -> Equivalence:
    """Decide in which of several ranges the mean of independent values (N,) lies.

    A difference that is "not significant" is no evidence of equality: the fewer and the more scattered the values, the
    more often that happens. Here, few and scattered values give no verdict (Schuirmann, J. Pharmacokinet. Biopharm. 15,
    1987, for one range).

    ranges  name → (low, high): adjacent ranges in ascending order that cover −∞ to ∞
    """
    low, high = mean_interval(values)

    def range_holding(low: float, high: float) -> str | None:
        return next((name for name, (least, most) in ranges.items() if least <= low and high <= most), None)

    verdict = range_holding(low, high) if len(values) >= FEWEST else None
    possible = tuple(name for name, (least, most) in ranges.items() if low <= most and high >= least)
    return Equivalence(
        verdict or TOO_FEW,
        (verdict,) if verdict else possible,
        float(values.mean()) if len(values) else math.nan,
        low,
        high,
        len(values),
        further_values(values, lambda low, high: range_holding(low, high) is not None),
    )
